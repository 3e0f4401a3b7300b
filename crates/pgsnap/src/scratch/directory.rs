//! The directory of a scratch server: private from the first moment, and removed when nobody holds
//! it.
//!
//! `owner.lock` in it is locked (`flock`) by us and by the lifeline, and not by the server. Whoever
//! can take the lock knows that both are gone, also across containers that share the directory's
//! parent, where process ids say nothing. What the server's user could have put there is never
//! followed.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use regularfile::Options;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Result};
use crate::scratch::user::ServerUser;

const PREFIX: &str = "pgsnap-scratch-";
const LOCK: &str = "owner.lock";
const DATA: &str = "data";
/// As much as the kernel gives to a process.
const LONGEST_COMMAND: u64 = 8 * 1024 * 1024;

/// A directory that is ours. Dropping it stops a server that still runs there, and removes it.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    lock: File,
    log: File,
}

impl Directory {
    /// Makes a directory with all files that are ours: the lock, the log, and the password for
    /// `initdb`.
    ///
    /// The server's user gets it last. Before that nobody else can enter, so that no file that we
    /// make can have been made into a link to somewhere else.
    pub(super) fn create(
        parent: &Path,
        user: Option<ServerUser>,
        password: &SecretString,
    ) -> Result<Self> {
        let failed = |error| Error::file(parent, error);
        let parent = fs_err::canonicalize(parent).map_err(failed)?;
        let temporary = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .map_err(failed)?;
        let path = temporary.path();
        let lock = locked_file(path).map_err(|error| Error::file(path.join(LOCK), error))?;
        let log = new_file(&path.join("log"), user)?;
        new_file(&path.join("password"), user)?
            .write_all(password.expose_secret().as_bytes())
            .map_err(|error| Error::file(path.join("password"), error))?;
        if let Some(user) = user {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::open(path, flags, Mode::empty())
                .map_err(io::Error::from)
                .and_then(|directory| fchown(directory, Some(user.uid), Some(user.gid)))
                .map_err(|error| Error::file(path, error))?;
        }
        Ok(Self { path: temporary.keep(), lock, log })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join(DATA)
    }

    pub(super) fn password_file(&self) -> PathBuf {
        self.path.join("password")
    }

    /// Another descriptor of the lock: who has it holds the directory.
    pub(super) fn lock_copy(&self) -> Result<File> {
        self.lock.try_clone().map_err(|error| Error::file(self.path.join(LOCK), error))
    }

    /// Another descriptor of the log, to append to it.
    pub(super) fn log_copy(&self) -> Result<File> {
        self.log.try_clone().map_err(|error| Error::file(self.path.join("log"), error))
    }

    /// The log, as far as it is of interest. Read from the file we made, whatever has its name now.
    pub(super) fn log_text(&self) -> String {
        let mut text = vec![0; 64 << 10];
        let length = self.log.read_at(&mut text, 0).unwrap_or(0);
        String::from_utf8_lossy(&text[..length]).into_owned()
    }

    /// The server's first process, if it runs.
    pub(super) fn postmaster(&self) -> Option<Pid> {
        postmaster(&self.path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Usually the lifeline has done it.
        if self.path.exists() {
            remove(&self.path);
        }
    }
}

/// The lock, which appears under its name only once it is held.
fn locked_file(directory: &Path) -> io::Result<File> {
    let new = directory.join("owner.lock.new");
    let file = create_new(&new)?;
    file.lock()?;
    fs_err::rename(&new, directory.join(LOCK))?;
    Ok(file)
}

fn new_file(path: &Path, user: Option<ServerUser>) -> Result<File> {
    let file = create_new(path);
    let owned = file.and_then(|file| {
        if let Some(user) = user {
            fchown(&file, Some(user.uid), Some(user.gid))?;
        }
        Ok(file)
    });
    owned.map_err(|error| Error::file(path, error))
}

/// A new file, and never one that somebody else put there.
fn create_new(path: &Path) -> io::Result<File> {
    Options::new_file().open(path).map(regularfile::File::into_file)
}

/// Removes what is left of servers whose owner and lifeline were both killed, and stops those that
/// still run.
pub(super) fn sweep(parent: &Path, user: Option<ServerUser>) {
    let ours = [Some(rustix::process::geteuid().as_raw()), user.map(|user| user.uid)];
    let Ok(parent) = fs_err::canonicalize(parent) else {
        return;
    };
    for entry in fs_err::read_dir(parent).into_iter().flatten().flatten() {
        let is_candidate = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry
                .metadata()
                .is_ok_and(|metadata| metadata.is_dir() && ours.contains(&Some(metadata.uid())));
        let path = entry.path();
        if is_candidate && is_abandoned(&path) {
            tracing::info!(directory = %path.display(), "removing the left-over of a scratch server");
            remove(&path);
        }
    }
}

fn is_abandoned(directory: &Path) -> bool {
    /// Nothing takes this long between making a directory and locking it.
    const LONG: Duration = Duration::from_secs(60 * 60);
    match open_plainly(&directory.join(LOCK)) {
        // Closing the file releases the lock, and nobody else would take the directory into use.
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let age = directory
                .metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
                .and_then(|time| time.elapsed().ok());
            !directory.join(DATA).exists() && age.is_some_and(|age| age > LONG)
        }
        Err(_) => false,
    }
}

