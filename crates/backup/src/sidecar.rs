//! The sidecar: public facts about one entry, in JSON beside it. The format is specified in
//! `docs/formats/sidecar.md`.
//!
//! Everything that knows the layout of the file is in this module. Fields that it does not know are
//! kept when the file is written again, so that an older program does not lose what a newer one
//! recorded.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use regularfile::Options;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::name::{Names, Stamp};
use crate::recipients::RecipientKind;
use crate::remote::SentCopy;
use crate::{Error, Result, durable, fault};

/// The only version this library reads and writes.
const FORMAT: &str = "backup-sidecar/1";
/// The prefix of all versions: a JSON file without it is not a sidecar at all.
const FAMILY: &str = "backup-sidecar/";
/// No sidecar is larger: it has some facts, and the names of copies.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The proven state of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// Nothing is recorded: the file has no sidecar, or one that cannot be used. Never written to a
    /// sidecar.
    Foreign,
    /// Written completely, and nothing proven since.
    Sealed,
    /// Opened with an identity and found to be what was sealed.
    Verified,
    /// Restored for real and found to hold what it should.
    Drilled,
}

impl State {
    /// The lower-case word of the sidecar.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Sealed => "sealed",
            Self::Verified => "verified",
            Self::Drilled => "drilled",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A recipient that an entry was sealed for, with the proof that its stanza went into the header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SealedFor {
    /// The stanza type, as [`RecipientKind::as_str`] names it; a later version may write others.
    #[serde(rename = "type")]
    pub kind: String,
    /// The public key, or the word `passphrase`.
    pub recipient: String,
    /// SHA-256 of each stanza made for it, in lower-case hexadecimal.
    pub stanzas: Vec<String>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

impl SealedFor {
    pub(crate) fn new(kind: RecipientKind, recipient: String, stanzas: Vec<String>) -> Self {
        Self { kind: kind.as_str().to_owned(), recipient, stanzas, unknown: Map::new() }
    }
}

/// The caller's facts, in addition to those that sealing finds out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SidecarFacts {
    /// The time the entry was complete.
    pub sealed_at: Timestamp,
    /// Public facts about the payload, in the caller's own shape. No secret belongs here: the
    /// sidecar is clear text.
    pub payload: Value,
    /// A text to keep with the entry, and to sign with it: whatever is to be known later as it was
    /// now.
    pub anchor: Option<String>,
}

impl SidecarFacts {
    /// Facts without a payload.
    pub fn new(sealed_at: Timestamp) -> Self {
        Self { sealed_at, payload: Value::Null, anchor: None }
    }

    /// Sets the facts about the payload.
    #[must_use]
    pub fn payload(mut self, payload: Value) -> Self {
        self.payload = payload;
        self
    }

    /// Sets the text that is kept and signed with the entry.
    #[must_use]
    pub fn anchor(mut self, anchor: Option<String>) -> Self {
        self.anchor = anchor;
        self
    }
}

/// The recorded facts of one entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sidecar {
    format: String,
    /// The service whose backup this is.
    pub service: String,
    /// The name of the sealed file, in the same directory.
    pub file: String,
    /// The time whose data the payload holds: the age of a backup counts from here.
    pub taken_at: Timestamp,
    /// The time the file was complete.
    pub sealed_at: Timestamp,
    /// Length of the payload in bytes.
    pub clear_bytes: u64,
    /// Length of the sealed file in bytes.
    pub sealed_bytes: u64,
    /// SHA-256 of the sealed file, in lower-case hexadecimal: `sha256sum` prints the same.
    pub sha256: String,
    /// The recipients.
    pub recipients: Vec<SealedFor>,
    state: State,
    /// The time of the last verification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// The time of the last drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drilled_at: Option<Timestamp>,
    /// The records of its copies, by the name of the target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub copies: BTreeMap<String, SentCopy>,
    /// Public facts about the payload, as the caller of [`Sealing::commit`](crate::Sealing::commit)
    /// gave them.
    #[serde(default)]
    pub payload: Value,
    /// A text that is kept with the entry and signed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<String>,
    /// An SSH signature, as `ssh-keygen` writes it, over what does not change any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

/// The facts that sealing found out while the file streamed by.
pub(crate) struct Streamed {
    pub(crate) taken_at: Timestamp,
    pub(crate) clear_bytes: u64,
    pub(crate) sealed_bytes: u64,
    pub(crate) sha256: String,
    pub(crate) recipients: Vec<SealedFor>,
}

impl Sidecar {
    pub(crate) fn new(
        service: &str,
        file: String,
        streamed: Streamed,
        facts: SidecarFacts,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            service: service.to_owned(),
            file,
            taken_at: streamed.taken_at,
            sealed_at: facts.sealed_at,
            clear_bytes: streamed.clear_bytes,
            sealed_bytes: streamed.sealed_bytes,
            sha256: streamed.sha256,
            recipients: streamed.recipients,
            state: State::Sealed,
            verified_at: None,
            drilled_at: None,
            copies: BTreeMap::new(),
            payload: facts.payload,
            anchor: facts.anchor,
            signature: None,
            unknown: Map::new(),
        }
    }

