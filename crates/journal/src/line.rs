//! The wire format `journal/1` of a record, specified in `docs/formats/journal.md`.
//!
//! A line is a JSON object whose last member is the hash; the hash is taken over the bytes before
//! that member, as they stand in the file. So nothing has to be brought into a canonical form to
//! verify a line.

use std::fmt;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::chain::Chain;
use crate::hash::Hash;
use crate::record::{NewRecord, Outcome, Record};
use crate::{Damage, Error};

const FORMAT: &str = "journal/1";
const HASH_MEMBER: &str = ",\"hash\":\"";
const LINE_END: &str = "\"}";
const HASH_DIGITS: usize = 64;
const SUFFIX: usize = HASH_MEMBER.len() + HASH_DIGITS + LINE_END.len();

/// The members of a line in their order. A line is written without its hash first, then the hash is
/// taken and added.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    format: String,
    seq: u64,
    at: Timestamp,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    outcome: Outcome,
    subject: String,
    evidence: Value,
    prev: Hash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<Hash>,
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Line {
            format: FORMAT.to_owned(),
            seq: self.seq,
            at: Timestamp::try_from(self.at).map_err(serde::ser::Error::custom)?,
            kind: self.kind.clone(),
            host: self.host.clone(),
            outcome: self.outcome.clone(),
            subject: self.subject.clone(),
            evidence: self.evidence.clone(),
            prev: self.prev,
            hash: Some(self.hash),
        }
        .serialize(serializer)
    }
}

/// Makes the record that follows the end of `chain`, and its line with the line end.
pub(crate) fn seal(new: NewRecord, mut chain: Chain) -> Result<(Record, String), Error> {
    let invalid = |reason: String| Error::InvalidRecord { reason };
    let body = serde_json::to_string(&Line {
        format: FORMAT.to_owned(),
        seq: chain.records() + 1,
        at: Timestamp::try_from(new.at).map_err(|error| invalid(error.to_string()))?,
        kind: new.kind,
        host: new.host,
        outcome: new.outcome,
        subject: new.subject,
        evidence: new.evidence,
        prev: chain.hash(),
        hash: None,
    })
    .map_err(|error| invalid(error.to_string()))?;
    let body = body.strip_suffix('}').expect("a struct serialises to a JSON object");
    let hash = Hash::of(body.as_bytes());
    let mut line = format!("{body}{HASH_MEMBER}{hash}{LINE_END}");
    // A line that cannot be read back, such as one nested too deeply, would spoil the journal for good.
    let record = chain.follow(line.as_bytes()).map_err(|flaw| invalid(flaw.to_string()))?;
    line.push('\n');
    Ok((record, line))
}

/// Reads one line, given without its line end, and checks its hash.
pub(crate) fn parse(line: &[u8]) -> Result<Record, Flaw> {
    check_format(line)?;
    let (body, stated) = split_hash(line).ok_or_else(|| unreadable("it does not end in a hash"))?;
    let computed = Hash::of(body);
    if stated != computed {
        return Err(Damage::Edited { stated, computed }.into());
    }
    let line: Line = serde_json::from_slice(line).map_err(|error| unreadable(error.to_string()))?;
    Ok(Record {
        seq: line.seq,
        at: line.at.into(),
        kind: line.kind,
        host: line.host,
        outcome: line.outcome,
        subject: line.subject,
        evidence: line.evidence,
        prev: line.prev,
        hash: stated,
    })
}

/// The version comes first, in the line and in the reading: nothing else may be concluded from a
/// version unknown here.
fn check_format(line: &[u8]) -> Result<(), Flaw> {
    let format = line
        .strip_prefix(b"{\"format\":\"")
        .and_then(|rest| rest.split(|byte| *byte == b'"').next())
        .ok_or_else(|| unreadable("it does not begin with its format"))?;
    if format == FORMAT.as_bytes() {
        Ok(())
    } else if format.starts_with(b"journal/") {
        Err(Flaw::UnknownVersion(String::from_utf8_lossy(format).into_owned()))
    } else {
        Err(unreadable("its format is not that of a journal"))
    }
}

