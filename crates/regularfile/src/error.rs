//! Refusals of this library, and what to do about them.

use std::borrow::Cow;
use std::fs::FileType;
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use std::{fmt, io};

/// Refusal of a file. Operations return it inside of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path leads to something else.
    #[error("{} is {kind}, not a regular file", path.display())]
    #[non_exhaustive]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// Its kind.
        kind: Kind,
    },
    /// The file is larger than any such file can be.
    #[error("{} is larger than {limit} bytes, which no such file should be", path.display())]
    #[non_exhaustive]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The largest size that is read.
        limit: u64,
    },
    /// The file, or something on the way to it, belongs to somebody else.
    #[error("{} belongs to user {uid}, neither to this user nor to root", path.display())]
    #[non_exhaustive]
    Foreign {
        /// The file, directory or link.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Others may change the file, or a directory on the way to it.
    #[error("{} may be changed by others (mode {mode:03o})", path.display())]
    #[non_exhaustive]
    Writable {
        /// The file or directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Others may read a secret.
    #[error("{} may be read by others (mode {mode:03o})", path.display())]
    #[non_exhaustive]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The path led to another file a moment later.
    #[error("{} was replaced while it was opened", path.display())]
    #[non_exhaustive]
    Replaced {
        /// The path.
        path: PathBuf,
    },
}

impl Error {
    /// Returns the refusal inside of an error, if it is one of this library.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Returns the remedy as one sentence for the operator.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotRegular { kind: Kind::Link, .. } => {
                "name the file itself, and find out who made the link"
            }
            Self::NotRegular { .. } => {
                "name a regular file; copy what a pipe or a device gives into one"
            }
            Self::TooLarge { .. } => "check the path; this is some other file",
            Self::Foreign { .. } => {
                "its owner can change it: `chown` it to the user who runs this, or to root"
            }
            Self::Writable { .. } => "others can write to it: `chmod go-w` it",
            Self::Exposed { .. } => "`chmod 600` it, and consider the secret in it known",
            Self::Replaced { .. } => "run it again; find out who writes to this directory",
        }
    }

    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::NotRegular { kind: Kind::Directory, .. } => io::ErrorKind::IsADirectory,
            Self::NotRegular { .. } => io::ErrorKind::InvalidInput,
            Self::TooLarge { .. } => io::ErrorKind::InvalidData,
            Self::Foreign { .. } | Self::Writable { .. } | Self::Exposed { .. } => {
                io::ErrorKind::PermissionDenied
            }
            Self::Replaced { .. } => io::ErrorKind::Other,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}

/// Returns the remedy for an error, if it is one of this library.
#[must_use]
pub fn hint(error: &io::Error) -> Option<Cow<'static, str>> {
    Some(Error::of(error)?.hint().into())
}

/// Kind of a file that is not regular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A directory.
    Directory,
    /// A symbolic link, where none is followed.
    Link,
    /// A named pipe, or a pipe of the shell.
    Pipe,
    /// A socket.
    Socket,
    /// A terminal, `/dev/null` and the like.
    CharacterDevice,
    /// A disk.
    BlockDevice,
    /// Something that this library does not know.
    Unknown,
}

impl Kind {
    /// Returns nothing for a regular file.
    pub(crate) fn of(file: FileType) -> Option<Self> {
        Some(match file {
            file if file.is_file() => return None,
            file if file.is_dir() => Self::Directory,
            file if file.is_symlink() => Self::Link,
            file if file.is_fifo() => Self::Pipe,
            file if file.is_socket() => Self::Socket,
            file if file.is_char_device() => Self::CharacterDevice,
            file if file.is_block_device() => Self::BlockDevice,
            _ => Self::Unknown,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::Link => "a symbolic link",
            Self::Pipe => "a pipe",
            Self::Socket => "a socket",
            Self::CharacterDevice => "a character device",
            Self::BlockDevice => "a block device",
            Self::Unknown => "something unknown",
        })
    }
}
