//! The files of a cluster: all of them are below one directory, but for the cache.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};

/// A unix socket's path holds 107 bytes, and the longest of ours is `/node3/containerd.sock.ttrpc`.
const LONGEST: usize = 75;

const PLAN: &str = "plan.toml";
const LOGS: &str = "log";
const OPERATOR: &str = "operator";

/// The leftovers of an `up` that failed or was killed before it had a plan.
const LEFT: [&str; 2] = ["plan.new", LOGS];

/// The entries of a cluster's directory; nothing else is ever removed.
const ENTRIES: [&str; 11] = [
    PLAN,
    "plan.new",
    "pki",
    "kubeconfig",
    "etc",
    LOGS,
    "volumes",
    "etcd",
    "hold",
    "daemons",
    OPERATOR,
];

/// The directory of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The directory as processes and links know it: absolute and without symbolic links, whether
    /// it exists or not.
    pub(super) fn at(directory: &Path) -> anyhow::Result<Self> {
        let absolute = std::path::absolute(directory)?;
        let root = match (absolute.canonicalize(), absolute.parent()) {
            (Ok(root), _) => root,
            (Err(_), Some(parent)) => match (fs_err::canonicalize(parent), absolute.file_name()) {
                (Ok(parent), Some(name)) => parent.join(name),
                _ => absolute,
            },
            (Err(_), None) => absolute,
        };
        ensure!(
            root.to_str().is_some_and(|text| !text.contains(['"', '\n', ' '])),
            "{} has a space or a quote in it, which the configuration of a cluster cannot hold",
            root.display()
        );
        ensure!(
            root.as_os_str().len() <= LONGEST,
            "{} is too long: the path of a unix socket has at most 107 bytes, so that of a cluster has {LONGEST}",
            root.display()
        );
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn plan(&self) -> PathBuf {
        self.path(PLAN)
    }

    pub(super) fn pki(&self, name: &str) -> PathBuf {
        self.root.join("pki").join(name)
    }

    pub(super) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.root.join("kubeconfig").join(user)
    }

    pub(super) fn configuration(&self, name: &str) -> PathBuf {
        self.root.join("etc").join(name)
    }

    pub(super) fn log(&self, daemon: &str) -> PathBuf {
        self.path(LOGS).join(format!("{daemon}.log"))
    }

    /// The file in which a supervisor reports on a daemon.
    pub(super) fn daemon(&self, daemon: &str) -> PathBuf {
        self.root.join("daemons").join(daemon)
    }

    /// The file that keeps a daemon down for as long as it is there.
    pub(super) fn hold(&self, daemon: &str) -> PathBuf {
        self.root.join("hold").join(daemon)
    }

    /// Says from which directory an operator was installed, where one was.
    pub(super) fn operator(&self) -> PathBuf {
        self.path(OPERATOR)
    }

    pub(super) fn node(&self, node: u8) -> PathBuf {
        self.root.join(format!("node{node}"))
    }

    pub(super) fn runtime_socket(&self, node: u8) -> PathBuf {
        self.node(node).join("containerd.sock")
    }

    pub(super) fn make(&self, nodes: std::ops::RangeInclusive<u8>) -> anyhow::Result<()> {
        for name in ["pki", "kubeconfig", "etc", "log", "volumes", "etcd", "hold", "daemons"] {
            fs_err::create_dir_all(self.path(name))?;
        }
        for node in nodes {
            for name in ["kubelet", "networks", "sysctl"] {
                fs_err::create_dir_all(self.node(node).join(name))?;
            }
        }
        Ok(())
    }

    /// Returns true if the directory holds nothing except leftovers of an `up` that failed.
    pub(super) fn is_free(&self) -> anyhow::Result<bool> {
        for entry in fs_err::read_dir(&self.root)? {
            if !LEFT.contains(&entry?.file_name().to_string_lossy().as_ref()) {
                return Ok(false);
            }
        }
        for log in fs_err::read_dir(self.path(LOGS)).into_iter().flatten() {
            if log?.path().extension().is_none_or(|extension| extension != "log") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes the directory, or all but the logs. The plan goes last: with it, a removal that is
    /// interrupted goes on.
    pub(super) fn remove(&self, keep_logs: bool) -> anyhow::Result<()> {
        let mounts = fs_err::read_to_string("/proc/self/mountinfo")?;
        let below = format!("{}/", self.root.display());
        let mounted = |line: &str| {
            let at = line.split(' ').nth(4);
            at.is_some_and(|at| at.starts_with(&below))
        };
        if let Some(line) = mounts.lines().find(|line| mounted(line)) {
            bail!("something foreign is mounted below the cluster, which is left as it is: {line}");
        }
        for entry in fs_err::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let stays = name == PLAN || keep_logs && name == LOGS;
            if stays || !is_entry(&name) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs_err::remove_dir_all(entry.path())?;
            } else {
                fs_err::remove_file(entry.path())?;
            }
        }
        if self.plan().exists() {
            fs_err::remove_file(self.plan())?;
        }
        if !keep_logs {
            fs_err::remove_dir(&self.root)?;
        }
        Ok(())
    }
}

fn is_entry(name: &str) -> bool {
    ENTRIES.contains(&name) || (1..=9).any(|node| name == format!("node{node}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_known_by_one_name() {
        let place = tempfile::tempdir().unwrap();
        let real = place.path().canonicalize().unwrap().join("real");
        let layout = Layout::at(&place.path().join("real")).unwrap();
        assert_eq!(layout.root(), real);
        fs_err::create_dir(&real).unwrap();
        fs_err::os::unix::fs::symlink(&real, place.path().join("link")).unwrap();
        let linked = Layout::at(&place.path().join("link")).unwrap();
        assert_eq!(linked, layout);
        assert!(Layout::at(&place.path().join("a".repeat(90))).is_err());
        assert!(Layout::at(&place.path().join("a b")).is_err());
    }

    #[test]
    fn only_what_is_of_a_cluster_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let layout = Layout::at(&place.path().join("cluster")).unwrap();
        layout.make(1..=2).unwrap();
        fs_err::write(layout.log("etcd"), "").unwrap();
        fs_err::write(layout.plan(), "").unwrap();
        assert!(!layout.is_free().unwrap());
        layout.remove(true).unwrap();
        assert!(layout.log("etcd").is_file() && !layout.node(1).exists());
        assert!(layout.is_free().unwrap());

        let foreign = layout.path("thesis.txt");
        fs_err::write(&foreign, "").unwrap();
        assert!(!layout.is_free().unwrap());
        assert!(layout.remove(false).is_err());
        assert!(foreign.is_file());
    }

    #[test]
    fn logs_of_somebody_else_are_not_ours() {
        let place = tempfile::tempdir().unwrap();
        let layout = Layout::at(place.path()).unwrap();
        assert!(layout.is_free().unwrap());
        fs_err::create_dir(layout.path(LOGS)).unwrap();
        assert!(layout.is_free().unwrap());
        fs_err::write(layout.path(LOGS).join("diary.txt"), "").unwrap();
        assert!(!layout.is_free().unwrap());
    }
}
