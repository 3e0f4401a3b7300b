//! Tables of decisions: records and answers on the left, the decision on the right.

use std::time::Duration;

use super::*;
use crate::TimeBox;

/// `a` and `b` are reversible, a failure of `b` only stops, `p` is a reading, `r` must be repeated
/// by each process, `c` is the commit point, and `d` comes after it. The time from `a` to `d` is
/// limited to 60 seconds.
fn runbook() -> Runbook {
    let step = |id| StepFacts::new(id, "A step");
    let steps = [
        step("a"),
        step("b").on_failure(OnFailure::Stop),
        step("p").with_effect(Effect::Nothing).on_resume(OnResume::Recorded),
        step("r").on_resume(OnResume::Repeat),
        step("c").with_effect(Effect::Commit).with_approval("switch"),
        step("d"),
    ];
    let limit = Duration::from_secs(60);
    Runbook::new("run", steps, [TimeBox::new("frozen", "a", "d", limit)]).unwrap()
}

fn failure(reason: &str) -> Failure {
    Failure::retryable(reason)
}

/// Records, one word each, all at second 0.
fn entries(words: &str) -> Vec<Entry> {
    let event = |word: &str| {
        let (word, about) = word.split_once(':').unwrap_or((word, ""));
        let step = about.to_owned();
        match word {
            "begun" => Event::Begun { runbook: runbook() },
            "start" => Event::Started { step },
            "done" => Event::Done { step, act: Value::Null, check: Value::Null },
            "fail" => Event::Failed { step, failure: failure("no") },
            "turn" => Event::TurnedBack { reason: Reason::Requested },
            "undoing" => Event::Undoing { step },
            "undone" => Event::Undone { step },
            "undofail" => Event::UndoFailed { step, failure: failure("no") },
            "approve" => {
                let until = about.parse().ok().map(second);
                Event::Approved { approval: "switch".to_owned(), until, evidence: Value::Null }
            }
            "end" => Event::Ended { end: End::Done },
            _ => panic!("{word}"),
        }
    };
    words.split_whitespace().map(|word| Entry { at: second(0), event: event(word) }).collect()
}

