//! Runs over a real journal.

use std::fs::TryLockError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use runbook::{
    Effect, End, Error, ErrorClass, Failure, Guard, Intent, Obstacle, OnFailure, OnResume, Outcome,
    Pending, Phase, Reason, Runbook, Step, StepFacts, TimeBox,
};
use serde_json::json;

use crate::support::{Manner, Stage, described};

fn facts(id: &str) -> StepFacts {
    StepFacts::new(id, "A step")
}

/// Fence, copy, commit, open; `copy` in this manner.
fn steps(stage: &Stage, copy: Manner) -> Vec<Box<dyn Step>> {
    vec![
        stage.step(facts("fence"), Manner::Works),
        stage.step(facts("copy"), copy),
        stage.step(facts("commit").with_effect(Effect::Commit), Manner::Works),
        stage.step(facts("open"), Manner::Works),
    ]
}

async fn execute(stage: &Stage, steps: &[Box<dyn Step>], intent: Intent) -> Outcome {
    stage.runner(&described(steps)).unwrap().execute(steps, intent).await.unwrap()
}

#[tokio::test]
async fn a_run_ends_with_every_step_done_and_recorded() {
    let stage = Stage::new();
    let steps = steps(&stage, Manner::Works);
    assert_eq!(execute(&stage, &steps, Intent::Forward).await, Outcome::Ended(End::Done));
    assert_eq!(
        stage.records(),
        [
            "started move-1",
            "started fence",
            "done fence",
            "started copy",
            "done copy",
            "started commit",
            "done commit",
            "started open",
            "done open",
            "done move-1",
        ]
    );
    let evidence = stage.journal.read().unwrap()[4].evidence.clone();
    assert_eq!(
        (&evidence["act"], &evidence["check"]),
        (&json!({ "rows": 3 }), &json!({ "seen": true }))
    );

    // It is over, and stays so.
    assert_eq!(execute(&stage, &steps, Intent::Forward).await, Outcome::Ended(End::Done));
    assert_eq!(execute(&stage, &steps, Intent::Back).await, Outcome::Ended(End::Done));
    assert_eq!((stage.records().len(), stage.acts().len()), (10, 4));
}

#[tokio::test]
async fn a_failure_before_the_commit_point_undoes_in_reverse() {
    let stage = Stage::new();
    let mut steps = steps(&stage, Manner::Works);
    steps.insert(2, stage.step(facts("swap"), Manner::Fails));
    assert_eq!(execute(&stage, &steps, Intent::Forward).await, Outcome::Ended(End::RolledBack));
    assert_eq!(stage.acts(), ["do fence", "do copy", "undo copy", "undo fence"]);
    let heard = stage.heard.all();
    let failed = heard.iter().position(|said| said == "acting swap").unwrap();
    // Nothing that was found on the way forward counts on the way back.
    assert_eq!(
        heard[failed + 1..],
        [
            "checking swap",
            "checking swap",
            "checking copy",
            "undoing copy",
            "checking copy",
            "checking fence",
            "undoing fence",
            "checking fence",
        ]
    );
    assert_eq!(stage.run().status(stage.now()).phase, Phase::Ended(End::RolledBack));
}

#[tokio::test]
async fn an_act_or_a_check_that_never_ends_is_ended() {
    let stage = Stage::new();
    let hanging = steps(&stage, Manner::Hangs);
    assert_eq!(execute(&stage, &hanging, Intent::Forward).await, Outcome::Ended(End::RolledBack));
    assert!(stage.records().contains(&"failed copy".to_owned()));

    let stage = Stage::new();
    let silent = steps(&stage, Manner::Silent);
    for _ in 0..2 {
        let outcome = execute(&stage, &silent, Intent::Forward).await;
        let Outcome::Stuck { step, obstacle } = outcome else { panic!("{outcome:?}") };
        assert_eq!(step, "copy");
        assert_eq!(obstacle.to_string(), "its state is unknown: no answer within 10ms");
        assert!(obstacle.is_retryable() && obstacle.hint().is_some());
    }
    // The second stop says nothing new.
    let stops = stage.records().into_iter().filter(|record| record == "interrupted copy");
    assert_eq!(stops.count(), 1);
    let status = stage.run().status(stage.now());
    assert_eq!((status.step.as_deref(), status.phase), (Some("copy"), Phase::Forward));
    assert!(status.trouble.unwrap().reason.contains("unknown"));
}

#[tokio::test]
async fn a_failed_preparation_stops_and_goes_on_later() {
    let stage = Stage::new();
    let prepared = |manner| {
        let mut steps = steps(&stage, Manner::Works);
        let facts = facts("prepare").on_failure(OnFailure::Stop).on_resume(OnResume::Recorded);
        steps.insert(0, stage.step(facts, manner));
        steps
    };
    let outcome = execute(&stage, &prepared(Manner::Fails), Intent::Forward).await;
    let Outcome::Stuck { step, obstacle: Obstacle::Failed(failure) } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((step.as_str(), failure.hint.as_deref()), ("prepare", Some("make room")));
    let works = prepared(Manner::Works);
    assert_eq!(execute(&stage, &works, Intent::Forward).await, Outcome::Ended(End::Done));
    assert_eq!(stage.acts()[0], "do prepare");
}

