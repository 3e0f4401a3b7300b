//! The judgement of approvals. Anything not proven here does not count.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use regularfile::Options;
use sshsig::AllowedSigners;

use super::document::{Approval, Revocation, Sealed, unknown_format};
use super::{Approvals, REVOKED, SUFFIX, exists, file_stem};
use crate::gate::ApprovalRule;
use crate::{Error, Hash};

/// No approval is longer, and nothing longer is read.
const LONGEST: u64 = 4 * 1024 * 1024;

/// Which approvals count.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The people who may approve.
    pub signers: AllowedSigners,
    /// The number of people who have to.
    pub persons: NonZeroUsize,
    /// For how long an approval may count at most.
    pub longest: Duration,
}

impl Policy {
    /// The policy of a gate's rule, with these signers.
    #[must_use]
    pub fn of(rule: &ApprovalRule, signers: AllowedSigners) -> Self {
        let persons =
            NonZeroUsize::new(rule.persons).expect("a gate by nobody is refused when it is read");
        Self { signers, persons, longest: rule.expires }
    }
}

/// The judgement of a gate's approvals.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Enough people approved this plan on this evidence.
    Granted {
        /// The approvals, earliest first.
        by: Vec<Grant>,
        /// The time it ends.
        until: Timestamp,
    },
    /// Not enough people did.
    Missing {
        /// The number of approvals.
        have: usize,
        /// The required number.
        need: usize,
    },
    /// Somebody did, and it is over.
    Expired {
        /// Since when.
        at: Timestamp,
    },
    /// There is an approval, but it does not count.
    Void {
        /// The reason why the newest does not count.
        why: VoidReason,
    },
}

/// One approval that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// The person who approved.
    pub principal: String,
    /// With which key, as `SHA256:…`.
    pub fingerprint: String,
    /// The time.
    pub issued_at: Timestamp,
    /// Until when it counts.
    pub expires_at: Timestamp,
}

/// A reason why an approval does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VoidReason {
    /// The file is not what was once written.
    Damaged {
        /// The fault in it.
        reason: String,
    },
    /// The signature does not make it one.
    NotSigned {
        /// The reason.
        reason: String,
    },
    /// It approves another gate, or was given another name.
    OtherGate,
    /// It approves another plan.
    OtherPlan,
    /// It was given on other evidence.
    OtherEvidence,
    /// It was issued after now.
    Future {
        /// The time.
        issued_at: Timestamp,
    },
    /// It was to count for longer than is allowed, or for no time.
    Duration,
    /// Somebody took it back.
    Revoked {
        /// The person, as far as that is proven.
        by: Option<String>,
    },
    /// It is over.
    Expired {
        /// Since when.
        at: Timestamp,
    },
}

impl fmt::Display for VoidReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { reason } => write!(f, "it is damaged: {reason}"),
            Self::NotSigned { reason } => write!(f, "{reason}"),
            Self::OtherGate => f.write_str("it is for another gate"),
            Self::OtherPlan => f.write_str("it is for another plan"),
            Self::OtherEvidence => f.write_str("the evidence is not what was approved any more"),
            Self::Future { issued_at } => {
                write!(f, "it was issued at {issued_at}, which is still to come")
            }
            Self::Duration => f.write_str("it is not limited to a time that is allowed"),
            Self::Revoked { by: Some(by) } => write!(f, "it was revoked by {by}"),
            Self::Revoked { by: None } => f.write_str("it was revoked"),
            Self::Expired { at } => write!(f, "it expired at {at}"),
        }
    }
}

/// The judgement of one file: the time it was issued, if that is signed, and its worth.
pub(super) type Finding = (Option<Timestamp>, Result<Grant, VoidReason>);

/// Gate, plan and evidence that are asked about.
pub(super) type Subject<'a> = (&'a str, Hash, Hash);

/// Examines the approval with this id; nothing where it went away.
pub(super) fn examine(
    approvals: &Approvals,
    id: &str,
    subject: Subject<'_>,
    now: Timestamp,
    policy: &Policy,
) -> Result<Option<Finding>, Error> {
    let stem = file_stem(subject.0, id);
    let path = approvals.directory().join(format!("{stem}{SUFFIX}"));
    let Some(bytes) = read(&path)? else {
        return Ok(None);
    };
    let damaged = |reason: String| Ok(Some((None, Err(VoidReason::Damaged { reason }))));
    let Ok(text) = String::from_utf8(bytes) else {
        return damaged("it is no text".to_owned());
    };
    if let Some(format) = unknown_format(&text) {
        return Err(Error::UnknownApproval { path, format });
    }
    let sealed = match Sealed::parse(&text) {
        Ok(sealed) => sealed,
        Err(reason) => return damaged(reason),
    };
    let approval: Approval = match sealed.document() {
        Ok(approval) => approval,
        Err(reason) => return damaged(reason),
    };
    // The key counts now, and did then: one that was taken out, and one that was not in yet, approves nothing.
    let signer = sealed
        .verify(&approval.approver, approval.issued_at, policy)
        .and_then(|_| sealed.verify(&approval.approver, now, policy));
    let signer = match signer {
        Ok(signer) => signer,
        Err(error) if error.class() == sshsig::ErrorClass::No => {
            let reason = error.to_string();
            return Ok(Some((None, Err(VoidReason::NotSigned { reason }))));
        }
        Err(error) => return Err(error.into()),
    };
    let issued_at = Some(approval.issued_at);
    if approval.id != id {
        return Ok(Some((issued_at, Err(VoidReason::OtherGate))));
    }
    if let Some(by) = revoked(approvals, &stem, id, now, policy)? {
        return Ok(Some((issued_at, Err(VoidReason::Revoked { by }))));
    }
    if let Some(flaw) = flaw(&approval, subject, now, policy) {
        return Ok(Some((issued_at, Err(flaw))));
    }
    let grant = Grant {
        principal: approval.approver,
        fingerprint: signer.fingerprint,
        issued_at: approval.issued_at,
        expires_at: approval.expires_at,
    };
    Ok(Some((issued_at, Ok(grant))))
}

