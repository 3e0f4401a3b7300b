//! The operations of hubctl, without a command line: each takes an [`Ops`] and an order, and
//! returns a report.
//!
//! An operation never prints, parses arguments or reads the environment. It receives the merged
//! [`Settings`], reports events, progress and questions to a [`Console`], records what it did in
//! the journal, and returns a typed [`Report`]: the same value is printed as JSON and rendered as
//! text by the commands. Commands compose operations; no command calls another.
//!
//! ```no_run
//! use hubctl::ops::{self, BackupOrder, Ops};
//! use hubctl::settings::{Overrides, Settings};
//!
//! # async fn example() -> anyhow::Result<()> {
//! let settings = Settings::load(Some("hubctl.toml".as_ref()), Overrides::default())?;
//! let ops = Ops::new(settings);
//! let taken = ops::backup(&ops, BackupOrder::default()).await?;
//! println!("{} is {}", taken.path, taken.state);
//! # Ok(())
//! # }
//! ```

mod alert;
mod approve;
mod backup;
mod backups;
mod clean;
mod compare;
mod copy;
pub(crate) mod cutover;
mod doctor;
mod drill;
mod freeze;
mod fresh;
pub(crate) mod gates;
mod import;
mod init;
mod journal;
mod keys;
mod migrate;
pub(crate) mod phases;
mod prune;
mod pull;
mod push;
mod quiet;
mod rekey;
mod restore;
mod schedule;
mod site;
mod status;
mod tunnel;
mod verify;
mod writers;

use std::fmt::Display;
use std::sync::Arc;

use ::journal::evidence::Kind;
use jiff::Timestamp;
use pgsnap::{Phase, Progress};

pub use self::alert::{AlertOrder, AlertReport, Told, alert};
pub use self::approve::{ApprovalPlan, ApproveOrder, ApproveReport, approve, revoke_approvals};
pub use self::backup::{BackupOrder, BackupReport, Payload, backup};
pub use self::backups::{BackupsOrder, BackupsReport, ListedBackup, ListedCopy, backups};
pub(crate) use self::clean::kept_summary;
pub use self::clean::{CleanOrder, CleanPlan, CleanReport, Kept, clean, plan_clean};
pub(crate) use self::compare::equality;
pub use self::compare::{CompareDepth, CompareOrder, CompareReport, DifferingRows, compare};
pub use self::copy::{CopyOrder, CopyPlanReport, CopyReport, copy, plan_copy};
pub use self::cutover::{
    CutoverObstacle, CutoverOrder, CutoverOutcome, CutoverPlanReport, CutoverReport, PlannedStep,
    RollbackOrder, StepState, StepTrouble, TakenStep, cutover, plan_cutover, plan_rollback,
    rollback,
};
pub use self::doctor::{DoctorOrder, DoctorReport, Finding, Health, doctor};
pub use self::drill::{DrillOrder, DrillReport, DrilledTable, KeptCopy, drill};
pub(crate) use self::drill::{answer_to, verdict_on};
pub use self::freeze::{
    Fence, FreezeOrder, FreezePlanReport, FreezeReport, ThawOrder, ThawPlanReport, ThawReport,
    freeze, plan_freeze, plan_thaw, thaw,
};
pub(crate) use self::fresh::fresh_verdict;
pub use self::fresh::{FreshOrder, FreshPart, FreshReport, fresh};
pub use self::gates::{
    EvaluateOrder, GateChange, GateReport, GatesOrder, GatesReport, evaluate_gates, gates,
    watch_gates,
};
pub use self::import::{ImportOrder, ImportReport, ImportedFile, import};
pub use self::init::{InitOrder, InitReport, init};
pub(crate) use self::init::{Key, generate_key};
pub use self::journal::{
    JournalReport, JournalRotateReport, JournalVerifyReport, list_journal, rotate_journal,
    verify_journal,
};
pub use self::keys::{
    EscrowAnswerOrder, EscrowAnswerReport, EscrowChallengeOrder, EscrowChallengeReport, KeysReport,
    OpenedBackup, RecipientKey, check_keys, escrow_answer, escrow_challenge,
};
pub use self::migrate::{MigrateOrder, MigrateReport, migrate, plan_migrate};
pub use self::prune::{PruneOrder, PruneReport, PrunedBackup, prune};
pub use self::pull::{PullOrder, PullReport, pull};
pub use self::push::{PushOrder, PushReport, TargetPush, push};
pub use self::quiet::{QuietOrder, QuietReport, quiet};
pub use self::rekey::{RekeyOrder, RekeyReport, RekeyedBackup, rekey};
pub use self::restore::{
    PlainDumpPlan, PlainDumpRestored, PlannedArchive, PlannedRestore, RestoreOrder, RestoreOutcome,
    RestorePlanReport, RestoreReport, plan_restore, restore,
};
pub use self::schedule::{
    ScheduleReport, Unit, install_schedule, plan_schedule, schedule_for_cron,
    schedule_for_kubernetes, uninstall_schedule,
};
pub use self::site::{
    CheckedPair, CheckedSite, PinOrder, PinReport, ShownSite, ShownWriter, SiteCheckReport,
    SiteFinding, SiteIdentity, SiteShowReport, SiteVerdict, SitesOrder, check_sites, pin_site,
    plan_pin, show_sites,
};
pub use self::status::{StatusPhase, StatusReport, StatusRole, StatusRun, StatusSite, status};
pub use self::tunnel::{
    ImportedTunnels, StartTunnelsOrder, TrustPlan, TrustReport, TunnelEvent, TunnelReport,
    TunnelUnitReport, check_tunnels, import_tunnels, install_tunnels, plan_trust, restart_tunnels,
    start_tunnels, stop_tunnels, supervise_tunnels, trust_host, tunnel_log, tunnel_status,
    uninstall_tunnels, watch_tunnels,
};
pub use self::verify::{VerifyOrder, VerifyReport, verify};
pub use self::writers::{WritersOrder, WritersReport, writers};
use crate::act::Act;
pub use crate::console::{Batch, Console, Event};
pub use crate::report::Report;
pub(crate) use crate::runtime::blocking;
use crate::settings::Settings;
use crate::unfinished::Unfinished;

