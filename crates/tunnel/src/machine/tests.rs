//! Tables of events and the actions that follow from them.

use tokio::time::Instant;

use super::link::PROVEN_HEALTH;
use super::*;
use crate::endpoint::Endpoint;
use crate::spec::Forward;
use crate::spec::Way;
use crate::state::State;

const TIMEOUT: Duration = Duration::from_secs(2);

/// A moment by the clock that measures, and the epoch for people.
fn moment() -> Moment {
    Moment { instant: Instant::now(), timestamp: Timestamp::UNIX_EPOCH }
}

fn machine() -> Machine {
    let end = |port| Endpoint::tcp("127.0.0.1", port);
    let tunnel = Tunnel::new("node").with_forward(Forward::to(end(1), end(2)));
    Machine::new(tunnel)
}

fn answer() -> Result<Answer, Fault> {
    Ok(Answer { at: Timestamp::UNIX_EPOCH, round_trip: Duration::from_millis(1), identity: None })
}

fn silence() -> Result<Answer, Fault> {
    Err(Fault::Silent(TIMEOUT))
}

fn lost() -> Reason {
    Reason::transient("Connection closed by remote host")
}

/// A machine whose first `ssh` serves and is proven.
fn up(now: Moment) -> Machine {
    let mut machine = machine();
    machine.on(Event::Begin, now);
    machine.on(Event::Bound(0, Bound::Open), now);
    assert_eq!(machine.on(Event::Reachable, now), [Action::Start(1)]);
    assert_eq!(machine.on(Event::Ready(1), now), []);
    assert_eq!(machine.state(0), State::Starting);
    let actions = machine.on(Event::Probed(1, 0, answer()), now);
    assert!(actions.contains(&Action::Serve(0, Some(1))), "{actions:?}");
    assert_eq!(machine.state(0), State::Up);
    machine
}

#[test]
fn nobody_is_served_before_a_probe_was_answered() {
    let now = moment();
    let mut machine = machine();
    let begun = machine.on(Event::Begin, now);
    assert!(
        begun.contains(&Action::Serve(0, None))
            && begun.contains(&Action::Approach(Duration::ZERO))
    );
    machine.on(Event::Reachable, now);
    assert!(machine.on(Event::Ready(1), now).is_empty());
}

#[test]
fn a_lost_link_is_replaced_at_once_and_one_that_never_stood_after_pauses() {
    let now = moment();
    let mut machine = up(now);
    let actions = machine.on(Event::Gone(1, lost()), now + PROVEN_HEALTH);
    assert_eq!(actions, [Action::Serve(0, None), Action::Approach(Duration::ZERO)]);
    assert!(matches!(machine.state(0), State::Backoff { .. }));
    let mut pauses = Vec::new();
    for _ in 0..8 {
        machine.on(Event::Reachable, now);
        let actions = machine.on(Event::Gone(machine.starts(), lost()), now);
        let [Action::Approach(pause)] = actions[..] else {
            panic!("{actions:?}");
        };
        pauses.push(pause);
    }
    assert!(pauses.is_sorted() && pauses[0] > Duration::ZERO);
    assert_eq!(pauses[7], Duration::from_secs(5));
    // Only the moments that came in decide, and no clock is read.
    let State::Backoff { until, .. } = machine.state(0) else {
        panic!("{:?}", machine.state(0));
    };
    assert_eq!(until, now.timestamp + pauses[7]);
}

