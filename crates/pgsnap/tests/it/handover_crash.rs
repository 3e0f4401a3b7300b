//! A handover whose process or connection ends between any two steps, and the question that is
//! asked afterwards.

use std::time::Duration;

use pgsnap::{Database, Error, ErrorClass, HandoverState, find_handover, hand_over};
use testkit::{Fault, Side};

use crate::fence::{ask, run};
use crate::fence_crash::{MOST, killed_after};
use crate::handover::{RUN, handed_over, order, with_prepared};
use crate::races::proxied;
use crate::server::Server;

/// The names of the databases of the service, and the marker.
async fn world(server: &Server) -> String {
    let query = "SELECT string_agg(concat_ws(' ', datname, setconfig[1]), ', ' ORDER BY datname)
        FROM pg_database d LEFT JOIN pg_db_role_setting s ON s.setdatabase = d.oid WHERE datname LIKE 'hub%'";
    ask(server, query).await.unwrap()
}

/// Asks whether the handover happened, and requires that the answer is what the server shows.
async fn is_done(server: &Server, hub: &Database, before: &str) -> bool {
    let state = find_handover(hub, RUN).await.unwrap();
    let now = world(server).await;
    match state {
        HandoverState::Done(done) => {
            let kept = format!("hub__before_{RUN}");
            assert_eq!(now, format!("hub hubctl.epoch={}, {kept}", done.marker));
            assert_eq!(done.kept, Some(kept));
            assert_eq!(handed_over(hub, RUN, 1).await, done, "it may be repeated");
            true
        }
        state => {
            assert_eq!(state, HandoverState::NotDone { prepared: true });
            assert_eq!(now, before, "nothing has changed");
            false
        }
    }
}

