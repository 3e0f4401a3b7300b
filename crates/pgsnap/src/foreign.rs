//! Plain dumps of other programs: restored through psql, and honest about what that cannot prove.

mod psql;
mod text;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use text::{Guard, Portion, send};

use std::io::{self, Read};
use std::sync::Arc;

use serde::Serialize;

use crate::census::Census;
use crate::count::{CensusOptions, census};
use crate::database::Database;
use crate::error::{Error, Result};
use crate::foreign::psql::{Abilities, Psql};
use crate::progress::{Phase, Progress, Work};
use crate::restore::{RestoreOptions, Target, TargetState, analyze, create_role, restoring_name};

/// The result of a restore of a plain dump, and the parts it could not prove.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ForeignRestored {
    /// The database that now holds the dump.
    pub database: String,
    /// The name the database that was there before now has.
    pub kept: Option<String>,
    /// Bytes of SQL text that psql took.
    pub bytes: u64,
    /// The census taken afterwards.
    #[serde(skip)]
    pub census: Census,
    /// Properties that the dump does not allow to prove.
    pub unproven: Vec<String>,
}

/// Opens the stream of a plain dump, gzipped or not, from its beginning.
pub type OpenDump = dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync;

/// Restores a plain dump (`pg_dump`, gzipped or not) as database `target.name()`.
///
/// The text goes through `psql --single-transaction` into a new database, which replaces the
/// present one by name only after psql ended well, the dump's trailer was seen, and psql proved
/// that it read the trailer as such. psql is not told about the end of its input before that: it
/// would commit a dump that was cut in the middle of a COPY. Its meta-commands are switched off
/// (`\restrict`), so that a dump cannot run commands on this machine.
///
/// # Errors
/// [`Error::ForeignDump`] with what psql said, or if the trailer is missing; [`Error::PsqlTooOld`].
/// The unfinished database is dropped.
pub async fn restore_foreign(
    open: Arc<OpenDump>,
    target: &Database,
    options: &RestoreOptions,
    progress: &Arc<dyn Progress>,
) -> Result<ForeignRestored> {
    let psql = Psql::find(&options.bin_directories).await?;
    let server = Target::connect(target).await?;
    if let TargetState::Present { sessions: 1.., .. } = server.state().await? {
        return Err(server.in_use());
    }
    server.lock().await?;
    server.drop_leftovers().await?;
    let job = Job {
        abilities: Abilities::read(&server.session).await?,
        restoring: target.with_name(&restoring_name(target.name(), server.id())),
        psql,
        open,
        server,
        options,
        progress,
    };
    let restored = job.restore().await;
    job.server.unlock(restored).await
}

struct Job<'a> {
    psql: Psql,
    open: Arc<OpenDump>,
    server: Target,
    abilities: Abilities,
    /// The database under the name it is built under.
    restoring: Database,
    options: &'a RestoreOptions,
    progress: &'a Arc<dyn Progress>,
}

impl Job<'_> {
    /// Tries until no role is missing any more.
    async fn restore(&self) -> Result<ForeignRestored> {
        /// Roles a scratch server may be given, one per attempt.
        const MAX_ROLES: usize = 50;
        let (server, restoring) = (&self.server, self.restoring.name());
        for _ in 0..MAX_ROLES {
            server.create_empty_database(restoring).await?;
            let error = match self.fill_and_swap().await {
                Ok(restored) => return Ok(restored),
                Err(error) => error,
            };
            // The first error is the one that matters; what cannot be dropped is found by the next run.
            let _ = server.drop_database(restoring).await;
            match missing_role(&error).filter(|_| self.options.create_roles) {
                Some(role) => create_role(&server.session, &role).await?,
                None => return Err(error),
            }
        }
        Err(Error::ForeignDump { what: "it refers to too many roles that do not exist".into() })
    }

    async fn fill_and_swap(&self) -> Result<ForeignRestored> {
        let Self { restoring, options, progress, .. } = self;
        progress.begin(Phase::Load, Work::default());
        let bytes =
            self.psql.feed(Arc::clone(&self.open), restoring, &self.abilities, progress).await?;
        let census_options = CensusOptions {
            jobs: options.jobs,
            bin_directories: options.bin_directories.clone(),
            ..CensusOptions::default()
        };
        let census = census(restoring, &census_options, progress).await?;
        analyze(restoring, options.jobs, progress).await?;
        progress.begin(Phase::Swap, Work::default());
        let kept = self.server.swap(restoring.name(), options.swap_timeout).await?;
        Ok(ForeignRestored {
            database: self.server.name.clone(),
            kept,
            bytes,
            census,
            unproven: unproven(),
        })
    }
}

fn unproven() -> Vec<String> {
    vec![
        "row counts and contents: a plain dump does not say what it should hold".into(),
        "when and from which server it was taken".into(),
        "privileges and settings of the database itself: a plain dump does not hold them".into(),
    ]
}

/// The role psql complained about, if that was the complaint.
fn missing_role(error: &Error) -> Option<String> {
    const COMPLAINT: &str = "ERROR:  role \"";
    let Error::ForeignDump { what } = error else {
        return None;
    };
    let rest = &what[what.find(COMPLAINT)? + COMPLAINT.len()..];
    rest.find("\" does not exist").map(|end| rest[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_role_is_found_in_the_complaint() {
        let missing = |what: &str| missing_role(&Error::ForeignDump { what: what.into() });
        assert_eq!(
            missing("psql:<stdin>:42: ERROR:  role \"app owner\" does not exist").as_deref(),
            Some("app owner")
        );
        assert_eq!(missing("ERROR:  invalid: \"role \"x\" does not exist\""), None);
    }
}
