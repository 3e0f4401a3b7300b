//! The entries that are kept, and that no others are removed.

use std::time::Instant;

use backup::{
    Circumstances, Depth, Entry, Error, LeftoverKind, Plan, Reason, Retention, TimeZone, Vault,
};
use serde_json::json;

use crate::support::{Fixture, at, lock, seal};

const NOW: &str = "2026-12-10T00:00:00Z";
const INTENT: &str = ".state-hub.sql.gz.age.pruning";

fn last(n: u32) -> Retention {
    let mut retention = Retention::default();
    retention.last = n;
    retention
}

fn circumstances() -> Circumstances {
    Circumstances::at(at(NOW), TimeZone::UTC)
}

fn plan(fixture: &Fixture, retention: &Retention) -> Plan {
    fixture.vault.plan(retention, &circumstances()).unwrap()
}

fn prune(vault: &Vault, plan: &Plan) -> Result<(), Error> {
    let lock = lock(vault);
    vault.prune(&lock, plan, at(NOW))
}

/// Verified backups of five days, newest last.
fn five_days(fixture: &Fixture) -> Vec<Entry> {
    (20..25)
        .map(|day| {
            let entry = fixture.seal(&format!("2026-11-{day}T00:00:00Z"), b"x");
            fixture.vault.mark_verified(&entry, at("2026-12-02T00:00:00Z")).unwrap()
        })
        .collect()
}

fn ids(vault: &Vault) -> Vec<String> {
    let entries = vault.entries().unwrap();
    entries.iter().map(|entry| entry.id()[6..8].to_owned()).collect()
}

#[test]
fn only_what_the_plan_names_goes() {
    let fixture = Fixture::new();
    let entries = five_days(&fixture);
    fixture.vault.mark_drilled(&entries[1], at("2026-12-03T00:00:00Z")).unwrap();
    let unverified = fixture.seal("2026-11-19T00:00:00Z", b"x");
    let dev = Vault::open(fixture.path(), "state-hub-dev").unwrap();
    seal(&dev, &fixture.recipients(), "2026-11-01T00:00:00Z", b"dev");
    fs_err::write(fixture.path().join("state-hub-20261101T000000Z.sql.gz.age.bak"), b"copy")
        .unwrap();
    let before = fixture.names();

    let plan = plan(&fixture, &last(2));
    let removed: Vec<&str> = plan.removals().map(Entry::id).collect();
    assert_eq!(removed, ["20261122T000000Z", "20261120T000000Z"]);
    assert_eq!(fixture.names(), before, "a plan changes nothing");
    prune(&fixture.vault, &plan).unwrap();

    let mut expected = before;
    expected.retain(|name| !removed.iter().any(|id| name.contains(id)));
    assert_eq!(fixture.names(), expected);
    assert!(unverified.path().exists());
    assert!(fixture.vault.leftovers().unwrap().is_empty());
    let latest = fixture.vault.find("latest").unwrap();
    fixture.vault.verify(&latest, &fixture.identities(), Depth::Full).unwrap();
    assert_eq!(latest.id(), "20261124T000000Z");
}

#[test]
fn what_is_damaged_or_of_the_future_takes_no_place() {
    let fixture = Fixture::new();
    let entries = five_days(&fixture);
    // Longer than recorded, known to be damaged, and dated after now.
    fs_err::write(entries[4].path(), vec![0; 5000]).unwrap();
    let ahead = fixture.seal("2027-01-01T00:00:00Z", b"x");
    fixture.vault.mark_verified(&ahead, at("2026-12-02T00:00:00Z")).unwrap();
    let mut circumstances = circumstances();
    circumstances.damaged.insert(entries[3].id().to_owned());
    let plan = fixture.vault.plan(&last(1), &circumstances).unwrap();
    let reasons: Vec<&[Reason]> =
        plan.decisions.iter().map(|each| each.reasons.as_slice()).collect();
    let expected: [&[Reason]; 6] = [
        &[Reason::Future],
        &[Reason::Damaged],
        &[Reason::Damaged],
        &[Reason::NewestVerified, Reason::Last],
        &[],
        &[],
    ];
    assert_eq!(reasons, expected);
}

