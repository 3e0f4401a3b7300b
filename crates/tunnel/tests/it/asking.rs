//! A supervisor that another process asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::support::*;
use testkit::Sshd;
use tunnel::{Change, Client, Error, Tunnel};

#[tokio::test(flavor = "multi_thread")]
async fn tunnels_are_started_watched_and_stopped_from_outside() {
    let (sshd, hub) = (Sshd::start("").unwrap(), Hub::start(Manner::Answers("hub-1")).await);
    let rig = Rig::new();
    let supervisor = Arc::clone(&rig.supervisor);
    let serving = tokio::spawn(async move { supervisor.serve().await });
    until("the socket is there", || find(&rig.runtime, "control")).await;

    let mut client = Client::connect(&rig.runtime).await.unwrap();
    let overview = client.status().await.unwrap();
    assert_eq!((overview.pid, overview.tunnels.len()), (std::process::id(), 0));

    let (_, mut watch) = Client::connect(&rig.runtime).await.unwrap().watch().await.unwrap();
    let tunnels = BTreeMap::from([("hub".to_owned(), tunnel(&sshd, forward(&hub)))]);
    client.start(tunnels).await.unwrap();
    let overview = client.settle(vec!["hub".to_owned()], PATIENCE).await.unwrap();
    assert!(overview.tunnels[0].is_up(), "{overview:?}");

    let mut words = Vec::new();
    while words.last().map(String::as_str) != Some("up") {
        let Some(Change::Event(event)) = watch.next().await.unwrap() else {
            panic!("{words:?}");
        };
        assert_eq!(event.tunnel, "hub");
        words.push(event.state.word().to_owned());
    }
    assert_eq!(words, ["starting", "up"]);

    client.restart(Vec::new()).await.unwrap();
    let overview = client.settle(Vec::new(), PATIENCE).await.unwrap();
    assert!(overview.tunnels[0].is_up());

    let overview = client.stop(Vec::new()).await.unwrap();
    assert!(overview.tunnels.is_empty());
    // With its last tunnel it stops answering.
    tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
    let error = Client::connect(&rig.runtime).await.unwrap_err();
    assert!(matches!(error, Error::NotRunning { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let rig = Rig::new();
    let supervisor = Arc::clone(&rig.supervisor);
    let serving = tokio::spawn(async move { supervisor.serve().await });
    until("the socket is there", || find(&rig.runtime, "control")).await;
    let mut client = Client::connect(&rig.runtime).await.unwrap();
    let error = client.stop(vec!["nobody".to_owned()]).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no tunnel `nobody`");
    let empty = BTreeMap::from([("empty".to_owned(), Tunnel::new("node"))]);
    let error = client.start(empty).await.unwrap_err();
    assert!(error.to_string().contains("nothing is forwarded"), "{error}");
    assert!(client.status().await.unwrap().tunnels.is_empty());
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_is_stopped_does_not_stop_whoever_asks() {
    let directory = tempfile::tempdir().unwrap();
    let life = directory.path().join("01234567");
    fs_err::create_dir(&life).unwrap();
    fs_err::write(directory.path().join("lock"), "1 01234567\n").unwrap();
    let socket = tokio::net::UnixListener::bind(life.join("control")).unwrap();
    let mut client = Client::connect(directory.path()).await.unwrap();
    let begin = std::time::Instant::now();
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(20));
    drop(socket);
}
