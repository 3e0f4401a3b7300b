//! Gates with evidence: conditions that are judged from what was read, and approvals that a human
//! signs.
//!
//! # Gates
//!
//! A gate says whether something may be done now. Three steps lead to its answer, and they know
//! nothing of each other:
//!
//! 1. **Read.** A [`Condition`] names the questions it needs answered ([`Read`]); a [`Collector`]
//!    asks them, each once, and keeps what was answered, or why nothing was, as [`Evidence`].
//!    Nothing is judged here.
//! 2. **Judge.** [`Gates::evaluate`] makes a [`Verdict`] of evidence and a time. Nothing is read
//!    here, so the same document gives the same verdicts elsewhere and later, and neither the order
//!    nor the repetition of what is in it changes one.
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
//! - **"Could not ask" is not an answer.** What is forbidden, slow, unreachable, answered by
//!   somebody else, or by another cluster than the pinned one is [`Answer::Unknown`], with the
//!   reason; it is never an empty list. It counts as neither pass nor fail, also in combinations.
//! - **Fields that lie are not believed.** When something last ran is not when it last succeeded;
//!   `healthy` of a volume that is to have one copy says nothing; `Available` may be an old pod.
//!   Each such field has a fixture whose verdict would be another one if it were believed.
//! - **No secret is kept.** [`Reading::new`] removes them.
//! - **Nothing waits for ever.** Requests have deadlines ([`Pace`]), scripts are killed with
//!   everything that they started.
//!
//! The library chooses no version of Kubernetes: a program that uses it depends on `k8s-openapi`
//! and enables one.
//!
//! # Approvals
//!
//! [`Approvals`] keep what humans were shown and signed: for one gate, one plan and one evidence,
//! until a time. [`Approvals::judge`] says what they are worth; whatever is not proven does not
//! count, so a program that holds no approver's key cannot approve anything. Whoever may write the
//! directory can remove files: an approval, and also a revocation, which is why an approval always
//! has an end.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod approval;
mod bundle;
mod collect;
pub mod condition;
mod error;
mod evidence;
mod gate;
mod script_runs;
mod size;
mod verdict;

pub use answer::Answer;
pub use approval::{
    APPROVAL_NAMESPACE, ApprovalCopies, ApprovalFiles, ApprovalRequest, Approvals, Approver, Grant,
    Policy, Standing, UnpackedApprovals, VoidReason,
};
pub use bundle::Bundle;
pub use collect::{Access, Collector, Pace, Respondent};
pub use condition::Condition;
pub use error::{Error, ErrorClass};
pub use evidence::redact::{output as shown_output, url as shown_url};
pub use evidence::{Absence, Content, Evidence, Held, Kind, Read, Reading};
#[cfg(feature = "schema")]
pub use gate::schema as gate_schema;
pub use gate::{ApprovalRule, Approving, Gate, Gates, Rule, Verdicts};
pub use journal::Hash;
pub use script_runs::ScriptRuns;
pub use size::Size;
pub use verdict::{ObjectReference, Subject, Verdict};
