//! The images, unpacked once for all nodes: unpacking takes a node several seconds, and a tree of
//! hard links none.
//!
//! The files that containerd unpacked are never written to again. Only its databases are, and each
//! node has copies of these.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::wait::wait_for;

const CONFIGURATION: &str = r#"version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
"#;
/// The namespace in which kubelet looks for images.
const NAMESPACE: &str = "k8s.io";

/// Unpacks all archives of `images` into an empty directory.
pub(super) fn fill(new: &Path, images: &Path) -> anyhow::Result<()> {
    let state = new.with_extension("state");
    if state.exists() {
        fs_err::remove_dir_all(&state)?;
    }
    fs_err::create_dir_all(&state)?;
    let filled = Unpacker::start(new, &state).and_then(|unpacker| {
        for archive in archives(images)? {
            import(&unpacker.socket, &archive)?;
        }
        unpacker.finish()
    });
    fs_err::remove_dir_all(&state)?;
    filled
}

/// Imports an archive of images into the containerd that listens at a socket.
pub(super) fn import(socket: &Path, archive: &Path) -> anyhow::Result<()> {
    let mut import = client(socket);
    provision::run_quietly(import.args(["--namespace", NAMESPACE, "images", "import"]).arg(archive))
}

/// Returns true if a containerd listens at a socket.
pub(super) fn answers(socket: &Path) -> bool {
    client(socket)
        .arg("version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The archives in a directory, by name.
pub(super) fn archives(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    files(directory, "tar")
}

/// The files in a directory that have an extension, by name.
pub(super) fn files(directory: &Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Gives a node the images of the store.
pub(super) fn copy(store: &Path, node: &Path) -> anyhow::Result<()> {
    let own = node.join("containerd");
    let mut link = Command::new("cp");
    if provision::run_quietly(link.arg("-al").arg(store).arg(&own)).is_err() {
        // Another file system has no links to this one.
        if own.exists() {
            fs_err::remove_dir_all(&own)?;
        }
        provision::run_quietly(Command::new("cp").arg("-a").arg(store).arg(&own))?;
    }
    for plugin in fs_err::read_dir(&own)? {
        let plugin = plugin?;
        if !plugin.file_type()?.is_dir() {
            continue;
        }
        for database in files(&plugin.path(), "db")? {
            let copy = database.with_extension("own");
            fs_err::copy(&database, &copy)?;
            fs_err::rename(&copy, &database)?;
        }
    }
    Ok(())
}

fn client(socket: &Path) -> Command {
    let mut client = Command::new("ctr");
    client.arg("--address").arg(socket);
    client
}

/// A containerd that only unpacks.
struct Unpacker {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Unpacker {
    fn start(root: &Path, state: &Path) -> anyhow::Result<Self> {
        let configuration = state.join("config.toml");
        let log = state.join("log");
        let socket = state.join("sock");
        fs_err::write(&configuration, CONFIGURATION)?;
        let output = fs_err::File::create(&log)?.into_file();
        // It ends with us, and what it mounts is seen by nobody else.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "containerd", "--config"])
            .arg(&configuration)
            .arg("--root")
            .arg(root)
            .arg("--state")
            .arg(state.join("state"))
            .arg("--address")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("could not start containerd")?;
        let unpacker = Self { child, socket, log };
        wait_for("containerd", Duration::from_secs(60), &unpacker.log, || {
            Ok(answers(&unpacker.socket))
        })?;
        Ok(unpacker)
    }

    /// It must have closed its databases before they are copied.
    fn finish(mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        bail!("containerd ended with {status}: {}", self.log.display())
    }
}

impl Drop for Unpacker {
    fn drop(&mut self) {
        // Both fail where it has ended, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
