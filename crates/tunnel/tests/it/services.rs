//! Services of a cluster. A small name server stands in for the cluster's, since only it would know
//! the names.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::support::*;
use testkit::Sshd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tunnel::{Endpoint, Tunnel, Way};

/// Answers every question for an address of `hub.example.svc.cluster.local.`, over TCP only (RFC
/// 1035).
struct NameServer {
    port: u16,
    address: Arc<Mutex<Option<Ipv4Addr>>>,
}

impl NameServer {
    async fn start(address: Ipv4Addr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = Arc::new(Mutex::new(Some(address)));
        let shared = Arc::clone(&address);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Ok(length) = stream.read_u16().await else {
                    continue;
                };
                let mut question = vec![0; length.into()];
                stream.read_exact(&mut question).await.unwrap();
                let reply = answer(&question, *shared.lock().unwrap());
                stream.write_u16(u16::try_from(reply.len()).unwrap()).await.unwrap();
                stream.write_all(&reply).await.unwrap();
            }
        });
        Self { port, address }
    }
}

/// The question with an answer behind it: a pointer to its name, type A, class IN, a minute, four
/// bytes.
fn answer(question: &[u8], address: Option<Ipv4Addr>) -> Vec<u8> {
    let name = b"\x03hub\x07example\x03svc\x07cluster\x05local\x00\x00\x01";
    let is_asked = question.windows(name.len()).any(|window| window == name);
    let mut reply = question.to_vec();
    (reply[2], reply[3]) = (0x85, 0x80);
    if let Some(address) = address.filter(|_| is_asked) {
        reply[7] = 1;
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(address.octets());
    }
    reply
}

fn tunnel_to_service(sshd: &Sshd, hub: &Hub, dns: &NameServer) -> Tunnel {
    let mut forward = forward(hub);
    forward.way = Way::Service(format!("example/hub:{}", hub.port).parse().unwrap());
    forward.probe = forward.probe.every(Duration::from_millis(200), Duration::from_secs(5));
    let mut tunnel = tunnel(sshd, forward);
    tunnel.cluster_dns.server = Endpoint::tcp("127.0.0.1", dns.port);
    tunnel
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_found_again_at_its_new_address() {
    let (sshd, hub) = (Sshd::start("").unwrap(), Hub::start(Manner::Answers("hub-1")).await);
    let dns = NameServer::start(Ipv4Addr::LOCALHOST).await;
    let rig = Rig::new();
    let tunnel = tunnel_to_service(&sshd, &hub, &dns);
    let local = tunnel.forwards[0].local.clone();
    let status = rig.start(tunnel).await;
    assert!(status.is_up(), "{status:?}");
    echo(&local).await.unwrap();

    // The service is made anew: another address, and nobody at the old one.
    let port = hub.port;
    drop(hub);
    rig.until("degraded").await;
    let _new = Hub::at("127.0.0.2", port, Manner::Answers("hub-1")).await;
    *dns.address.lock().unwrap() = Some(Ipv4Addr::new(127, 0, 0, 2));
    rig.until("up").await;
    echo(&local).await.unwrap();
    assert_eq!(rig.status().starts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_there_is_said_to_be_missing() {
    let (sshd, hub) = (Sshd::start("").unwrap(), Hub::start(Manner::Answers("hub-1")).await);
    let dns = NameServer::start(Ipv4Addr::LOCALHOST).await;
    *dns.address.lock().unwrap() = None;
    let rig = Rig::new();
    rig.supervisor.start("hub", tunnel_to_service(&sshd, &hub, &dns)).await.unwrap();
    let reason = until("it is missed", || {
        rig.state().reason().filter(|reason| reason.contains("is not found"))
    })
    .await;
    assert!(reason.contains("hub.example.svc.cluster.local"), "{reason}");
    *dns.address.lock().unwrap() = Some(Ipv4Addr::LOCALHOST);
    rig.until("up").await;
}
