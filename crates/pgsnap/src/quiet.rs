//! The proof that nothing changed behind a fence, between one reading and another.
//!
//! Each part is a finding of its own, and none stands in for another:
//!
//! * **renamed**: the server renamed the database, which it does only while no session is in it.
//! * **empty**: no session is in it now, and none is entering.
//! * **xid**: no transaction of the whole cluster had a number at either reading, and none was
//!   assigned in between. A row, a large object or a catalogue entry cannot change without one.
//!   Busy neighbours on the same server make this unknown, which is normal and says nothing.
//! * **census**: every row was counted and hashed again, and is as expected. It is taken only if
//!   the transaction numbers prove nothing.
//! * **sequences**: their states are the same. A sequence may advance without a transaction number.
//!
//! Readings, dumps, copies and censuses of this crate take no transaction number at the source.
//! Take the first reading after [`fence`](crate::fence) has returned.
//!
//! No part sees `ALTER SYSTEM`, replication origins, files of the server, or extensions that store
//! rows elsewhere. The counter of sessions is not used: the readings themselves move it.
//!
//! Tested on PostgreSQL 14, 15, 16, 17 and 18.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::catalog;
use crate::census::{Census, SequenceState};
use crate::compare::compare;
use crate::count::{CensusOptions, census};
use crate::database::Database;
use crate::error::Result;
use crate::facts::Facts;
use crate::fence::{FenceKind, FenceRecord, LIMITS, Present, entering, inside};
use crate::progress::Progress;
use crate::session::Session;

/// One reading of a fenced database, to be held against a later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuietReading {
    /// The time it was taken, by the server's clock (RFC 3339, UTC).
    pub taken_at: String,
    /// `system_identifier` of the cluster, where the role may read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<String>,
    /// The OID of the database.
    pub database_oid: u32,
    /// The next number that a transaction of the cluster would get.
    pub next_xid: u64,
    /// No transaction of the cluster had a number, so the next one tells everything.
    pub is_idle: bool,
    /// The states of all sequences.
    pub sequences: Vec<SequenceState>,
}

/// Options of [`prove_quiet`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct QuietOptions {
    /// The expected census, such as that of the backup that was taken behind the fence. It is
    /// compared if the transaction numbers prove nothing. Default: none.
    pub expected: Option<Census>,
    /// Options of that census.
    pub census: CensusOptions,
}

/// The answer of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// Yes.
    Proven,
    /// No.
    Refuted,
    /// This finding cannot tell.
    Unknown,
}

/// One part of the proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The answer.
    pub verdict: Verdict,
    /// The fact behind it.
    pub fact: String,
}

impl Finding {
    fn proven(fact: impl Into<String>) -> Self {
        Self { verdict: Verdict::Proven, fact: fact.into() }
    }

    fn refuted(fact: impl Into<String>) -> Self {
        Self { verdict: Verdict::Refuted, fact: fact.into() }
    }

    fn unknown(fact: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unknown, fact: fact.into() }
    }

    fn is_proven(&self) -> bool {
        self.verdict == Verdict::Proven
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Proven => "proven",
            Verdict::Refuted => "refuted",
            Verdict::Unknown => "unknown",
        };
        write!(f, "{verdict}: {}", self.fact)
    }
}

/// The proof, part by part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QuietProof {
    /// The server proved at the fence that no session was in the database.
    pub renamed: Finding,
    /// No session is in it now.
    pub empty: Finding,
    /// No transaction of the cluster wrote.
    pub xid: Finding,
    /// The rows are as expected; `None` where no census was needed or possible.
    pub census: Option<Finding>,
    /// No sequence advanced.
    pub sequences: Finding,
    /// The second reading, which the next proof may begin with.
    pub reading: QuietReading,
}

impl QuietProof {
    /// Returns whether it is proven that nothing changed between the two readings.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let rows = self.xid.is_proven() || self.census.as_ref().is_some_and(Finding::is_proven);
        rows && self.sequences.is_proven()
    }
}

