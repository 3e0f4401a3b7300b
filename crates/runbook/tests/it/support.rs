//! The common ground of the tests: steps in memory, a clock that is set, an observer that listens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use journal::Journal;
use runbook::{
    Clock, Failure, Found, Observer, Pending, Progress, Run, Runbook, Runner, Step, StepFacts,
    TimeBox,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The effects of the steps: which of them are done, and everything that was done to them.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) done: BTreeMap<String, bool>,
    pub(crate) acts: Vec<String>,
}

/// A step in memory.
pub(crate) struct Memory {
    facts: StepFacts,
    stage: Stage,
    manner: Manner,
}

/// The behaviour of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Works,
    /// The act says that it failed, and did nothing.
    Fails,
    /// The act never ends.
    Hangs,
    /// The check never ends.
    Silent,
    /// The act takes a minute of the clock.
    Slow,
    /// The act takes a minute of the clock, and never ends.
    Stalls,
}

/// A journal, a world and a clock.
#[derive(Clone)]
pub(crate) struct Stage {
    _directory: Arc<TempDir>,
    pub(crate) journal: Journal,
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) seconds: Arc<AtomicI64>,
    pub(crate) heard: Heard,
}

/// An observer that keeps what it hears.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Heard {
    fn on(&self, progress: Progress<'_>) {
        let said = match progress {
            Progress::Checking(step) => format!("checking {}", step.id),
            Progress::Acting(step) => format!("acting {}", step.id),
            Progress::Undoing(step) => format!("undoing {}", step.id),
            Progress::Overdue(window) => format!("overdue {}", window.time_box),
            _ => return,
        };
        self.0.lock().unwrap().push(said);
    }
}

impl Stage {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            journal: Journal::open(directory.path().join("journal.jsonl")).unwrap(),
            _directory: Arc::new(directory),
            world: Arc::default(),
            seconds: Arc::new(AtomicI64::new(1_795_277_520)),
            heard: Heard::default(),
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        let seconds = Arc::clone(&self.seconds);
        Arc::new(move || Timestamp::from_second(seconds.load(Ordering::Relaxed)).unwrap())
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock())()
    }

    pub(crate) fn step(&self, facts: StepFacts, manner: Manner) -> Box<dyn Step> {
        Box::new(Memory { facts, stage: self.clone(), manner })
    }

    pub(crate) fn runner(&self, runbook: &Runbook) -> Result<Runner, runbook::Error> {
        let runner = Runner::open(&self.journal, runbook, self.clock())?;
        Ok(runner.observed_by(self.heard.clone()))
    }

    /// The records of the only run.
    pub(crate) fn run(&self) -> Run {
        let runs = Run::read(&self.journal).unwrap();
        assert_eq!(runs.len(), 1);
        runs.into_iter().next().unwrap()
    }

    pub(crate) fn acts(&self) -> Vec<String> {
        self.world.lock().unwrap().acts.clone()
    }

    /// The outcomes and steps in the journal.
    pub(crate) fn records(&self) -> Vec<String> {
        let records = self.journal.read().unwrap().into_iter();
        let text = |record: journal::Record| {
            let step = record.evidence["step"].as_str().unwrap_or(&record.subject).to_owned();
            format!("{} {step}", record.outcome)
        };
        records.map(text).collect()
    }
}

/// A runbook of these steps, frozen for at most 90 seconds from the first to the last.
pub(crate) fn described(steps: &[Box<dyn Step>]) -> Runbook {
    let facts: Vec<_> = steps.iter().map(|step| step.facts()).collect();
    let (first, last) = (facts[0].id.clone(), facts[facts.len() - 1].id.clone());
    let limit = TimeBox::new("frozen", first, last, Duration::from_secs(90));
    Runbook::new("move-1", facts, [limit]).unwrap()
}

impl Memory {
    fn set(&self, act: &str, is_done: bool) {
        let mut world = self.stage.world.lock().unwrap();
        world.acts.push(format!("{act} {}", self.facts.id));
        world.done.insert(self.facts.id.clone(), is_done);
    }
}

impl Step for Memory {
    fn facts(&self) -> StepFacts {
        self.facts.clone()
    }

    fn check(&self) -> Pending<'_, Found> {
        Box::pin(async {
            if self.manner == Manner::Silent {
                std::future::pending::<()>().await;
            }
            match self.stage.world.lock().unwrap().done.get(&self.facts.id) {
                Some(true) => Found::Done(json!({ "seen": true })),
                _ => Found::NotDone,
            }
        })
    }

    fn act(&self) -> Pending<'_, Result<Value, Failure>> {
        Box::pin(async {
            match self.manner {
                Manner::Fails => {
                    return Err(
                        Failure::permanent("the disk is full: 0 bytes left").with_hint("make room")
                    );
                }
                Manner::Hangs => std::future::pending::<()>().await,
                Manner::Stalls => {
                    self.stage.seconds.fetch_add(60, Ordering::Relaxed);
                    std::future::pending::<()>().await;
                }
                Manner::Slow => drop(self.stage.seconds.fetch_add(60, Ordering::Relaxed)),
                Manner::Works | Manner::Silent => {}
            }
            self.set("do", true);
            Ok(json!({ "rows": 3 }))
        })
    }

    fn undo(&self) -> Pending<'_, Result<(), Failure>> {
        Box::pin(async {
            self.set("undo", false);
            Ok(())
        })
    }

    fn check_limit(&self) -> Duration {
        if self.manner == Manner::Silent {
            Duration::from_millis(10)
        } else {
            Duration::from_secs(30)
        }
    }

    fn limit(&self) -> Duration {
        if self.manner == Manner::Hangs {
            Duration::from_millis(10)
        } else {
            Duration::from_secs(600)
        }
    }
}
