//! The reason why an `ssh` ended or refused, from its output. Only this module knows OpenSSH's
//! wording.

use std::fmt;
use std::io;

/// The reason, and whether another attempt is worthwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    /// The line that tells, as OpenSSH wrote it.
    pub(crate) said: String,
    pub(crate) kind: Kind,
}

/// The expected result of another attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Perhaps something else.
    Transient,
    /// The same, until a human does something.
    Permanent { remedy: &'static str },
    /// The same, until the port on the destination is free.
    RemoteTaken,
}

/// Wording, meaning, remedy. The first that is found counts: what causes stands before what follows
/// from it.
const PERMANENT: &[(&str, &str)] = &[
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "find out why the host has another key; if that is right, trust the new one",
    ),
    ("host key is known for", "compare the fingerprint of its key with the host's, and trust it"),
    (
        "Host key verification failed",
        "compare the fingerprint of its key with the host's, and trust it",
    ),
    ("Too many authentication failures", "name the one key to use: `identity_file`"),
    (
        "Permission denied (",
        "the key must be readable here or in an agent that this process reaches, and authorized on the host",
    ),
    (
        "administratively prohibited",
        "the server forbids this forward: look at AllowTcpForwarding and PermitOpen in its sshd_config, and at its authorized_keys",
    ),
    ("Unable to negotiate with", "client and server share no algorithm: one of them is too old"),
    ("Bad configuration option", "correct the configuration of ssh"),
    ("Bad owner or permissions on", "correct the owner or the permissions of that file"),
    ("Unsupported option", "correct the configuration of ssh"),
    ("too long for Unix domain socket", "choose a shorter runtime directory"),
    ("unix_listener: path", "choose a shorter runtime directory"),
];

impl Reason {
    /// Reads all that an `ssh` wrote before it ended.
    pub(crate) fn of(said: &str) -> Self {
        let line_with = |wording: &str| said.lines().find(|line| line.contains(wording));
        for (wording, remedy) in PERMANENT {
            if let Some(line) = line_with(wording) {
                return Self { said: clean(line), kind: Kind::Permanent { remedy } };
            }
        }
        if let Some(line) = line_with("remote port forwarding failed") {
            return Self { said: clean(line), kind: Kind::RemoteTaken };
        }
        let last = said.lines().map(clean).rfind(|line| !line.is_empty());
        Self::transient(last.unwrap_or_else(|| "ssh ended without a word".to_owned()))
    }

    pub(crate) fn transient(said: impl Into<String>) -> Self {
        Self { said: said.into(), kind: Kind::Transient }
    }

    pub(crate) fn no_program(error: &io::Error) -> Self {
        Self {
            said: format!("ssh could not be started: {error}"),
            kind: Kind::Permanent { remedy: "install the OpenSSH client" },
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

/// Control characters out, and the frame of `@` that stands around a warning.
fn clean(line: &str) -> String {
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    line.trim_matches(['@', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_permanent(said: &str) -> bool {
        matches!(Reason::of(said).kind, Kind::Permanent { .. })
    }

    #[test]
    fn what_a_human_must_mend_is_permanent() {
        for said in [
            "No ED25519 host key is known for [127.0.0.1]:2222 and you have requested strict checking.\r\nHost key verification failed.\r\n",
            "a@127.0.0.1: Permission denied (publickey).\r\n",
            "/tmp/c: line 3: Bad configuration option: surprise\r\n/tmp/c: terminating, 1 bad configuration options\r\n",
            "channel 2: open failed: administratively prohibited: open failed\r\n",
            "Received disconnect from 127.0.0.1 port 2222:2: Too many authentication failures\r\n",
            "Unable to negotiate with 127.0.0.1 port 2222: no matching host key type found. Their offer: ssh-dss\r\n",
        ] {
            assert!(is_permanent(said), "{said}");
        }
    }

    #[test]
    fn what_may_pass_is_transient() {
        for said in [
            "ssh: Could not resolve hostname node1: Temporary failure in name resolution\r\n",
            "ssh: connect to host 127.0.0.1 port 2222: Connection refused\r\n",
            "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by 127.0.0.1 port 2222\r\n",
            "Timeout, server 127.0.0.1 not responding.\r\n",
            "client_loop: send disconnect: Broken pipe\r\n",
            "channel 2: open failed: connect failed: Connection refused\r\n",
            "",
        ] {
            assert_eq!(Reason::of(said).kind, Kind::Transient, "{said}");
        }
        assert_eq!(
            Reason::of("a\r\nTimeout, server 127.0.0.1 not responding.\r\n").said,
            "Timeout, server 127.0.0.1 not responding."
        );
    }

    #[test]
    fn a_changed_key_is_named_before_what_follows_from_it() {
        let said = "@@@@@@\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n@@@@@@\r\nHost key verification failed.\r\n";
        assert_eq!(Reason::of(said).said, "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!");
    }

    #[test]
    fn a_taken_port_of_the_destination_is_its_own_kind() {
        for said in [
            "remote port forwarding failed for listen port 9000",
            "remote port forwarding failed for listen path /run/hub.sock\r\nmux_client_read_packet: read header failed: Broken pipe\r\n",
        ] {
            assert_eq!(Reason::of(said).kind, Kind::RemoteTaken, "{said}");
        }
    }
}
