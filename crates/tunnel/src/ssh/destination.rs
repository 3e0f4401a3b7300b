//! The address that `ssh` would connect to, as it reports it.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::reason::Reason;

/// The server at the other end of the TCP connection, where `ssh` makes one itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// This host and port.
    Direct { host: String, port: u16 },
    /// Behind jump hosts or a command: only `ssh` can reach it.
    Behind,
}

/// The configuration that `ssh` would use, as it says itself.
#[derive(Debug)]
pub(super) struct Effective {
    said: String,
}

impl Effective {
    /// Asks `ssh -G`, which reads the configuration and connects to nothing.
    pub(super) async fn ask(configuration: &Path, destination: &str) -> Result<Self, Reason> {
        let output = Command::new("ssh")
            .arg("-G")
            .arg("-F")
            .arg(configuration)
            .arg("--")
            .arg(destination)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| Reason::no_program(&error))?;
        if !output.status.success() {
            return Err(Reason::of(&String::from_utf8_lossy(&output.stderr)));
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(Self { said })
    }

    /// The value of an option, its name in lower case; nothing where it is `none`.
    pub(super) fn value(&self, option: &str) -> Option<&str> {
        let options = self.said.lines().filter_map(|line| line.split_once(' '));
        options
            .filter(|(name, value)| *name == option && *value != "none")
            .map(|(_, value)| value)
            .next()
    }
}

impl Destination {
    /// Asks the `ssh` of a prepared directory for the address it would connect to.
    pub(crate) async fn resolve(configuration: &Path, destination: &str) -> Result<Self, Reason> {
        let effective = Effective::ask(configuration, destination).await?;
        Ok(Self::of(&effective))
    }

    fn of(effective: &Effective) -> Self {
        let value = |option| effective.value(option);
        let host = value("hostname");
        let port = value("port").and_then(|port| port.parse().ok());
        match (value("proxyjump").or(value("proxycommand")), host, port) {
            (None, Some(host), Some(port)) => Self::Direct { host: host.to_owned(), port },
            _ => Self::Behind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_understood() {
        let read = |said: &str| {
            let said = said.to_owned();
            Destination::of(&Effective { said })
        };
        let direct = read("user a\nhostname 10.0.0.1\nport 2222\nproxycommand none\n");
        let (host, port) = ("10.0.0.1".to_owned(), 2222);
        assert_eq!(direct, Destination::Direct { host, port });
        let behind = read("hostname node1\nport 22\nproxyjump bastion\n");
        assert_eq!(behind, Destination::Behind);
    }
}