#[test]
fn silence_starts_a_challenger_and_the_first_answer_decides() {
    let now = moment();
    let mut machine = up(now);
    let actions = machine.on(Event::Probed(1, 0, silence()), now + TIMEOUT);
    assert!(
        actions.contains(&Action::Check(1)) && actions.contains(&Action::Approach(Duration::ZERO))
    );
    assert!(matches!(machine.state(0), State::Degraded { .. }));
    assert_eq!(machine.on(Event::Reachable, now), [Action::Start(2)]);
    machine.on(Event::Ready(2), now + TIMEOUT);

    // The challenger answers first: it serves, and the old one keeps what is open.
    let actions = machine.on(Event::Probed(2, 0, answer()), now + TIMEOUT);
    assert!(actions.contains(&Action::Drain(1)) && actions.contains(&Action::Serve(0, Some(2))));
    assert_eq!((machine.state(0), machine.reconnects()), (State::Up, 1));

    // The end of the old one is no outage.
    assert_eq!(machine.on(Event::Gone(1, lost()), now), []);
    assert_eq!(machine.state(0), State::Up);
}

#[test]
fn the_old_link_stays_where_it_answers_first() {
    let now = moment();
    let mut machine = up(now);
    machine.on(Event::Probed(1, 0, silence()), now + TIMEOUT);
    machine.on(Event::Reachable, now + TIMEOUT);
    let actions = machine.on(Event::Probed(1, 0, answer()), now + TIMEOUT);
    assert!(actions.contains(&Action::Cut(2)), "{actions:?}");
    assert_eq!((machine.state(0), machine.reconnects()), (State::Up, 0));
}

#[test]
fn a_frozen_target_behind_a_living_session_needs_no_other_ssh() {
    let now = moment();
    let mut machine = up(now);
    machine.on(Event::Probed(1, 0, silence()), now + TIMEOUT);
    assert_eq!(machine.on(Event::Alive(1, true), now + TIMEOUT), [Action::StopApproach]);
    let State::Degraded { reason } = machine.state(0) else {
        panic!("{:?}", machine.state(0));
    };
    assert!(reason.contains("frozen"), "{reason}");
    for second in 2..60 {
        let now = now + Duration::from_secs(second);
        let actions = machine.on(Event::Probed(1, 0, silence()), now);
        let is_challenge = |action: &Action| matches!(action, Action::Approach(_));
        assert!(actions.contains(&Action::Check(1)), "second {second}: {actions:?}");
        assert!(!actions.iter().any(is_challenge), "second {second}: {actions:?}");
        assert_eq!(machine.on(Event::Alive(1, true), now), []);
    }
    // When the session falls silent as well, another is begun.
    machine.on(Event::Probed(1, 0, silence()), now + Duration::from_secs(60));
    let actions = machine.on(Event::Alive(1, false), now + Duration::from_secs(62));
    assert_eq!(actions, [Action::Approach(Duration::ZERO)]);
}

#[test]
fn a_link_that_is_silent_for_too_long_is_cut() {
    let now = moment();
    let mut machine = up(now);
    let limit = Tunnel::new("").profile.silence();
    machine.on(Event::Probed(1, 0, silence()), now + TIMEOUT);
    machine.on(Event::Probed(1, 0, silence()), now + (limit - TIMEOUT));
    let actions = machine.on(Event::Probed(1, 0, silence()), now + limit);
    assert!(
        actions.contains(&Action::Cut(1)) && actions.contains(&Action::Serve(0, None)),
        "{actions:?}"
    );
    assert!(matches!(machine.state(0), State::Backoff { .. }));
}

#[test]
fn somebody_else_is_not_connected_to_anybody() {
    let now = moment();
    let mut machine = up(now);
    let (expected, found) = ("a".to_owned(), "b".to_owned());
    let mismatch = || Err(Fault::Mismatch { expected: expected.clone(), found: found.clone() });
    let actions = machine.on(Event::Probed(1, 0, mismatch()), now);
    assert_eq!(actions, [Action::Serve(0, None), Action::SetOpen(0, false)]);
    assert_eq!(
        machine.state(0),
        State::Mismatch { expected: expected.clone(), found: found.clone() }
    );
    // The right one came back.
    let actions = machine.on(Event::Probed(1, 0, answer()), now);
    assert!(actions.contains(&Action::SetOpen(0, true)), "{actions:?}");

    machine.tunnel.forwards[0].on_mismatch = OnMismatch::Report;
    let actions = machine.on(Event::Probed(1, 0, mismatch()), now);
    assert_eq!(actions, [Action::Serve(0, Some(1)), Action::SetOpen(0, true)]);
}

