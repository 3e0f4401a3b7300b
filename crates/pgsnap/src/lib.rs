//! Consistent snapshots of PostgreSQL databases: dump, restore, copy, census and comparison.
//!
//! A dump is a plain SQL script in gzip members that restores with nothing but `gunzip | psql`. It
//! also carries a manifest, so that this crate can do with it what no plain dump allows: load it
//! with several sessions, take one table out of its middle, verify it without a database, compare
//! it with a live database, and prove after a restore that no row was lost.
//!
//! # Two lines
//! ```no_run
//! # async fn example() -> pgsnap::Result<()> {
//! # use pgsnap::Database;
//! let old = Database::from_url("postgresql://hub@127.0.0.1:5432/state_hub")?;
//! let new = Database::from_url("postgresql://hub@127.0.0.1:5433/state_hub")?;
//!
//! pgsnap::dump_to_file(&old, "state_hub.sql.gz").await?;
//! pgsnap::restore_from_file("state_hub.sql.gz", &new).await?;
//! # Ok(())
//! # }
//! ```
//! The file appears only when it is complete, and the restored database takes its name only when
//! every row was found equal.
//!
//! # Dump, verify, restore
//! The functions behind these two take options and show progress, and write to anything.
//! ```no_run
//! # async fn example() -> pgsnap::Result<()> {
//! use std::path::PathBuf;
//! use std::sync::Arc;
//! use pgsnap::{Archive, Database, DumpOptions, RestoreOptions, VerifyOptions};
//! use pgsnap::{NoProgress, Progress};
//!
//! let progress: Arc<dyn Progress> = Arc::new(NoProgress);
//! let source = Database::from_url("postgresql://hub@127.0.0.1:5432/state_hub")?;
//! let file = std::fs::File::create("state_hub.sql.gz").expect("a writable directory");
//! let (file, manifest) = pgsnap::dump(&source, file, &DumpOptions::default(), &progress).await?;
//! file.sync_all().expect("a working disk");
//! assert!(manifest.census.rows() > 0);
//!
//! let archive = Archive::open(PathBuf::from("state_hub.sql.gz"))?;
//! pgsnap::verify(&archive, &VerifyOptions::default(), &progress)?;
//! let target = Database::from_url("postgresql://hub@127.0.0.1:5433/state_hub")?;
//! let restored = pgsnap::restore(&archive, &target, &RestoreOptions::default(), &progress).await?;
//! assert_eq!(restored.rows, manifest.census.rows());
//! # Ok(())
//! # }
//! ```
//!
//! # Copy
//! From server to server with no file in between, proven and swapped in as a restore is.
//! ```no_run
//! # async fn example() -> pgsnap::Result<()> {
//! # use std::sync::Arc;
//! # use pgsnap::{CopyOptions, Database, NoProgress, Progress};
//! # let progress: Arc<dyn Progress> = Arc::new(NoProgress);
//! let old = Database::from_url("postgresql://hub@127.0.0.1/state_hub")?;
//! let new = Database::from_url("postgresql://hub@127.0.0.1:5433/state_hub")?;
//! let copied = pgsnap::copy(&old, &new, &CopyOptions::default(), &progress).await?;
//! assert_eq!(copied.restored.rows, copied.census.rows());
//! # Ok(())
//! # }
//! ```
//!
//! # Delta
//! An earlier copy becomes its source again in the time in which the source is read once: only rows
//! that differ are sent, and they are committed only when the copy is proven equal.
//! ```no_run
//! # async fn example() -> pgsnap::Result<()> {
//! # use std::sync::Arc;
//! # use pgsnap::{Database, DeltaOptions, NoProgress, Progress};
//! # let progress: Arc<dyn Progress> = Arc::new(NoProgress);
//! let old = Database::from_url("postgresql://hub@127.0.0.1/state_hub")?;
//! let copy = Database::from_url("postgresql://hub@127.0.0.1:5433/state_hub")?;
//! let base = pgsnap::survey(&copy, &DeltaOptions::default(), &progress).await?;
//! // Stop the writers to `old`.
//! let updated = pgsnap::delta(&old, base, &DeltaOptions::default(), &progress).await?;
//! assert!(updated.comparison.is_equal());
//! # Ok(())
//! # }
//! ```
//!
//! # Compare
//! A [`Census`] is exact: every row is counted and hashed, under one snapshot. Two of them, of
//! databases or archives, are compared without touching either again. The digest of a table
//! does not depend on the order of its rows, so a restored copy has the same one.
//! ```no_run
//! # async fn example() -> pgsnap::Result<()> {
//! # use std::sync::Arc;
//! # use pgsnap::{CensusOptions, Database, NoProgress, Progress};
//! # let progress: Arc<dyn Progress> = Arc::new(NoProgress);
//! let old = Database::from_url("postgresql://hub@127.0.0.1/state_hub")?;
//! let new = Database::from_url("postgresql://hub@127.0.0.1:5433/state_hub")?;
//! let a = pgsnap::census(&old, &CensusOptions::default(), &progress).await?;
//! let b = pgsnap::census(&new, &CensusOptions::default(), &progress).await?;
//! for difference in pgsnap::compare(&a, &b).differences {
//!     tracing::warn!("{difference}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Connect
//! A [`Database`] is named as for libpq, certificates included; what crosses a network is encrypted
//! unless `sslmode=disable` says otherwise, and no setting is weaker than libpq's. A hot standby
//! serves as a source, too.
//! ```
//! # use pgsnap::{Database, TlsMode};
//! let url = "postgresql://hub@db.example/state_hub?sslrootcert=/etc/hub/ca.pem";
//! let database = Database::from_url(url)?;
//! assert_eq!(database.tls_mode(), TlsMode::VerifyFull);
//! # Ok::<(), pgsnap::Error>(())
//! ```
//!
//! # Fence
//! [`fence`] keeps writers out of a database while it moves, [`prove_quiet`] proves that nothing
//! changed behind the fence, and [`unfence`] takes it down without a trace. [`writers`] names the
//! clients that would be shut out.
//! ```no_run
//! # async fn example() -> pgsnap::Result<()> {
//! # use std::path::Path;
//! # use std::sync::Arc;
//! # use pgsnap::{Database, FenceOptions, NoProgress, Progress, QuietOptions, UnfenceOptions};
//! # let progress: Arc<dyn Progress> = Arc::new(NoProgress);
//! let hub = Database::from_url("postgresql://postgres@127.0.0.1/state_hub")?;
//! let record = Path::new("state_hub.fence.json");
//! let fenced = pgsnap::fence(&hub, record, &FenceOptions::default()).await?;
//! let behind = fenced.database(&hub);
//! let before = pgsnap::read_quiet(&behind).await?;
//! // Dump or copy `behind`.
//! let proof = pgsnap::prove_quiet(&behind, &before, &QuietOptions::default(), &progress).await?;
//! assert!(proof.is_quiet());
//! pgsnap::unfence(&hub, &UnfenceOptions::default()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Hand over
//! [`hand_over`] makes a prepared copy the primary in one transaction, and [`find_handover`] tells
//! after any crash whether that happened. [`identify`] reads the markers that say who is primary,
//! without entering a database.
//! ```no_run
//! # async fn example() -> pgsnap::Result<()> {
//! # use std::time::Duration;
//! # use pgsnap::{Database, Error, Handover, HandoverState, Marker, MarkerRole};
//! # let old = Database::from_url("postgresql://postgres@127.0.0.1/state_hub")?;
//! # let new = Database::from_url("postgresql://postgres@db.example/state_hub")?;
//! // The old primary is fenced, and copied to the name of `prepared_name` on the new server.
//! let run = "20261121161200ab12";
//! let order = Handover::new(run, "cluster", 2, Duration::from_secs(10));
//! match pgsnap::hand_over(&new, &order).await {
//!     Err(Error::HandoverUnknown { .. }) => match pgsnap::find_handover(&new, run).await? {
//!         HandoverState::Done(_) => {}
//!         _ => return Ok(()), // The old primary may be unfenced.
//!     },
//!     other => drop(other?),
//! }
//! pgsnap::retire(&old, None, Marker::new(2, MarkerRole::Retired, "workstation", run)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is guaranteed
//! * **One point in time.** Tables are locked first and the snapshot is taken after, so a
//!   concurrent TRUNCATE or rewriting ALTER cannot empty a table in the dump; `pg_dump` itself does
//!   not guarantee that.
//! * **All or an error.** Rows hidden by row-level security, a missing privilege or a
//!   dead worker fail the dump. The manifest is written last, so a short archive is not an archive.
//! * **The old database stays.** A restore or copy builds a new database and swaps names in one
//!   transaction.
//! * **Bounded memory.** A few blocks per job, whatever the size of the database.
//!
//! # What is not
//! The DDL comes from `pg_dump`, which must be installed in the server's major version or newer.
//! Restoring runs the DDL of the archive with the rights of the connecting role: restore only
//! archives you trust, or authenticated ones. A connection pooler in between is refused.
//!
//! The crate never prints, reads environment variables or exits. It needs a Tokio runtime
//! with the multi-thread scheduler and all drivers enabled.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod archive;
mod authentication;
mod catalog;
mod census;
mod claim;
mod comment;
mod compare;
mod copy;
mod count;
mod database;
mod ddl;
mod definitions;
mod delta;
mod digest;
mod dump;
mod encoding;
mod error;
mod facts;
mod fence;
mod file;
mod foreign;
mod foreign_data;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod globals;
mod gzip;
mod handover;
mod inspect;
mod large_object;
mod manifest;
mod marker;
mod name;
mod parameters;
mod passfile;
mod private_file;
mod progress;
mod quiet;
mod random;
mod restore;
mod rows;
mod same;
mod scan;
mod scratch;
mod script;
mod session;
mod snapshot;
mod sql;
mod standby;
mod tallies;
mod temporary;
mod tls;
mod tools;
mod user_code;
mod verify;
mod writers;

