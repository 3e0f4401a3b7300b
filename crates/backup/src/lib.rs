//! An age-encrypted vault of backups: sealed atomically, catalogued, verified.
//!
//! A backup is worth what its restore is worth, and most are lost long before the restore: a
//! half-written file at the final name, a link to a backup that nobody ever opened, a key that
//! turns out to be the wrong one. This library writes any payload through [age] into a directory so
//! that each of these is either impossible or found out at once. It knows nothing about databases;
//! the payload is a stream of bytes.
//!
//! ```
//! use std::io::{Read, Write};
//! use backup::{Depth, Identities, Recipients, SidecarFacts, Vault};
//!
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! # let key = age::x25519::Identity::generate();
//! # let public_key = key.to_public().to_string();
//! # let keys_file = directory.join("keys.txt");
//! # fs_err::write(&keys_file, age::secrecy::ExposeSecret::expose_secret(&key.to_string()))?;
//! let mut recipients = Recipients::new();
//! recipients.add(&public_key)?;
//!
//! let vault = Vault::open(directory, "state-hub")?;
//! let lock = vault.lock()?;
//! let mut sealing = vault.begin(&lock, &recipients, "2026-11-21T16:12:00Z".parse()?)?;
//! sealing.write_all(b"the payload")?;
//! let entry = sealing.commit(SidecarFacts::new("2026-11-21T16:12:03Z".parse()?))?;
//! assert!(entry.path().ends_with("state-hub-20261121T161200Z.sql.gz.age"));
//!
//! let identities = Identities::load(&keys_file)?;
//! vault.verify(&entry, &identities, Depth::Full)?;
//! vault.mark_verified(&entry, "2026-11-21T16:12:04Z".parse()?)?;
//!
//! let latest = vault.find("latest")?;
//! let mut clear = String::new();
//! vault.open_entry(&latest, &identities)?.read_to_string(&mut clear)?;
//! assert_eq!(clear, "the payload");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is on disk
//!
//! ```text
//! state-hub-20261121T161200Z.sql.gz.age     the sealed file: `age -d` opens it as well
//! state-hub-20261121T161200Z.json           its sidecar: public facts (docs/formats/sidecar.md)
//! state-hub-latest.sql.gz.age               a link to the newest verified one
//! .state-hub.lock  .state-hub.catalogue-lock
//! ```
//!
//! All files have mode 0600. Times in names are UTC, and are the times of the data, not of the
//! file.
//!
//! # What is promised
//!
//! * **A name means a whole file.** A payload is written to a temporary file, synced, and only then
//!   named. Killed between any two steps, a run leaves a complete entry or none;
//!   [`Vault::leftovers`] names the rest.
//! * **`latest` means verified.** Only [`Vault::mark_verified`] moves the link, and it marks only a
//!   file whose SHA-256 is the one that was computed while it was written. The link goes to the
//!   newest of them.
//! * **Nothing is overwritten.** A second backup of the same second gets the next number.
//! * **One run at a time.** [`Vault::lock`] is held by the kernel and dies with the process.
//!   Reading, verifying and marking need no lock and may run beside a backup.
//! * **An opened file has its end.** The last chunk is authenticated before the first byte is
//!   handed out, and every chunk before any byte of it.
//! * **No secret is shown.** Passphrases and private keys are in no error, no `Debug` output and no
//!   file; a line that cannot be read is named by its number.
//!
//! * **Only what a plan names is removed.** [`Vault::plan`] says for each entry why it is kept;
//!   [`Vault::prune`] removes those that have no reason, and checks before that they, the newest
//!   verified and the newest drilled entry still are what they were.
//!
//! # What is not
//!
//! age has no sender: whoever knows the public recipients and may write to the directory can put
//! another file there. The sidecar's hashes show the exchange, as long as the sidecar was not
//! exchanged too; [`Vault::signing_with`] and [`Vault::trusting`] let an SSH signature show that as
//! well. Nothing shows that files were removed. And a file that opens is not yet a database that
//! restores: [`Vault::mark_drilled`] records that someone tried.
//!
//! # Keys
//!
//! [`Recipients`] are age X25519 keys, SSH keys of the types ed25519 and RSA, those of age plugins,
//! or one passphrase. [`Identities`] are read line by line from age or SOPS `keys.txt`, from SSH
//! private keys, or are passphrases; they are tried one by one: first those that need nobody, then
//! those that ask for a passphrase, and plugins last. A plugin that is missing, fails, or is not
//! done within a minute does not keep the others from their turn. A header does not tell for which
//! X25519 key a stanza was made, so the proof that an absent key (the escrow key in the safe) is
//! still good is made when sealing: the sidecar records the hash of the stanza made for each
//! recipient, and every verification looks for it in the header.
//!
//! # Copies elsewhere
//!
//! A [`Target`] holds files by name: [`WebDav`] (with Nextcloud's chunked uploads), [`FileDrop`]
//! (which takes files and shows none), [`Sftp`] and [`S3`], each behind a feature that is on by
//! default, or one of your own. A [`Remote`] gives the files their meaning:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use backup::{Credentials, Depth, Identities, Limits, Remote, Timestamp, Vault, WebDav};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (vault, identities) = (Vault::open("vault", "state-hub")?, Identities::load("keys.txt")?);
//! let login = Credentials { user: "hub".into(), password: "an app password".into() };
//! let folder = "https://cloud.example/remote.php/dav/files/hub/backups";
//! let cloud = WebDav::new(folder, Some(&login), None, Limits::default())?;
//! let remote = Remote::new("cloud", Arc::new(cloud), &vault);
//!
//! let there = remote.listing()?;
//! // Sent, its ends read back, and recorded:
//! remote.push(&vault, &vault.find("latest")?, &there, Timestamp::now())?;
//!
//! let copy = remote.find("latest")?;
//! vault.verify(&copy, &identities, Depth::Quick)?;      // two requests, whatever the size
//! let clear = vault.open_entry(&copy, &identities)?;    // Read + Seek, by ranges
//! # Ok(())
//! # }
//! ```
//!
//! Nothing there is overwritten but sidecars, a file appears under its name as a whole, and "sent"
//! ([`SentCopy::sent_at`]) is another thing than "read back and the same"
//! ([`SentCopy::proven_at`]). The calls block, as everything here does; they have [`Limits`] and
//! end.
//!
//! # Errors
//!
//! [`Error`] tells apart what calls for different actions: no key given, wrong key, header damaged,
//! truncated, a bit flipped, not an age file. [`Error::hint`] says what to do.
//!
//! [age]: https://age-encryption.org/v1

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod copying;
mod digest;
mod durable;
mod entry;
mod error;
mod fault;
mod find;
mod freshness;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod identities;
mod importing;
mod latest;
mod leftover;
mod lock;
mod name;
mod origin;
mod parallel;
mod plugin;
mod progress;
mod prune;
mod recipients;
mod rekey;
mod remote;
mod retention;
mod sealed_file;
mod sealing;
mod sidecar;
mod signature;
mod source;
mod stanza;
mod target;
mod unsealed;
mod vault;
mod verify;

