//! Progress as a trait: this crate reports, the caller draws.

/// An amount of work, done or expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Bytes of row data in COPY text form (an estimate when expected).
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
}

/// The phase of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Locking tables and taking the snapshot.
    Snapshot,
    /// Asking `pg_dump` for the DDL.
    Schema,
    /// Streaming rows out of the source.
    Dump,
    /// Streaming rows from one server into another.
    Copy,
    /// Reading an archive from end to end.
    Verify,
    /// Loading rows into the target.
    Load,
    /// Building indexes, keys and constraints. Counted in statements (`rows`).
    Index,
    /// Counting and digesting every row of a database.
    Census,
    /// Collecting planner statistics.
    Analyze,
    /// Renaming the restored database into place.
    Swap,
}

impl Phase {
    /// A word for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Schema => "schema",
            Self::Dump => "dump",
            Self::Copy => "copy",
            Self::Verify => "verify",
            Self::Load => "load",
            Self::Index => "indexes",
            Self::Census => "census",
            Self::Analyze => "analyze",
            Self::Swap => "swap",
        }
    }
}

/// Receives progress. Calls come from several threads and must return quickly.
pub trait Progress: Send + Sync {
    /// A phase begins; `expected` may be an estimate, or zero where unknown.
    fn begin(&self, phase: Phase, expected: Work) {
        let _ = (phase, expected);
    }
    /// More work of the current phase was done.
    fn advance(&self, done: Work) {
        let _ = done;
    }
    /// Something worth a line for the user that is no error.
    fn note(&self, text: &str) {
        let _ = text;
    }
}

/// Ignores all progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {}