#[tokio::test]
async fn past_its_time_box_a_run_undoes_by_itself_before_the_commit_point() {
    let stage = Stage::new();
    let mut steps = steps(&stage, Manner::Slow);
    steps.insert(2, stage.step(facts("swap"), Manner::Slow));
    assert_eq!(execute(&stage, &steps, Intent::Forward).await, Outcome::Ended(End::RolledBack));
    assert_eq!(stage.acts()[3..], ["undo swap", "undo copy", "undo fence"]);
    assert!(stage.heard.all().contains(&"overdue frozen".to_owned()));
}

#[tokio::test]
async fn an_act_that_outlasts_its_time_box_is_dropped_and_everything_undone() {
    let stage = Stage::new();
    let mut steps = steps(&stage, Manner::Slow);
    // A failure alone would only stop here.
    let swap = facts("swap").on_failure(OnFailure::Stop);
    steps.insert(2, stage.step(swap, Manner::Stalls));
    let limit = TimeBox::new("frozen", "fence", "open", Duration::from_secs(61));
    let facts: Vec<_> = steps.iter().map(|step| step.facts()).collect();
    let runbook = Runbook::new("move-1", facts, [limit]).unwrap();
    let outcome = stage.runner(&runbook).unwrap().execute(&steps, Intent::Forward).await.unwrap();
    assert_eq!(outcome, Outcome::Ended(End::RolledBack));
    assert_eq!(stage.acts(), ["do fence", "do copy", "undo copy", "undo fence"]);
    assert!(stage.records().contains(&"failed swap".to_owned()));
    assert!(stage.heard.all().contains(&"overdue frozen".to_owned()));
}

#[tokio::test]
async fn past_its_time_box_the_status_says_so_and_the_next_run_turns_back() {
    let stage = Stage::new();
    let silent = steps(&stage, Manner::Silent);
    let begun = stage.now();
    execute(&stage, &silent, Intent::Forward).await;
    let frozen = |stage: &Stage| stage.run().status(stage.now()).windows.remove(0);
    assert_eq!((frozen(&stage).since, frozen(&stage).is_overdue), (begun, false));
    stage.seconds.fetch_add(91, Ordering::Relaxed);
    assert!(frozen(&stage).is_overdue);

    let steps = steps(&stage, Manner::Works);
    assert_eq!(execute(&stage, &steps, Intent::Forward).await, Outcome::Ended(End::RolledBack));
    let reason = Reason::Overdue { time_box: "frozen".to_owned() };
    let turned = stage.run().entries.into_iter().find_map(|entry| match entry.event {
        runbook::Event::TurnedBack { reason } => Some(reason),
        _ => None,
    });
    assert_eq!(turned, Some(reason));
    assert!(stage.run().status(stage.now()).windows.is_empty());
}

#[tokio::test]
async fn past_the_commit_point_a_time_box_is_only_loud() {
    let stage = Stage::new();
    let mut steps = steps(&stage, Manner::Works);
    steps[3] = stage.step(facts("open"), Manner::Fails);
    let outcome = execute(&stage, &steps, Intent::Forward).await;
    assert!(matches!(outcome, Outcome::Stuck { obstacle: Obstacle::Failed(_), .. }));
    stage.seconds.fetch_add(91, Ordering::Relaxed);
    let status = stage.run().status(stage.now());
    assert!(status.phase == Phase::Committed && status.windows[0].is_overdue);

    let Outcome::Stuck { obstacle, .. } = execute(&stage, &steps, Intent::Back).await else {
        panic!("it went back");
    };
    assert_eq!(obstacle, Obstacle::Committed);
    steps[3] = stage.step(facts("open"), Manner::Works);
    assert_eq!(execute(&stage, &steps, Intent::Forward).await, Outcome::Ended(End::Done));
    assert_eq!(stage.acts(), ["do fence", "do copy", "do commit", "do open"]);
    assert!(stage.heard.all().contains(&"overdue frozen".to_owned()));
}

#[tokio::test]
async fn a_step_waits_for_its_approval() {
    let stage = Stage::new();
    let mut steps = steps(&stage, Manner::Works);
    let commit = facts("commit").with_effect(Effect::Commit).with_approval("switch");
    steps[2] = stage.step(commit, Manner::Works);
    let outcome = execute(&stage, &steps, Intent::Forward).await;
    let expected =
        Outcome::NeedsApproval { step: "commit".to_owned(), approval: "switch".to_owned() };
    assert_eq!(outcome, expected);

    let mut runner = stage.runner(&described(&steps)).unwrap();
    let error = runner.approve("other", None, json!(null)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Usage);
    runner.approve("switch", None, json!({ "signed_by": "operator" })).await.unwrap();
    let outcome = runner.execute(&steps, Intent::Forward).await.unwrap();
    assert_eq!(outcome, Outcome::Ended(End::Done));
    assert!(stage.records().contains(&"approved move-1".to_owned()));
}

