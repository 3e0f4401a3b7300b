//! The identity of the server at the other end.

use tokio::net::TcpStream;

use super::support::*;
use testkit::Sshd;
use tunnel::{Expected, OnMismatch, Probe, Question, State};

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_closes_the_port() {
    let (sshd, hub, rig) = ground().await;
    let local = rig.up(&sshd, &hub).await;
    hub.set(Manner::Answers("old-hub"));
    let state = rig.until("mismatch").await;
    assert_eq!(state.reason().unwrap(), "`old-hub` answers, not `hub-1`");
    until("the port is closed", || std::net::TcpStream::connect(local.to_string()).err()).await;
    assert_eq!(rig.status().starts, 1);

    hub.set(Manner::Answers("hub-1"));
    rig.until("up").await;
    until("the port is open", || std::net::TcpStream::connect(local.to_string()).ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_was_ever_connected_to_somebody_else() {
    let (sshd, hub) = (Sshd::start("").unwrap(), Hub::start(Manner::Answers("old-hub")).await);
    let rig = Rig::new();
    let forward = forward(&hub);
    let local = forward.local.clone();
    rig.supervisor.start("hub", tunnel(&sshd, forward)).await.unwrap();
    // The client comes before anything is known of who answers.
    let early =
        until("the port is open", || std::net::TcpStream::connect(local.to_string()).ok()).await;
    rig.until("mismatch").await;
    assert_eq!(rig.status().forwards[0].connections, 0);
    drop(early);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_request_it_is_only_reported() {
    let (sshd, hub) = (Sshd::start("").unwrap(), Hub::start(Manner::Answers("old-hub")).await);
    let rig = Rig::new();
    let mut forward = forward(&hub);
    forward.on_mismatch = OnMismatch::Report;
    let local = forward.local.clone();
    rig.supervisor.start("hub", tunnel(&sshd, forward)).await.unwrap();
    rig.until("mismatch").await;
    echo(&local).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_is_no_other_identity() {
    let (sshd, hub, rig) = ground().await;
    let local = rig.up(&sshd, &hub).await;
    hub.set(Manner::Unwell);
    let State::Degraded { reason, .. } = rig.until("degraded").await else {
        unreachable!();
    };
    assert!(reason.contains("503"), "{reason}");
    // Clients may see for themselves.
    TcpStream::connect(local.to_string()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_never_ends_is_an_answer() {
    let (sshd, hub) = (Sshd::start("").unwrap(), Hub::start(Manner::Streams).await);
    let rig = Rig::new();
    for expected in [Expected::Success, Expected::Text("hello".to_owned())] {
        let mut forward = forward(&hub);
        forward.probe = often(Probe::http("/events", expected.clone()));
        let status = rig.start(tunnel(&sshd, forward)).await;
        assert!(status.is_up(), "{expected:?} {status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_asks_in_its_own_way() {
    let (sshd, hub, rig) = ground().await;
    let with = |script: &str| {
        let words = ["sh", "-c", script].map(ToOwned::to_owned).to_vec();
        let mut forward = forward(&hub);
        forward.probe = often(Probe::new(Question::Command(words)));
        tunnel(&sshd, forward)
    };
    assert!(rig.start(with("test -S \"$TUNNEL_SOCKET\"")).await.is_up());
    rig.supervisor.start("hub", with("echo it is ill >&2; exit 4")).await.unwrap();
    let State::Degraded { reason, .. } = rig.until("degraded").await else {
        unreachable!();
    };
    assert!(reason.contains("it is ill") && reason.contains('4'), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_question_the_session_and_the_target_must_be_there() {
    let (sshd, hub) = (Sshd::start("").unwrap(), Hub::start(Manner::Frozen).await);
    let rig = Rig::new();
    let mut open = forward(&hub);
    open.probe = often(Probe::default());
    assert!(rig.start(tunnel(&sshd, open.clone())).await.is_up());
    open.way = tunnel::Way::To(free_end());
    rig.supervisor.start("hub", tunnel(&sshd, open)).await.unwrap();
    rig.until("degraded").await;
}
