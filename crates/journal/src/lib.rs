//! A journal that cannot be edited unnoticed: a hash-chained file of JSON lines.
//!
//! A migration is trusted for what it can show afterwards: what was done, when, to what, and with
//! which result. The [`Journal`] keeps that account. It is a file of JSON lines outside the service
//! it guards, so it survives the service, and every record carries the SHA-256 of the record before
//! it, so a line that was edited, removed, inserted or moved is found. The format is plain enough
//! to be verified with `sha256sum`; it is specified in `docs/formats/journal.md`.
//!
//! ```
//! use journal::{Journal, NewRecord, Outcome};
//! use serde_json::json;
//! use std::time::SystemTime;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let journal = Journal::open(directory.path().join("journal.jsonl"))?;
//! let new = NewRecord::new(SystemTime::now(), "backup", Outcome::Done, "hub-20261121T161200Z")
//!     .with_host("workstation")
//!     .with_evidence(json!({ "tables": 14, "rows": 120_345 }));
//! let appended = journal.append(new)?;
//! assert_eq!(appended.record.seq, 1);
//!
//! let verification = journal.verify()?;
//! assert_eq!(verification.records, 1);
//! assert_eq!(verification.head, Some(appended.record.head()));
//! # Ok(())
//! # }
//! ```
//!
//! The evidence may be any JSON. That of the kinds which the format names has types of its own, in
//! [`evidence`].
//!
//! # What is guaranteed
//!
//! - **Acknowledged means durable.** [`Journal::append`] returns after `fsync`. A record that was
//!   returned is there after a crash.
//! - **Torn means never acknowledged.** A crash in the middle of an append can leave half a line.
//!   The next append, or [`Journal::recover`], moves it into a file of its own, says so in the
//!   journal and to the caller, and goes on.
//! - **Several writers are safe.** Appends from any number of threads and processes are ordered by
//!   an exclusive lock on the file; readers take a shared one. The lock is advisory, and the file
//!   must not be on a file system without locks.
//! - **Rotation keeps the chain.** [`Journal::rotate`] closes the file and goes on in a new one,
//!   whose first record follows the last of the old. Readers see all of them.
//! - **Damage is an error, never a shorter journal.** [`Journal::read`] and [`Journal::verify`]
//!   check every line and name the first one that is wrong. A version they do not know is refused.
//!
//! # What is not
//!
//! The chain has no secret. Whoever may write the file can cut its end off, or write a whole new
//! chain. Keep a [`Head`] elsewhere (print it, mail it, sign it) and ask
//! [`Journal::verify_against`]: it proves that everything up to that head is still what it was.
//!
//! Records are clear text and are meant to be shown around. **Never put a secret into one**: no
//! passwords, no identities, no connection strings with either. The journal cannot tell, so this is
//! the caller's duty.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod chain;
mod damage;
mod error;
pub mod evidence;
mod hash;
mod journal;
mod line;
mod record;
mod rotation;
mod tail;

pub use damage::Damage;
pub use error::{Error, ErrorClass};
pub use hash::{Hash, Head};
pub use journal::{Appended, Journal, Verification};
pub use record::{NewRecord, Outcome, Record};
pub use rotation::Rotated;
pub use tail::TornLine;