/// Reads a fenced database once, by [`Fenced::database`](crate::Fenced::database).
///
/// Another transaction of the cluster makes the reading say less, so it is tried for a second to
/// find a moment without one.
///
/// # Errors
/// Connection errors and what the server answers. A standby is refused by the server.
pub async fn read_quiet(fenced: &Database) -> Result<QuietReading> {
    reading(&open(fenced).await?).await
}

/// Proves that nothing changed in a fenced database since a reading of it.
///
/// "Not proven" is an answer and no error: see [`QuietProof::is_quiet`].
///
/// # Errors
/// Connection errors, what the server answers, and those of [`census`].
pub async fn prove_quiet(
    fenced: &Database,
    since: &QuietReading,
    options: &QuietOptions,
    progress: &Arc<dyn Progress>,
) -> Result<QuietProof> {
    let session = open(fenced).await?;
    let facts = Facts::read(&session).await?;
    let renamed = renamed(&session, facts.database_oid).await?;
    let empty = empty(&session, facts.database_oid).await?;
    let now = reading(&session).await?;
    drop(session);
    let xid = same_xid(since, &now);
    let recount = match &options.expected {
        Some(expected) if !xid.is_proven() => {
            let found = census(fenced, &options.census, progress).await?;
            Some(same_rows(expected, &found))
        }
        _ => None,
    };
    let sequences = same_sequences(&since.sequences, &now.sequences);
    Ok(QuietProof { renamed, empty, xid, census: recount, sequences, reading: now })
}

async fn open(fenced: &Database) -> Result<Session> {
    let session = Session::open_read_only(fenced, "quiet").await?;
    session.execute("the session settings", LIMITS).await?;
    Ok(session)
}

async fn reading(session: &Session) -> Result<QuietReading> {
    /// The limit for finding a moment in which no transaction has a number.
    const PATIENCE: Duration = Duration::from_secs(1);
    const PAUSE: Duration = Duration::from_millis(25);
    let facts = Facts::read(session).await?;
    let deadline = Instant::now() + PATIENCE;
    let (next_xid, is_idle) = loop {
        let numbers = Numbers::read(session).await?;
        if numbers.is_idle() || Instant::now() >= deadline {
            break (numbers.xmax, numbers.is_idle());
        }
        tokio::time::sleep(PAUSE).await;
    };
    Ok(QuietReading {
        taken_at: facts.now,
        system_identifier: facts.system_identifier,
        database_oid: facts.database_oid,
        next_xid,
        is_idle,
        // Last, so that no advance between the two goes unseen.
        sequences: catalog::sequences(session).await?,
    })
}

/// The numbers of transactions at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    /// The oldest one that runs.
    xmin: u64,
    /// One more than the newest that ended.
    xmax: u64,
    /// The distance from number 3 to the next one that is given out, modulo 2^32.
    age: i32,
}

impl Numbers {
    async fn read(session: &Session) -> Result<Self> {
        const QUERY: &str = "
            SELECT pg_catalog.pg_snapshot_xmin(s)::text, pg_catalog.pg_snapshot_xmax(s)::text, pg_catalog.age('3'::xid)
              FROM pg_catalog.pg_current_snapshot() AS s";
        let row = session.row("reading the transaction numbers", QUERY, &[]).await?;
        let number = |column: usize| row.get::<_, String>(column).parse().unwrap_or_default();
        Ok(Self { xmin: number(0), xmax: number(1), age: row.get(2) })
    }

    /// Returns whether no transaction has a number, prepared ones included: the next one is that
    /// after the last that ended. The snapshot is older than the age, so a number that was given
    /// out between them shows.
    fn is_idle(self) -> bool {
        let next = 3u32.wrapping_add(self.age.cast_unsigned());
        self.xmin == self.xmax && u64::from(next) == self.xmax & u64::from(u32::MAX)
    }
}

pub(crate) fn same_xid(since: &QuietReading, now: &QuietReading) -> Finding {
    if since.system_identifier != now.system_identifier || since.database_oid != now.database_oid {
        return Finding::unknown("the first reading is of another database or server");
    }
    if !since.is_idle || !now.is_idle {
        return Finding::unknown("a transaction of the cluster was under way at a reading");
    }
    match now.next_xid.checked_sub(since.next_xid) {
        Some(0) => {
            Finding::proven(format!("the next transaction is still number {}", now.next_xid))
        }
        Some(given) => Finding::unknown(format!(
            "{given} transaction numbers were given out in the cluster, to whichever database"
        )),
        None => Finding::unknown("the numbers of transactions went back"),
    }
}

