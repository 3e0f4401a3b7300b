//! Opening and reading.

use std::io::{self, Read as _, Write as _};
use std::path::Path;

use fs_err::File;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::OFlags;

use crate::error::{Error, Kind};
use crate::trust::{self, Trust};

/// Nobody else may read what is created.
const NEW: u32 = 0o600;

/// The way a file is opened. Start with [`read`](Self::read), [`update`](Self::update),
/// [`append`](Self::append) or [`new_file`](Self::new_file).
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    access: Access,
    mode: u32,
    follows: bool,
    trust: Option<Trust>,
    is_private: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Update { creates: bool },
    Append { creates: bool },
    New,
}

impl Options {
    const fn new(access: Access, follows: bool) -> Self {
        Self { access, mode: NEW, follows, trust: None, is_private: false }
    }

    /// For reading, also through symbolic links.
    pub const fn read() -> Self {
        Self::new(Access::Read, true)
    }

    /// For reading and writing an existing file, which keeps its content. A symbolic link is
    /// refused.
    pub const fn update() -> Self {
        Self::new(Access::Update { creates: false }, false)
    }

    /// For reading, and writing at the end of an existing file. A symbolic link is refused.
    pub const fn append() -> Self {
        Self::new(Access::Append { creates: false }, false)
    }

    /// For reading and writing a file that must not exist yet.
    pub const fn new_file() -> Self {
        Self::new(Access::New, false)
    }

    /// The mode of a file that is created, less the umask. Without this, it is 0600.
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Creates the file where there is none. Has no effect on [`read`](Self::read).
    pub const fn or_create(mut self) -> Self {
        self.access = match self.access {
            Access::Read | Access::New => self.access,
            Access::Update { .. } => Access::Update { creates: true },
            Access::Append { .. } => Access::Append { creates: true },
        };
        self
    }

    /// Refuses a symbolic link at the end of the path.
    pub const fn in_place(mut self) -> Self {
        self.follows = false;
        self
    }

    /// Follows a symbolic link at the end of the path, also for writing: for files that other
    /// programs follow as well.
    pub const fn through_links(mut self) -> Self {
        self.follows = true;
        self
    }

    /// Requires that only this user and root may change the file, and where its path leads.
    pub const fn trusted(mut self) -> Self {
        self.trust = Some(Trust::Ours);
        self
    }

    /// The same, but root may also use the file of another user whom nobody else can deceive.
    pub const fn trusted_for_root(mut self) -> Self {
        self.trust = Some(Trust::AnyOwnerForRoot);
        self
    }

    /// Requires, besides [`trusted_for_root`](Self::trusted_for_root), that nobody else may read
    /// the file.
    pub const fn private(mut self) -> Self {
        self.is_private = true;
        self.trusted_for_root()
    }

    /// Opens the file.
    ///
    /// # Errors
    /// A refusal ([`Error`]), and what the operating system says.
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let path = path.as_ref();
        let file = self.open_anything(path).map_err(|error| self.explained(path, error))?;
        let metadata = file.metadata()?;
        require_regular(path, metadata.file_type())?;
        // The mode comes first: it has the simplest remedy.
        if self.is_private {
            trust::require_private(path, &metadata)?;
        }
        if let Some(trust) = self.trust {
            trust::require(path, &metadata, trust)?;
        }
        Ok(file)
    }

    /// Reads the whole file, which has at most `limit` bytes.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Error::TooLarge`].
    pub fn to_vec(&self, path: impl AsRef<Path>, limit: u64) -> io::Result<Vec<u8>> {
        let path = path.as_ref();
        let file = self.open(path)?;
        let too_large = || Error::TooLarge { path: path.to_owned(), limit };
        let length = file.metadata()?.len();
        if limit < length {
            return Err(too_large().into());
        }
        let mut bytes = Vec::new();
        // One read takes it all, and another one finds the end.
        bytes.try_reserve_exact(usize::try_from(length).unwrap_or(0).saturating_add(1))?;
        // It may grow meanwhile, and some file systems tell no length.
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if limit < bytes.len() as u64 {
            return Err(too_large().into());
        }
        Ok(bytes)
    }

    /// Reads the whole file as text.
    ///
    /// # Errors
    /// As [`to_vec`](Self::to_vec), and [`io::ErrorKind::InvalidData`] where it is not UTF-8.
    pub fn to_string(&self, path: impl AsRef<Path>, limit: u64) -> io::Result<String> {
        let path = path.as_ref();
        // The bytes may be a secret, so that the error has none of them.
        String::from_utf8(self.to_vec(path, limit)?).map_err(|_| {
            let reason = format!("{} is not UTF-8 text", path.display());
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })
    }

    fn open_anything(&self, path: &Path) -> io::Result<File> {
        let mut options = fs_err::OpenOptions::new();
        options.read(true);
        match self.access {
            Access::Read => {}
            Access::Update { creates } => {
                options.write(true).create(creates).truncate(false);
            }
            Access::Append { creates } => {
                options.append(true).create(creates);
            }
            Access::New => {
                options.write(true).create_new(true);
            }
        }
        // A terminal must not become the one that controls this process.
        let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        flags.set(OFlags::NOFOLLOW, !self.follows);
        let flags = i32::try_from(flags.bits()).expect("the flags of open fit into its argument");
        options.mode(self.mode).custom_flags(flags).open(path)
    }

    /// A socket, and a pipe or a link in some modes, cannot even be opened.
    fn explained(&self, path: &Path, error: io::Error) -> io::Error {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return error;
        }
        let found =
            if self.follows { fs_err::metadata(path) } else { fs_err::symlink_metadata(path) };
        match found.map(|found| require_regular(path, found.file_type())) {
            Ok(Err(refusal)) => refusal.into(),
            _ => error,
        }
    }
}

fn require_regular(path: &Path, found: std::fs::FileType) -> Result<(), Error> {
    match Kind::of(found) {
        None => Ok(()),
        Some(kind) => Err(Error::NotRegular { path: path.to_owned(), kind }),
    }
}

/// Opens a file for reading, also through symbolic links.
///
/// # Errors
/// As [`Options::open`].
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    Options::read().open(path)
}

/// Reads a whole file of at most `limit` bytes, also through symbolic links.
///
/// # Errors
/// As [`Options::to_vec`].
pub fn read(path: impl AsRef<Path>, limit: u64) -> io::Result<Vec<u8>> {
    Options::read().to_vec(path, limit)
}

/// Reads a whole text of at most `limit` bytes, also through symbolic links.
///
/// # Errors
/// As [`Options::to_string`].
pub fn read_to_string(path: impl AsRef<Path>, limit: u64) -> io::Result<String> {
    Options::read().to_string(path, limit)
}

/// Creates a file of mode 0600 with this content, where there is none yet.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], and what the operating system says.
pub fn create(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    Options::new_file().open(path)?.write_all(bytes.as_ref())
}