pub use crate::archive::{Archive, OpenArchive, ReadSeek};
pub use crate::census::{
    Census, Column, Extension, GeneratedColumns, LargeObjects, Locale, SchemaFingerprint,
    SequenceState, TableCensus,
};
pub use crate::claim::Claim;
pub use crate::compare::{Comparison, Difference, Note, Side, StatementDifference, compare};
pub use crate::copy::{Copied, CopyOptions, CopyPlan, copy, plan_copy};
pub use crate::count::{CensusOptions, census};
pub use crate::database::Database;
pub use crate::delta::{
    Base, DeltaOptions, DeltaPlan, TableDelta, Updated, delta, plan_delta, survey,
};
pub use crate::digest::{Bucket, Buckets, Digest};
pub use crate::dump::{DumpOptions, dump};
pub use crate::encoding::Encoding;
pub use crate::error::{Error, ErrorClass, Result};
pub use crate::fence::{
    DatabaseState, FENCE_FORMAT, FenceKind, FenceOptions, FencePlan, FenceRecord, Fenced, Grant,
    RoleName, SessionInfo, Settings, UnfenceOptions, Unfenced, fence, find_fence, plan_fence,
    unfence,
};
pub use crate::file::{dump_to_file, restore_from_file};
pub use crate::foreign::{ForeignRestored, OpenDump, restore_foreign};
pub use crate::globals::{Membership, PasswordVerifier, RoleDefinition, TablespaceDefinition};
pub use crate::handover::{
    HandedOver, Handover, HandoverState, Identity, LocatedDatabase, clone_database, drop_prepared,
    find_handover, hand_over, identify, prepared_name, retire,
};
pub use crate::inspect::{Inspection, database_size, inspect};
pub use crate::manifest::{FORMAT, FORMAT_WITH_ENCODINGS, Manifest, Member, MemberKind, Source};
pub use crate::marker::{Marker, MarkerRole};
pub use crate::name::TableName;
pub use crate::parameters::ConnectionParameters;
pub use crate::progress::{NoProgress, Phase, Progress, Work};
pub use crate::quiet::{
    Finding, QuietOptions, QuietProof, QuietReading, Verdict, prove_quiet, read_quiet,
};
pub use crate::restore::{
    Extent, KeptDatabase, Method, Obstacle, RestoreOptions, RestorePlan, Restored, TargetState,
    drop_kept, drop_leftovers, kept_databases, plan_restore, restore,
};
pub use crate::rows::{RowChange, RowDifference, RowSource, differing_rows};
pub use crate::same::is_same_database;
pub use crate::scratch::{ScratchOptions, ScratchServer};
pub use crate::session::{execute, query_scalar};
pub use crate::temporary::{TemporaryDatabase, drop_database, unfinished_databases};
pub use crate::tls::{TlsFailure, TlsMode};
pub use crate::tools::PgDump;
pub use crate::verify::{Verified, VerifyOptions, verify};
pub use crate::writers::{
    StatementWrites, TableWrites, WriteHold, Writer, WriterOptions, Writers, hold_writes, writers,
};

/// Re-exported because [`Database::with_password`] takes its `SecretString`.
pub use secrecy;
