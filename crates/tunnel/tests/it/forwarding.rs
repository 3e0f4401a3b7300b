//! Bytes through tunnels in every direction, and what is left afterwards.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};

use super::support::*;
use testkit::Sshd;
use tunnel::{Endpoint, Forward, Probe, Question, Supervisor};

#[tokio::test(flavor = "multi_thread")]
async fn bytes_get_through_and_the_status_proves_it() {
    let (sshd, hub, rig) = ground().await;
    let forward = forward(&hub);
    let local = forward.local.clone();
    let status = rig.start(tunnel(&sshd, forward)).await;
    assert!(status.is_up(), "{status:?}\n{}", sshd.log());

    let mut client = echo(&local).await.unwrap();
    let status = rig.status();
    let forward = &status.forwards[0];
    assert_eq!(forward.identity.as_deref(), Some("hub-1"));
    assert!(forward.proven.is_some() && forward.round_trip_ms.unwrap() > 0.0);
    assert_eq!((forward.connections, forward.sent, forward.received), (1, 6, 5));
    assert!(forward.last_byte.is_some());
    assert_eq!((status.starts, status.reconnects), (1, 0));

    // An orderly end is passed on.
    client.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    until("the connection is counted as closed", || {
        (rig.status().forwards[0].connections == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_stream_arrives_whole() {
    let (sshd, hub, rig) = ground().await;
    let local = rig.up(&sshd, &hub).await;
    let (mut reader, mut writer) = echo(&local).await.unwrap().into_split();
    let sent: Vec<u8> =
        (0..20_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.unwrap();
    writing.await.unwrap();
    assert!(received == expected, "{} of {} bytes", received.len(), expected.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn unix_sockets_are_ends_as_well() {
    let (sshd, rig) = (Sshd::start("").unwrap(), Rig::new());
    let directory = tempfile::tempdir().unwrap();
    let (local, target) = (directory.path().join("local"), directory.path().join("target"));
    let listener = tokio::net::UnixListener::bind(&target).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"SERVICE READY\n").await;
        }
    });
    // Left over from a process that was killed.
    drop(std::os::unix::net::UnixListener::bind(&local).unwrap());
    let forward = Forward::to(Endpoint::unix(&local), Endpoint::unix(&target))
        .with_probe(often(Probe::new(Question::Banner)));
    let status = rig.start(tunnel(&sshd, forward)).await;
    assert!(status.is_up(), "{status:?}");
    assert_eq!(status.forwards[0].identity.as_deref(), Some("SERVICE READY"));
    let mut said = [0; 7];
    UnixStream::connect(&local).await.unwrap().read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"SERVICE");
    rig.supervisor.close().await;
    assert!(!local.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_from_the_destination_is_proven_through_it() {
    let (sshd, hub, rig) = ground().await;
    let remote = free_end();
    let forward = Forward::from(remote.clone(), hub.end()).with_probe(forward(&hub).probe);
    let status = rig.start(tunnel(&sshd, forward)).await;
    assert!(status.is_up(), "{status:?}\n{}", sshd.log());
    echo(&remote).await.unwrap();

    hub.set(Manner::Answers("hub-2"));
    rig.until("mismatch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forwards_of_every_kind_stand_in_one_tunnel() {
    let (sshd, hub, rig) = ground().await;
    let directory = tempfile::tempdir().unwrap();
    // Neither a colon nor a percent sign means anything in a path.
    let path = |name: &str| Endpoint::unix(directory.path().join(name));
    let ends = [free_end(), free_end(), path("a:b%h"), path("c")];
    let mut tunnel = tunnel(&sshd, forward(&hub));
    for (index, end) in ends.iter().enumerate() {
        let forward = match index {
            0 | 2 => Forward::from(end.clone(), hub.end()),
            _ => Forward::to(end.clone(), hub.end()),
        };
        tunnel = tunnel.with_forward(forward.with_probe(self::forward(&hub).probe));
    }
    let status = rig.start(tunnel).await;
    assert!(status.is_up(), "{status:?}\n{}", sshd.log());
    for end in &ends[..2] {
        echo(end).await.unwrap();
    }
    for end in &ends[2..] {
        let mut client = UnixStream::connect(end.to_string()).await.unwrap();
        client.write_all(b"!x").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'x');
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_is_an_address_like_any_other() {
    if !std::path::Path::new("/proc/net/if_inet6").exists() {
        return testkit::not_applicable("this machine has no IPv6");
    }
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let target = Endpoint::tcp("::1", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"six\n").await;
        }
    });
    let (sshd, rig) = (Sshd::start("").unwrap(), Rig::new());
    let Endpoint::Tcp { port, .. } = free_end() else { unreachable!() };
    let forward = Forward::to(Endpoint::tcp("::1", port), target)
        .with_probe(often(Probe::new(Question::Banner)));
    let status = rig.start(tunnel(&sshd, forward)).await;
    assert!(status.is_up(), "{status:?}");
    let mut said = [0; 4];
    let mut client = tokio::net::TcpStream::connect(("::1", port)).await.unwrap();
    client.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"six\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_tunnel_leaves_no_process_port_or_socket() {
    let (sshd, hub, rig) = ground().await;
    let local = rig.up(&sshd, &hub).await;
    assert_eq!(ssh_of(&rig.runtime).len(), 1);
    let mut client = echo(&local).await.unwrap();

    assert!(rig.supervisor.stop("hub").await);
    assert!(!rig.supervisor.stop("hub").await);
    until("only the keeper is left", || (processes_of(&rig.runtime).len() == 1).then_some(()))
        .await;
    assert!(echo(&local).await.is_err());
    // The connection was cut, and its end is no orderly one.
    assert!(matches!(client.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    let names = |directory: &std::path::Path| -> Vec<std::path::PathBuf> {
        let entries = fs_err::read_dir(directory).unwrap().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let life = names(&rig.runtime).into_iter().find(|path| path.is_dir()).unwrap();
    until("no directory is left", || names(&life).is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_has_one_supervisor() {
    let rig = Rig::new();
    let error = Supervisor::open(&rig.runtime).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("a supervisor is running already, as process {}", std::process::id())
    );
    assert!(error.hint().is_some());
    assert!(Supervisor::open("relative").unwrap_err().to_string().contains("absolute"));
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_tunnels_stand_beside_each_other() {
    let (sshd, hub, rig) = ground().await;
    let ends: Vec<Endpoint> = (0..20).map(|_| free_end()).collect();
    for (index, end) in ends.iter().enumerate() {
        let mut forward = forward(&hub);
        forward.local = end.clone();
        forward.probe = forward.probe.every(PATIENCE / 30, PATIENCE / 3);
        rig.supervisor.start(&format!("t{index}"), tunnel(&sshd, forward)).await.unwrap();
    }
    for (index, end) in ends.iter().enumerate() {
        let status = rig.supervisor.settled(&format!("t{index}"), PATIENCE).await.unwrap();
        assert!(status.is_up(), "{status:?}");
        echo(end).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_behind_a_jump_host_is_reached_and_found_again() {
    let (mut far, hub, rig) = ground().await;
    let near = Sshd::start("").unwrap();
    let host = |sshd: &Sshd, name: &str| {
        let config = fs_err::read_to_string(sshd.client_config()).unwrap();
        config.replace("Host node", name)
    };
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("ssh_config");
    let hosts = host(&far, "Host node\n  ProxyJump jump") + &host(&near, "Host jump");
    fs_err::write(&config, hosts).unwrap();

    let forward = forward(&hub);
    let local = forward.local.clone();
    let mut tunnel = tunnel(&far, forward);
    tunnel.ssh_config = Some(config);
    let status = rig.start(tunnel).await;
    assert!(status.is_up(), "{status:?}\n{}\n{}", near.log(), far.log());
    echo(&local).await.unwrap();
    assert!(near.log().contains("Accepted publickey"), "{}", near.log());

    // Nobody but ssh can tell whether the server is back.
    far.stop();
    rig.until("backoff").await;
    far.resume().unwrap();
    rig.until("up").await;
    assert!(near.kill_sessions() > 0);
    until("another connection", || (rig.status().reconnects >= 2).then_some(())).await;
    rig.until("up").await;
}