    /// Returns the proven state of the entry.
    pub fn state(&self) -> State {
        self.state
    }

    /// The same without what was proven: a file that has no name yet is proven by nobody.
    pub(crate) fn unproven(&self) -> Self {
        Self { state: State::Sealed, verified_at: None, drilled_at: None, ..self.clone() }
    }

    pub(crate) fn verify_at(&mut self, at: Timestamp) {
        self.verified_at = self.verified_at.max(Some(at));
        self.state = self.state.max(State::Verified);
    }

    pub(crate) fn drill_at(&mut self, at: Timestamp) {
        self.drilled_at = self.drilled_at.max(Some(at));
        self.state = State::Drilled;
    }

    /// Takes over what was proven of the same file elsewhere.
    pub(crate) fn learn(&mut self, other: &Self) {
        if let Some(at) = other.verified_at {
            self.verify_at(at);
        }
        if let Some(at) = other.drilled_at {
            self.drill_at(at);
        }
    }

    /// The sidecar for a copy: where other copies are is this vault's business.
    pub(crate) fn for_elsewhere(&self) -> Self {
        Self { copies: BTreeMap::new(), ..self.clone() }
    }

    pub(crate) fn stanzas(&self) -> impl Iterator<Item = &str> {
        self.recipients.iter().flat_map(|recipient| &recipient.stanzas).map(String::as_str)
    }

    pub(crate) fn public_recipients(&self) -> Vec<String> {
        self.recipients.iter().map(|recipient| recipient.recipient.clone()).collect()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a sidecar has only string keys");
        bytes.push(b'\n');
        bytes
    }

    pub(crate) fn rewrite(&self, path: &Path, temporary: &str) -> Result<()> {
        durable::replace(path, temporary, &self.to_bytes())
    }

    /// Reads a sidecar; `None` if there is no such file, or it is some other JSON that never was a
    /// sidecar.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        fault::point()?;
        let bytes = match Options::read().in_place().to_vec(path, LARGEST) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Self::parse(path, &bytes)
    }

    /// Parses these bytes as [`Sidecar::read`] does; `path` is for errors.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Option<Self>> {
        let known = serde_json::from_slice::<Self>(bytes);
        if let Some(sidecar) = known.ok().filter(|sidecar| sidecar.format == FORMAT) {
            sidecar.check(path)?;
            return Ok(Some(sidecar));
        }
        // It is none, or one that cannot be used: the rest finds out which.
        let invalid = |error: serde_json::Error| invalid(path, error.to_string());
        let value: Value = serde_json::from_slice(bytes).map_err(invalid)?;
        match value.get("format").and_then(Value::as_str) {
            Some(FORMAT) => {}
            Some(other) if other.starts_with(FAMILY) => {
                return Err(Error::UnknownSidecarVersion {
                    path: path.to_owned(),
                    found: other.to_owned(),
                });
            }
            _ => return Ok(None),
        }
        let sidecar: Self = serde_json::from_value(value).map_err(invalid)?;
        sidecar.check(path)?;
        Ok(Some(sidecar))
    }

    fn check(&self, path: &Path) -> Result<()> {
        let is_hash = |text: &str| {
            text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let proven = match self.state {
            State::Foreign => return Err(invalid(path, "it has no state that a sidecar can have")),
            State::Sealed => self.verified_at.is_none() && self.drilled_at.is_none(),
            State::Verified => self.verified_at.is_some() && self.drilled_at.is_none(),
            State::Drilled => self.verified_at.is_some() && self.drilled_at.is_some(),
        };
        if !proven {
            return Err(invalid(path, "its state and its times contradict each other"));
        }
        if !is_hash(&self.sha256) || !self.stanzas().all(is_hash) {
            return Err(invalid(path, "a hash in it is not SHA-256 in lower-case hexadecimal"));
        }
        Ok(())
    }

    /// Returns true if it describes the entry whose name it stands beside.
    pub(crate) fn belongs_to(&self, names: &Names, stamp: Stamp) -> bool {
        self.service == names.service()
            && self.file == names.entry(stamp)
            && Stamp::new(self.taken_at).is_ok_and(|taken| taken.second() == stamp.second())
    }
}

