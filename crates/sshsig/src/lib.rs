//! SSH signatures: made by `ssh-keygen`, checked against a file of allowed signers.
//!
//! A signature of OpenSSH (`PROTOCOL.sshsig`) says that the holder of a key has seen some bytes,
//! for one purpose, the *namespace*. [`sign`] lets `ssh-keygen -Y sign` make one, so that keys in
//! an agent, with a passphrase, and in hardware all work. [`AllowedSigners`] reads the file of
//! OpenSSH that says whose keys count, for which namespaces and when, and checks signatures against
//! it without any program.
//!
//! ```no_run
//! use sshsig::{AllowedSigners, Prompt, TimeZone, Timestamp};
//!
//! let key = "/home/anna/.ssh/id_ed25519";
//! let signature = sshsig::sign(key, "example", b"the bytes", Prompt::Allowed)?;
//! let signers = AllowedSigners::load("/etc/example/allowed_signers", &TimeZone::system())?;
//! let signer = signers.verify("example", b"the bytes", &signature, Timestamp::now())?;
//! println!("{} with {}", signer.principals, signer.fingerprint);
//! # Ok::<(), sshsig::Error>(())
//! ```
//!
//! # What is stricter than `ssh-keygen -Y verify`
//!
//! - The armor has exactly the shape in which `ssh-keygen` writes it, so that no bit of it can be
//!   another one.
//! - One line of the allowed signers that cannot be understood refuses the file, wherever it
//!   stands.
//! - `cert-authority` is refused: certificates are not supported.
//! - RSA keys have at least 2048 bits, and a hardware key was touched.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod armor;
mod error;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod key;
mod sign;
mod signature;
mod signers;

pub use crate::{
    error::{Error, ErrorClass, Result},
    key::PublicKey,
    sign::{Prompt, sign},
    signers::{AllowedSigners, Signer},
};

// Types of another crate that appear in the public interface.
pub use jiff::{Timestamp, tz::TimeZone};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