/// Makes the handover undone, for another attempt.
async fn reset(server: &Server) {
    run(
        server,
        "ALTER DATABASE hub RESET hubctl.epoch; ALTER DATABASE hub RENAME TO hub__next_20261121161200ab12;
         ALTER DATABASE hub__before_20261121161200ab12 RENAME TO hub",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handover_that_was_killed_anywhere_has_happened_or_not() {
    let server = Server::start().await;
    let hub = with_prepared(&server, RUN).await;
    let before = world(&server).await;
    let (mut undone, mut unheard, mut steps) = (0, 0, 0);
    // The last steps once more, until one is met between the commit and its answer: their number
    // varies a little.
    while unheard == 0 {
        steps += 1;
        assert!(steps < MOST);
        let finished = killed_after(steps, hand_over(&hub, &order(RUN, 1))).await;
        match (is_done(&server, &hub, &before).await, finished) {
            (true, Some(Ok(_))) => steps -= 8,
            (true, None) => unheard += 1,
            (false, None) => {
                undone += 1;
                continue;
            }
            other => panic!("after {steps} steps: {other:?}"),
        }
        reset(&server).await;
    }
    assert!(undone > 10, "{undone}");
}

/// The outcome of a handover whose connection was cut after so many bytes.
#[derive(Debug, PartialEq, Clone, Copy)]
enum Outcome {
    /// It failed, and says that nothing has changed.
    Failed,
    /// It does not know.
    Unknown,
    Done,
}

async fn cut(server: &Server, side: Side, bytes: u64, before: &str) -> (Outcome, bool) {
    let hub = server.scratch.database("hub");
    let (proxy, through) = proxied(server, "hub").await;
    proxy.inject(Fault::cut(side, bytes));
    let outcome = match hand_over(&through, &order(RUN, 1)).await {
        Ok(_) => Outcome::Done,
        Err(error @ Error::HandoverUnknown { .. }) => {
            assert!(error.is_retryable() && error.class() == ErrorClass::CouldNotAsk, "{error}");
            assert!(error.hint().unwrap().contains("find_handover"), "{error}");
            Outcome::Unknown
        }
        Err(_) => Outcome::Failed,
    };
    let is_done = is_done(server, &hub, before).await;
    if is_done {
        reset(server).await;
    }
    (outcome, is_done)
}

/// The least number of bytes after which the outcome is as wanted.
async fn first(server: &Server, side: Side, before: &str, wanted: fn(Outcome) -> bool) -> u64 {
    let (mut low, mut high) = (0, 1 << 14);
    while low + 1 < high {
        let middle = u64::midpoint(low, high);
        let (outcome, _) = cut(server, side, middle, before).await;
        if wanted(outcome) { high = middle } else { low = middle }
    }
    high
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_anywhere_leaves_all_or_nothing_and_the_truth() {
    let server = Server::with_tcp().await;
    with_prepared(&server, RUN).await;
    let before = world(&server).await;
    let mut seen = Vec::new();
    for side in [Side::Client, Side::Server] {
        let all = first(&server, side, &before, |outcome| outcome == Outcome::Done).await;
        // Every statement of the last kilobytes, and every place in the last answer.
        let rough = (0..12).map(|step| all.saturating_sub(200 * step));
        let fine = (1..=36).step_by(9).map(|less| all - less);
        for bytes in rough.chain(fine) {
            let found = cut(&server, side, bytes, &before).await;
            match found {
                (Outcome::Failed, true) => panic!("{side:?} {bytes}: it happened, and said not"),
                (Outcome::Done, false) => {
                    panic!("{side:?} {bytes}: it said so, and did not happen")
                }
                _ => seen.push((side, found)),
            }
        }
    }
    for wanted in [
        (Side::Client, (Outcome::Failed, false)),
        (Side::Client, (Outcome::Unknown, false)),
        (Side::Server, (Outcome::Failed, false)),
        // The answer to the commit is lost.
        (Side::Server, (Outcome::Unknown, true)),
        (Side::Server, (Outcome::Done, true)),
    ] {
        assert!(seen.contains(&wanted), "{wanted:?} in {seen:?}");
    }
}

/// As long as the session of an attempt lives, its commit may still be on the way.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_under_way_is_waited_for() {
    let server = Server::start().await;
    let hub = with_prepared(&server, RUN).await;
    let attempt = server.client("postgres").await;
    let lock = "SELECT pg_advisory_lock(hashtextextended('pgsnap fence hub', 0))";
    attempt.batch_execute(lock).await.unwrap();
    let target = hub.clone();
    let asking = tokio::spawn(async move { find_handover(&target, RUN).await });
    let mut hasty = order(RUN, 1);
    hasty.timeout = Duration::from_millis(100);
    let error = hand_over(&hub, &hasty).await.unwrap_err();
    assert!(matches!(error, Error::FenceRunning { .. }), "{error}");
    assert!(error.is_retryable() && error.class() == ErrorClass::CouldNotAsk);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!asking.is_finished(), "no answer while a commit may come");
    let commit = format!(
        "BEGIN; ALTER DATABASE hub RENAME TO hub__before_{RUN}; ALTER DATABASE hub__next_{RUN} RENAME TO hub;
         SELECT set_config('x.marker', 'v1 epoch=1 role=primary site=new%20home run={RUN} sysid=' || system_identifier || ' dboid=' || d.oid || ' at=x', true)
           FROM pg_control_system(), pg_database d WHERE datname = 'hub';
         DO $$ BEGIN EXECUTE format('ALTER DATABASE hub SET hubctl.epoch = %L', current_setting('x.marker')); END $$; COMMIT"
    );
    attempt.batch_execute(&commit).await.unwrap();
    drop(attempt);
    let state = asking.await.unwrap().unwrap();
    assert!(matches!(state, HandoverState::Done(_)), "{state:?}");
}

/// A server that answers a commit before it is on its disk may lose it in a crash.
#[tokio::test(flavor = "multi_thread")]
async fn the_commit_is_on_the_disk_when_it_is_done() {
    const FLUSHED: &str = "SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()";
    let mut options = pgsnap::ScratchOptions::default();
    options.settings = vec!["synchronous_commit=off".into(), "wal_writer_delay=10s".into()];
    let server = Server::start_with(options).await;
    let hub = with_prepared(&server, RUN).await;
    let mut flushed = Vec::new();
    for epoch in 1..=3 {
        handed_over(&hub, RUN, epoch).await;
        flushed.push(ask(&server, FLUSHED).await.unwrap());
        reset(&server).await;
        assert_eq!(ask(&server, FLUSHED).await.as_deref(), Some("f"), "it would be seen");
    }
    assert!(flushed.iter().any(|flushed| flushed == "t"), "{flushed:?}");
}