/// Stops the server in a directory, if one runs, and removes it all.
fn remove(directory: &Path) {
    const PATIENCE: Duration = Duration::from_secs(5);
    let begun = Instant::now();
    let mut signal = Signal::QUIT;
    while let Some(pid) = postmaster(directory) {
        let _ = kill_process(pid, signal);
        std::thread::sleep(Duration::from_millis(50));
        if begun.elapsed() > 2 * PATIENCE {
            break;
        }
        if begun.elapsed() > PATIENCE {
            signal = Signal::KILL;
        }
    }
    // The lock goes last, so that a clean-up that is killed can be taken up again. A server that is out of
    // our sight, in another container, misses its files and ends by itself within a minute.
    let _ = fs_err::remove_dir_all(directory.join(DATA));
    let _ = fs_err::remove_dir_all(directory);
}

/// The server's first process: the one named in its own file, but only if that process says that it
/// serves this directory, and belongs to who owns it.
fn postmaster(directory: &Path) -> Option<Pid> {
    let mut text = String::new();
    open_plainly(&directory.join(DATA).join("postmaster.pid"))
        .ok()?
        .take(4096)
        .read_to_string(&mut text)
        .ok()?;
    let pid: i32 = text.lines().next()?.parse().ok()?;
    let process = PathBuf::from(format!("/proc/{pid}"));
    let is_ours = process.metadata().ok()?.uid() == directory.metadata().ok()?.uid();
    let command = regularfile::read(process.join("cmdline"), LONGEST_COMMAND).ok()?;
    (is_ours && serves(&command, &directory.join(DATA))).then(|| Pid::from_raw(pid)).flatten()
}

/// Returns true if a command line (arguments that end with NUL) names this data directory.
fn serves(command: &[u8], data: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;

    let arguments: Vec<&[u8]> = command.split(|&byte| byte == 0).collect();
    arguments.windows(2).any(|pair| pair == [b"-D", data.as_os_str().as_bytes()])
}

/// Opens a file that somebody else may have put there: no link, and no waiting for a pipe.
fn open_plainly(path: &Path) -> io::Result<File> {
    Options::read().in_place().open(path).map(regularfile::File::into_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(parent: &Path) -> Directory {
        Directory::create(parent, None, &SecretString::from("s3cret")).unwrap()
    }

    #[test]
    fn files_that_somebody_put_there_first_are_not_used() {
        let place = tempfile::tempdir().unwrap();
        let victim = place.path().join("victim");
        fs_err::write(&victim, "precious").unwrap();
        for name in ["password", "log", "owner.lock.new"] {
            let link = place.path().join(name);
            fs_err::os::unix::fs::symlink(&victim, &link).unwrap();
            assert!(create_new(&link).is_err(), "{name}");
            assert!(new_file(&link, None).is_err(), "{name}");
        }
        assert!(locked_file(place.path()).is_err());
        assert!(open_plainly(&place.path().join("log")).is_err());
        assert_eq!(fs_err::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn a_directory_is_left_alone_while_its_lock_is_held() {
        let parent = tempfile::tempdir().unwrap();
        let mut directory = create(parent.path());
        let path = directory.path().to_owned();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        sweep(parent.path(), None);
        assert!(path.exists(), "we hold it");
        let lifeline = directory.lock_copy().unwrap();
        directory.path = parent.path().join("forgotten");
        drop(directory);
        sweep(parent.path(), None);
        assert!(path.exists(), "the lifeline holds it");
        drop(lifeline);
        sweep(parent.path(), None);
        assert!(!path.exists(), "nobody holds it");
    }

    #[test]
    fn a_directory_that_is_being_made_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let young = parent.path().join("pgsnap-scratch-young");
        fs_err::create_dir(&young).unwrap();
        sweep(parent.path(), None);
        assert!(young.exists());
        let age = std::time::SystemTime::now() - Duration::from_secs(7200);
        let directory = fs_err::File::open(&young).unwrap();
        directory.file().set_modified(age).unwrap();
        sweep(parent.path(), None);
        assert!(!young.exists());
    }

    #[test]
    fn a_process_is_the_server_only_if_it_says_so() {
        let data = Path::new("/tmp/pgsnap-scratch-a/data");
        assert!(serves(b"postgres\0-D\0/tmp/pgsnap-scratch-a/data\0-k\0x\0", data));
        assert!(!serves(b"postgres\0-D\0/tmp/pgsnap-scratch-ab/data\0", data));
        assert!(!serves(b"vi\0/tmp/pgsnap-scratch-a/data\0", data));
        assert!(!serves(b"", data));

        // A recycled process id: this test is no server.
        let parent = tempfile::tempdir().unwrap();
        let directory = create(parent.path());
        fs_err::create_dir(directory.data()).unwrap();
        let pid = format!("{}\n", std::process::id());
        fs_err::write(directory.data().join("postmaster.pid"), pid).unwrap();
        assert_eq!(directory.postmaster(), None);
    }
}