#[test]
fn what_only_a_human_can_mend_is_not_tried_again() {
    let now = moment();
    let mut machine = machine();
    machine.on(Event::Begin, now);
    machine.on(Event::Reachable, now);
    let denied = Reason::of("a@node: Permission denied (publickey).");
    let actions = machine.on(Event::Gone(1, denied), now);
    assert!(!actions.iter().any(|action| matches!(action, Action::Approach(_))), "{actions:?}");
    assert!(matches!(machine.state(0), State::Failed { .. }));
    assert!(machine.on(Event::Woken, now).is_empty());
    // A restart is an order to try again.
    assert!(machine.on(Event::Begin, now).contains(&Action::Approach(Duration::ZERO)));
    assert_eq!(machine.state(0), State::Starting);
}

#[test]
fn a_forward_that_the_server_forbids_is_a_failure() {
    let now = moment();
    let mut machine = up(now);
    let line = "channel 2: open failed: administratively prohibited: open failed".to_owned();
    let actions = machine.on(Event::Said(1, line), now);
    assert!(actions.contains(&Action::Cut(1)));
    assert!(matches!(machine.state(0), State::Failed { .. }));
}

#[test]
fn the_name_of_a_service_is_diagnosed() {
    let now = moment();
    let mut machine = up(now);
    let target = Endpoint::tcp("hub.ns.svc.cluster.local", 8000);
    machine.tunnel.forwards[0].way = Way::To(target);
    let line = "channel 2: open failed: connect failed: Name or service not known".to_owned();
    machine.on(Event::Said(1, line), now);
    machine.on(Event::Probed(1, 0, Err(Fault::Closed)), now);
    let reason = machine.state(0).reason().unwrap();
    assert!(reason.contains("only pods do") && reason.contains("hub.ns.svc"), "{reason}");
}

#[test]
fn a_taken_port_is_said_and_passes() {
    let now = moment();
    let mut machine = up(now);
    machine.on(Event::Bound(0, Bound::Taken("python3 (12)".to_owned())), now);
    assert_eq!(machine.state(0), State::Blocked { holder: "python3 (12)".to_owned() });
    machine.on(Event::Bound(0, Bound::Open), now);
    assert_eq!(machine.state(0), State::Up);
}

#[test]
fn waking_asks_at_once_and_tears_nothing_down() {
    let now = moment();
    let mut machine = up(now);
    assert_eq!(machine.on(Event::Woken, now), [Action::ProbeNow(1)]);
    machine.on(Event::Gone(1, lost()), now);
    assert_eq!(machine.on(Event::Woken, now), [Action::Approach(Duration::ZERO)]);
}

#[test]
fn one_long_silence_after_a_long_interval_cuts_nothing() {
    let now = moment();
    let mut machine = up(now);
    let later = now + Duration::from_secs(600);
    let actions = machine.on(Event::Probed(1, 0, silence()), later);
    assert!(!actions.contains(&Action::Cut(1)), "{actions:?}");
}

#[test]
fn a_socket_that_vanished_is_no_fault_of_the_target() {
    let now = moment();
    let mut machine = up(now);
    let gone = || Err(Fault::Gone("No such file or directory".to_owned()));
    let actions = machine.on(Event::Probed(1, 0, gone()), now);
    assert!(actions.contains(&Action::Approach(Duration::ZERO)), "{actions:?}");
    // The session answers, and the forward is gone nevertheless.
    assert_eq!(machine.on(Event::Alive(1, true), now), []);
    machine.on(Event::Reachable, now);
    let actions = machine.on(Event::Probed(2, 0, answer()), now);
    assert!(actions.contains(&Action::Serve(0, Some(2))), "{actions:?}");
}
