//! The processes of a cluster, found by their command line: no file has to say which they are, so
//! none can be wrong.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, PidfdFlags, Signal};

/// The subcommand of the calling program that takes our arguments.
pub(super) const COMMAND: &str = "cluster";
/// The hidden command that a node begins with.
pub(super) const NODE: &str = "__node";

/// Makes the namespaces of a node and begins it in them, as process 1.
///
/// `slave`, since a private copy of the mounts would hold what others unmount until the cluster
/// ends.
pub(super) fn unshare(program: &Path, id: &str, directory: &Path, node: u8) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--pid", "--net", "--uts", "--ipc", "--fork"])
        .args(["--propagation", "slave", "--"])
        .arg(program)
        .args([COMMAND, NODE, id])
        .arg(directory)
        .arg(node.to_string());
    command
}

/// A process that is, or begins, a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) cluster: String,
    pub(super) directory: PathBuf,
    pub(super) node: u8,
    /// It is the first of its namespace and not the `unshare` that waits for it.
    pub(super) is_first: bool,
}

/// All such processes of this machine, or of this namespace.
pub(super) fn all() -> Vec<Process> {
    let entries = fs_err::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .filter_map(read)
        .collect()
}

/// The first process of a node.
pub(super) fn first(cluster: &str, node: u8) -> Option<Process> {
    all()
        .into_iter()
        .find(|process| process.is_first && process.cluster == cluster && process.node == node)
}

impl Process {
    /// Ends it, and with the first of a namespace everything in that.
    pub(super) fn kill(&self) {
        // The number may be another's by now; the descriptor is not.
        let Ok(descriptor) = rustix::process::pidfd_open(self.pid, PidfdFlags::empty()) else {
            return;
        };
        if read(self.pid).as_ref() == Some(self) {
            let _ = rustix::process::pidfd_send_signal(descriptor, Signal::KILL);
        }
    }
}

fn read(pid: Pid) -> Option<Process> {
    let line = fs_err::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
    parse(pid, &String::from_utf8_lossy(&line))
}

/// Reads `PROGRAM cluster __node ID DIRECTORY NODE`, with or without `unshare … --` before it.
fn parse(pid: Pid, line: &str) -> Option<Process> {
    let words: Vec<_> = line.trim_end_matches('\0').split('\0').collect();
    let at = words.iter().position(|word| *word == NODE)?;
    let [cluster, directory, node] = words.get(at + 1..)? else {
        return None;
    };
    let is_first = match at {
        2 => true,
        _ if words[0] == "unshare" => false,
        _ => return None,
    };
    Some(Process {
        pid,
        cluster: (*cluster).to_owned(),
        directory: PathBuf::from(directory),
        node: node.parse().ok()?,
        is_first,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Option<Process> {
        parse(Pid::INIT, &format!("{}\0", words.join("\0")))
    }

    #[test]
    fn a_node_is_known_by_its_command_line() {
        let first = parsed(&["xtask", "cluster", "__node", "0a1b2c3d", "/c", "2"]).unwrap();
        assert!(first.is_first);
        assert_eq!((first.cluster.as_str(), first.node), ("0a1b2c3d", 2));
        let waiting = unshare(Path::new("xtask"), "0a1b2c3d", Path::new("/c"), 2);
        let mut words = vec!["unshare".to_owned()];
        words.extend(waiting.get_args().map(|word| word.to_string_lossy().into_owned()));
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let waiting = parsed(&words).unwrap();
        assert!(!waiting.is_first);
        assert_eq!(waiting.directory, first.directory);
    }

    #[test]
    fn who_only_speaks_of_a_node_is_none() {
        assert_eq!(parsed(&["grep", "-r", "-n", "__node", "id", "/c", "1"]), None);
        assert_eq!(parsed(&["xtask", "cluster", "__node", "id"]), None);
        assert_eq!(parsed(&[""]), None);
    }
}
