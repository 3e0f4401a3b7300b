//! Writing a file as a whole.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Kind};

/// The mode of a new file, before the umask.
const NEW: u32 = 0o666;

/// Writes a file as a whole: readers see the old content or the new one, and a symbolic link is
/// never followed.
///
/// The new file has the mode of the one that it replaces, and its owner and group as far as this
/// user may give it to them. It is on the disk when this returns.
///
/// # Errors
///
/// [`Error::NotRegular`] where the name belongs to something else, which stays as it is, and what
/// the operating system says.
pub fn replace(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let path = path.as_ref();
    let old = match fs_err::symlink_metadata(path) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if let Some(kind) = old.as_ref().and_then(|old| Kind::of(old.file_type())) {
        return Err(Error::NotRegular { path: path.to_owned(), kind }.into());
    }
    let directory = parent(path);
    let mut file =
        tempfile::Builder::new().permissions(Permissions::from_mode(NEW)).tempfile_in(directory)?;
    if let Some(old) = old {
        // Before the mode, of which a new owner takes some bits away.
        keep_owner(file.as_file(), &old)?;
        fs_err::set_permissions(file.path(), old.permissions())?;
    }
    file.write_all(bytes.as_ref())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_directory(directory)
}

/// Gives the file to the owner and the group of the old one. Only root may give away everything,
/// and others a group of theirs; what they may not is theirs, as before.
fn keep_owner(file: &File, old: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    let owner = (new.uid() != old.uid()).then(|| old.uid());
    let group = (new.gid() != old.gid()).then(|| old.gid());
    for (owner, group) in [(owner, None), (None, group)] {
        match fchown(file, owner, group) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Returns the directory that a name stands in: `.` for a name alone.
#[must_use]
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the names in a directory survive a crash.
///
/// # Errors
/// What the operating system says.
pub fn sync_directory(directory: impl AsRef<Path>) -> io::Result<()> {
    let directory = directory.as_ref();
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty());
    opened.and_then(rustix::fs::fsync).map_err(|error| {
        let reason = format!("failed to sync the directory {}: {error}", directory.display());
        io::Error::new(error.kind(), reason)
    })
}

/// Creates a directory and its ancestors, each made durable in its own parent.
///
/// # Errors
/// What the operating system says; a directory that is there already is none.
pub fn create_directory(directory: impl AsRef<Path>) -> io::Result<()> {
    let directory = directory.as_ref();
    if directory.is_dir() {
        return Ok(());
    }
    let parent = parent(directory);
    create_directory(parent)?;
    match fs_err::create_dir(directory) {
        // Another process may be creating the same one.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_directory(parent),
    }
}
