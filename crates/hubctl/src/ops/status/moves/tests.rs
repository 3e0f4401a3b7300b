//! Journals of cutovers that stopped at different steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use journal::evidence::CutoverEnd;
use journal::{NewRecord, Outcome};
use runbook::{
    Effect, Failure, Found, Intent, OnFailure, Pending, Runbook, Runner, Step, StepFacts, TimeBox,
};
use serde_json::Value;

use super::*;

/// A step that is done as soon as it was begun, or fails.
struct Fake {
    facts: StepFacts,
    fails: bool,
    is_done: AtomicBool,
}

impl Step for Fake {
    fn facts(&self) -> StepFacts {
        self.facts.clone()
    }

    fn check(&self) -> Pending<'_, Found> {
        let is_done = self.is_done.load(Ordering::SeqCst);
        Box::pin(async move { if is_done { Found::Done(Value::Null) } else { Found::NotDone } })
    }

    fn act(&self) -> Pending<'_, Result<Value, Failure>> {
        self.is_done.store(!self.fails, Ordering::SeqCst);
        let fails = self.fails;
        Box::pin(async move {
            if fails { Err(Failure::permanent("the disk is full")) } else { Ok(Value::Null) }
        })
    }

    fn undo(&self) -> Pending<'_, Result<(), Failure>> {
        self.is_done.store(false, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    }
}

/// Runs a cutover from `from` to `to` whose step of this name fails.
async fn cutover(journal: &Journal, id: &str, from: &str, to: &str, failing: &str) {
    let end =
        || CutoverEnd { database: "hub".to_owned(), system_identifier: None, database_oid: None };
    let begun = evidence::Cutover {
        run: id.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
        mode: "delta".to_owned(),
        epoch: 1,
        freeze_budget: 60,
        source: end(),
        target: end(),
        outcome: None,
        frozen_ms: None,
    };
    let record = NewRecord::of(SystemTime::now(), Outcome::Started, from, &begun);
    journal.append(record).unwrap();
    let facts = [
        StepFacts::new("fence", "Freeze"),
        StepFacts::new("backup", "Back up").on_failure(OnFailure::Stop),
        StepFacts::new("commit", "Hand over").with_effect(Effect::Commit),
        StepFacts::new("start", "Start"),
    ];
    let steps: Vec<Box<dyn Step>> = facts
        .into_iter()
        .map(|facts| {
            let fails = facts.id == failing;
            Box::new(Fake { facts, fails, is_done: false.into() }) as Box<dyn Step>
        })
        .collect();
    let limit = TimeBox::new("frozen", "fence", "commit", Duration::from_secs(60));
    let all = steps.iter().map(|step| step.facts());
    let runbook = Runbook::new(format!("{PREFIX}{id}"), all, [limit]).unwrap();
    let runner = Runner::open(journal, &runbook, Arc::new(Timestamp::now)).unwrap();
    runner.execute(&steps, Intent::Forward).await.unwrap();
}

fn journal() -> (tempfile::TempDir, Journal) {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path().join("journal.jsonl")).unwrap();
    (directory, journal)
}

fn known(journal: &Journal, now: Timestamp) -> Moves {
    of_records(&journal.read().unwrap(), now).unwrap()
}

#[tokio::test]
async fn a_cutover_that_stopped_tells_its_step_and_its_limit() {
    let (_directory, journal) = journal();
    assert!(known(&journal, Timestamp::now()).newest.is_none());
    cutover(&journal, "1", "a", "b", "backup").await;
    let Moves { newest, primary, .. } = known(&journal, Timestamp::now());
    let newest = newest.unwrap();
    assert_eq!((newest.phase, newest.committed, primary), (StatusPhase::Forward, false, None));
    assert_eq!(newest.step.as_deref(), Some("backup"));
    assert_eq!(newest.trouble.as_deref(), Some("it failed: the disk is full"));
    assert!(newest.frozen_since < newest.frozen_until && !newest.overdue, "{newest:?}");
    let later = Timestamp::now() + Duration::from_secs(61);
    assert!(known(&journal, later).newest.unwrap().overdue);
}

#[tokio::test]
async fn the_newest_commit_point_names_the_primary() {
    let (_directory, journal) = journal();
    let now = Timestamp::now();
    cutover(&journal, "1", "a", "b", "").await;
    assert_eq!(known(&journal, now).newest.unwrap().phase, StatusPhase::Done);
    assert_eq!(known(&journal, now).primary.as_deref(), Some("b"));
    cutover(&journal, "2", "b", "a", "fence").await;
    let undone = known(&journal, now);
    assert_eq!(undone.newest.as_ref().unwrap().phase, StatusPhase::Undone);
    assert_eq!(undone.primary.as_deref(), Some("b"), "nothing was committed");
    cutover(&journal, "3", "b", "a", "start").await;
    let committed = known(&journal, now);
    assert_eq!(committed.newest.as_ref().unwrap().phase, StatusPhase::Committed);
    assert_eq!(committed.primary.as_deref(), Some("a"));
}

#[tokio::test]
async fn a_commit_point_that_may_have_been_passed_leaves_the_primary_open() {
    let (_directory, journal) = journal();
    cutover(&journal, "1", "a", "b", "").await;
    cutover(&journal, "2", "b", "a", "commit").await;
    let mut records = journal.read().unwrap();
    // A process that was killed at the commit point leaves no more than its beginning.
    let is_begin = |record: &Record| {
        record.subject == "cutover-2" && record.evidence.to_string().contains("\"commit\"")
    };
    let started = records
        .iter()
        .rposition(|record| is_begin(record) && record.evidence["event"] == "started");
    records.truncate(started.unwrap() + 1);
    let Moves { newest, primary, .. } = of_records(&records, Timestamp::now()).unwrap();
    assert!(newest.unwrap().is_unsettled());
    assert_eq!(primary, None);
}
