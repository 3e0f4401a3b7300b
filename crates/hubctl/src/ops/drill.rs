//! Restore a backup into a place of its own, check it, and remove the copy.

mod page;
mod report;
mod target;

use std::time::Instant;

use anyhow::Context as _;
use backup::{Entry, Identities, Vault};
use journal::evidence::Verdict;
use pgsnap::RestoreOptions;

use self::report::ask;
pub use self::report::{DrillReport, DrilledTable};
pub(crate) use self::report::{answer_to, verdict_on};
use self::target::DrillTarget;
pub use self::target::KeptCopy;
use super::{Ops, phases};
use crate::damage::Damaged;
use crate::exit::Exit;
use crate::failure::{Failure, Refusal};
use crate::keys;
use crate::site::Site;
use crate::store::{self, Contents};

/// Which backup to restore as a drill, and where.
#[derive(Debug, Clone)]
pub struct DrillOrder {
    /// The backup's id, its path, or `latest`; of a target, `TARGET:BACKUP`.
    pub entry: String,
    /// The site's name or connection URL of a server to drill on, whose databases stay as they
    /// are; without one, a scratch server on this machine.
    pub server: Option<String>,
    /// Keeps the restored copy: on the server, or as [`DrillReport::kept`].
    pub keep: bool,
    /// Accepts generated columns whose recomputed values differ from the source.
    pub accept_recomputed: bool,
    /// The number of sessions that load rows and build indexes; the number of processors by
    /// default.
    pub jobs: Option<u16>,
}

impl Default for DrillOrder {
    fn default() -> Self {
        Self {
            entry: store::LATEST.to_owned(),
            server: None,
            keep: false,
            accept_recomputed: false,
            jobs: None,
        }
    }
}

/// Restores a backup, compares every row with its manifest, and runs the checks of `[drill]`.
///
/// The verdict is recorded in the journal, beside the backup and, if configured, on a Markdown
/// page. A drill that failed is a report, and is recorded as failed.
///
/// # Errors
/// The backup cannot be found; the journal cannot be opened or written. A drill that could not be
/// carried out is recorded as such, and returns the reason: that of the vault, of
/// [`pgsnap::ScratchServer::start`] or of [`pgsnap::restore`].
pub async fn drill(ops: &Ops, order: DrillOrder) -> anyhow::Result<DrillReport> {
    let (settings, console) = (ops.settings(), ops.console());
    let identities = keys::opening(settings, console)?;
    let (vault, entry) = store::find_entry(settings, &order.entry)?;
    let identities = keys::for_entry(&identities, &entry, &**console);
    let act = ops.act(format!("{}-{}", vault.service(), entry.id()))?;
    let act = act.about(entry.path());
    let begun = Instant::now();
    let mut report = DrillReport::of(&entry, ops.now());
    let job = Job { ops, order, vault: &vault, entry: &entry };
    let result = job.run(identities, &mut report).await;
    report.seconds = begun.elapsed().as_secs_f64();
    let error = report.judge(result);
    // The page is evidence too, and belongs in the record; a page that cannot be written does not
    // change the verdict.
    match page::write(settings, vault.service(), &report) {
        Ok(page) => report.page = page.map(|path| path.display().to_string()),
        Err(error) => {
            ops.warn(format_args!("the page about this drill could not be written: {error:#}"));
        }
    }
    act.answer(report.verdict == Verdict::Passed, &report.evidence())?;
    if report.verdict == Verdict::Passed {
        job.mark();
    }
    match error {
        // It could not be carried out, which is no verdict on the backup.
        Some(error) if Failure::of(&error).exit != Exit::No => Err(error),
        error => {
            report.failure = error.as_ref().map(Failure::of);
            Ok(report)
        }
    }
}

/// One drill.
struct Job<'a> {
    ops: &'a Ops,
    order: DrillOrder,
    vault: &'a Vault,
    entry: &'a Entry,
}

impl Job<'_> {
    async fn run(&self, identities: Identities, report: &mut DrillReport) -> anyhow::Result<()> {
        let (settings, order) = (self.ops.settings(), &self.order);
        // A refusal is a failed drill too, and on record.
        if order.entry == store::LATEST {
            Damaged::read(settings, &**self.ops.console()).refuse(self.vault, self.entry)?;
        }
        let contents = store::contents(self.vault.clone(), self.entry.clone(), identities)
            .await
            .context("the backup cannot be opened")?;
        let Contents::Archive(archive) = contents else {
            return Err(Refusal::no(
                "a plain dump has no manifest to hold a restored copy against",
            )
            .hint("restore it with `hubctl restore`, and compare by hand")
            .into());
        };
        report.snapshot_at(&archive.manifest().taken_at);
        let place = self.place(archive.manifest().source.server_major()).await?;
        report.place = place.describe();
        let progress = self.ops.progress(phases::RESTORE);
        let restored =
            pgsnap::restore(&archive, place.database(), &self.options(&place), &progress).await?;
        drop(progress);
        report.restored(&restored);
        for check in &settings.checks {
            report.checks.push(ask(place.database(), &check.value).await);
        }
        report.kept = place.leave(order.keep).await?;
        Ok(())
    }

    async fn place(&self, major: u32) -> anyhow::Result<DrillTarget> {
        match &self.order.server {
            Some(server) => {
                let site = Site::resolve(self.ops.settings(), server).await?;
                let (service, id) = (self.vault.service(), self.entry.id());
                DrillTarget::on(self.ops, &site.database, service, id, self.order.keep).await
            }
            None => DrillTarget::scratch(major).await,
        }
    }

    fn options(&self, place: &DrillTarget) -> RestoreOptions {
        let mut options = RestoreOptions::default();
        options.jobs = self.order.jobs.map_or(options.jobs, usize::from);
        options.accept_recomputed = self.order.accept_recomputed;
        // A scratch server has no roles, and no rights are at stake there.
        options.create_roles = place.is_scratch();
        options.tablespaces = !place.is_scratch();
        // Only the checks plan a query there.
        options.statistics = !place.is_scratch() || !self.ops.settings().checks.is_empty();
        options
    }

    /// Records the drill beside the entry. An entry that was never verified stays so: its hash was
    /// not looked at.
    fn mark(&self) {
        if self.entry.path().parent() != Some(self.vault.directory()) {
            return;
        }
        match self.vault.mark_drilled(self.entry, self.ops.now()) {
            Ok(_) | Err(backup::Error::ForeignEntry { .. }) => {}
            Err(error) => {
                self.ops.warn(format_args!("the drill is not recorded in the vault: {error}"));
                if let Some(hint) = error.hint() {
                    self.ops.hint(hint);
                }
            }
        }
    }
}