/// Two clocks are never the same: five minutes are no future.
#[test]
fn a_clock_that_is_a_little_ahead_makes_a_backup_as_good_as_any() {
    for (taken_at, counts) in
        [("2026-12-10T00:05:00Z", true), ("2026-12-10T00:05:00.000000001Z", false)]
    {
        let fixture = Fixture::new();
        let entry = fixture.seal(taken_at, b"x");
        fixture.vault.mark_verified(&entry, at("2026-12-02T00:00:00Z")).unwrap();
        let plan = plan(&fixture, &last(1));
        let reasons = &plan.decisions[0].reasons;
        assert_eq!(reasons.contains(&Reason::NewestVerified), counts);
        assert_eq!(reasons.contains(&Reason::Future), !counts);
    }
}

#[test]
fn a_vault_that_changed_is_planned_again() {
    for change in [
        "the newest goes",
        "the only drilled one goes",
        "one is drilled",
        "one is exchanged",
        "one goes",
    ] {
        let fixture = Fixture::new();
        let entries = five_days(&fixture);
        let drilled = |entry| fixture.vault.mark_drilled(entry, at("2026-12-03T00:00:00Z"));
        if change == "the only drilled one goes" {
            drilled(&entries[1]).unwrap();
        }
        let plan = plan(&fixture, &last(1));
        match change {
            "the only drilled one goes" => fs_err::remove_file(entries[1].path()).unwrap(),
            "the newest goes" => fs_err::remove_file(entries[4].path()).unwrap(),
            "one is drilled" => {
                drilled(&entries[0]).unwrap();
            }
            "one is exchanged" => {
                fs_err::write(entries[0].path(), b"another").unwrap();
            }
            _ => fs_err::remove_file(entries[0].path()).unwrap(),
        }
        let before = fixture.names();
        let refused = prune(&fixture.vault, &plan);
        assert!(matches!(refused, Err(Error::Changed { .. })), "{change}: {refused:?}");
        assert_eq!(fixture.names(), before, "{change}");
    }
}

#[test]
fn no_rule_and_a_wrong_clock_are_refused() {
    let fixture = Fixture::new();
    five_days(&fixture);
    let without = fixture.vault.plan(&Retention::default(), &circumstances());
    assert!(matches!(without, Err(Error::NoRetention)));
    let early = Circumstances::at(at("2026-12-01T00:00:00Z"), TimeZone::UTC);
    let refused = fixture.vault.plan(&last(1), &early).unwrap_err();
    assert!(matches!(refused, Error::ClockBehind { .. }), "{refused}");
    assert!(refused.hint().unwrap().contains("clock"));
}

#[test]
fn a_removal_that_was_interrupted_anywhere_is_finished() {
    let gone = ["20261120T000000Z", "20261121T000000Z", "20261122T000000Z"];
    let files: Vec<String> = ["sql.gz.age", "json"]
        .iter()
        .flat_map(|ending| gone.map(|id| format!("state-hub-{id}.{ending}")))
        .collect();
    for removed in 0..=files.len() {
        for finisher in ["clean", "prune"] {
            let fixture = Fixture::new();
            five_days(&fixture);
            let intent = json!({
                "format": "backup-pruning/1", "service": "state-hub", "begun_at": NOW, "entries": gone,
            });
            fs_err::write(fixture.path().join(INTENT), intent.to_string()).unwrap();
            for file in &files[..removed] {
                fs_err::remove_file(fixture.path().join(file)).unwrap();
            }

            assert_eq!(ids(&fixture.vault), ["24", "23"], "{removed}");
            let leftovers = fixture.vault.leftovers().unwrap();
            assert_eq!(leftovers.len(), files.len() - removed + 1);
            assert!(leftovers.iter().all(|each| each.kind == LeftoverKind::Removal));
            if finisher == "clean" {
                let lock = lock(&fixture.vault);
                assert_eq!(fixture.vault.clean_leftovers(&lock).unwrap(), leftovers);
            } else {
                prune(&fixture.vault, &plan(&fixture, &last(2))).unwrap();
            }
            assert!(fixture.vault.leftovers().unwrap().is_empty());
            assert_eq!(ids(&fixture.vault), ["24", "23"]);
            let left = fixture.names();
            assert!(!left.iter().any(|name| gone.iter().any(|id| name.contains(id))), "{left:?}");
            assert_eq!(fixture.vault.find("latest").unwrap().id(), "20261124T000000Z");
        }
    }
}