/// The acts and findings of this process, in this order: `+a` for an act, `-a` for an undo, `a=not`
/// for an answer.
fn session(words: &str) -> Session {
    let mut session = Session::new();
    let position = |step: &str| runbook().position(step).unwrap();
    for word in words.split_whitespace() {
        if let Some(step) = word.strip_prefix('+') {
            session.acting(position(step));
        } else if let Some(step) = word.strip_prefix('-') {
            session.undoing(position(step));
        } else {
            let (step, answer) = word.split_once('=').unwrap();
            let found = match answer {
                "not" => Found::NotDone,
                "done" => Found::Done(Value::Null),
                "partly" => Found::Partly("half".to_owned()),
                "unknown" => Found::Unknown("silence".to_owned()),
                _ => panic!("{answer}"),
            };
            session.found(position(step), found);
        }
    }
    session
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn said(decision: &Decision) -> String {
    let id = |step: &usize| runbook().steps()[*step].id.clone();
    match decision {
        Decision::Check(step) => format!("check {}", id(step)),
        Decision::Do(step) => format!("do {}", id(step)),
        Decision::Undo(step) => format!("undo {}", id(step)),
        Decision::NeedsApproval { step, approval } => format!("{} needs {approval}", id(step)),
        Decision::Stuck { step, obstacle } => format!("stuck at {}: {obstacle}", id(step)),
        Decision::Ended(end) => format!("ended {end:?}"),
        Decision::Record(event) => match event {
            Event::Begun { .. } => "record begun".to_owned(),
            Event::Done { step, .. } => format!("record {step} done"),
            Event::Failed { step, failure } => format!("record {step} failed: {failure}"),
            Event::Undone { step } => format!("record {step} undone"),
            Event::UndoFailed { step, failure } => format!("record {step} undo failed: {failure}"),
            Event::TurnedBack { reason } => format!("turn back: {reason}"),
            Event::Ended { end } => format!("record end {end:?}"),
            other => panic!("{other:?}"),
        },
    }
}

fn decision(records: &str, answers: &str, intent: Intent, now: i64) -> String {
    said(&next(&runbook(), &entries(records), &session(answers), intent, second(now)))
}

#[track_caller]
fn follows(intent: Intent, table: &[(&str, &str, &str)]) {
    for (records, answers, expected) in table {
        let decided = decision(records, answers, intent, 1);
        assert_eq!(decided, *expected, "after `{records}`, having found `{answers}`");
    }
}

#[test]
fn forward_each_step_is_asked_done_asked_and_recorded() {
    follows(
        Intent::Forward,
        &[
            ("", "", "record begun"),
            ("begun", "", "check a"),
            ("begun", "a=not", "do a"),
            ("begun", "a=partly", "do a"),
            ("begun start:a", "+a", "check a"),
            ("begun start:a", "+a a=done", "record a done"),
            ("begun start:a done:a", "+a a=done", "check b"),
            // Done already, without an act: it is believed.
            ("begun", "a=done", "record a done"),
            ("begun end", "", "ended Done"),
        ],
    );
}

#[test]
fn after_a_crash_the_step_is_asked_and_not_the_journal() {
    follows(
        Intent::Forward,
        &[
            ("begun start:a", "", "check a"),
            ("begun start:a", "a=not", "do a"),
            ("begun start:a", "a=partly", "do a"),
            ("begun start:a", "a=done", "record a done"),
            ("begun start:a done:a", "", "check a"),
            ("begun start:a done:a", "a=done", "check b"),
            ("begun start:a done:a", "a=not", "turn back: step `a` was done and is not any more"),
            // A reading stays what it was.
            ("begun done:a done:b done:p", "a=done b=done", "check r"),
            ("begun done:a done:b done:p done:r", "a=done b=done r=not", "do r"),
        ],
    );
}

#[test]
fn unknown_never_acts() {
    let stuck = "its state is unknown: silence";
    for (records, answers, step) in [
        ("begun", "a=unknown", "a"),
        ("begun start:a", "a=unknown", "a"),
        ("begun start:a done:a", "a=unknown", "a"),
        ("begun start:a start:b turn", "b=unknown", "b"),
        ("begun start:c", "c=unknown", "c"),
        ("begun start:a start:c turn", "c=unknown", "c"),
        ("begun start:c done:c", "c=done d=unknown", "d"),
    ] {
        let decided = decision(records, answers, Intent::Forward, 1);
        assert_eq!(decided, format!("stuck at {step}: {stuck}"), "after `{records}`");
    }
}

#[test]
fn a_failure_turns_back_or_stops_as_the_step_says() {
    follows(
        Intent::Forward,
        &[
            ("begun start:a fail:a", "+a", "check a"),
            ("begun start:a fail:a", "+a a=not", "turn back: step `a` failed"),
            // After a crash in between, the failure still counts.
            ("begun start:a fail:a", "a=not", "turn back: step `a` failed"),
            // The act said no, the world says yes.
            ("begun start:a fail:a", "+a a=done", "record a done"),
            (
                "begun start:a",
                "+a a=partly",
                "record a failed: the act succeeded, but is not found done",
            ),
            ("begun done:a start:b fail:b", "a=done +b b=not", "stuck at b: it failed: no"),
            // The next process tries again.
            ("begun done:a start:b fail:b", "a=done b=not", "do b"),
            // A step that has to be repeated is repeated once.
            (
                "begun done:a done:b done:p start:r done:r",
                "a=done b=done +r r=not",
                "record r failed: the act succeeded, but is not found done",
            ),
        ],
    );
}

#[test]
fn before_the_commit_point_all_that_must_hold_is_asked_once_more() {
    let done = "begun approve done:a done:b done:p start:r done:r";
    let old = "a=done b=done r=not +r r=done c=not";
    follows(
        Intent::Forward,
        &[
            (done, old, "check a"),
            (done, &format!("{old} a=done"), "check b"),
            (done, &format!("{old} a=done b=done"), "do c"),
            (done, &format!("{old} a=not"), "turn back: step `a` was done and is not any more"),
            (done, &format!("{old} a=done b=unknown"), "stuck at b: its state is unknown: silence"),
        ],
    );
}

#[test]
fn an_approval_is_needed_and_may_end() {
    let done = |approval| format!("begun {approval} done:a done:b done:p done:r");
    let found = "a=done b=done r=done c=not";
    let at = |approval, now| decision(&done(approval), found, Intent::Forward, now);
    assert_eq!(at("", 1), "c needs switch");
    assert_eq!(at("approve", 1), "do c");
    assert_eq!(at("approve:20", 20), "do c");
    assert_eq!(at("approve:20", 21), "c needs switch");
}

#[test]
fn the_commit_point_is_asked_first_and_decides_the_direction() {
    let begun = "begun start:a done:a start:c";
    follows(
        Intent::Forward,
        &[
            (begun, "", "check c"),
            (begun, "c=done", "record c done"),
            (begun, "c=not", "check a"),
            (begun, "c=partly", "stuck at c: the commit point is half done: half"),
            (&format!("{begun} done:c"), "c=done", "check d"),
            (
                &format!("{begun} done:c"),
                "c=not",
                "stuck at c: it is recorded as committed, and is not found done",
            ),
            // What came before is not asked any more, and nothing turns back.
            (&format!("{begun} done:c start:d"), "c=done d=not", "do d"),
            (
                &format!("{begun} done:c start:d fail:d"),
                "c=done +d d=not",
                "stuck at d: it failed: no",
            ),
            (&format!("{begun} done:c start:d done:d"), "c=done d=not", "do d"),
            (&format!("{begun} done:c start:d done:d"), "c=done d=done", "record end Done"),
        ],
    );
    let committed = "stuck at c: the run is past its commit point, and cannot be undone";
    follows(
        Intent::Back,
        &[
            (begun, "", "check c"),
            (begun, "c=done", "record c done"),
            (begun, "c=not", "turn back: requested"),
            (&format!("{begun} done:c"), "c=done", committed),
            (&format!("{begun} turn"), "", "check c"),
        ],
    );
    // It is found done although the run has turned back: forward, if nothing was undone yet.
    follows(
        Intent::Forward,
        &[
            (&format!("{begun} turn"), "c=done", "record c done"),
            (&format!("{begun} turn done:c"), "c=done", "check d"),
            (
                &format!("{begun} turn undoing:a"),
                "c=done",
                "stuck at c: it is found committed, although other steps were undone",
            ),
        ],
    );
}

#[test]
fn the_way_back_is_the_reverse_and_only_of_what_was_begun() {
    let turned = "begun start:a done:a done:b start:p done:p start:r turn";
    // Both ways of asking lead to the same.
    for intent in [Intent::Forward, Intent::Back] {
        follows(
            intent,
            &[
                (turned, "", "check r"),
                (turned, "r=not", "record r undone"),
                (turned, "r=partly", "undo r"),
                (&format!("{turned} undoing:r"), "-r", "check r"),
                (
                    &format!("{turned} undoing:r"),
                    "-r r=done",
                    "record r undo failed: the undo succeeded, but is found done",
                ),
                (&format!("{turned} undofail:r"), "-r r=done", "stuck at r: its undo failed: no"),
                (&format!("{turned} undofail:r"), "-r r=not", "record r undone"),
                (&format!("{turned} undofail:r"), "r=done", "undo r"),
                // `p` changed nothing, and `b` was done before this run.
                (&format!("{turned} undone:r"), "", "check a"),
                (&format!("{turned} undone:r"), "a=done", "undo a"),
                (&format!("{turned} undone:r undone:a"), "", "record end RolledBack"),
            ],
        );
    }
    follows(Intent::Back, &[("", "", "ended RolledBack"), ("begun", "", "turn back: requested")]);
}

#[test]
fn a_time_box_that_is_over_turns_back_before_the_commit_point_and_never_after() {
    let at = |records, answers, now| decision(records, answers, Intent::Forward, now);
    assert_eq!(at("begun start:a done:a", "a=done", 59), "check b");
    assert_eq!(at("begun start:a done:a", "a=done", 60), "turn back: time box `frozen` is over");
    // It has not opened, or has closed.
    assert_eq!(at("begun", "", 61), "check a");
    assert_eq!(at("begun start:c", "", 61), "check c");
    // The commit point is asked before, and then decides.
    let begun = "begun start:a done:a start:c";
    assert_eq!(at(begun, "", 61), "check c");
    assert_eq!(at(begun, "c=unknown", 61), "stuck at c: its state is unknown: silence");
    assert_eq!(at(begun, "c=not", 61), "turn back: time box `frozen` is over");
    assert_eq!(at(&format!("{begun} done:c"), "c=done", 61), "check d");
}

#[test]
fn a_clock_that_was_set_back_gives_no_more_time() {
    let mut records = entries("begun start:a done:a");
    records[2].at = second(61);
    let decided = next(&runbook(), &records, &session("a=done"), Intent::Forward, second(5));
    assert_eq!(said(&decided), "turn back: time box `frozen` is over");
}
