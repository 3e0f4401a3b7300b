//! A program in a process group of its own, with limits for its time and its output.
//!
//! A plain [`Command`](tokio::process::Command) waits for as long as its program runs, keeps
//! whatever it prints, and ends only the program itself: what that had started lives on, and may
//! keep the output open for ever. Here:
//!
//! - the program and its children are a group, and end together when the limit is reached and when
//!   the future is dropped: asked by SIGTERM first where there is a [grace](Options::grace), then
//!   killed;
//! - the output is [`Kept`] to a limit and read to the end, so that the program never waits for a
//!   reader;
//! - the program decides when it has ended, not its output: a child that keeps a pipe open is given
//!   a moment, and then [reported](Ended::is_held).
//!
//! The program reads nothing: its standard input is `/dev/null`.
//!
//! ```
//! use std::time::Duration;
//!
//! use processgroup::{Kept, Options};
//! use tokio::process::Command;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), processgroup::Error> {
//! let options = Options::new(Duration::from_secs(10)).stdout(Kept::All(1024));
//! let ended = options.run(Command::new("pwd")).await?;
//! assert!(ended.status.success() && ended.stdout.ends_with(b"\n"));
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod options;
mod output;
mod running;

pub use crate::{
    error::Error,
    options::{Ended, Options},
    output::Kept,
};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
