//! Faults that only a person can mend: reported, and not tried again.

use std::time::Duration;

use super::support::*;
use testkit::Sshd;
use tunnel::{HostKey, State};

/// The tunnel's failure, after which no `ssh` is started any more.
async fn failure(rig: &Rig) -> (String, String) {
    let State::Failed { reason, remedy, .. } = rig.until("failed").await else {
        unreachable!();
    };
    let starts = rig.status().starts;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(rig.status().starts, starts);
    assert!(ssh_of(&rig.runtime).is_empty());
    (reason, remedy)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_key_is_not_accepted() {
    let (sshd, hub, rig) = ground().await;
    sshd.forget_host().unwrap();
    rig.start(tunnel(&sshd, forward(&hub))).await;
    let (reason, remedy) = failure(&rig).await;
    assert!(reason.contains("host key is known for"), "{reason}");
    assert!(remedy.contains("fingerprint"), "{remedy}");
    assert_eq!(fs_err::read_to_string(sshd.known_hosts()).unwrap(), "");

    // Told to, it tries again.
    sshd.know_host().unwrap();
    rig.supervisor.restart("hub").await.unwrap();
    rig.until("up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_host_key_stops_the_tunnel() {
    let (mut sshd, hub, rig) = ground().await;
    rig.up(&sshd, &hub).await;
    sshd.stop();
    sshd.change_host_key().unwrap();
    sshd.resume().unwrap();
    let (reason, _) = failure(&rig).await;
    assert!(reason.contains("HAS CHANGED"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_becomes_known_by_decision_only() {
    let mut sshd = Sshd::start("").unwrap();
    let hub = Hub::start(Manner::Answers("hub-1")).await;
    let tunnel = tunnel(&sshd, forward(&hub));
    sshd.forget_host().unwrap();
    let key = HostKey::shown(&tunnel).await.unwrap();
    assert!(key.fingerprint.starts_with("SHA256:") && key.kind == "ED25519", "{key:?}");
    assert_eq!(key.host, format!("[127.0.0.1]:{}", sshd.port()));
    assert_eq!(key.known_hosts, sshd.known_hosts());
    // Being shown a key changes nothing.
    assert_eq!(fs_err::read_to_string(sshd.known_hosts()).unwrap(), "");
    fs_err::write(sshd.known_hosts(), "other.example ssh-ed25519 AAAA").unwrap();
    assert!(key.known().await.unwrap().is_empty());
    key.trust().await.unwrap();
    assert_eq!(key.known().await.unwrap(), std::slice::from_ref(&key.fingerprint));
    let rig = Rig::new();
    assert!(rig.start(tunnel.clone()).await.is_up());

    sshd.stop();
    sshd.change_host_key().unwrap();
    sshd.resume().unwrap();
    let changed = HostKey::shown(&tunnel).await.unwrap();
    assert_eq!(changed.known().await.unwrap(), [key.fingerprint]);
    changed.trust().await.unwrap();
    assert_eq!(changed.known().await.unwrap(), std::slice::from_ref(&changed.fingerprint));
    assert!(fs_err::read_to_string(sshd.known_hosts()).unwrap().contains("other.example"));
    rig.supervisor.restart("hub").await.unwrap();
    rig.until("up").await;

    sshd.stop();
    let error = HostKey::shown(&tunnel).await.unwrap_err();
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_stops_the_tunnel() {
    let (sshd, hub, rig) = ground().await;
    sshd.refuse_client().unwrap();
    rig.start(tunnel(&sshd, forward(&hub))).await;
    let (reason, _) = failure(&rig).await;
    assert!(reason.contains("Permission denied"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_forward_stops_the_tunnel() {
    let (sshd, hub) =
        (Sshd::start("AllowTcpForwarding no").unwrap(), Hub::start(Manner::Answers("hub-1")).await);
    let rig = Rig::new();
    rig.start(tunnel(&sshd, forward(&hub))).await;
    let (reason, remedy) = failure(&rig).await;
    assert!(reason.contains("administratively prohibited"), "{reason}");
    assert!(remedy.contains("AllowTcpForwarding"), "{remedy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_configuration_stops_the_tunnel() {
    let (sshd, hub, rig) = ground().await;
    let mut tunnel = tunnel(&sshd, forward(&hub));
    let broken = rig.runtime.with_file_name("broken");
    fs_err::write(&broken, "Surprise yes\n").unwrap();
    tunnel.ssh_config = Some(broken);
    rig.start(tunnel).await;
    let (reason, _) = failure(&rig).await;
    assert!(reason.contains("Bad configuration option"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_the_cluster_is_diagnosed() {
    let (sshd, hub, rig) = ground().await;
    let mut forward = forward(&hub);
    forward.way = tunnel::Way::To("state-hub.example.svc.cluster.local:8000".parse().unwrap());
    forward.probe = forward.probe.every(Duration::from_millis(500), Duration::from_secs(20));
    rig.supervisor.start("hub", tunnel(&sshd, forward)).await.unwrap();
    let reason = until("the name is diagnosed", || {
        rig.state().reason().filter(|reason| reason.contains("only pods do"))
    })
    .await;
    assert!(reason.contains("NAMESPACE/NAME:PORT"), "{reason}");
}
