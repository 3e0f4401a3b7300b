//! The documents on disk: a statement, and the signature over the bytes before it.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::APPROVAL_NAMESPACE;
use super::judging::Policy;
use super::request::ApprovalRequest;
use crate::Hash;

const APPROVAL: &str = "hubctl-approval/1";
const REVOCATION: &str = "hubctl-revocation/1";
/// Separates what is signed from the signature. Inside a string its quotation marks would be
/// escaped.
const MARK: &str = ",\"signature\":\"";
const END: &str = "\"}\n";

/// An approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    format: String,
    pub(super) gate: String,
    pub(super) plan: Hash,
    pub(super) evidence: Hash,
    pub(super) shown: ShownText,
    pub(super) approver: String,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) id: String,
}

/// The text that was on the screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShownText {
    pub(super) plan: String,
    subjects: Vec<String>,
    evidence: Vec<String>,
    consequences: Vec<String>,
    way_back: String,
}

/// A revocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Revocation {
    format: String,
    pub(super) gate: String,
    pub(super) id: String,
    pub(super) approver: String,
    pub(super) issued_at: Timestamp,
}

impl Approval {
    pub(super) fn new(
        request: &ApprovalRequest,
        approver: &str,
        issued_at: Timestamp,
        expires_at: Timestamp,
        id: String,
    ) -> Self {
        Self {
            format: APPROVAL.to_owned(),
            gate: request.gate.clone(),
            plan: request.plan_hash(),
            evidence: request.evidence_hash,
            shown: ShownText {
                plan: request.plan.clone(),
                subjects: request.subjects.clone(),
                evidence: request.evidence_summary.clone(),
                consequences: request.consequences.clone(),
                way_back: request.way_back.clone(),
            },
            approver: approver.to_owned(),
            issued_at,
            expires_at,
            id,
        }
    }
}

impl Revocation {
    pub(super) fn new(gate: &str, id: &str, approver: &str, issued_at: Timestamp) -> Self {
        Self {
            format: REVOCATION.to_owned(),
            gate: gate.to_owned(),
            id: id.to_owned(),
            approver: approver.to_owned(),
            issued_at,
        }
    }
}

/// A document that has a format of its own.
pub(super) trait Document: Serialize + DeserializeOwned {
    const FORMAT: &'static str;
    fn format(&self) -> &str;
}

impl Document for Approval {
    const FORMAT: &'static str = APPROVAL;
    fn format(&self) -> &str {
        &self.format
    }
}

impl Document for Revocation {
    const FORMAT: &'static str = REVOCATION;
    fn format(&self) -> &str {
        &self.format
    }
}

/// The bytes that are signed: the object without its end.
pub(super) fn seal(document: &impl Document) -> String {
    let mut text = serde_json::to_string(document).expect("it has only string keys");
    let end = text.pop();
    debug_assert_eq!(end, Some('}'));
    text
}

/// The signed bytes and the signature, as the file holds them.
pub(super) fn join(statement: &str, signature: &str) -> String {
    let signature = signature.replace('\n', "\\n");
    format!("{statement}{MARK}{signature}{END}")
}

/// A file, taken apart.
pub(super) struct Sealed<'a> {
    statement: &'a str,
    signature: String,
}

impl<'a> Sealed<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        let rest = text.strip_suffix(END).ok_or("it does not end as one")?;
        let (statement, signature) = rest.rsplit_once(MARK).ok_or("it is not signed")?;
        // Nothing in a signature needs an escape but the ends of its lines.
        let signature = signature.replace("\\n", "\n");
        let sealed = Self { statement, signature };
        if join(statement, &sealed.signature) == text {
            Ok(sealed)
        } else {
            Err("its signature is not written as one".to_owned())
        }
    }

    /// The signature is of this principal, for approvals, and counted at that time.
    pub(super) fn verify(
        &self,
        principal: &str,
        at: Timestamp,
        policy: &Policy,
    ) -> Result<sshsig::Signer, sshsig::Error> {
        let message = self.statement.as_bytes();
        let signers = &policy.signers;
        signers.verify_as(principal, APPROVAL_NAMESPACE, message, &self.signature, at)
    }

    /// Returns the signed document. The signature is not checked yet.
    pub(super) fn document<T: Document>(&self) -> Result<T, String> {
        let text = format!("{}}}", self.statement);
        let document: T = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if document.format() != T::FORMAT {
            return Err(format!("it is no `{}`", T::FORMAT));
        }
        // One statement has one text, so that two readers never see two things in it.
        if seal(&document) != self.statement {
            return Err("it is not written as one".to_owned());
        }
        Ok(document)
    }
}

/// The format of a newer version, if the file has one.
pub(super) fn unknown_format(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let format = value.get("format")?.as_str()?;
    let family = format.split_once('/')?.0;
    let is_ours = [APPROVAL, REVOCATION]
        .iter()
        .any(|known| known.split_once('/').is_some_and(|(name, _)| name == family));
    let is_known = [APPROVAL, REVOCATION].contains(&format);
    (is_ours && !is_known).then(|| format.to_owned())
}

/// 32 lower-case hexadecimal digits.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
