//! Every condition, judged by the fixtures: each field that lies has one that fails if the field
//! were believed.

use std::collections::{BTreeMap, BTreeSet};

use gates::{Absence, Answer, Content, Evidence, Reading, Verdict};
use proptest::prelude::*;
use serde_json::Value;

use crate::fixture::{Fixture, now};

fn judge(fixture: &Fixture, evidence: &Evidence) -> Verdict {
    let gates = fixture.gates();
    gates.evaluate(&["gate"], evidence, now()).remove("gate").unwrap()
}

#[test]
fn every_fixture_is_judged_as_it_says() {
    let fixtures = Fixture::all();
    assert!(fixtures.len() > 150, "{}", fixtures.len());
    for fixture in fixtures {
        fixture.require(&judge(&fixture, &fixture.evidence(now())));
    }
}

/// The names of all conditions: whoever asks for one that there is not is told them.
fn every_condition() -> BTreeSet<String> {
    let unknown = serde_json::json!({ "condition": "" });
    let error = serde_json::from_value::<gates::Condition>(unknown).unwrap_err();
    let said = error.to_string();
    let (_, names) = said.split_once("expected one of ").unwrap();
    let names = names.split(", ").map(|name| name.trim_matches('`'));
    names.map(ToOwned::to_owned).collect()
}

#[test]
fn every_condition_has_a_fixture_for_yes_for_no_and_for_neither() {
    let mut answers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for fixture in Fixture::all() {
        let name = fixture.condition().name().to_owned();
        answers.entry(name).or_default().insert(fixture.answer.to_string());
    }
    let found: BTreeSet<String> = answers.keys().cloned().collect();
    assert_eq!(found, every_condition());
    for (condition, answers) in answers {
        let has = |answer: &str| answers.contains(answer);
        assert!(has("pass") && has("fail") && has("unknown"), "{condition}: {answers:?}");
    }
}

/// Evidence that a gate may be open without: a class that states its replicas does not depend on
/// the default.
const NEEDLESS: [(&str, &str); 1] =
    [("storage-class/three-replicas", "Setting longhorn-system/default-replica-count")];

/// "Could not ask" is neither yes nor no, whatever could not be asked and why.
#[test]
fn what_cannot_be_read_never_passes_and_never_fails() {
    let absences = [
        Absence::Forbidden { verb: "list".to_owned(), resource: "things".to_owned() },
        Absence::Unauthorized,
        Absence::WrongCluster { expected: "a".to_owned(), found: "b".to_owned() },
        Absence::NotPinned { found: "b".to_owned() },
        Absence::Overloaded { status: 429 },
        Absence::Gone,
        Absence::NotKubernetes { status: 200, content: "text/html".to_owned() },
        Absence::failed("broken pipe"),
        Absence::NotCollected,
    ];
    let (mut needless, mut needed) = (BTreeSet::new(), BTreeSet::new());
    for fixture in Fixture::all().iter().filter(|fixture| fixture.answer == Answer::Pass) {
        let sound = fixture.evidence(now());
        for absence in &absences {
            for hidden in 0..sound.readings().len() {
                let mut evidence = Evidence::new(now());
                for (index, reading) in sound.readings().iter().enumerate() {
                    let content = if index == hidden {
                        Content::Absent(absence.clone())
                    } else {
                        reading.content.clone()
                    };
                    evidence.push(Reading::new(reading.read.clone(), now(), content));
                }
                let verdict = judge(fixture, &evidence);
                let pair = (fixture.name(), sound.readings()[hidden].read.to_string());
                // Some readings are only needed if others say so.
                if verdict.answer == Answer::Pass {
                    needless.insert(pair);
                    continue;
                }
                needed.insert(pair);
                assert_eq!(
                    verdict.answer,
                    Answer::Unknown,
                    "{}: {absence:?}: {verdict:?}",
                    fixture.name()
                );
            }
            let verdict = judge(fixture, &Evidence::new(now()));
            assert_eq!(verdict.answer, Answer::Unknown, "{}", fixture.name());
        }
    }
    // What was needed once is never needless, and what is needless is written down.
    let allowed = NEEDLESS.map(|(fixture, read)| (fixture.to_owned(), read.to_owned()));
    assert_eq!(needless, BTreeSet::from(allowed));
    assert!(needed.is_disjoint(&needless) && needed.len() > 50);
}

#[test]
fn evidence_reads_back_and_is_judged_the_same() {
    for fixture in Fixture::all() {
        let evidence = fixture.evidence(now());
        let text = serde_json::to_string(&evidence).unwrap();
        let read = Evidence::parse(&text).unwrap();
        assert_eq!(judge(&fixture, &read), judge(&fixture, &evidence), "{}", fixture.name());
    }
}

#[test]
fn a_gate_reads_back_as_it_was_written() {
    for fixture in Fixture::all() {
        let value = serde_json::to_value(&fixture.gate).unwrap();
        let gate: gates::Gate = serde_json::from_value(value).unwrap();
        assert_eq!(gate, fixture.gate, "{}", fixture.name());
    }
}

/// The items of lists in another order and some of them twice; the readings likewise.
fn shaken(evidence: &Evidence, seed: u64) -> Evidence {
    let mut dice = testkit::Dice::new(seed);
    let mut readings: Vec<Reading> = Vec::new();
    for reading in evidence.readings() {
        let mut reading = reading.clone();
        if let Content::Found(Value::Array(items)) = &mut reading.content {
            shake(items, &mut dice);
        }
        readings.push(reading);
    }
    shake(&mut readings, &mut dice);
    let mut shaken = Evidence::new(evidence.collected_at);
    for reading in readings {
        shaken.push(reading);
    }
    shaken
}

fn shake<T: Clone>(items: &mut Vec<T>, dice: &mut testkit::Dice) {
    if items.is_empty() {
        return;
    }
    let again = items[dice.below(items.len())].clone();
    items.push(again);
    for index in (1..items.len()).rev() {
        items.swap(index, dice.below(index + 1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn order_and_repetition_never_change_a_verdict(seed in any::<u64>()) {
        for fixture in Fixture::all() {
            let evidence = fixture.evidence(now());
            let before = judge(&fixture, &evidence);
            let after = judge(&fixture, &shaken(&evidence, seed));
            prop_assert_eq!(before.digest(), after.digest(), "{}", fixture.name());
            prop_assert_eq!(before, after, "{}", fixture.name());
        }
    }
}
