//! The configuration of our `ssh`: ours first, since the first value wins (ssh_config(5)), then the
//! user's and the system's, which `-F` would leave out.

use std::fmt::Write as _;
use std::path::Path;

use crate::spec::{Profile, Tunnel};

/// Seconds for the whole of connecting: the key exchange too.
const CONNECT_TIMEOUT: u64 = 5;

/// The text of the file.
pub(super) fn text(tunnel: &Tunnel) -> String {
    let mut text =
        String::from("# Written by the supervisor of this tunnel, for one ssh process.\n");
    let mut set = |option: &str, value: &str| {
        writeln!(text, "{option} {value}").expect("writing into a string cannot fail");
    };
    // Debian's ssh answers BatchMode with an interval of 300 seconds, unless another was set before.
    let interval = tunnel.profile.alive_interval().as_secs().to_string();
    set("ServerAliveInterval", &interval);
    set("ServerAliveCountMax", &Profile::ALIVE_COUNT.to_string());
    set("BatchMode", "yes");
    set("ConnectTimeout", &CONNECT_TIMEOUT.to_string());
    set("ConnectionAttempts", "1");
    // Values of these add up instead: no first one would win.
    set("ClearAllForwardings", "yes");
    // A child that goes to the background is no child any more.
    set("ControlPersist", "no");
    set("ForkAfterAuthentication", "no");
    set("SessionType", "none");
    set("RemoteCommand", "none");
    set("StrictHostKeyChecking", "yes");
    set("StreamLocalBindMask", "0177");
    set("StreamLocalBindUnlink", "yes");
    set("TCPKeepAlive", "yes");
    set("LogLevel", "INFO");
    for option in ["ForwardAgent", "ForwardX11", "PermitLocalCommand", "RequestTTY", "Tunnel"] {
        set(option, "no");
    }
    if let Some(path) = &tunnel.known_hosts {
        set("UserKnownHostsFile", &quoted(path));
    }
    if let Some(path) = &tunnel.identity_file {
        set("IdentityFile", &quoted(path));
        set("IdentitiesOnly", "yes");
    }
    if let Some(path) = &tunnel.identity_agent {
        set("IdentityAgent", &quoted(path));
    }
    match &tunnel.ssh_config {
        Some(path) => set("Include", &quoted(path)),
        None => {
            set("Include", "~/.ssh/config");
            set("Include", "/etc/ssh/ssh_config");
        }
    }
    text
}

/// ssh_config knows double quotes, and expands `%`.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_comes_first_and_the_users_is_kept() {
        let mut tunnel = Tunnel::new("node1");
        let ours = text(&tunnel);
        let at = |what: &str| ours.find(what).unwrap_or_else(|| panic!("{what} in {ours}"));
        assert!(at("ServerAliveInterval 5") < at("BatchMode yes"));
        assert!(at("RemoteCommand none") < at("Include ~/.ssh/config"));
        assert!(at("ClearAllForwardings yes") < at("Include ~/.ssh/config"));
        assert!(at("StrictHostKeyChecking yes") < at("Include ~/.ssh/config"));
        assert!(at("Include ~/.ssh/config") < at("Include /etc/ssh/ssh_config"));

        tunnel.ssh_config = Some("/tmp/a b".into());
        tunnel.identity_file = Some("/keys/100%".into());
        let ours = text(&tunnel);
        assert!(ours.contains("Include \"/tmp/a b\"") && !ours.contains("~/.ssh/config"));
        assert!(ours.contains("IdentityFile \"/keys/100%%\"\nIdentitiesOnly yes"));
    }
}
