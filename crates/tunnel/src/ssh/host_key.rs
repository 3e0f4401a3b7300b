//! The key by which a host is known, and its first acquaintance: by a human's decision, never on
//! the way.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;

use super::destination::Effective;
use super::link::Link;
use super::reason::Reason;
use crate::spec::Tunnel;
use crate::{Error, Result};

/// No list of known hosts is larger.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A host's public key, as the host shows it now. Nothing is believed of it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostKey {
    /// The host, as files of known hosts name it, such as `[192.0.2.7]:2222`.
    pub host: String,
    /// The fingerprint, as `ssh-keygen -l` shows it: `SHA256:…`.
    pub fingerprint: String,
    /// The kind of key, such as `ED25519`.
    pub kind: String,
    /// The file in which `ssh` looks for it, and in which [`HostKey::trust`] puts it.
    pub known_hosts: PathBuf,
    line: String,
}

impl HostKey {
    /// Connects to the host of a tunnel just far enough to be shown its key. Jump hosts must be
    /// known already.
    pub async fn shown(tunnel: &Tunnel) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let home = directory.path().join("ssh");
        Link::prepare(&home, tunnel)?;
        let (configuration, shown) = (Link::configuration(&home), home.join("shown"));
        let known_hosts = match &tunnel.known_hosts {
            Some(path) => path.clone(),
            None => known_hosts(&configuration, &tunnel.destination).await?,
        };
        let output = Command::new("ssh")
            .arg("-F")
            .arg(&configuration)
            .args(["-o", "StrictHostKeyChecking=accept-new", "-o", "HashKnownHosts=no"])
            .args(["-o", "GlobalKnownHostsFile=/dev/null", "-o", "ControlPath=none"])
            .args(["-o", "PreferredAuthentications=none", "-o"])
            .arg(format!("UserKnownHostsFile={}", shown.display()))
            .arg("--")
            .arg(&tunnel.destination)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        // The host refuses whoever does not authenticate, but it has shown its key before.
        let Ok(line) = regularfile::read_to_string(&shown, LARGEST) else {
            let reason = Reason::of(&String::from_utf8_lossy(&output.stderr));
            return Err(Error::NoHostKey { reason: reason.to_string() });
        };
        let said = keygen(&["-l"], &shown).await?;
        let (fingerprint, kind) = described(&said).ok_or_else(|| Error::NoHostKey {
            reason: format!("ssh-keygen said `{}`", said.trim()),
        })?;
        let host = line.split(' ').next().unwrap_or_default().to_owned();
        Ok(Self { host, fingerprint, kind, known_hosts, line: line.trim_end().to_owned() })
    }

    /// The fingerprints by which the host is known so far. Where there are others than the one it
    /// shows, it was changed, or somebody else answers.
    pub async fn known(&self) -> Result<Vec<String>> {
        if !self.known_hosts.exists() {
            return Ok(Vec::new());
        }
        let said = keygen(&["-l", "-F", &self.host], &self.known_hosts).await?;
        Ok(said.lines().filter_map(fingerprint_in).collect())
    }

    /// Makes this the one key by which the host is known from now on.
    pub async fn trust(&self) -> Result<()> {
        if !self.known().await?.is_empty() {
            keygen(&["-R", &self.host], &self.known_hosts).await?;
        }
        if let Some(directory) = self.known_hosts.parent() {
            fs_err::create_dir_all(directory)?;
        }
        let before = regularfile::read(&self.known_hosts, LARGEST).unwrap_or_default();
        let is_torn = before.last().is_some_and(|last| *last != b'\n');
        // Wherever ssh itself finds it.
        let options = regularfile::Options::append().or_create().through_links();
        let mut file = options.open(&self.known_hosts)?;
        let end = if is_torn { "\n" } else { "" };
        file.write_all(format!("{end}{}\n", self.line).as_bytes())?;
        file.sync_all()?;
        Ok(())
    }
}

/// The first file in which this `ssh` looks for known hosts.
async fn known_hosts(configuration: &Path, destination: &str) -> Result<PathBuf> {
    let no_key = |reason: Reason| Error::NoHostKey { reason: reason.to_string() };
    let effective = Effective::ask(configuration, destination).await.map_err(no_key)?;
    let files = effective.value("userknownhostsfile");
    let first = files.and_then(|files| files.split(' ').next());
    first
        .map(PathBuf::from)
        .ok_or_else(|| no_key(Reason::transient("ssh looks for known hosts in no file")))
}

/// `ssh-keygen` ends with 1 where it finds nothing, and then says nothing.
async fn keygen(arguments: &[&str], file: &Path) -> Result<String> {
    let mut command = Command::new("ssh-keygen");
    command.args(arguments).arg("-f").arg(file).stdin(Stdio::null());
    let Output { stdout, .. } = command.output().await?;
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// The fingerprint and the kind: `256 SHA256:… HOST (ED25519)`.
fn described(said: &str) -> Option<(String, String)> {
    let line = said.lines().next()?;
    let kind = line.rsplit_once('(')?.1.strip_suffix(')')?;
    Some((fingerprint_in(line)?, kind.to_owned()))
}

fn fingerprint_in(line: &str) -> Option<String> {
    let is_fingerprint = |word: &&str| word.starts_with("SHA256:");
    line.split_whitespace().find(is_fingerprint).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_keygen_says_is_understood() {
        let said = "256 SHA256:abc+/ [192.0.2.7]:2222 (ED25519)\n";
        assert_eq!(described(said), Some(("SHA256:abc+/".to_owned(), "ED25519".to_owned())));
        assert_eq!(described("nothing"), None);
    }
}
