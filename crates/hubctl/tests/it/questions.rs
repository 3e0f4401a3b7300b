//! Operations that ask (gates, approvals, the journal, doctor, the schedule, tunnels), called by a
//! program instead of a command line.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use gates::Answer;
use hubctl::ops::{
    self, ApproveOrder, Console, DoctorOrder, EvaluateOrder, Event, GatesOrder, Health, Ops,
};
use hubctl::settings::{Overrides, Settings};

use crate::support::{Home, block_on};

/// A person who can be asked, and what was reported.
#[derive(Default)]
struct Person(Mutex<Vec<Event>>);

impl Console for Person {
    fn tell(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }

    fn can_ask(&self) -> bool {
        true
    }
}

impl Person {
    fn facts(&self) -> Vec<String> {
        let fact = |event: &Event| match event {
            Event::Fact(text) => Some(text.clone()),
            _ => None,
        };
        self.0.lock().unwrap().iter().filter_map(fact).collect()
    }
}

/// One gate that passes, and one that needs a person.
fn home() -> Home {
    let home = Home::with_database("none".to_owned());
    home.append(
        "[approval]\nkey = \"alice\"\n\
         [gates.room]\ncondition = \"disk\"\npath = \".\"\nfree = \"1B\"\n\
         [gates.T05]\nall = [\"room\"]\napproval = { signers = \"approvers\", expires = \"4h\" }\n",
    );
    // Nobody may approve yet.
    fs_err::write(home.path("approvers"), "").unwrap();
    home
}

fn ops(home: &Home) -> Ops {
    Ops::new(Settings::load(Some(&home.path("hubctl.toml")), Overrides::default()).unwrap())
}

fn asked(home: &Home) -> Answer {
    block_on(ops::gates(&ops(home), GatesOrder::default())).unwrap().answer
}

#[test]
fn gates_are_asked_watched_and_judged_again_without_a_command() {
    let home = home();
    let person = Arc::new(Person::default());
    let ops = ops(&home).with_console(person.clone());
    let bundle = home.path("b.tar.gz");
    let order = GatesOrder { bundle: Some(bundle.clone()), ..GatesOrder::default() };
    let report = block_on(ops::gates(&ops, order)).unwrap();
    assert_eq!(report.answer, Answer::NeedsApproval);
    let named: Vec<(&str, bool)> =
        report.gates.iter().map(|gate| (gate.name.as_str(), gate.asked)).collect();
    assert_eq!(named, [("room", false), ("T05", true)]);
    assert_eq!(person.facts(), [format!("what was read is in {}", bundle.display())]);

    let mut seen = Vec::new();
    let order = GatesOrder { names: vec!["room".to_owned()], ..GatesOrder::default() };
    let ended = block_on(ops::watch_gates(&ops, order, |change| {
        seen.push((change.name.clone(), change.verdict.answer));
        anyhow::bail!("it was enough")
    }));
    assert_eq!(ended.unwrap_err().to_string(), "it was enough");
    assert_eq!(seen, [("room".to_owned(), Answer::Pass)]);

    let order = EvaluateOrder { from: bundle, names: vec!["room".to_owned()] };
    let judged = ops::evaluate_gates(&ops, &order).unwrap();
    assert_eq!((judged.answer, judged.collected_at), (Answer::Pass, report.collected_at));
    assert!(person.facts()[1].starts_with("as of "));

    let order = GatesOrder { names: vec!["T06".to_owned()], ..GatesOrder::default() };
    let refused = block_on(ops::gates(&ops, order)).unwrap_err();
    assert_eq!(refused.to_string(), "no gate `T06` is configured");
}

