//! Gates made of gates: combinations, expiry, stability, approvals, and what makes no sense.

use std::cell::RefCell;
use std::collections::BTreeMap;

use gates::{
    Answer, ApprovalRequest, ApprovalRule, Approving, Content, Error, Evidence, Gate, Gates, Hash,
    Reading, Standing, Verdict, VoidReason,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::fixture::now;

fn gates(tables: Value) -> Result<Gates, Error> {
    let tables: BTreeMap<String, Gate> = serde_json::from_value(tables).unwrap();
    Gates::new(tables)
}

fn port(answer: &str) -> Value {
    json!({ "condition": "program", "question": answer })
}

/// Evidence in which each question is answered with the answer it is named after.
fn evidence(gates: &Gates, at: Timestamp) -> Evidence {
    let names: Vec<&str> = gates.iter().map(|(name, _)| name).collect();
    let mut evidence = Evidence::new(at);
    for read in gates.reads(&names) {
        let question =
            serde_json::to_value(&read).unwrap()["question"].as_str().unwrap().to_owned();
        let content = Content::Found(json!({ "answer": question, "reason": "as told" }));
        evidence.push(Reading::new(read, at, content));
    }
    evidence
}

fn verdict(gates: &Gates, name: &str) -> Verdict {
    let evidence = evidence(gates, now());
    gates.evaluate(&[name], &evidence, now()).remove(name).unwrap()
}

#[test]
fn combinations_name_the_parts_that_decide() {
    let gates = gates(json!({
        "yes": port("pass"), "no": port("fail"), "dunno": port("unknown"), "soon": port("waiting"),
        "all-yes": { "all": ["yes"] },
        "all-no": { "all": ["yes", "no", "dunno"] },
        "all-dunno": { "all": ["yes", "soon", "dunno"] },
        "any-yes": { "any": ["yes", "no"] },
        "any-soon": { "any": ["soon", "no"] },
        "not-no": { "not": "no" },
        "nested": { "all": ["any-yes", "not-no"] },
    }))
    .unwrap();
    for (name, answer, reason) in [
        ("all-yes", Answer::Pass, "all 1 hold"),
        ("all-no", Answer::Fail, "no does not hold"),
        ("all-dunno", Answer::Unknown, "dunno is not known"),
        ("any-yes", Answer::Pass, "yes holds"),
        ("any-soon", Answer::Waiting, "soon does not hold yet"),
        ("not-no", Answer::Pass, "no fails, as it should (as told)"),
        ("nested", Answer::Pass, "all 2 hold"),
    ] {
        let verdict = verdict(&gates, name);
        assert_eq!((verdict.answer, verdict.reason.as_str()), (answer, reason), "{name}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (tables, said) in [
        (json!({ "a": { "all": ["b"] } }), "there is no gate `b`"),
        (json!({ "a": { "not": "a" } }), "a part of itself"),
        (json!({ "a": { "all": ["b"] }, "b": { "any": ["a"] } }), "a part of itself"),
        (json!({ "a": { "all": [] } }), "made of nothing"),
    ] {
        let error = gates(tables).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_name_that_is_no_gate_is_unknown() {
    let gates = gates(json!({})).unwrap();
    assert_eq!(verdict(&gates, "nobody").answer, Answer::Unknown);
}

#[test]
fn a_pass_stands_no_longer_than_its_gate_says() {
    let gates =
        gates(json!({ "a": { "condition": "program", "question": "pass", "expires": "1h" } }))
            .unwrap();
    let evidence = evidence(&gates, now());
    let at = |minutes| now() + SignedDuration::from_mins(minutes);
    let fresh = &gates.evaluate(&["a"], &evidence, at(59))["a"];
    assert_eq!((fresh.answer, fresh.expires_at), (Answer::Pass, Some(at(60))));
    let stale = &gates.evaluate(&["a"], &evidence, at(61))["a"];
    assert_eq!(stale.answer, Answer::Unknown, "{stale:?}");
    assert!(
        stale.reason.contains("it passed 1h 1m ago, which stands for 1h only"),
        "{}",
        stale.reason
    );
}

#[test]
fn a_pass_must_last_without_a_break() {
    let gates =
        gates(json!({ "a": { "condition": "program", "question": "pass", "stable_for": "2m" } }))
            .unwrap();
    let at = |seconds| now() + SignedDuration::from_secs(seconds);
    let mut held = BTreeMap::new();
    let ask = |seconds, answer: &str, held: &mut BTreeMap<_, _>| {
        let mut evidence = Evidence::new(at(seconds));
        let read = gates.reads(&["a"]).remove(0);
        let subject = json!([{ "named": { "kind": "pod", "name": answer } }]);
        let word = if answer == "fail" { "fail" } else { "pass" };
        let content = json!({ "answer": word, "reason": "x", "subjects": subject });
        evidence.push(Reading::new(read, at(seconds), Content::Found(content)));
        gates.hold(&["a"], &mut evidence, held, at(seconds));
        held.clone_from(&evidence.held);
        gates.evaluate(&["a"], &evidence, at(seconds)).remove("a").unwrap().answer
    };
    assert_eq!(ask(0, "pod-1", &mut held), Answer::Waiting);
    assert_eq!(ask(60, "pod-1", &mut held), Answer::Waiting);
    assert_eq!(ask(90, "fail", &mut held), Answer::Fail);
    assert_eq!(ask(120, "pod-1", &mut held), Answer::Waiting, "it began anew");
    assert_eq!(ask(200, "pod-2", &mut held), Answer::Waiting, "it is another pod");
    assert_eq!(ask(319, "pod-2", &mut held), Answer::Waiting);
    assert_eq!(ask(320, "pod-2", &mut held), Answer::Pass);
}

/// Says what it was told, and remembers what it was asked.
struct Told {
    standing: fn(usize) -> Result<Standing, Error>,
    asked: RefCell<Vec<ApprovalRequest>>,
}

impl Approving for Told {
    fn standing(
        &self,
        request: &ApprovalRequest,
        rule: &ApprovalRule,
        _: Timestamp,
    ) -> Result<Standing, Error> {
        self.asked.borrow_mut().push(request.clone());
        (self.standing)(rule.persons)
    }
}

fn approved(
    question: &str,
    standing: fn(usize) -> Result<Standing, Error>,
) -> (Verdict, Vec<ApprovalRequest>) {
    let gates = gates(json!({
        "part": port(question),
        "T05": { "all": ["part"], "approval": {
            "signers": "approvers", "expires": "4h", "persons": 2, "consequences": ["it moves"], "way_back": "move back",
        } },
    }))
    .unwrap();
    let told = Told { standing, asked: RefCell::default() };
    let evidence = evidence(&gates, now());
    let verdict = gates.evaluate_with(&["T05"], &evidence, now(), &told).remove("T05").unwrap();
    (verdict, told.asked.into_inner())
}

#[test]
fn nobody_is_asked_before_everything_else_holds() {
    for question in ["fail", "unknown", "waiting"] {
        let (verdict, asked) = approved(question, |_| panic!("asked"));
        assert_eq!((verdict.answer.to_string().as_str(), asked.len()), (question, 0));
    }
}

#[test]
fn an_approval_opens_the_gate_and_nothing_less_does() {
    let until = now() + SignedDuration::from_hours(1);
    let (verdict, asked) = approved("pass", |_| {
        Ok(Standing::Granted { by: Vec::new(), until: now() + SignedDuration::from_hours(1) })
    });
    assert_eq!((verdict.answer, verdict.expires_at), (Answer::Pass, Some(until)));
    assert_eq!((asked[0].gate.as_str(), asked[0].way_back.as_str()), ("T05", "move back"));
    assert_eq!(asked[0].consequences, ["it moves"]);
    assert!(asked[0].plan.contains("\"part\"") && asked[0].plan.contains("\"question\": \"pass\""));

    for (standing, said) in [
        (
            (|need| Ok(Standing::Missing { have: 0, need }))
                as fn(usize) -> Result<Standing, Error>,
            "not approved yet",
        ),
        (|need| Ok(Standing::Missing { have: 1, need }), "1 of 2 people have approved it"),
        (|_| Ok(Standing::Expired { at: now() - SignedDuration::from_mins(5) }), "expired 5m ago"),
        (
            |_| Ok(Standing::Void { why: VoidReason::OtherEvidence }),
            "not what was approved any more",
        ),
    ] {
        let (verdict, _) = approved("pass", standing);
        assert_eq!(verdict.answer, Answer::NeedsApproval);
        assert!(verdict.reason.contains(said), "{}", verdict.reason);
    }
    let (verdict, _) = approved("pass", |_| Err(std::io::Error::other("torn").into()));
    assert_eq!(verdict.answer, Answer::Unknown, "{verdict:?}");
}

#[test]
fn other_evidence_and_other_rules_need_another_approval() {
    let (verdict, asked) = approved("pass", |need| Ok(Standing::Missing { have: 0, need }));
    assert_eq!(verdict.approves, Some(asked[0].evidence_hash));
    let request = |tables: Value, reason: &str| -> (Hash, Hash) {
        let gates = gates(tables).unwrap();
        let mut evidence = Evidence::new(now());
        let read = gates.reads(&["a"]).remove(0);
        let content = json!({ "answer": "pass", "reason": "x", "evidence": reason });
        evidence.push(Reading::new(read, now(), Content::Found(content)));
        let verdict = &gates.evaluate(&["a"], &evidence, now())["a"];
        let request = gates.request("a", verdict);
        (request.plan_hash(), request.evidence_hash)
    };
    let table = |expires: &str| json!({ "a": { "condition": "program", "question": "q", "approval": { "signers": "s", "expires": expires } } });
    let before = request(table("4h"), "three nodes");
    assert_eq!(request(table("4h"), "three nodes"), before);
    let other = request(table("4h"), "two nodes");
    assert!(other.0 == before.0 && other.1 != before.1);
    assert_ne!(request(table("400h"), "three nodes").0, before.0);
}

#[test]
fn what_is_not_evidence_is_refused() {
    for text in
        ["", "{}", "[]", "{\"format\":\"hubctl-evidence/2\"}", "{\"format\":\"hubctl-evidence/1\"}"]
    {
        let error = Evidence::parse(text).unwrap_err();
        assert!(
            matches!(error, Error::NotEvidence { .. }) && error.hint().is_some(),
            "{text}: {error}"
        );
    }
}
