//! Regular files, and nothing else that a path may lead to.
//!
//! `open` waits for ever on a named pipe without a writer, reads a terminal or a device as if it
//! were a file, and follows a symbolic link wherever it leads. A program that reads its
//! configuration, locks a shared directory or writes into one wants none of that. This library
//! opens with `O_NONBLOCK`, looks at what was opened, and refuses everything else.
//!
//! ```
//! use regularfile::{Error, Options};
//!
//! const LIMIT: u64 = 1024 * 1024;
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("settings.toml");
//! regularfile::replace(&path, b"answer = 42\n")?;
//! let text = Options::read().trusted().to_string(&path, LIMIT)?;
//! assert_eq!(text, "answer = 42\n");
//!
//! let error = regularfile::read("/dev/null", LIMIT).unwrap_err();
//! assert!(matches!(Error::of(&error), Some(Error::NotRegular { .. })));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Links
//!
//! [`Options::read`] follows symbolic links: configurations are links into a directory of dotfiles,
//! and Kubernetes mounts every secret as one. [`Options::in_place`] follows none in the last
//! component of the path, for directories that others may write to. Everything that writes
//! ([`Options::update`], [`Options::append`], [`Options::new_file`], [`replace`]) follows none.
//!
//! # Trust
//!
//! [`Options::trusted`] requires what OpenSSH requires of its own files. The file, every directory
//! above it and every link on the way belong to this user or to root, and nobody else may write to
//! them. Three things are allowed besides:
//!
//! - a directory where only owners may rename (the sticky bit, as `/tmp` and the mounts of
//!   Kubernetes have it);
//! - a directory that is writable by a group with the number of this user, which is the user's own
//!   by convention;
//! - with [`Options::trusted_for_root`], root may also use what belongs, as a whole, to one other
//!   user.
//!
//! [`Options::private`] also requires that nobody else may read the file. As in libpq, a file of
//! root may be readable by its group.
//!
//! # Errors
//!
//! Every operation returns [`std::io::Error`], whose message names the path. [`Error::of`] returns
//! the refusal in it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod options;
mod replace;
mod trust;

pub use crate::{
    error::{Error, Kind, hint},
    options::{Options, create, open, read, read_to_string},
    replace::{create_directory, parent, replace, sync_directory},
};

// Types of another crate that appear in the public interface.
pub use fs_err::File;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
