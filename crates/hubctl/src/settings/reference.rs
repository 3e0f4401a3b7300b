//! Every setting of `hubctl.toml`, for its manual page. A test compares it with the keys that are
//! understood.

use serde_path_to_error::{Path, Segment};

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
            ("password_file", "FILE", "File of mode 0600 with the password."),
            ("password_command", "STRING", "Shell command that prints the password."),
            ("passfile", "FILE", "Passfile of libpq, instead of ~/.pgpass."),
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
            ("recipients_file", "FILE", "File of public keys, one per line, or a .sops.yaml."),
            ("identities", "ARRAY", "Files of private keys: age or SOPS key files, SSH keys."),
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
            ("within", "DURATION", "All that are at most this much older than the newest."),
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
            ("metrics", "FILE", "Metrics for the textfile collector of Prometheus."),
        ],
    },
    Table {
        name: "targets.NAME",
        about: "A place for copies of the backups. Exactly one of folder, webdav, filedrop, sftp and s3 is required.",
        keys: &[
            ("folder", "DIRECTORY", "Folder on another disk or a share."),
            ("webdav", "URL", "Folder of a WebDAV server or Nextcloud."),
            ("filedrop", "URL", "Nextcloud server of a share that only takes files."),
            ("sftp", "STRING", "Folder of an SFTP server, as HOST:PATH."),
            ("s3", "URL", "Endpoint of an S3 server."),
            ("user", "STRING", "User of a WebDAV server."),
            ("password_file", "FILE", "Password of that user, or of the share."),
            ("token_file", "FILE", "Token of a file drop."),
            ("ca_file", "FILE", "Certificates to trust instead of the system's."),
            ("ssh_config", "FILE", "Configuration of ssh, instead of ~/.ssh/config."),
            ("identity_file", "FILE", "SSH key."),
            ("bucket", "STRING", "Bucket of S3."),
            ("prefix", "STRING", "Prefix of the names in the bucket."),
            ("region", "STRING", "Region of the bucket."),
            ("access_key", "STRING", "Access key of S3."),
            ("secret_key_file", "FILE", "Secret key of S3."),
            ("bandwidth", "SIZE", "Bytes per second, such as \"2 MiB\". Default: no limit."),
            ("part", "SIZE", "Longer files are sent in parts of this size."),
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
            ("command", "STRING", "Shell command; HUBCTL_FAILED_UNIT names the unit that failed."),
            ("webhook", "TABLE", "{ url_file = FILE }: URL that takes a POST of JSON."),
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
            ("episodic_memory", "DIRECTORY", "Folder for a Markdown page per drill."),
        ],
    },
    Table {
        name: "journal",
        about: "The record of what was done.",
        keys: &[("path", "FILE", "Default: ~/.local/state/hubctl/journal.jsonl.")],
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
            ("ssh_config", "FILE", "Configuration of ssh, instead of ~/.ssh/config."),
            ("known_hosts", "FILE", "Known host keys, instead of those of ssh_config."),
            ("identity_file", "FILE", "SSH key."),
            ("identity_agent", "FILE", "Socket of an SSH agent."),
            (
                "cluster_dns",
                "TABLE",
                "{ server, domain }: name server of the cluster. Default: 10.43.0.10:53 and cluster.local.",
            ),
            ("forwards", "ARRAY", "The forwards, as [[tunnels.NAME.forwards]]. Required."),
        ],
    },
    Table {
        name: "tunnels.NAME.forwards",
        about: "One forward. Exactly one of target, service and remote is required.",
        keys: &[
            ("local", "ADDRESS", "Address on this machine. Required."),
            ("target", "ADDRESS", "Address that the destination reaches."),
            ("service", "STRING", "Service of Kubernetes, as NAMESPACE/NAME:PORT."),
            ("remote", "ADDRESS", "Address on the destination that leads to local."),
            ("bind", "STRING", "\"any\" where other machines may reach local."),
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
            ("kubeconfig", "FILE", "Default: the cluster that hubctl runs in."),
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
            ("stable_for", "DURATION", "How long it must have passed without a break."),
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

/// The values that the key at this path takes, with an example.
pub(super) fn form(path: &Path) -> Option<&'static str> {
    let keys: Vec<&str> = path
        .iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(key.as_str()),
            _ => None,
        })
        .collect();
    // An item of a list has a form of its own.
    if matches!(path.iter().next_back(), Some(Segment::Seq { .. })) {
        return None;
    }
    let (last, place) = keys.split_last()?;
    let table = TABLES.iter().find(|table| {
        let names: Vec<&str> = table.name.split('.').collect();
        let mut pairs = names.iter().zip(place);
        names.len() == place.len() && pairs.all(|(name, key)| *name == "NAME" || name == key)
    })?;
    let (_, form, _) = table.keys.iter().find(|(key, ..)| key == last)?;
    Some(match *form {
        "FILE" => "the path of a file in quotes",
        "DIRECTORY" => "the path of a directory in quotes",
        "URL" => "a URL in quotes, such as \"https://cloud.example\"",
        "NUMBER" => "a whole number from 0 to 4294967295, such as 7",
        "DURATION" => "a duration in quotes, such as \"26h\"",
        "SIZE" => "a size in quotes, such as \"2 MiB\"",
        "ADDRESS" => "an address in quotes, such as \"127.0.0.1:5432\"",
        "ARRAY" => "a list in brackets",
        "TABLE" => "a table in braces",
        _ => "a string in quotes",
    })
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::super::file::ConfigFile;
    use super::*;
    use crate::failure::Failure;
    use std::collections::BTreeSet;

    /// The words in backquotes of a refusal of an unknown key, but for that key.
    fn expected(text: &str) -> BTreeSet<String> {
        let said =
            ConfigFile::parse(text, std::path::Path::new("hubctl.toml")).unwrap_err().to_string();
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
            let documented: BTreeSet<String> =
                table.keys.iter().map(|(key, ..)| (*key).to_owned()).collect();
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

    /// The refusal of a configuration, if it is refused.
    fn refusal(text: &str) -> Option<String> {
        let path = std::path::Path::new("hubctl.toml");
        let settings = ConfigFile::parse(text, path)
            .and_then(|file| Settings::merge(Some((path.to_owned(), file)), Default::default()));
        let failure = Failure::of(&settings.err()?);
        Some(format!("{failure}"))
    }

    #[test]
    fn a_wrong_value_of_a_key_is_explained_without_the_language_of_the_program() {
        const JARGON: [&str; 22] = [
            "invalid type",
            "invalid value",
            "expected u",
            "digit",
            "untagged",
            "variant",
            "struct",
            "enum",
            "i64",
            "u16",
            "a map",
            " sequence",
            "at line",
            "column",
            "number at",
            "field",
            "parse",
            "ByteSize",
            "$__",
            "newtype",
            "data did",
            "makes no sense",
        ];
        const VALUES: [&str; 12] = [
            "3",
            "-1",
            "1.5",
            "true",
            "\"\"",
            "\"s3cret value\"",
            "[]",
            "[3]",
            "{}",
            "{ s3cret = 1 }",
            "99999999999999999999",
            "2026-12-01",
        ];
        let (mut refused, mut leaks) = (0, Vec::new());
        for table in TABLES {
            let head = match table.name {
                "tunnels.NAME.forwards" => "[[tunnels.a.forwards]]".to_owned(),
                name => format!("[{}]", name.replace("NAME", "a")),
            };
            let base = match table.name {
                "sites.NAME" => "database = \"postgresql://hub@h/d\"\n",
                "tunnels.NAME" => "destination = \"h\"\nforwards = []\n",
                "tunnels.NAME.forwards" => "local = \"127.0.0.1:1\"\ntarget = \"h:1\"\n",
                "gates.NAME" => "condition = \"nodes\"\ncluster = \"a\"\nready = 1\n",
                _ => "",
            };
            for (key, ..) in table.keys {
                for value in VALUES {
                    let kept: Vec<&str> =
                        base.lines().filter(|line| !line.starts_with(key)).collect();
                    let text = format!("{head}\n{}\n{key} = {value}\n", kept.join("\n"));
                    let Some(said) = refusal(&text) else {
                        continue;
                    };
                    let found = JARGON.iter().find(|word| said.contains(**word));
                    if let Some(found) = found {
                        leaks.push(format!("{found} in {key} = {value}: {said}"));
                    }
                    assert!(
                        said.contains("(line ") || said.contains('[') || said.contains("`a`"),
                        "{text}\n{said}"
                    );
                    refused += 1;
                }
            }
        }
        assert!(leaks.is_empty(), "{}", leaks.join("\n"));
        assert!(refused > 700, "{refused}");
        let shown = [
            "[retention]\ndaily = -1",
            "[retention]\ndaily = 99999999999",
            "[freshness]\nmax_age = \"soon\"",
            "[targets.a]\nbandwidth = \"s3cret\"",
            "[tunnels.a]\ndestination = \"h\"\nforwards = [{ local = 5432 }]",
            "[vault]\nrecipients = \"age1x\"",
            "[vault]\nrecipients = [3]",
            "[sites.a]",
            "[gates.a]\ncondition = \"nodes\"\ncluster = \"a\"\nready = -1",
            "[gates.a]\ncondition = \"disk\"\npath = \"/\"\nfree = 3",
        ]
        .map(|text| refusal(text).unwrap().lines().next().unwrap().to_owned());
        insta::assert_snapshot!(shown.join("\n"), @r#"
        error: hubctl.toml is not a valid configuration at `retention.daily`: expected a whole number from 0 to 4294967295, such as 7, found the number `-1` (line 2)
        error: hubctl.toml is not a valid configuration at `retention.daily`: expected a whole number from 0 to 4294967295, such as 7, found the number `99999999999` (line 2)
        error: hubctl.toml is not a valid configuration at `freshness.max_age`: expected a duration in quotes, such as "26h", found another string (line 2)
        error: hubctl.toml is not a valid configuration at `targets.a.bandwidth`: expected a size in quotes, such as "2 MiB", found another string (line 2)
        error: hubctl.toml is not a valid configuration at `tunnels.a.forwards[0].local`: expected an address in quotes, such as "127.0.0.1:5432", found the number `5432` (line 3)
        error: hubctl.toml is not a valid configuration at `vault.recipients`: expected a list in brackets, found a string (line 2)
        error: hubctl.toml is not a valid configuration at `vault.recipients[0]`: expected a string in quotes, found the number `3` (line 2)
        error: hubctl.toml is not a valid configuration at `sites.a`: `database` is missing (line 1)
        error: hubctl.toml: [gates.a] is invalid: `ready`: expected a whole number that is not negative, such as 3, found the number `-1`
        error: hubctl.toml: [gates.a] is invalid: `free`: expected a string in quotes, found the number `3`
        "#);
    }
}
