//! Writing so that a crash between any two steps leaves the old file or the new one, never half of
//! either.

use std::io::{self, Write};
use std::path::Path;

use tempfile::{NamedTempFile, TempPath};

use crate::{Result, fault};

/// The suffix of every unfinished file of a vault.
pub(crate) const PARTIAL: &str = ".partial";

/// Makes the names in a directory survive a crash.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    fault::point()?;
    Ok(regularfile::sync_directory(directory)?)
}

/// A new, empty, unguessable file of mode 0600: `PREFIX.ID.partial`. It goes away when it is
/// dropped.
pub(crate) fn temporary(directory: &Path, prefix: &str) -> Result<NamedTempFile> {
    fault::point()?;
    Ok(tempfile::Builder::new()
        .prefix(&format!("{prefix}."))
        .suffix(PARTIAL)
        .rand_bytes(12)
        .tempfile_in(directory)?)
}

/// Replaces `path` as a whole, under the temporary name `prefix`.
pub(crate) fn replace(path: &Path, prefix: &str, bytes: &[u8]) -> Result<()> {
    let directory = directory_of(path);
    let file = written(directory, prefix, bytes)?;
    fault::point()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_directory(directory)
}

/// Creates `path` as a whole; `false` if the name is taken.
pub(crate) fn create(path: &Path, prefix: &str, bytes: &[u8]) -> Result<bool> {
    let directory = directory_of(path);
    let file = written(directory, prefix, bytes)?;
    let created = publish(file.into_temp_path(), path)?;
    sync_directory(directory)?;
    Ok(created)
}

/// Gives a temporary file its name unless that is taken (`false`; the temporary file is gone then).
pub(crate) fn publish(file: TempPath, path: &Path) -> Result<bool> {
    fault::point()?;
    match file.persist_noclobber(path) {
        Ok(()) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error.into()),
    }
}

/// Points a relative symbolic link at `target`, replacing the link that was there in one step.
pub(crate) fn relink(link: &Path, prefix: &str, target: &str) -> Result<()> {
    let directory = directory_of(link);
    fault::point()?;
    let temporary = tempfile::Builder::new()
        .prefix(&format!("{prefix}."))
        .suffix(PARTIAL)
        .rand_bytes(12)
        .make_in(directory, |path| fs_err::os::unix::fs::symlink(target, path))?;
    let temporary = temporary.into_temp_path();
    fault::point()?;
    temporary.persist(link).map_err(|error| error.error)?;
    sync_directory(directory)
}

/// Removes a file; one that is gone already is fine.
pub(crate) fn remove(path: &Path) -> Result<()> {
    fault::point()?;
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn written(directory: &Path, prefix: &str, bytes: &[u8]) -> Result<NamedTempFile> {
    let mut file = temporary(directory, prefix)?;
    fault::point()?;
    file.write_all(bytes)?;
    fault::point()?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().expect("the path of a vault's file has a directory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn create_refuses_a_taken_name_and_replace_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        assert!(create(&path, ".a", b"one").unwrap());
        assert!(!create(&path, ".a", b"two").unwrap());
        assert_eq!(fs_err::read(&path).unwrap(), b"one");
        replace(&path, ".a", b"three").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"three");
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_fails_is_not_taken_for_a_taken_name_or_a_file_that_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let file = temporary(directory.path(), ".a").unwrap().into_temp_path();
        assert!(publish(file, &directory.path().join("nowhere").join("a")).is_err());
        let inner = directory.path().join("directory");
        fs_err::create_dir(&inner).unwrap();
        assert!(remove(&inner).is_err());
        remove(&directory.path().join("gone")).unwrap();
    }

    #[test]
    fn relink_replaces_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("latest");
        relink(&link, ".latest", "a").unwrap();
        relink(&link, ".latest", "b").unwrap();
        assert_eq!(fs_err::read_link(&link).unwrap(), Path::new("b"));
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
    }
}
