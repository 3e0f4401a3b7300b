//! Typed evidence: what a record of each kind proves, as `docs/formats/journal.md` lists it.
//!
//! A writer fills the struct of its kind, so neither the kind nor a member can be mistyped:
//!
//! ```
//! use journal::evidence::{Clean, Evidence};
//! use journal::{Journal, NewRecord, Outcome};
//! use std::time::{Duration, SystemTime};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let journal = Journal::open(directory.path().join("journal.jsonl"))?;
//! let clean = Clean { database: "hub".to_owned(), dropped: vec!["hub__kept_1".to_owned()] };
//! let new = NewRecord::of(SystemTime::now(), Outcome::Done, "home", &clean)
//!     .with_duration(Duration::from_millis(250));
//! let record = journal.append(new)?.record;
//!
//! assert_eq!(record.kind, "clean");
//! assert_eq!(record.seconds(), Some(0.25));
//! assert_eq!(Evidence::of(&record), Evidence::Clean(clean));
//! # Ok(())
//! # }
//! ```
//!
//! # How a kind evolves
//!
//! A kind has no version number of its own. Its members are only ever added, each of them optional
//! for the reader; a member that changes its meaning makes a new kind. A reader ignores members
//! that it does not know, and reads what it does not understand as [`Evidence::Other`]. The record
//! itself keeps all of its evidence as it was written, in [`Record::evidence`].

mod backups;
mod chain;
mod cutovers;
mod databases;
mod fences;
mod gates;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{Outcome, Record};

pub use backups::{
    Backup, Check, Depth, Drill, EscrowTest, Import, Imported, Prune, Pull, Push, Rekey, Rekeyed,
    Verdict, Verify,
};
pub use chain::{Recovered, Rotated};
pub use cutovers::{Cutover, CutoverEnd};
pub use databases::{Clean, Copy, CopySource, Phases, Restore};
pub use fences::{Freeze, Strength, Thaw};
pub use gates::{Approve, Ended, GateScript};

/// Evidence of one kind of act. Its type names the kind.
///
/// Only this module implements it: a kind also has a table in `docs/formats/journal.md`.
pub trait Kind: Serialize + DeserializeOwned + sealed::Sealed {
    /// The kind of the record.
    const KIND: &'static str;

    /// Returns the evidence as it is written.
    #[must_use]
    fn to_value(&self) -> Value {
        value_of(self)
    }
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! kinds {
    ($($(#[$attribute:meta])* $name:ident = $kind:literal,)+) => {
        /// The evidence of a record, read by its kind and its outcome.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Evidence {
            $($(#[$attribute])* $name($name),)+
            /// An act of any kind failed with an error.
            Failed(Failed),
            /// An act of any kind was stopped.
            Interrupted,
            /// The kind is unknown, or its evidence has another shape.
            Other(Value),
        }

        $(
            impl sealed::Sealed for $name {}

            impl Kind for $name {
                const KIND: &'static str = $kind;
            }
        )+

        impl Evidence {
            /// The kind of each variant that has one; `journal` is that of two.
            pub const KINDS: &[&str] = &[$($name::KIND),+];

            fn of_kind(kind: &str, evidence: &Value) -> Option<Self> {
                $(
                    if kind == $name::KIND
                        && let Ok(known) = $name::deserialize(evidence)
                    {
                        return Some(Self::$name(known));
                    }
                )+
                None
            }
        }
    };
}

kinds! {
    /// A database was backed up.
    Backup = "backup",
    /// A backup was verified.
    Verify = "verify",
    /// A backup was restored for the sake of proof.
    Drill = "drill",
    /// Sealed files from elsewhere were taken into the vault.
    Import = "import",
    /// Backups were sealed for other recipients.
    Rekey = "rekey",
    /// Backups were removed by the rules of retention.
    Prune = "prune",
    /// Backups were copied to a target.
    Push = "push",
    /// Backups were fetched from a target.
    Pull = "pull",
    /// The key of a recipient was tested.
    EscrowTest = "escrow-test",
    /// A backup was restored.
    Restore = "restore",
    /// A database was copied to another site.
    Copy = "copy",
    /// Databases that earlier restores and copies kept were dropped.
    Clean = "clean",
    /// A site was frozen, or its freeze began.
    Freeze = "freeze",
    /// A site was thawed.
    Thaw = "thaw",
    /// The service was moved to another site, or a move began or stopped.
    Cutover = "cutover",
    /// A person approved a gate, or revoked approvals.
    Approve = "approve",
    /// A script of a gate was run.
    GateScript = "gate-script",
    /// An incomplete last line was moved out of the journal.
    Recovered = "journal",
    /// The journal was rotated.
    Rotated = "journal",
}

impl Evidence {
    /// Reads the evidence of a record. Whatever it does not understand, it returns unchanged.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let evidence = &record.evidence;
        // An array would pass for a struct whose members it has in their order.
        if !evidence.is_object() {
            return Self::Other(evidence.clone());
        }
        let known = match record.outcome {
            Outcome::Interrupted => Some(Self::Interrupted),
            // Some acts fail without an error: a drill with a verdict, a push with its counts.
            Outcome::Failed => Failed::deserialize(evidence).ok().map(Self::Failed),
            _ => None,
        };
        known
            .or_else(|| Self::of_kind(&record.kind, evidence))
            .unwrap_or_else(|| Self::Other(evidence.clone()))
    }
}

/// Evidence of an act of any kind that ended in an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The error.
    pub error: String,
    /// Its causes, the last one being the first to happen.
    pub causes: Vec<String>,
    /// The exit code of the program.
    pub exit_code: u8,
    /// True if the bytes of a sealed file are not those that were sealed. Absent in records of the
    /// first versions.
    #[serde(default)]
    pub damaged: bool,
}

impl Failed {
    /// Returns the evidence as it is written.
    #[must_use]
    pub fn to_value(&self) -> Value {
        value_of(self)
    }
}

fn value_of(evidence: &impl Serialize) -> Value {
    serde_json::to_value(evidence).expect("structs whose maps have text as keys serialise to JSON")
}