pub use crate::{
    digest::of_file as sha256_of,
    entry::Entry,
    error::{Error, ErrorClass, Result},
    freshness::Freshness,
    identities::Identities,
    leftover::{Leftover, LeftoverKind},
    lock::{LockOwner, VaultLock},
    origin::{Origin, Problem},
    plugin::Person,
    progress::{Progress, Stage},
    recipients::{Fingerprint, RecipientKind, Recipients},
    remote::{Listing, Proof, Pushed, Remote, SentCopy},
    retention::{Circumstances, Decision, Plan, Reason, Retention},
    sealed_file::SealedFile,
    sealing::Sealing,
    sidecar::{SealedFor, Sidecar, SidecarFacts, State},
    signature::{SIGNATURE_NAMESPACE, SigningKey},
    target::{
        Content, FolderSpec, Limits, Receipt, RemoteFile, RemoteSpec, Target, TargetFailure,
        TargetSpec, Upload,
    },
    unsealed::{Unsealed, open_file, open_reader},
    vault::{Vault, VaultOptions},
    verify::{Depth, Verification},
};

#[cfg(feature = "sftp")]
pub use crate::target::Sftp;
#[cfg(feature = "http")]
pub use crate::target::{Credentials, FileDrop, WebDav};
#[cfg(feature = "s3")]
pub use crate::target::{S3, S3Location};

// Types of other crates that appear in the public interface.
pub use jiff::{Timestamp, tz::TimeZone};
pub use secrecy::SecretString;
pub use sshsig::{AllowedSigners, Prompt};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