pub(crate) fn invalid(path: &Path, reason: impl Into<String>) -> Error {
    Error::InvalidSidecar { path: path.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Value {
        json!({
            "format": "backup-sidecar/1", "service": "hub", "file": "hub-20261121T161200Z.age",
            "taken_at": "2026-11-21T16:12:00.25Z", "sealed_at": "2026-11-21T16:13:00Z",
            "clear_bytes": 3, "sealed_bytes": 300, "sha256": "0".repeat(64),
            "recipients": [{"type": "X25519", "recipient": "age1x", "stanzas": ["a".repeat(64)], "escrow": true}],
            "state": "sealed", "payload": {"rows": 5}, "signature": "nobody's", "weather": {"rain": true},
        })
    }

    fn read(value: &Value) -> Result<Option<Sidecar>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.json");
        fs_err::write(&path, value.to_string()).unwrap();
        Sidecar::read(&path)
    }

    #[test]
    fn unknown_fields_survive_a_rewrite() {
        let mut sidecar = read(&sample()).unwrap().unwrap();
        sidecar.verify_at("2026-11-21T17:00:00Z".parse().unwrap());
        let written: Value = serde_json::from_slice(&sidecar.to_bytes()).unwrap();
        let mut expected = sample();
        expected["state"] = json!("verified");
        expected["verified_at"] = json!("2026-11-21T17:00:00Z");
        assert_eq!(written, expected);
    }

    #[test]
    fn a_newer_version_is_refused_with_a_hint() {
        let mut newer = sample();
        newer["format"] = json!("backup-sidecar/2");
        let error = read(&newer).unwrap_err();
        assert!(
            matches!(&error, Error::UnknownSidecarVersion { found, .. } if found == "backup-sidecar/2")
        );
        assert!(error.hint().unwrap().contains("newer"));
    }

    #[test]
    fn contradictions_are_refused_and_strangers_ignored() {
        for (field, value) in [
            ("state", json!("verified")),
            ("state", json!("foreign")),
            ("state", json!("blessed")),
            ("sha256", json!("AB")),
            ("clear_bytes", json!(-1)),
            ("taken_at", json!("yesterday")),
            ("verified_at", json!("2026-11-21T17:00:00Z")),
        ] {
            let mut bad = sample();
            bad[field] = value;
            assert!(matches!(read(&bad), Err(Error::InvalidSidecar { .. })), "{field}");
        }
        assert!(read(&json!({"name": "some other tool"})).unwrap().is_none());
    }

    #[test]
    fn the_times_of_proofs_never_go_back() {
        let mut sidecar = read(&sample()).unwrap().unwrap();
        let (early, late) =
            ("2026-11-22T00:00:00Z".parse().unwrap(), "2026-11-23T00:00:00Z".parse().unwrap());
        sidecar.verify_at(late);
        sidecar.drill_at(late);
        sidecar.verify_at(early);
        assert_eq!((sidecar.state(), sidecar.verified_at), (State::Drilled, Some(late)));
    }
}
