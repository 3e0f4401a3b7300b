//! Every combination of journal, databases and clients that has an answer of its own.

use super::*;
use crate::ops::Fence;

fn site(name: &str, role: StatusRole) -> StatusSite {
    StatusSite {
        site: name.to_owned(),
        role: Some(role),
        epoch: matches!(role, StatusRole::Primary | StatusRole::Retired).then_some(3),
        fence: None,
        system_identifier: Some(format!("system of {name}")),
        kept: Vec::new(),
        error: None,
    }
}

fn frozen(name: &str, role: StatusRole) -> StatusSite {
    let fence = Fence {
        id: "20261201123144d567".to_owned(),
        kind: pgsnap::FenceKind::Hard,
        planned_at: "2026-12-01T12:31:44Z".to_owned(),
        database_oid: 16384,
        behind: "hub__frozen_20261201123144d567".to_owned(),
    };
    StatusSite { fence: Some(fence), ..site(name, role) }
}

fn silent(name: &str) -> StatusSite {
    let error = Some("could not connect".to_owned());
    StatusSite { role: None, system_identifier: None, error, ..site(name, StatusRole::Absent) }
}

fn run(phase: StatusPhase) -> StatusRun {
    StatusRun {
        id: "20261201123144d567".to_owned(),
        from: "a".to_owned(),
        to: "b".to_owned(),
        mode: "delta".to_owned(),
        epoch: 3,
        phase,
        committed: matches!(phase, StatusPhase::Committed | StatusPhase::Done),
        begun_at: None,
        step: None,
        trouble: None,
        frozen_since: None,
        frozen_until: None,
        overdue: false,
    }
}

fn moves(phase: StatusPhase) -> Moves {
    let run = run(phase);
    Moves {
        primary: run.committed.then(|| run.to.clone()),
        left: run.committed.then(|| run.from.clone()),
        newest: Some(run),
    }
}

fn judged(moves: &Moves, sites: &[StatusSite]) -> Judgement {
    Judgement::of(moves, sites, None, Some("a"))
}

#[test]
fn before_any_cutover_the_only_open_site_is_the_primary() {
    use StatusRole::{Absent, Unmarked};
    for (sites, primary) in [
        (vec![site("a", Unmarked), site("b", Absent)], Some("a")),
        (vec![site("a", Absent), site("b", Unmarked)], Some("b")),
        (vec![site("a", Unmarked), site("b", Unmarked)], Some("a")),
        (vec![frozen("a", Unmarked), site("b", Unmarked)], Some("a")),
        (vec![site("a", Absent), site("b", Absent)], None),
    ] {
        let judgement = judged(&moves(StatusPhase::Undone), &sites);
        assert_eq!(judgement.by_databases.as_deref(), primary, "{sites:?}");
    }
    let quiet = judged(&Moves::default(), &[site("a", Unmarked), site("b", Absent)]);
    assert_eq!(quiet.agreed(), Some(true));
}

#[test]
fn a_marker_decides_after_a_cutover() {
    use StatusRole::{Primary, Retired, Unmarked};
    let sites = [frozen("a", Retired), site("b", Primary), site("c", Unmarked)];
    let judgement = judged(&moves(StatusPhase::Done), &sites);
    assert_eq!((judgement.primary.as_deref(), judgement.agreed()), (Some("b"), Some(true)));
}

#[test]
fn between_the_commit_point_and_its_mark_the_old_primary_is_succeeded() {
    let old = StatusSite { epoch: Some(2), ..frozen("a", StatusRole::Primary) };
    let sites = [old, site("b", StatusRole::Primary)];
    let judgement = judged(&moves(StatusPhase::Committed), &sites);
    assert_eq!((judgement.primary.as_deref(), judgement.agreed()), (Some("b"), Some(true)));
}

