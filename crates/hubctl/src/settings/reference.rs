//! Every setting of `hubctl.toml`, for its manual page. A test compares it with the keys that are understood.

/// A table of the file, with its keys.
pub(crate) struct Table {
    /// As it is written, without brackets: `vault`, `sites.NAME`.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Each key, the form of its value, and what it is for.
    pub(crate) keys: &'static [(&'static str, &'static str, &'static str)],
}

pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "service",
        about: "The service whose database is backed up.",
        keys: &[("name", "STRING", "Prefix of the backup files.")],
    },
    Table {
        name: "sites.NAME",
        about: "One table for each place where the service's database runs.",
        keys: &[
            (
                "database",
                "STRING",
                "Connection URL or key=value pairs, without a password. Required.",
            ),
            (
                "password_file",
                "FILE",
                "File of mode 0600 with the password.",
            ),
            (
                "password_command",
                "STRING",
                "Shell command that prints the password.",
            ),
            (
                "passfile",
                "FILE",
                "Passfile of libpq, instead of ~/.pgpass.",
            ),
        ],
    },
    Table {
        name: "vault",
        about: "Where backups are kept, whom they are sealed for, and what opens them.",
        keys: &[
            ("path", "DIRECTORY", "Directory of the backups."),
            (
                "recipients",
                "ARRAY",
                "Public keys: age1..., ssh-ed25519 ..., ssh-rsa ... Any one of the private keys opens a backup.",
            ),
            (
                "recipients_file",
                "FILE",
                "File of public keys, one per line, or a .sops.yaml.",
            ),
            (
                "identities",
                "ARRAY",
                "Files of private keys: age or SOPS key files, SSH keys.",
            ),
            (
                "passphrase_file",
                "FILE",
                "Passphrase of encrypted key files; seals where no recipient is named.",
            ),
        ],
    },
    Table {
        name: "backup",
        about: "What a backup takes, and what makes it count.",
        keys: &[
            (
                "site",
                "STRING",
                "Site that `hubctl backup` and the schedule take. Required by the schedule where there are several sites.",
            ),
            (
                "append_only",
                "ARRAY",
                "Tables, as schema.table, that only grow: a backup with fewer rows is suspicious.",
            ),
            ("sign_key", "FILE", "SSH key that signs every new backup."),
            (
                "allowed_signers",
                "FILE",
                "File of allowed signers: a backup needs a signature of one of them to count.",
            ),
        ],
    },
    Table {
        name: "retention",
        about: "How many verified backups `hubctl prune` keeps.",
        keys: &[
            ("last", "NUMBER", "The newest."),
            ("hourly", "NUMBER", "The newest of each hour."),
            ("daily", "NUMBER", "The newest of each day."),
            ("weekly", "NUMBER", "The newest of each ISO week."),
            ("monthly", "NUMBER", "The newest of each month."),
            ("yearly", "NUMBER", "The newest of each year."),
            (
                "within",
                "DURATION",
                "All that are at most this much older than the newest.",
            ),
        ],
    },
    Table {
        name: "freshness",
        about: "Limits of `hubctl fresh`.",
        keys: &[
            (
                "max_age",
                "DURATION",
                "Age of the newest backup, and of the newest verified one. Default: 26h.",
            ),
            (
                "drilled",
                "DURATION",
                "Age of the newest backup that was restored in a drill. Default: 8days.",
            ),
            (
                "metrics",
                "FILE",
                "Metrics for the textfile collector of Prometheus.",
            ),
        ],
    },
    Table {
        name: "targets.NAME",
        about: "A place for copies of the backups. Exactly one of folder, webdav, filedrop, sftp and s3 is required.",
        keys: &[
            ("folder", "DIRECTORY", "Folder on another disk or a share."),
            ("webdav", "URL", "Folder of a WebDAV server or Nextcloud."),
            (
                "filedrop",
                "URL",
                "Nextcloud server of a share that only takes files.",
            ),
            ("sftp", "STRING", "Folder of an SFTP server, as HOST:PATH."),
            ("s3", "URL", "Endpoint of an S3 server."),
            ("user", "STRING", "User of a WebDAV server."),
            (
                "password_file",
                "FILE",
                "Password of that user, or of the share.",
            ),
            ("token_file", "FILE", "Token of a file drop."),
            (
                "ca_file",
                "FILE",
                "Certificates to trust instead of the system's.",
            ),
            (
                "ssh_config",
                "FILE",
                "Configuration of ssh, instead of ~/.ssh/config.",
            ),
            ("identity_file", "FILE", "SSH key."),
            ("bucket", "STRING", "Bucket of S3."),
            ("prefix", "STRING", "Prefix of the names in the bucket."),
            ("region", "STRING", "Region of the bucket."),
            ("access_key", "STRING", "Access key of S3."),
            ("secret_key_file", "FILE", "Secret key of S3."),
            (
                "bandwidth",
                "SIZE",
                "Bytes per second, such as \"2 MiB\". Default: no limit.",
            ),
            (
                "part",
                "SIZE",
                "Longer files are sent in parts of this size.",
            ),
            (
                "max_age",
                "DURATION",
                "Age of the newest copy for `hubctl fresh`. Default: that of [freshness].",
            ),
        ],
    },
    Table {
        name: "alerts",
        about: "Who is told when a scheduled run fails.",
        keys: &[
            (
                "command",
                "STRING",
                "Shell command; HUBCTL_FAILED_UNIT names the unit that failed.",
            ),
            (
                "webhook",
                "TABLE",
                "{ url_file = FILE }: URL that takes a POST of JSON.",
            ),
            (
                "mail",
                "TABLE",
                "{ command = STRING, to = STRING }: command that sends the message on its stdin.",
            ),
            (
                "ping",
                "TABLE",
                "{ url_file = FILE }: URL of a monitor that alarms where it hears of no verified backup.",
            ),
        ],
    },
    Table {
        name: "drill",
        about: "What is asked of a restored database.",
        keys: &[
            (
                "checks",
                "ARRAY",
                "{ name, sql, expect }: a query, and the answer that it must give.",
            ),
            (
                "episodic_memory",
                "DIRECTORY",
                "Folder for a Markdown page per drill.",
            ),
        ],
    },
    Table {
        name: "journal",
        about: "The record of what was done.",
        keys: &[(
            "path",
            "FILE",
            "Default: ~/.local/state/hubctl/journal.jsonl.",
        )],
    },
    Table {
        name: "tunnels.NAME",
        about: "An SSH connection with its forwards.",
        keys: &[
            (
                "destination",
                "STRING",
                "What ssh connects to: HOST, USER@HOST or a Host of ssh_config. Required.",
            ),
            (
                "profile",
                "STRING",
                "How soon silence is noticed: \"fast\" cuts after 3 seconds instead of 15.",
            ),
            (
                "ssh_config",
                "FILE",
                "Configuration of ssh, instead of ~/.ssh/config.",
            ),
            (
                "known_hosts",
                "FILE",
                "Known host keys, instead of those of ssh_config.",
            ),
            ("identity_file", "FILE", "SSH key."),
            ("identity_agent", "FILE", "Socket of an SSH agent."),
            (
                "cluster_dns",
                "TABLE",
                "{ server, domain }: name server of the cluster. Default: 10.43.0.10:53 and cluster.local.",
            ),
            (
                "forwards",
                "ARRAY",
                "The forwards, as [[tunnels.NAME.forwards]]. Required.",
            ),
        ],
    },
    Table {
        name: "tunnels.NAME.forwards",
        about: "One forward. Exactly one of target, service and remote is required.",
        keys: &[
            ("local", "ADDRESS", "Address on this machine. Required."),
            ("target", "ADDRESS", "Address that the destination reaches."),
            (
                "service",
                "STRING",
                "Service of Kubernetes, as NAMESPACE/NAME:PORT.",
            ),
            (
                "remote",
                "ADDRESS",
                "Address on the destination that leads to local.",
            ),
            (
                "bind",
                "STRING",
                "\"any\" where other machines may reach local.",
            ),
            (
                "probe",
                "TABLE",
                "How it is proven that bytes get through, and to whom: http, json, equals, contains, postgres, tcp, command, interval, timeout.",
            ),
            (
                "on_mismatch",
                "STRING",
                "\"report\" leaves the port open where somebody else answers. Default: \"close\".",
            ),
            (
                "hold",
                "DURATION",
                "How long new connections wait while the connection is made. Default: 5s.",
            ),
        ],
    },
    Table {
        name: "clusters.NAME",
        about: "A Kubernetes cluster that gates ask.",
        keys: &[
            (
                "kubeconfig",
                "FILE",
                "Default: the cluster that hubctl runs in.",
            ),
            ("context", "STRING", "Context of the kubeconfig."),
            ("uid", "STRING", "UID of its namespace kube-system."),
        ],
    },
    Table {
        name: "gates.NAME",
        about: "A question whose answer opens a gate. docs/gates has a page for each condition, with its own keys.",
        keys: &[
            ("condition", "STRING", "The condition that must hold."),
            ("all", "ARRAY", "Gates that must all pass."),
            ("any", "ARRAY", "Gates of which one must pass."),
            ("not", "STRING", "A gate that must fail."),
            ("expires", "DURATION", "How old the facts of a pass may be."),
            (
                "stable_for",
                "DURATION",
                "How long it must have passed without a break.",
            ),
            (
                "approval",
                "TABLE",
                "{ signers, expires, persons, consequences, way_back }: people who must agree.",
            ),
        ],
    },
    Table {
        name: "approval",
        about: "How you sign approvals.",
        keys: &[("key", "FILE", "SSH key of `hubctl approve`.")],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::file::ConfigFile;
    use super::*;

    /// The words in backquotes of a refusal of an unknown key, but for that key.
    fn expected(text: &str) -> BTreeSet<String> {
        let said = ConfigFile::parse(text, Path::new("hubctl.toml"))
            .unwrap_err()
            .to_string();
        let (_, expected) = said.split_once("expected").expect(&said);
        let words = expected.split('`').skip(1).step_by(2);
        words.map(str::to_owned).collect()
    }

    #[test]
    fn every_key_that_is_understood_is_in_the_manual_and_no_other() {
        // The gates library takes the members of conditions for those of its tables.
        for table in TABLES.iter().filter(|table| table.name != "gates.NAME") {
            let head = match table.name {
                "tunnels.NAME.forwards" => "[[tunnels.a.forwards]]".to_owned(),
                name => format!("[{}]", name.replace("NAME", "a")),
            };
            let documented: BTreeSet<String> = table
                .keys
                .iter()
                .map(|(key, ..)| (*key).to_owned())
                .collect();
            let understood = expected(&format!("{head}\nno_such_key = 1\n"));
            assert_eq!(documented, understood, "[{}]", table.name);
        }
    }

    #[test]
    fn every_table_that_is_understood_is_in_the_manual() {
        let begin = |table: &Table| table.name.split('.').next().unwrap().to_owned();
        let documented: BTreeSet<String> = TABLES.iter().map(begin).collect();
        assert_eq!(documented, expected("no_such_table = 1\n"));
    }
}