#[test]
fn a_program_approves_only_where_a_person_agrees() {
    let home = home();
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "alice", "-f"])
        .arg(home.path("alice"))
        .status()
        .unwrap();
    assert!(made.success());
    let public = fs_err::read_to_string(home.path("alice.pub")).unwrap();
    let signers = format!("alice@example.org namespaces=\"hubctl-approval\" {public}");
    fs_err::write(home.path("approvers"), signers).unwrap();
    let order = ApproveOrder { gate: "T05".to_owned(), ..ApproveOrder::default() };

    let silent = ops(&home);
    let refused = block_on(ops::approve(&silent, &order, |_| Ok(()))).unwrap_err();
    assert_eq!(refused.to_string(), "an approval needs a terminal");
    assert!(!home.path("journal.jsonl").exists());

    let ops = silent.with_console(Arc::new(Person::default()));
    let declined = block_on(ops::approve(&ops, &order, |plan| {
        assert_eq!((&*plan.principal, plan.persons), ("alice@example.org", 1));
        anyhow::bail!("not today")
    }));
    assert_eq!(declined.unwrap_err().to_string(), "not today");
    assert_eq!(asked(&home), Answer::NeedsApproval);

    let approved = block_on(ops::approve(&ops, &order, |_| Ok(()))).unwrap();
    assert_eq!((approved.files.len(), approved.revoked), (1, false));
    assert_eq!(asked(&home), Answer::Pass);
    let revoked = ops::revoke_approvals(&ops, &order, |_| Ok(())).unwrap();
    assert_eq!((revoked.files.len(), revoked.revoked), (1, true));
    assert_eq!(asked(&home), Answer::NeedsApproval);
    let outcomes = home.journal("approve").into_iter().map(|record| record.outcome.to_string());
    assert_eq!(outcomes.collect::<Vec<_>>(), ["failed", "done", "done"]);
}

#[test]
fn the_journal_is_listed_verified_and_rotated_without_a_command() {
    let home = Home::new();
    let person = Arc::new(Person::default());
    let ops = ops(&home).with_console(person.clone());
    assert!(ops::list_journal(&ops, None).is_err());
    home.backup();
    let listed = ops::list_journal(&ops, Some(1)).unwrap();
    assert_eq!((listed.records.len(), &*listed.records[0].kind), (1, "backup"));
    let verified = block_on(ops::verify_journal(&ops, None)).unwrap();
    let again = block_on(ops::verify_journal(&ops, verified.head.clone())).unwrap();
    assert_eq!((again.records, &again.against), (1, &verified.head));
    let rotated = ops::rotate_journal(&ops).unwrap();
    assert!(rotated.records == 1 && Path::new(&rotated.part.unwrap()).is_file());
    assert_eq!(
        person.facts(),
        [
            "the chain of 1 record holds",
            "the chain of 1 record holds, and record 1 is still what it was",
            "1 record are closed",
        ]
    );
}

#[test]
fn a_doctor_without_a_command_finds_what_is_missing() {
    let home = home();
    let report = block_on(ops::doctor(&ops(&home), DoctorOrder::default()));
    assert!(!report.healthy && report.has(Health::Fail));
    let health = |subject: &str| {
        let found = report.findings.iter().find(|finding| finding.subject == subject);
        found.map(|finding| finding.health)
    };
    assert_eq!(health("workstation"), Some(Health::Fail));
    assert_eq!(health("journal"), Some(Health::Ok));
    assert_eq!(health("targets"), Some(Health::Warn));
}

#[test]
fn a_schedule_runs_the_program_that_it_is_given() {
    let home = home();
    let ops = ops(&home);
    let planned = ops::plan_schedule(&ops, Path::new("/opt/hubctl")).unwrap();
    assert!(!planned.installed);
    let services = planned.units.iter().filter(|unit| unit.name.ends_with(".service"));
    assert!(services.clone().count() > 2);
    for service in services {
        assert!(service.text.contains("ExecStart=/opt/hubctl --config "), "{}", service.text);
    }
    let lines = ops::schedule_for_cron(&ops, Path::new("/opt/hubctl")).unwrap();
    assert!(lines.contains("'/opt/hubctl' --config "), "{lines}");
    let jobs = ops::schedule_for_kubernetes(&ops, "registry.example/hubctl:1").unwrap();
    assert!(jobs.contains("image: registry.example/hubctl:1"), "{jobs}");
}

#[test]
fn tunnels_without_a_supervisor_are_stopped() {
    let home = home();
    home.append("[tunnels.hub]\ndestination = \"hub\"\n[[tunnels.hub.forwards]]\nlocal = \"127.0.0.1:1\"\ntarget = \"127.0.0.1:2\"\n");
    let ops = ops(&home);
    let status = block_on(ops::tunnel_status(&ops, &[])).unwrap();
    assert!(!status.running && !status.is_up());
    assert_eq!(status.stopped, ["hub"]);
    assert!(block_on(ops::check_tunnels(&ops, &[])).is_err());
    assert!(block_on(ops::stop_tunnels(&ops, &[])).unwrap().is_empty());
    let refused = block_on(ops::tunnel_status(&ops, &["hab".to_owned()])).unwrap_err();
    assert_eq!(refused.to_string(), "no tunnel `hab` is configured");
}
