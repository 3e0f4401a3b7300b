//! The sample service moves between two homes, while an independent client never stops writing.

mod campaign;
mod scene;

use serde_json::Value;
use testkit::{HookFault, Service, Violation, Way};

use self::scene::Scene;

#[test]
fn a_service_moves_there_and_back_offline() {
    there_and_back("offline");
}

#[test]
fn a_service_moves_there_and_back_by_delta() {
    there_and_back("delta");
}

/// Moves from `a` to `b` by a cutover, and back by a rollback.
fn there_and_back(mode: &str) {
    let Some(mut scene) = Scene::build() else {
        return;
    };
    scene.expect(0, &["cutover", "--mode", mode]);
    assert_eq!(scene.homes.writable(), ["a"], "a plan changes nothing");

    scene.leg("a", "b");
    let done = scene.json(0, "hubctl.cutover.v1", &["cutover", "--mode", mode, "--execute"]);
    assert_done(&done, "a", "b", mode);
    scene.observer().wait_at("b").unwrap();
    assert_eq!(scene.homes.writable(), ["b"]);
    scene.expect(0, &["status"]);

    scene.leg("b", "a");
    let done = scene.json(0, "hubctl.cutover.v1", &["rollback", "--mode", mode, "--execute"]);
    assert_done(&done, "b", "a", mode);
    scene.observer().wait_at("a").unwrap();
    assert_eq!(scene.homes.writable(), ["a"]);
    scene.expect(0, &["status"]);
    scene.expect(0, &["journal", "verify"]);

    let verdict = scene.judge("a");
    assert!(verdict.is_clean(), "{verdict}");
    assert!(verdict.gaps.len() == 2 && verdict.gaps.iter().all(Option::is_some), "{verdict}");
}

#[test]
fn a_move_that_fails_is_undone_and_succeeds_later() {
    let Some(mut scene) = Scene::build() else {
        return;
    };
    let is_stopped = |site: &str, service| scene.homes.command(site, service, "stopped").is_ok();
    scene.homes.prepare("a", Service::Sweep, "stop", HookFault::Fails).unwrap();
    let undone = scene.json(1, "hubctl.cutover.v1", &["cutover", "--execute"]);
    assert_eq!(undone["outcome"], "undone", "{undone:#}");
    for service in [Service::Api, Service::Sweep] {
        assert!(!is_stopped("a", service), "{service:?} runs again at the source");
        assert!(is_stopped("b", service), "{service:?} was never started at the target");
    }
    scene.observer().wait_at("a").unwrap();
    assert_eq!(scene.homes.writable(), ["a"]);

    scene.leg("a", "b");
    let done = scene.json(0, "hubctl.cutover.v1", &["cutover", "--execute"]);
    assert_done(&done, "a", "b", "offline");
    scene.observer().wait_at("b").unwrap();
    let verdict = scene.judge("b");
    assert!(verdict.is_clean(), "{verdict}");
}

#[track_caller]
fn assert_done(report: &Value, from: &str, to: &str, mode: &str) {
    for (member, value) in [("from", from), ("to", to), ("mode", mode), ("outcome", "done")] {
        assert_eq!(report[member], value, "{report:#}");
    }
    assert!(report["frozen_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{report:#}");
}

/// A rehearsed mistake: copy, redirect, and no freeze.
#[test]
fn an_observer_sees_what_a_careless_move_loses() {
    let Some(mut scene) = Scene::build() else {
        return;
    };
    scene.leg("a", "b");
    scene.expect(0, &["copy", "a", "--to", "b", "--execute"]);
    scene.observer().wait_at("a").unwrap();
    scene.homes.command("b", Service::Api, "start").unwrap();
    scene.redirect("b");
    scene.observer().wait_at("b").unwrap();
    scene.homes.front().cut();

    let verdict = scene.judge("b");
    let has = |wanted: fn(&Violation) -> bool| verdict.violations.iter().any(wanted);
    assert!(has(|v| matches!(v, Violation::Lost(ack) if ack.way == Way::Sql)), "{verdict}");
    assert!(has(|v| matches!(v, Violation::TwoPrimaries { .. })), "{verdict}");
    assert!(!has(|v| matches!(v, Violation::Doubled(..))), "{verdict}");
    assert_eq!(scene.homes.writable(), ["a", "b"]);
}

#[test]
fn an_observer_holds_nothing_against_a_service_that_stays() {
    let Some(mut scene) = Scene::build() else {
        return;
    };
    scene.leg("a", "a");
    let stop = |action| scene.homes.command("a", Service::Api, action);
    stop("stop").unwrap();
    stop("stopped").unwrap();
    scene.homes.prepare("a", Service::Api, "start", HookFault::Fails).unwrap();
    stop("start").unwrap_err();
    stop("start").unwrap();
    scene.observer().wait_at("a").unwrap();
    let verdict = scene.judge("a");
    assert!(verdict.is_clean() && verdict.writes > 10, "{verdict}");
    assert_eq!(scene.homes.writable(), ["a"]);
}