struct Closed;

impl Guard for Closed {
    fn ensure(&self) -> Pending<'_, Result<(), Failure>> {
        Box::pin(async { Err(Failure::retryable("the lock is held by session 7")) })
    }
}

#[tokio::test]
async fn nothing_is_done_while_others_are_not_kept_away() {
    let stage = Stage::new();
    let steps = steps(&stage, Manner::Works);
    let runner = stage.runner(&described(&steps)).unwrap().guarded_by(Closed);
    let outcome = runner.execute(&steps, Intent::Forward).await.unwrap();
    assert!(matches!(outcome, Outcome::Stuck { obstacle: Obstacle::Unguarded(_), .. }));
    assert_eq!(stage.records(), ["started move-1", "interrupted fence"]);
    assert!(stage.acts().is_empty());
}

#[tokio::test]
async fn a_dropped_run_is_as_after_a_crash() {
    let stage = Stage::new();
    let mut cancelled = steps(&stage, Manner::Works);
    cancelled[2] = stage.step(facts("commit").with_effect(Effect::Commit), Manner::Silent);
    let runner = stage.runner(&described(&cancelled)).unwrap();
    tokio::select! {
        biased;
        outcome = runner.execute(&cancelled, Intent::Forward) => panic!("{outcome:?}"),
        () = async { while stage.acts().len() < 2 { tokio::task::yield_now().await } } => {}
    }
    // The lock is free once the record that was being written is on the disk.
    let steps = steps(&stage, Manner::Works);
    let runner = loop {
        match stage.runner(&described(&steps)) {
            Err(Error::Locked { .. }) => tokio::task::yield_now().await,
            opened => break opened.unwrap(),
        }
    };
    let outcome = runner.execute(&steps, Intent::Forward).await.unwrap();
    assert_eq!(outcome, Outcome::Ended(End::Done));
    assert_eq!(stage.acts(), ["do fence", "do copy", "do commit", "do open"]);
}

#[tokio::test]
async fn a_dropped_run_keeps_others_away_until_its_last_record_is_written() {
    let stage = Stage::new();
    let steps = steps(&stage, Manner::Works);
    let runbook = described(&steps);
    let runner = stage.runner(&runbook).unwrap();
    let lock = stage.journal.path().with_file_name(".journal.jsonl.runbook.lock");
    let lock = fs_err::File::open(lock).unwrap();
    // While the journal is locked, the first record waits.
    let held = fs_err::File::open(stage.journal.path()).unwrap();
    held.lock().unwrap();
    tokio::select! {
        biased;
        outcome = runner.execute(&steps, Intent::Forward) => panic!("{outcome:?}"),
        () = std::future::ready(()) => {}
    }
    assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
    drop(held);
    while lock.try_lock().is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.records(), ["started move-1"]);
}

#[tokio::test]
async fn one_runner_and_one_run_at_a_time() {
    let stage = Stage::new();
    let steps = steps(&stage, Manner::Silent);
    let runbook = described(&steps);
    let runner = stage.runner(&runbook).unwrap();
    let error = stage.runner(&runbook).unwrap_err();
    assert!(matches!(error, Error::Locked { owner: Some(_), .. }), "{error}");
    runner.execute(&steps, Intent::Forward).await.unwrap();

    let other = Runbook::new("move-2", runbook.steps().to_vec(), []).unwrap();
    let error = stage.runner(&other).unwrap_err();
    assert_eq!(error.to_string(), "run `move-1` has not ended");
    assert_eq!(error.class(), ErrorClass::No);

    let changed = Runbook::new("move-1", runbook.steps()[1..].to_vec(), []).unwrap();
    let error = stage.runner(&changed).unwrap_err();
    assert!(matches!(error, Error::Changed { .. }) && error.hint().is_some(), "{error}");

    stage.runner(&runbook).unwrap().abandon("both servers are gone").await.unwrap();
    assert_eq!(stage.records().last().unwrap(), "abandoned move-1");
    assert!(stage.runner(&other).is_ok());
    assert!(stage.runner(&runbook).unwrap().abandon("twice").await.is_err());
}

#[tokio::test]
async fn steps_that_are_not_those_of_the_runbook_are_refused() {
    let stage = Stage::new();
    let steps = steps(&stage, Manner::Works);
    let runner = stage.runner(&described(&steps)).unwrap();
    let error = runner.execute(&steps[..3], Intent::Forward).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Usage);
    assert!(stage.records().is_empty());
}