#[test]
fn an_intent_of_somebody_else_is_not_followed() {
    let fixture = Fixture::new();
    five_days(&fixture);
    let before = fixture.names();
    for intent in [
        json!({"format": "backup-pruning/2", "service": "state-hub", "begun_at": NOW, "entries": []}),
        json!({"format": "backup-pruning/1", "service": "other", "begun_at": NOW, "entries": []}),
        json!({"format": "backup-pruning/1", "service": "state-hub", "begun_at": NOW, "entries": ["../x"]}),
        json!("half"),
    ] {
        let path = fixture.path().join(INTENT);
        fs_err::write(&path, intent.to_string()).unwrap();
        let lock = lock(&fixture.vault);
        let refused = fixture.vault.clean_leftovers(&lock).unwrap_err();
        assert!(matches!(refused, Error::InvalidPruning { .. }), "{refused}");
        let latest = fixture.vault.find("latest").unwrap();
        assert_eq!(latest.id(), "20261124T000000Z", "what is needed is found");
        fs_err::remove_file(path).unwrap();
        assert_eq!(fixture.names(), before);
    }
}

/// A file that may name entries and cannot be read is not ignored.
#[test]
fn an_intent_that_cannot_be_read_holds_everything_up() {
    let fixture = Fixture::new();
    five_days(&fixture);
    let plan = plan(&fixture, &last(1));
    fs_err::create_dir(fixture.path().join(INTENT)).unwrap();
    let before = fixture.names();
    let refused = prune(&fixture.vault, &plan);
    assert!(matches!(refused, Err(Error::Io(_))), "{refused:?}");
    assert_eq!(fixture.names(), before);
}

#[test]
fn ten_thousand_entries_are_pruned() {
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-20T00:00:00Z", b"x");
    let entry = fixture.vault.mark_verified(&entry, at("2026-12-02T00:00:00Z")).unwrap();
    let sealed = fs_err::read(entry.path()).unwrap();
    let sidecar =
        fs_err::read_to_string(fixture.path().join("state-hub-20261120T000000Z.json")).unwrap();
    let begin = at("2020-01-01T00:00:00Z");
    for hour in 0..10_000 {
        let taken = begin + jiff_hours(hour);
        let stamp = taken.strftime("%Y%m%dT%H%M%SZ").to_string();
        let facts = sidecar
            .replace("20261120T000000Z", &stamp)
            .replace("2026-11-20T00:00:00Z", &taken.to_string());
        fs_err::write(fixture.path().join(format!("state-hub-{stamp}.sql.gz.age")), &sealed)
            .unwrap();
        fs_err::write(fixture.path().join(format!("state-hub-{stamp}.json")), facts).unwrap();
    }
    let begin = Instant::now();
    let plan = plan(&fixture, &last(10));
    assert_eq!(plan.removals().count(), 9991);
    prune(&fixture.vault, &plan).unwrap();
    eprintln!("10 000 entries: {:?}", begin.elapsed());
    assert_eq!(fixture.vault.entries().unwrap().len(), 10);
}

fn jiff_hours(hours: i64) -> std::time::Duration {
    std::time::Duration::from_secs(hours as u64 * 3600)
}

/// A crash between the mark and the link leaves the link behind; several in a row leave it at a
/// backup that is to go.
#[test]
fn a_link_that_crashes_left_behind_is_put_right_first() {
    let fixture = Fixture::new();
    let entries = five_days(&fixture);
    let link = fixture.vault.latest_link();
    fs_err::remove_file(&link).unwrap();
    let oldest = entries.iter().min_by_key(|entry| entry.id()).unwrap();
    fs_err::os::unix::fs::symlink(oldest.path().file_name().unwrap(), &link).unwrap();
    prune(&fixture.vault, &plan(&fixture, &last(2))).unwrap();
    let newest = entries.iter().max_by_key(|entry| entry.id()).unwrap();
    assert_eq!(fs_err::canonicalize(&link).unwrap(), newest.path());
    assert_eq!(ids(&fixture.vault).len(), 2);
}