#[test]
fn every_disagreement_is_a_problem() {
    use StatusRole::{Absent, Primary, Retired, Unmarked};
    let done = moves(StatusPhase::Done);
    let overdue = Moves {
        newest: Some(StatusRun { overdue: true, ..run(StatusPhase::Forward) }),
        ..Moves::default()
    };
    for (moves, sites, said) in [
        (&done, [site("a", Primary), site("b", Primary)], "two primaries: a (epoch 3) and b"),
        (&done, [frozen("a", Retired), site("b", Absent)], "no site is the primary"),
        (&done, [site("a", Unmarked), site("b", Primary)], "the service left a, which is not"),
        (&done, [site("a", Primary), site("b", Retired)], "the journal says b"),
        (&done, [frozen("a", Retired), frozen("b", Primary)], "b is the primary and frozen since"),
        (
            &done,
            [site("a", Retired), site("b", Primary)],
            "a is retired with epoch 3 and not frozen",
        ),
        (&overdue, [frozen("a", Unmarked), site("b", Absent)], "is overdue"),
    ] {
        let judgement = judged(moves, &sites);
        assert_eq!(judgement.agreed(), Some(false), "{said}");
        assert!(judgement.problems.iter().any(|it| it.contains(said)), "{judgement:?}");
    }
    let moving = judged(&moves(StatusPhase::Forward), &[frozen("a", Unmarked), site("b", Absent)]);
    assert_eq!((moving.primary.as_deref(), moving.agreed()), (Some("a"), Some(true)));
}

#[test]
fn a_site_that_does_not_answer_may_be_another_primary() {
    use StatusRole::{Primary, Retired, Unmarked};
    let done = moves(StatusPhase::Done);
    let half = judged(&done, &[silent("a"), site("b", Primary)]);
    assert_eq!((half.primary.as_deref(), half.agreed()), (Some("b"), None));
    assert_eq!(half.unasked, ["a: could not connect"]);
    for other in [Retired, Unmarked] {
        let unknown = judged(&done, &[frozen("a", other), silent("b")]);
        assert_eq!((unknown.primary.as_deref(), unknown.agreed()), (None, None));
        assert!(unknown.problems.is_empty(), "{:?}", unknown.problems);
    }
}

#[test]
fn clients_have_to_reach_the_primary() {
    use StatusRole::{Primary, Retired};
    let sites = [frozen("a", Retired), site("b", Primary)];
    let reached = |answer: Result<&str, &str>| {
        let answer = answer.map(str::to_owned).map_err(str::to_owned);
        Judgement::of(&moves(StatusPhase::Done), &sites, Some(&answer), None)
    };
    assert_eq!(reached(Ok("system of b")).agreed(), Some(true));
    let other = reached(Ok("system of a"));
    assert_eq!(other.problems, ["clients reach a, and b is the primary"]);
    let unknown = reached(Ok("system of c"));
    assert_eq!(unknown.problems, ["clients reach system system of c, which is none of the sites"]);
    let silent = reached(Err("connection refused"));
    assert_eq!((silent.agreed(), silent.problems.len()), (None, 0));
    assert_eq!(silent.unasked, ["clients' address: connection refused"]);

    // Two databases of one server.
    let one = sites.clone().map(|site| StatusSite { system_identifier: Some("s".into()), ..site });
    let answer = Ok("s".to_owned());
    let judgement = Judgement::of(&moves(StatusPhase::Done), &one, Some(&answer), None);
    assert_eq!((judgement.by_clients.as_deref(), judgement.agreed()), (Some("b"), Some(true)));
}

#[test]
fn the_next_commands_are_told_for_each_phase() {
    let next = |phase| {
        let Next { cutover, rollback } =
            Next::of_unfinished(&StatusRun { id: "7".to_owned(), ..run(phase) });
        format!("{phase:?}: {cutover}; {rollback}")
    };
    let phases =
        [StatusPhase::Forward, StatusPhase::Committing, StatusPhase::Committed, StatusPhase::Back];
    insta::assert_snapshot!(phases.map(next).join("\n"), @r"
    Forward: goes on with 7; undoes 7
    Committing: asks b whether 7 has passed its commit point, and goes on; asks b whether 7 has passed its commit point, and undoes it or moves back
    Committed: finishes 7; ends 7, and moves the service back from b to a
    Back: goes on undoing 7; goes on undoing 7
    ");
    assert_eq!(new_cutover(Some("a"), Some("a"), Some("b")), "moves the service from a to b");
    assert!(new_cutover(Some("b"), Some("a"), Some("b")).starts_with("is refused"));
    assert_eq!(new_cutover(None, None, Some("b")), "needs [cutover] from and to");
}
