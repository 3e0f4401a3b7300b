//! From the gates that are asked for to their verdicts: read, note what lasts, judge.

use std::collections::BTreeMap;
use std::sync::Arc;

use gates::{Collector, Evidence, Gates, Held, Read, Verdicts};
use jiff::Timestamp;

use super::approvals::Files;
use super::own::Answers;
use super::{resting, scripts};
use crate::context::Context;
use crate::settings::Settings;

/// What is asked, and whom.
pub(crate) struct Asking<'a> {
    names: &'a [&'a str],
    reads: Vec<Read>,
    collector: Collector,
    scripts: Option<scripts::Book>,
    approvals: Files,
    settings: Settings,
}

/// What was answered.
pub(crate) struct Asked {
    pub(crate) evidence: Evidence,
    pub(crate) verdicts: Verdicts,
    pub(crate) judged_at: Timestamp,
    /// The gates with what they rested on.
    pub(crate) gates: Gates,
}

impl<'a> Asking<'a> {
    pub(crate) fn new(
        context: &Context,
        settings: &Settings,
        names: &'a [&'a str],
    ) -> anyhow::Result<Self> {
        let reads = settings.gates.reads(names);
        let mut collector = Collector::new().with_journal(&settings.journal.value);
        for (name, access) in &settings.clusters {
            collector = collector.with_cluster(name, access.value.clone());
        }
        let answers = Answers::new(context, settings);
        collector = collector.with_program(Arc::new(answers));
        // A script may do harm: what cannot be recorded is not begun.
        let is_script = |read: &Read| matches!(read, Read::Script { .. });
        let scripts = match reads.iter().any(is_script) {
            true => Some(scripts::Book::open(&settings.journal.value)?),
            false => None,
        };
        Ok(Self {
            names,
            reads,
            collector,
            scripts,
            approvals: Files::new(settings),
            settings: settings.clone(),
        })
    }

    pub(super) fn names(&self) -> &'a [&'a str] {
        self.names
    }

    pub(crate) async fn ask(&self, held: &BTreeMap<String, Held>) -> anyhow::Result<Asked> {
        // Each time anew: a script may be changed while somebody waits.
        let gates = resting::resolved(&self.settings, self.names);
        let mut collector = self.collector.clone();
        if let Some(book) = &self.scripts {
            collector = collector.keeping(book.successes()?);
        }
        tracing::info!("reading {} facts for {} gates", self.reads.len(), self.names.len());
        let mut evidence = collector.collect(&self.reads).await;
        if let Some(book) = &self.scripts {
            book.record(&evidence)?;
        }
        let now = Timestamp::now();
        gates.hold(self.names, &mut evidence, held, now);
        let verdicts = gates.evaluate_with(self.names, &evidence, now, &self.approvals);
        for (name, verdict) in &verdicts {
            tracing::info!("gate {name}: {:?}, {}", verdict.answer, verdict.reason);
        }
        Ok(Asked { evidence, verdicts, judged_at: now, gates })
    }
}
