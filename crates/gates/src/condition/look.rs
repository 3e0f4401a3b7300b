//! The view of a condition: the evidence, the time, and the verdicts that follow from absent
//! evidence.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::object::Object;
use crate::evidence::{Absence, Content, Evidence, Kind, Read, Reading};
use crate::verdict::Verdict;

/// The verdict of a condition; the `Err` is one as well, that was clear before the end.
pub(super) type Judged = Result<Verdict, Box<Verdict>>;

/// The evidence at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    evidence: &'a Evidence,
    now: Timestamp,
}

impl<'a> Look<'a> {
    pub(super) fn new(evidence: &'a Evidence, now: Timestamp) -> Self {
        Self { evidence, now }
    }

    fn reading(self, read: &Read) -> Option<&'a Reading> {
        self.evidence.answering(read)
    }

    /// Returns the content, or the reason why there is none.
    pub(super) fn content(self, read: &Read) -> Result<&'a Value, Absence> {
        match self.reading(read).map(|reading| &reading.content) {
            Some(Content::Found(value)) => Ok(value),
            Some(Content::Absent(absence)) => Err(absence.clone()),
            None => Err(Absence::NotCollected),
        }
    }

    /// Returns the content; without any, the verdict is unknown.
    pub(super) fn found(self, read: &Read) -> Result<&'a Value, Box<Verdict>> {
        self.content(read).map_err(|absence| Box::new(unknown(read, &absence)))
    }

    /// The object; that there is none, or no such kind, is a fail.
    pub(super) fn object(self, read: &'a Read) -> Result<Object<'a>, Box<Verdict>> {
        let (cluster, kind) = parts(read);
        match self.content(read) {
            Ok(value) => Ok(Object::new(cluster, kind, value)),
            Err(absence) => Err(Box::new(missing(read, kind, &absence))),
        }
    }

    /// The objects of a list; that there is no such kind is a fail.
    pub(super) fn list(self, read: &'a Read) -> Result<Vec<Object<'a>>, Box<Verdict>> {
        let (cluster, kind) = parts(read);
        match self.content(read) {
            Ok(value) => Ok(Object::of_list(cluster, kind, value)),
            Err(absence) => Err(Box::new(missing(read, kind, &absence))),
        }
    }

    /// The objects of a list; none where there is no such kind.
    pub(super) fn list_if_any(self, read: &'a Read) -> Result<Vec<Object<'a>>, Box<Verdict>> {
        match self.content(read) {
            Err(Absence::NoSuchKind) => Ok(Vec::new()),
            _ => self.list(read),
        }
    }

    /// The time, by the clock of whoever answered the question.
    pub(super) fn time(self, read: &Read) -> Timestamp {
        self.reading(read).map_or(self.now, |reading| Evidence::time_there(reading, self.now))
    }

    /// Returns the age of a time, by the clock of the server that answered.
    pub(super) fn age(self, read: &Read, then: Timestamp) -> SignedDuration {
        self.time(read).duration_since(then)
    }

    /// Returns the lead of the answering server's clock, in seconds.
    pub(super) fn skew(self, read: &Read) -> Option<f64> {
        self.reading(read)?.skew_seconds
    }

    /// The time of the oldest of these readings.
    pub(super) fn oldest(self, reads: &[Read]) -> Option<Timestamp> {
        let readings = reads.iter().filter_map(|read| self.reading(read));
        readings.map(|reading| reading.observed_at).min()
    }
}

fn parts(read: &Read) -> (&str, &Kind) {
    match read {
        Read::List { cluster, kind, .. } | Read::Object { cluster, kind, .. } => (cluster, kind),
        other => unreachable!("{other} is no question about objects"),
    }
}

fn unknown(read: &Read, absence: &Absence) -> Verdict {
    let verdict = Verdict::unknown(format!("{read} could not be read: {absence}"));
    match absence.hint() {
        Some(hint) => verdict.with_hint(hint),
        None => verdict,
    }
}

fn missing(read: &Read, kind: &Kind, absence: &Absence) -> Verdict {
    match absence {
        Absence::NotFound => Verdict::fail(format!("{read} does not exist"))
            .with_hint("check cluster, namespace and name; names are those of this cluster only"),
        Absence::NoSuchKind => Verdict::fail(format!(
            "{} is not installed: the cluster does not know {}",
            product(&kind.group),
            kind.resource()
        ))
        .with_hint(format!(
            "install {}, or remove this gate from the configuration",
            product(&kind.group)
        ))
        .terminal(),
        other => unknown(read, other),
    }
}

fn product(group: &str) -> &str {
    match group {
        "longhorn.io" => "Longhorn",
        "postgresql.cnpg.io" => "CloudNativePG",
        "barmancloud.cnpg.io" => "the Barman Cloud plugin of CloudNativePG",
        "" => "this part of Kubernetes",
        other => other,
    }
}
