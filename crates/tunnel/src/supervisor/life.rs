//! The life of a supervisor: one at a time in a runtime directory, with a directory of its own that
//! goes when it does.

use std::fs::TryLockError;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use regularfile::Options;

use crate::{Error, Result};

/// The longest runtime directory: the address of a socket holds 108 bytes, and `ssh` adds 17 for a
/// moment.
const LONGEST: usize = 56;

/// The file that says who lives: a process, and the name of its directory.
const LOCK: &str = "lock";
const LONGEST_LOCK: u64 = 4096;

/// Waits for the end of the supervisor, however it comes, and removes the directory.
const KEEPER: &str = "trap '' INT TERM HUP; read -r _; rm -rf -- \"$1\"";

/// The right to supervise in a runtime directory. The kernel ends it with the process.
#[derive(Debug)]
pub(super) struct Life {
    directory: PathBuf,
    keeper: Child,
    _lock: fs_err::File,
}

impl Life {
    pub(super) fn begin(runtime: &Path) -> Result<Self> {
        prepare(runtime)?;
        let mut lock = take_lock(runtime)?;
        sweep(runtime)?;
        let name = format!("{:08x}", fastrand::u32(..));
        let directory = runtime.join(&name);
        std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
        lock.set_len(0)?;
        lock.write_all(format!("{} {name}\n", std::process::id()).as_bytes())?;
        Ok(Self { keeper: keep(&directory)?, directory, _lock: lock })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // The keeper sees the end of its input, and is waited for so that the directory is gone when this returns.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// The socket of whoever lives in a runtime directory, as far as somebody does.
pub(crate) fn control_socket(runtime: &Path) -> Option<PathBuf> {
    let lock = regularfile::read_to_string(runtime.join(LOCK), LONGEST_LOCK).ok()?;
    let (_, name) = lock.trim().split_once(' ')?;
    let is_name = name.len() == 8 && name.chars().all(|c| c.is_ascii_hexdigit());
    is_name.then(|| control_socket_in(&runtime.join(name)))
}

pub(crate) fn control_socket_in(directory: &Path) -> PathBuf {
    directory.join("control")
}

/// Makes the directory, or refuses one that others could change.
fn prepare(runtime: &Path) -> Result<()> {
    let text = runtime.to_string_lossy();
    if !runtime.is_absolute() || text.len() > LONGEST || text.contains([':', '"', '%', '\n']) {
        return Err(Error::invalid(format!(
            "the runtime directory `{text}` must be absolute, without `:`, `\"` and `%`, and no longer than {LONGEST} bytes"
        )));
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(runtime)?;
    let metadata = fs_err::metadata(runtime)?;
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !is_ours || metadata.mode() & 0o077 != 0 {
        return Err(Error::invalid(format!(
            "the runtime directory `{text}` must be this user's alone (mode 0700)"
        )));
    }
    Ok(())
}

fn take_lock(runtime: &Path) -> Result<fs_err::File> {
    let mut file = Options::update().or_create().open(runtime.join(LOCK))?;
    match file.file().try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            file.read_to_string(&mut owner)?;
            let pid = owner.split(' ').next().and_then(|pid| pid.parse().ok());
            Err(Error::Running { pid: pid.unwrap_or_default() })
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Removes what a dead supervisor left whose keeper was killed with it.
fn sweep(runtime: &Path) -> Result<()> {
    for entry in fs_err::read_dir(runtime)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs_err::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn keep(directory: &Path) -> Result<Child> {
    let mut keeper = Command::new("/bin/sh");
    keeper
        .args(["-c", KEEPER, "tunnel-keeper"])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C at this terminal is not for it.
        .process_group(0);
    Ok(keeper.spawn()?)
}
