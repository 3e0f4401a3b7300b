//! From the gates that are asked for to their verdicts: read, note what lasts, judge.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use gates::{ApprovalFiles, Collector, Evidence, Gates, Held, Read, ScriptRuns, Verdicts};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::own::Answers;
use super::{approvals_directory, resting};
use crate::act::host;
use crate::ops::Ops;

/// Gates, and everything that their facts are read from.
pub(crate) struct Asking<'a> {
    ops: &'a Ops,
    gates: &'a Gates,
    names: &'a [&'a str],
    reads: Vec<Read>,
    collector: Collector,
    scripts: Option<ScriptRuns>,
    approvals: ApprovalFiles,
}

/// The facts that were read, and the verdicts on the gates.
pub(crate) struct Asked {
    pub(crate) evidence: Evidence,
    pub(crate) verdicts: Verdicts,
    pub(crate) judged_at: Timestamp,
    /// The gates with what they rested on.
    pub(crate) gates: Gates,
}

impl<'a> Asking<'a> {
    /// Prepares to ask these of the gates; nothing is read yet.
    pub(crate) fn new(
        ops: &'a Ops,
        gates: &'a Gates,
        names: &'a [&'a str],
    ) -> anyhow::Result<Self> {
        let settings = ops.settings();
        let reads = gates.reads(names);
        let mut collector = Collector::new().with_journal(&settings.journal.value);
        for (name, access) in &settings.clusters {
            collector = collector.with_cluster(name, access.value.clone());
        }
        collector = collector.with_program(Arc::new(Answers::new(ops.clone())));
        // A script may do harm: what cannot be recorded is not begun.
        let is_script = |read: &Read| matches!(read, Read::Script { .. });
        let journal = &settings.journal.value;
        let scripts = match reads.iter().any(is_script) {
            true => Some(
                ScriptRuns::open(journal)
                    .with_context(|| format!("cannot open the journal {}", journal.display()))?,
            ),
            false => None,
        };
        let approvals = ApprovalFiles {
            directory: approvals_directory(settings),
            journal: journal.clone(),
            zone: TimeZone::system(),
            clock: ops.clock,
        };
        Ok(Self { ops, gates, names, reads, collector, scripts, approvals })
    }

    pub(super) fn names(&self) -> &'a [&'a str] {
        self.names
    }

    /// Reads all facts, and judges the gates.
    pub(crate) async fn ask(&self, held: &BTreeMap<String, Held>) -> anyhow::Result<Asked> {
        // Each time anew: a script may be changed during a wait.
        let gates = resting::resolved(self.ops.settings(), self.gates, self.names);
        let mut collector = self.collector.clone();
        if let Some(runs) = &self.scripts {
            collector = collector.keeping(runs.successes()?);
        }
        let mut evidence = collector.collect(&self.reads).await;
        if let Some(runs) = &self.scripts {
            runs.record(&evidence, &host())
                .context("the run of a script could not be recorded in the journal")?;
        }
        let now = self.ops.now();
        gates.hold(self.names, &mut evidence, held, now);
        let verdicts = gates.evaluate_with(self.names, &evidence, now, &self.approvals);
        for (name, verdict) in &verdicts {
            tracing::info!("gate {name}: {:?}, {}", verdict.answer, verdict.reason);
        }
        Ok(Asked { evidence, verdicts, judged_at: now, gates })
    }
}