/// Everything an operation needs from its caller: settings, console and clock.
#[derive(Debug, Clone)]
pub struct Ops {
    settings: Settings,
    console: Arc<dyn Console>,
    clock: fn() -> Timestamp,
    unfinished: Arc<Unfinished>,
}

impl Ops {
    /// Operations under these settings, on a silent console and by the system's clock.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, console: Arc::new(()), clock: Timestamp::now, unfinished: Arc::default() }
    }

    /// The same operations, reporting to this console.
    #[must_use]
    pub fn with_console(mut self, console: Arc<dyn Console>) -> Self {
        self.console = console;
        self
    }

    /// The same operations by another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: fn() -> Timestamp) -> Self {
        self.clock = clock;
        self
    }

    /// The same operations, noting unfinished databases where the program finds them when it is
    /// interrupted.
    pub(crate) fn noting(mut self, unfinished: &Arc<Unfinished>) -> Self {
        self.unfinished = Arc::clone(unfinished);
        self
    }

    /// The settings of the operations.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn console(&self) -> &Arc<dyn Console> {
        &self.console
    }

    pub(crate) fn unfinished(&self) -> &Unfinished {
        &self.unfinished
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(crate) fn say(&self, text: impl Display) {
        self.console.say(text);
    }

    pub(crate) fn warn(&self, text: impl Display) {
        self.console.warn(text);
    }

    pub(crate) fn hint(&self, text: impl Display) {
        self.console.hint(text);
    }

    /// Shows the progress of these phases.
    pub(crate) fn progress(&self, phases: &'static [Phase]) -> Arc<dyn Progress> {
        self.console.progress(phases)
    }

    /// Opens the journal before anything is done: an act that cannot be recorded is not begun.
    pub(crate) fn act<K: Kind>(&self, subject: impl Into<String>) -> anyhow::Result<Act<K>> {
        Act::begin(&self.settings, Arc::clone(&self.console), subject)
    }
}