/// Returns the flaw of a signed approval, if any.
pub(super) fn flaw(
    approval: &Approval,
    (gate, plan, evidence): Subject<'_>,
    now: Timestamp,
    policy: &Policy,
) -> Option<VoidReason> {
    let (issued_at, expires_at) = (approval.issued_at, approval.expires_at);
    let lasts = Duration::try_from(expires_at.duration_since(issued_at));
    if approval.gate != gate {
        Some(VoidReason::OtherGate)
    } else if approval.plan != plan || Hash::of(approval.shown.plan.as_bytes()) != plan {
        Some(VoidReason::OtherPlan)
    } else if approval.evidence != evidence {
        Some(VoidReason::OtherEvidence)
    } else if issued_at > now {
        Some(VoidReason::Future { issued_at })
    } else if !lasts.is_ok_and(|lasts| !lasts.is_zero() && lasts <= policy.longest) {
        Some(VoidReason::Duration)
    } else if expires_at <= now {
        Some(VoidReason::Expired { at: expires_at })
    } else {
        None
    }
}

/// Whether a revocation stands beside an approval, and whose it is. What stands there revokes, also
/// where it is damaged: otherwise a flipped bit would bring the approval back.
fn revoked(
    approvals: &Approvals,
    stem: &str,
    id: &str,
    now: Timestamp,
    policy: &Policy,
) -> Result<Option<Option<String>>, Error> {
    let path = approvals.directory().join(format!("{stem}{REVOKED}"));
    if !exists(&path)? {
        return Ok(None);
    }
    let text = read(&path).ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok());
    let by = text.and_then(|text| {
        let sealed = Sealed::parse(&text).ok()?;
        let revocation: Revocation = sealed.document().ok()?;
        let is_of_this = file_stem(&revocation.gate, &revocation.id) == stem && revocation.id == id;
        sealed.verify(&revocation.approver, now, policy).ok()?;
        is_of_this.then_some(revocation.approver)
    });
    Ok(Some(by))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    // Whoever may write to the directory may take a revocation away.
    match Options::read().in_place().trusted_for_root().to_vec(path, LONGEST) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the judgement of all findings.
pub(super) fn standing(found: Vec<Finding>, need: NonZeroUsize) -> Standing {
    let need = need.get();
    let mut by = Vec::new();
    let mut newest: Option<(Option<Timestamp>, VoidReason)> = None;
    for (issued_at, worth) in found {
        match worth {
            Ok(grant) => by.push(grant),
            Err(flaw) if newest.as_ref().is_none_or(|(at, _)| *at <= issued_at) => {
                newest = Some((issued_at, flaw));
            }
            Err(_) => {}
        }
    }
    by.sort_by_key(|grant| grant.issued_at);
    let have = persons(&by);
    if have >= need {
        let until = until(&by, need);
        return Standing::Granted { by, until };
    }
    match newest {
        Some((_, VoidReason::Expired { at })) if have == 0 => Standing::Expired { at },
        Some((_, why)) if have == 0 => Standing::Void { why },
        _ => Standing::Missing { have, need },
    }
}

/// Counts the people: those who share a name or a key, even through a third, are one.
fn persons(grants: &[Grant]) -> usize {
    let mut people: Vec<BTreeSet<(bool, &str)>> = Vec::new();
    for grant in grants {
        let mut person = BTreeSet::from([(false, &*grant.principal), (true, &*grant.fingerprint)]);
        people.retain(|other| {
            let is_other = other.is_disjoint(&person);
            if !is_other {
                person.extend(other);
            }
            is_other
        });
        people.push(person);
    }
    people.len()
}

/// Returns the time at which too few will be left.
fn until(grants: &[Grant], need: usize) -> Timestamp {
    let mut ends: Vec<_> = grants.iter().map(|grant| grant.expires_at).collect();
    ends.sort();
    let is_enough_after = |end: &Timestamp| {
        let left: Vec<_> = grants.iter().filter(|grant| grant.expires_at > *end).cloned().collect();
        persons(&left) >= need
    };
    let end = ends.iter().find(|end| !is_enough_after(end));
    *end.expect("when the last has gone, nobody is left")
}
