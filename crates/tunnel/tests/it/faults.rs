//! Faults of the connection: noticed in time, and mended without a person.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::support::*;
use testkit::{Signal, signal};
use tunnel::{Expected, Forward, Probe, Profile, State};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_session_is_replaced() {
    let (sshd, hub, mut rig) = ground().await;
    let local = rig.up(&sshd, &hub).await;
    rig.event("up").await;
    let mut client = echo(&local).await.unwrap();

    assert!(sshd.kill_sessions() > 0);
    let event = rig.event("backoff").await;
    assert_eq!(event.from.as_deref(), Some("up"));
    // A client that comes meanwhile waits, and is served.
    let mut next = echo(&local).await.unwrap();
    rig.event("up").await;
    say(&mut next).await.unwrap();
    assert!(matches!(client.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    let status = rig.status();
    assert_eq!((status.starts, status.reconnects), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_ssh_is_replaced() {
    let (sshd, hub, mut rig) = ground().await;
    rig.up(&sshd, &hub).await;
    rig.event("up").await;
    for pid in ssh_of(&rig.runtime) {
        signal(pid, Signal::KILL);
    }
    rig.event("backoff").await;
    rig.event("up").await;
    assert_eq!(ssh_of(&rig.runtime).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_guard_takes_its_ssh_along() {
    let (sshd, hub, mut rig) = ground().await;
    rig.up(&sshd, &hub).await;
    rig.event("up").await;
    let ssh = ssh_of(&rig.runtime);
    for pid in processes_of(&rig.runtime).iter().filter(|pid| !ssh.contains(pid)) {
        signal(*pid, Signal::KILL);
    }
    rig.event("backoff").await;
    rig.event("up").await;
    until("the old ssh is gone", || {
        (ssh_of(&rig.runtime).len() == 1 && ssh_of(&rig.runtime) != ssh).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_went_away_is_found_again() {
    let (mut sshd, hub, mut rig) = ground().await;
    rig.up(&sshd, &hub).await;
    rig.event("up").await;
    sshd.stop();
    rig.event("backoff").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let State::Backoff { reason, .. } = rig.state() else {
        panic!("{:?}", rig.state());
    };
    assert!(reason.contains("Connection refused"), "{reason}");
    // Knocking costs no ssh.
    assert_eq!(rig.status().starts, 1);
    sshd.resume().unwrap();
    rig.event("up").await;
    assert_eq!(rig.status().starts, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_session_is_replaced_while_it_still_stands() {
    let (sshd, hub, mut rig) = ground().await;
    let local = rig.up(&sshd, &hub).await;
    rig.event("up").await;
    let mut client = echo(&local).await.unwrap();

    assert!(sshd.freeze_sessions() > 0);
    rig.event("degraded").await;
    rig.event("up").await;
    assert_eq!(rig.status().starts, 2);
    echo(&local).await.unwrap();
    // The connection that was open on it is still open, and goes on when it does.
    sshd.thaw_sessions();
    tokio::time::timeout(PATIENCE, say(&mut client)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_pause_cuts_nothing() {
    let (sshd, hub, rig) = ground().await;
    let mut forward = forward(&hub);
    forward.probe = forward.probe.every(Duration::from_secs(1), Duration::from_secs(20));
    let local = forward.local.clone();
    assert!(rig.start(tunnel(&sshd, forward)).await.is_up());
    let mut client = echo(&local).await.unwrap();
    assert!(sshd.freeze_sessions() > 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    sshd.thaw_sessions();
    tokio::time::timeout(PATIENCE, say(&mut client)).await.unwrap().unwrap();
    rig.until("up").await;
    assert_eq!(rig.status().starts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_ssh_is_replaced() {
    let (sshd, hub, mut rig) = ground().await;
    rig.up(&sshd, &hub).await;
    rig.event("up").await;
    let frozen = ssh_of(&rig.runtime);
    for pid in &frozen {
        signal(*pid, Signal::STOP);
    }
    rig.event("degraded").await;
    rig.event("up").await;
    // Nothing is open on the frozen one, so it is gone.
    until("the frozen ssh is gone", || {
        ssh_of(&rig.runtime).iter().all(|pid| !frozen.contains(pid)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_target_is_said_to_be_the_targets_fault() {
    let (sshd, hub, rig) = ground().await;
    rig.up(&sshd, &hub).await;
    hub.set(Manner::Frozen);
    until("the target is blamed", || {
        rig.state().reason().filter(|reason| reason.contains("the target is frozen"))
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(rig.status().starts <= 2, "{:?}", rig.status());
    hub.set(Manner::Answers("hub-1"));
    rig.until("up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_refuses_is_named_with_the_reason() {
    let (sshd, hub, rig) = ground().await;
    let mut forward = forward(&hub);
    let nobody = free_end();
    forward.way = tunnel::Way::To(nobody.clone());
    rig.supervisor.start("hub", tunnel(&sshd, forward)).await.unwrap();
    let reason = until("the refusal is named", || {
        rig.state().reason().filter(|reason| reason.contains("Connection refused"))
    })
    .await;
    assert!(reason.contains(&nobody.to_string()), "{reason}");
    assert_eq!(rig.state().word(), "degraded");
    assert_eq!(rig.status().starts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_blamed_on_who_has_it_and_taken_when_it_is_free() {
    let (sshd, hub, rig) = ground().await;
    let forward = forward(&hub);
    let local = forward.local.clone();
    let taken = TcpListener::bind(local.to_string()).await.unwrap();
    rig.supervisor.start("hub", tunnel(&sshd, forward)).await.unwrap();
    let State::Blocked { holder, .. } = rig.until("blocked").await else {
        unreachable!();
    };
    assert!(holder.contains(&format!("({})", std::process::id())), "{holder}");
    drop(taken);
    rig.until("up").await;
    echo(&local).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_of_the_destination_is_blamed_and_taken_when_it_is_free() {
    let (sshd, hub, rig) = ground().await;
    let remote = free_end();
    let taken = TcpListener::bind(remote.to_string()).await.unwrap();
    let forward = tunnel::Forward::from(remote, hub.end()).with_probe(forward(&hub).probe);
    rig.supervisor.start("hub", tunnel(&sshd, forward)).await.unwrap();
    let State::Blocked { holder, .. } = rig.until("blocked").await else {
        unreachable!();
    };
    assert!(holder.contains("on the destination"), "{holder}");
    drop(taken);
    rig.until("up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_frees_the_port_of_a_session_that_fell_silent() {
    let (sshd, hub, rig) = ground().await;
    let probe = Probe::http("/health", Expected::json("state.identity", "hub-1"));
    let forward = Forward::from(free_end(), hub.end()).with_probe(often(probe));
    let mut tunnel = tunnel(&sshd, forward);
    tunnel.profile = Profile::Fast;
    assert!(rig.start(tunnel).await.is_up());
    // Who serves the session is asked beside the first probe.
    tokio::time::sleep(Duration::from_secs(1)).await;

    sshd.freeze_sessions();
    let State::Blocked { holder, .. } = rig.until("blocked").await else {
        unreachable!();
    };
    assert!(holder.contains("another session on the destination"), "{holder}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.state().word(), "blocked", "nothing was ended without a word");
    rig.supervisor.restart("hub").await.unwrap();
    rig.until("up").await;
}
