//! The simple way: a database into a file, and back.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tempfile::NamedTempFile;

use crate::archive::Archive;
use crate::database::Database;
use crate::dump::{DumpOptions, dump};
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::progress::{NoProgress, Progress};
use crate::restore::{RestoreOptions, Restored, restore};

/// Dumps a database into a file, which appears only once it is complete and on the disk.
///
/// The file is readable by its owner alone. One that is there already is replaced. An interrupted
/// dump leaves `.NAME.XXXXXX.partial` beside it only if the process was killed.
///
/// # Errors
/// Those of [`dump`], and [`Error::Write`] if the file cannot be written.
pub async fn dump_to_file(database: &Database, path: impl AsRef<Path>) -> Result<Manifest> {
    let path = path.as_ref().to_owned();
    let file = unfinished(&path).map_err(|source| Error::Write { source })?;
    let (file, manifest) = dump(database, file, &DumpOptions::default(), &no_progress()).await?;
    let published = tokio::task::spawn_blocking(move || publish(file, &path)).await;
    published.map_err(io::Error::other).flatten().map_err(|source| Error::Write { source })?;
    Ok(manifest)
}

/// Restores a file of [`dump_to_file`] under the name of `target`, compares it row by row with the
/// dump, and only then lets it take the place of a database that was there.
///
/// # Errors
/// Those of [`Archive::open`] and [`restore`].
pub async fn restore_from_file(path: impl AsRef<Path>, target: &Database) -> Result<Restored> {
    let archive = Archive::open(path.as_ref().to_owned())?;
    restore(&archive, target, &RestoreOptions::default(), &no_progress()).await
}

fn no_progress() -> Arc<dyn Progress> {
    Arc::new(NoProgress)
}

fn unfinished(path: &Path) -> io::Result<NamedTempFile> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let prefix = format!(".{}.", name.to_string_lossy());
    tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".partial")
        .tempfile_in(regularfile::parent(path))
}

fn publish(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path)?;
    regularfile::sync_directory(regularfile::parent(path))
}