fn same_rows(expected: &Census, found: &Census) -> Finding {
    let comparison = compare(expected, found);
    match comparison.differences.as_slice() {
        [] => Finding::proven(format!("all {} rows are as expected", found.rows())),
        [only] => Finding::refuted(only.to_string()),
        [first, rest @ ..] => Finding::refuted(format!("{first}; and {} more", rest.len())),
    }
}

fn same_sequences(since: &[SequenceState], now: &[SequenceState]) -> Finding {
    if since == now {
        return Finding::proven(format!("{} sequences are where they were", now.len()));
    }
    let moved: Vec<String> = now
        .iter()
        .filter(|sequence| !since.contains(sequence))
        .map(|sequence| sequence.name.to_string())
        .collect();
    Finding::refuted(match moved.as_slice() {
        [] => "a sequence is gone".to_owned(),
        moved => format!("moved or new: {}", moved.join(", ")),
    })
}

/// Compares the name with the one in the fence's own record.
async fn renamed(session: &Session, oid: u32) -> Result<Finding> {
    let Some(present) = Present::read(session, oid).await? else {
        return Ok(Finding::unknown("the database is gone"));
    };
    let (settings, comment) = (present.state.own_settings(), present.state.comment.as_deref());
    Ok(match FenceRecord::find(settings, comment, oid)? {
        None => Finding::unknown("no fence stands around the database"),
        Some(record) if record.kind == FenceKind::Soft => {
            Finding::unknown("the fence lets readers go on, and keeps the name")
        }
        Some(record) if record.frozen.as_ref() == Some(&present.name) => {
            Finding::proven(format!("the server renamed it to {}", present.name))
        }
        Some(_) => Finding::unknown("the fence was not finished"),
    })
}

async fn empty(session: &Session, oid: u32) -> Result<Finding> {
    let entering = entering(session, oid).await?;
    let inside = inside(session, oid).await?;
    if inside.is_empty() && entering.is_empty() {
        return Ok(Finding::proven("no session is in it, and none is entering"));
    }
    let names = inside.iter().map(ToString::to_string);
    let names =
        names.chain(entering.iter().map(|pid| format!("a session that is starting (pid {pid})")));
    // A session that is there has not written for that reason alone.
    Ok(Finding::unknown(format!("in it: {}", names.collect::<Vec<_>>().join("; "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(next_xid: u64) -> QuietReading {
        QuietReading {
            taken_at: String::new(),
            system_identifier: None,
            database_oid: 1,
            next_xid,
            is_idle: true,
            sequences: Vec::new(),
        }
    }

    #[test]
    fn only_an_idle_cluster_shows_its_next_number() {
        let idle = Numbers { xmin: 738, xmax: 738, age: 735 };
        assert!(idle.is_idle());
        assert!(!Numbers { xmin: 737, ..idle }.is_idle(), "one runs");
        assert!(!Numbers { age: 736, ..idle }.is_idle(), "one began after the snapshot");
        // Beyond 2^31 the age is negative, and beyond 2^32 there is an epoch.
        let late = (7 << 32) + 3_000_000_003;
        assert!(Numbers { xmin: late, xmax: late, age: 3_000_000_000u32.cast_signed() }.is_idle());
    }

    #[test]
    fn a_number_that_was_given_out_proves_nothing() {
        assert_eq!(same_xid(&reading(7), &reading(7)).verdict, Verdict::Proven);
        for (a, b) in [
            (reading(7), reading(8)),
            (reading(8), reading(7)),
            (QuietReading { is_idle: false, ..reading(7) }, reading(7)),
            (reading(7), QuietReading { is_idle: false, ..reading(7) }),
            (QuietReading { database_oid: 2, ..reading(7) }, reading(7)),
        ] {
            assert_eq!(same_xid(&a, &b).verdict, Verdict::Unknown, "{a:?} {b:?}");
        }
    }
}