/// Splits a line into the bytes that are hashed and the hash.
fn split_hash(line: &[u8]) -> Option<(&[u8], Hash)> {
    let (body, suffix) = line.split_at_checked(line.len().checked_sub(SUFFIX)?)?;
    let digits = suffix.strip_prefix(HASH_MEMBER.as_bytes())?.strip_suffix(LINE_END.as_bytes())?;
    Some((body, str::from_utf8(digits).ok()?.parse().ok()?))
}

fn unreadable(reason: impl Into<String>) -> Flaw {
    let reason = reason.into();
    Damage::Unreadable { reason }.into()
}

/// The reason why a line is refused, before its place is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    UnknownVersion(String),
    Damage(Damage),
}

impl Flaw {
    pub(crate) fn at(self, path: &Path, line: u64) -> Error {
        let path = path.to_owned();
        match self {
            Self::UnknownVersion(format) => Error::UnknownVersion { path, line, format },
            Self::Damage(damage) => Error::Damaged { path, line, damage },
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVersion(format) => write!(f, "unknown format `{format}`"),
            Self::Damage(damage) => damage.fmt(f),
        }
    }
}

impl From<Damage> for Flaw {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use serde_json::json;

    use super::*;

    fn new_record() -> NewRecord {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_277_520_250);
        NewRecord::new(at, "backup", Outcome::Done, "state-hub")
            .with_host("workstation")
            .with_evidence(json!({ "rows": 3 }))
    }

    /// The line of the specification: if this test has to change, so does the version of the
    /// format.
    #[test]
    fn the_wire_format_stays_as_it_is() {
        let (_, line) = seal(new_record(), Chain::default()).unwrap();
        let expected = concat!(
            r#"{"format":"journal/1","seq":1,"at":"2026-11-21T16:12:00.25Z","kind":"backup","host":"workstation","#,
            r#""outcome":"done","subject":"state-hub","evidence":{"rows":3},"#,
            r#""prev":"0000000000000000000000000000000000000000000000000000000000000000","#,
            r#""hash":"0ef99bf163acb2bf77468a0b97803e1dd7d32e3d8e3a8d0f20f08bd88c40021f"}"#,
            "\n"
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn a_record_is_read_back_as_it_was_sealed() {
        let (sealed, line) = seal(new_record(), Chain::default()).unwrap();
        let read = parse(line.trim_end().as_bytes()).unwrap();
        assert_eq!(read, sealed);
        assert_eq!(serde_json::to_string(&read).unwrap(), line.trim_end());
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let newer = parse(br#"{"format":"journal/2","anything":[]}"#);
        assert_eq!(newer, Err(Flaw::UnknownVersion("journal/2".to_owned())));
        let foreign = parse(br#"{"format":"diary/1"}"#);
        assert!(matches!(foreign, Err(Flaw::Damage(Damage::Unreadable { .. }))), "{foreign:?}");
    }

    #[test]
    fn a_member_that_the_version_does_not_have_is_refused() {
        let (_, line) = seal(new_record(), Chain::default()).unwrap();
        let (body, _) = split_hash(line.trim_end().as_bytes()).unwrap();
        let body = format!("{},\"extra\":1", str::from_utf8(body).unwrap());
        let line = format!("{body}{HASH_MEMBER}{}{LINE_END}", Hash::of(body.as_bytes()));
        let flaw = parse(line.as_bytes()).unwrap_err();
        assert!(flaw.to_string().contains("extra"), "{flaw}");
    }

    #[test]
    fn evidence_that_could_not_be_read_back_is_refused() {
        let deep = (0..200).fold(Value::Null, |inner, _| json!([inner]));
        let error = seal(new_record().with_evidence(deep), Chain::default()).unwrap_err();
        assert!(error.to_string().contains("recursion limit"), "{error}");
    }
}
