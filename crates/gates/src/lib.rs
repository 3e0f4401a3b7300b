//! Gates with evidence: conditions that are judged from what was read, a journal that cannot be edited unnoticed, and
//! approvals that a human signs.
//!
//! # Gates
//!
//! A gate says whether something may be done now. Three steps lead to its answer, and they know nothing of each other:
//!
//! 1. **Read.** A [`Condition`] names the questions it needs answered ([`Read`]); a [`Collector`] asks them, each once, and
//!    keeps what was answered, or why nothing was, as [`Evidence`]. Nothing is judged here.
//! 2. **Judge.** [`Gates::evaluate`] makes a [`Verdict`] of evidence and a time. Nothing is read here, so the same document gives the
//!    same verdicts elsewhere and later, and neither the order nor the repetition of what is in it changes one.
//! 3. **Show.** That is the caller's.
//!
//! ```
//! use gates::{Access, Answer, Collector, Gate, Gates};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let gate: Gate = serde_json::from_value(serde_json::json!({
//!     "condition": "nodes", "cluster": "home", "ready": 3,
//! }))?;
//! let gates = Gates::new([("three-nodes".to_owned(), gate)].into())?;
//!
//! let access = Access::new("/nonexistent/kubeconfig", "home", Some("4c21".to_owned()));
//! let collector = Collector::new().with_cluster("home", access);
//! let evidence = collector.collect(&gates.reads(&["three-nodes"])).await;
//!
//! let verdicts = gates.evaluate(&["three-nodes"], &evidence, jiff::Timestamp::now());
//! // Nobody could be asked, which is neither yes nor no.
//! assert_eq!(verdicts["three-nodes"].answer, Answer::Unknown);
//! # Ok(())
//! # }
//! ```
//!
//! What is guaranteed:
//!
//! - **"Could not ask" is not an answer.** What is forbidden, slow, unreachable, answered by somebody else, or by another cluster than the
//!   pinned one is [`Answer::Unknown`], with the reason; it is never an empty list. It counts as neither pass nor fail, also in combinations.
//! - **Fields that lie are not believed.** When something last ran is not when it last succeeded; `healthy` of a volume that is to have one copy says
//!   nothing; `Available` may be an old pod. Each such field has a fixture whose verdict would be another one if it were believed.
//! - **No secret is kept.** [`Reading::new`] removes them.
//! - **Nothing waits for ever.** Requests have deadlines ([`Pace`]), scripts are killed with everything that they started.
//!
//! The library chooses no version of Kubernetes: a program that uses it depends on `k8s-openapi` and enables one.
//!
//! # The journal
//!
//! A migration is trusted for what it can show afterwards: what was done, when, to what, and with which result. The
//! [`Journal`] keeps that account. It is a file of JSON lines outside the service it guards, so it survives the service,
//! and every record carries the SHA-256 of the record before it, so a line that was edited, removed, inserted or moved
//! is found. The format is plain enough to be verified with `sha256sum`; it is specified in `docs/formats/journal.md`.
//!
//! ```
//! use gates::{Journal, NewRecord, Outcome};
//! use serde_json::json;
//! use std::time::SystemTime;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let journal = Journal::open(directory.path().join("journal.jsonl"))?;
//! let new = NewRecord::new(SystemTime::now(), "backup", Outcome::Done, "state-hub-20261121T161200Z")
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
//! ## What is guaranteed
//!
//! - **Acknowledged means durable.** [`Journal::append`] returns after `fsync`. A record that was returned is there
//!   after a crash.
//! - **Torn means never acknowledged.** A crash in the middle of an append can leave half a line. The next append, or
//!   [`Journal::recover`], moves it into a file of its own, says so in the journal and to the caller, and goes on.
//! - **Several writers are safe.** Appends from any number of threads and processes are ordered by an exclusive lock
//!   on the file; readers take a shared one. The lock is advisory, and the file must not be on a file system without locks.
//! - **Rotation keeps the chain.** [`Journal::rotate`] closes the file and goes on in a new one, whose first record follows the last of the old. Readers see all of them.
//! - **Damage is an error, never a shorter journal.** [`Journal::read`] and [`Journal::verify`] check every line and name
//!   the first one that is wrong. A version they do not know is refused.
//!
//! ## What is not
//!
//! The chain has no secret. Whoever may write the file can cut its end off, or write a whole new chain. Keep a
//! [`Head`] elsewhere (print it, mail it, sign it) and ask [`Journal::verify_against`]: it proves that everything up to
//! that head is still what it was.
//!
//! Records are clear text and are meant to be shown around. **Never put a secret into one**: no passwords, no
//! identities, no connection strings with either. The journal cannot tell, so this is the caller's duty.
//!
//! # Approvals
//!
//! [`Approvals`] keep what humans were shown and signed: for one gate, one plan and one evidence, until a time. [`Approvals::judge`] says what
//! they are worth; whatever is not proven does not count, so a program that holds no approver's key cannot approve anything. Whoever may
//! write the directory can remove files: an approval, and also a revocation, which is why an approval always has an end.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod approval;
mod collect;
pub mod condition;
mod error;
mod evidence;
mod gate;
mod journal;
mod size;
mod verdict;

pub use answer::Answer;
pub use approval::{
    APPROVAL_NAMESPACE, ApprovalRequest, Approvals, Approver, Flaw, Grant, Policy, Standing,
};
pub use collect::{Access, Collector, Pace, Program};
pub use condition::Condition;
pub use error::{Damage, Error};
pub use evidence::{Absence, Content, Evidence, Held, Kind, Read, Reading};
pub use gate::{Approval, Approving, Gate, Gates, Rule, Verdicts};
pub use journal::{
    Appended, Hash, Head, Journal, NewRecord, Outcome, Record, Rotated, TornLine, Verification,
};
pub use size::Size;
pub use verdict::{ObjectReference, Subject, Verdict};
