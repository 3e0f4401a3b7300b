//! Places for copies that are not a mounted directory: what they have in common.
//!
//! A target holds files by name, flat. It knows nothing about services, sidecars or keys;
//! [`Remote`](crate::Remote) gives the files their meaning.

#[cfg(any(feature = "http", feature = "sftp"))]
mod bandwidth;
mod failure;
#[cfg(feature = "http")]
mod filedrop;
mod folder;
#[cfg(feature = "http")]
mod http;
mod limits;
mod ranges;
mod retry;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "sftp")]
mod sftp;
mod size;
mod spec;
#[cfg(feature = "http")]
mod webdav;

use std::fmt;
use std::io::{Cursor, Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;

pub use failure::TargetFailure;
#[cfg(feature = "http")]
pub use filedrop::FileDrop;
pub use folder::FolderSpec;
#[cfg(feature = "http")]
pub use http::Credentials;
pub use limits::Limits;
pub(crate) use ranges::Ranges;
#[cfg(feature = "s3")]
pub use s3::{S3, S3Location};
#[cfg(feature = "sftp")]
pub use sftp::Sftp;
pub use spec::{RemoteSpec, TargetSpec};
#[cfg(feature = "http")]
pub use webdav::WebDav;

use crate::durable::PARTIAL;
use crate::progress::{Progress, Watched};
use crate::{Error, Result};

/// A place that holds files by name.
///
/// All calls block, and end: each implementation has limits of its own ([`Limits`]) for how long
/// nothing may happen, and tries again what may be tried again. Errors name the place without
/// secrets.
pub trait Target: fmt::Debug + Send + Sync {
    /// Returns the place for people: its kind and address, without secrets.
    fn place(&self) -> String;

    /// Returns true if files can be listed and read back. Where not, [`list`](Self::list) and
    /// [`read`](Self::read) fail with [`TargetFailure::WriteOnly`].
    fn is_readable(&self) -> bool {
        true
    }

    /// The files in the place, in no order. Directories, and what lies in them, are left out.
    fn list(&self) -> Result<Vec<RemoteFile>>;

    /// Writes a file as a whole: under its name there is nothing, or all of it.
    ///
    /// # Errors
    /// [`TargetFailure::Taken`] if the name is taken and the upload does not replace.
    fn put(&self, upload: &Upload<'_>) -> Result<Receipt>;

    /// Reads a part of a file, which must be all there.
    fn read(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>>;

    /// Removes a file; one that is not there is removed.
    fn remove(&self, name: &str) -> Result<()>;
}

/// A file at a target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteFile {
    /// Its name, without any path.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// A file to be written to a target.
#[derive(Debug, Clone, Copy)]
pub struct Upload<'a> {
    /// The name it gets.
    pub name: &'a str,
    /// Its content.
    pub content: Content<'a>,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in lower-case hexadecimal.
    pub sha256: &'a str,
    /// True if it takes the place of a file of the same name.
    pub replace: bool,
}

/// The source of an upload's bytes. They may be read several times.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// A file on this machine.
    File(&'a Path),
    /// The same, and who is told of what is read.
    Watched(&'a Path, &'a dyn Progress),
    /// Bytes in memory.
    Bytes(&'a [u8]),
}

impl<'a> Upload<'a> {
    /// The bytes of a part of it. A file that became shorter ends early.
    pub fn part(&self, range: Range<u64>) -> Result<Box<dyn Read + Send + 'a>> {
        let length = range.end - range.start;
        Ok(match self.content {
            Content::File(path) => Box::new(part_of(path, &range)?),
            Content::Watched(path, progress) => {
                Box::new(Watched { inner: part_of(path, &range)?, progress: Some(progress) })
            }
            Content::Bytes(bytes) => {
                let mut cursor = Cursor::new(bytes);
                cursor.set_position(range.start);
                Box::new(cursor.take(length))
            }
        })
    }
}

fn part_of(path: &Path, range: &Range<u64>) -> Result<impl Read + Send + use<>> {
    let mut file = regularfile::open(path)?;
    file.seek(SeekFrom::Start(range.start))?;
    Ok(file.take(range.end - range.start))
}

/// A target's answer to an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The answer in the words of the protocol: `201`, or `ok`.
    pub answer: String,
    /// True if the far end computed the SHA-256 of what it stored, and it is the right one.
    pub is_hash_confirmed: bool,
}

/// An error of a target while it was `doing` something.
pub(crate) fn failed(
    target: &dyn Target,
    doing: impl Into<String>,
    failure: TargetFailure,
) -> Error {
    Error::Target { place: target.place(), doing: doing.into(), failure }
}

/// The name of a file that is not yet all there.
#[cfg(any(feature = "http", feature = "sftp"))]
fn partial_name(name: &str) -> String {
    format!(".{name}{PARTIAL}")
}

/// A file on this side that cannot be read.
#[cfg(any(feature = "http", feature = "sftp"))]
fn local(error: Error) -> TargetFailure {
    TargetFailure::Local(match error {
        Error::Io(error) => error,
        other => std::io::Error::other(other),
    })
}
