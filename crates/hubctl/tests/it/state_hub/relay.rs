//! The edge relay: what it accepted arrives once, whatever happens between.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use testkit::{Fault, FaultProxy, Relay, Side, StateHub, Upstream, installed};

use super::client::{Client, event};
use super::{NAME, events, migrated_database, service};
use crate::support::{block_on, scalar, url, wait_for};

fn status(relay: &Relay) -> Value {
    serde_json::from_str(&relay.status().unwrap()).unwrap()
}

fn replay(relay: &Relay, arguments: &[&str]) -> (bool, Value) {
    let (is_empty, said) = relay.replay(arguments).unwrap();
    (is_empty, serde_json::from_str(&said).unwrap())
}

#[test]
fn a_relay_keeps_events_while_the_api_is_down() {
    let Some((mut hub, _, database)) = service(&[]) else {
        return;
    };
    hub.kill();
    let mut relay = installed(NAME, Relay::start_on_hold(&hub.url())).unwrap();
    let edge = Client::new(relay.url());
    let accepted = edge.post("/events", "key-0", &event("0")).expect(202);
    for number in 1..4 {
        edge.post("/events", "", &event(&number.to_string())).expect(202);
    }
    assert_eq!(edge.post("/events", "key-0", &event("0")).expect(202), accepted);
    edge.post("/events", "key-0", &event("other")).expect(422);
    edge.post("/events", "", r#"{"agent": "a"}"#).expect(422);
    assert_eq!(status(&relay)["pending"], 4);

    let (is_empty, said) = replay(&relay, &[]);
    assert!(!is_empty && said["pending"] == 4 && said["delivered"] == 0, "{said}");
    relay.kill();
    assert_eq!(status(&relay)["pending"], 4, "the outbox outlives the relay");

    hub.resume().unwrap();
    let (is_empty, said) = replay(&relay, &[]);
    assert!(is_empty && said["delivered"] == 4, "{said}");
    let (is_empty, said) = replay(&relay, &[]);
    assert!(is_empty && said["delivered"] == 0, "{said}");
    let order = "SELECT string_agg(summary, ',' ORDER BY sequence) FROM progress_events";
    assert_eq!(scalar(&database, order).as_deref(), Some("0,1,2,3"));

    // Delivered events are remembered: their sender may not know.
    relay.resume().unwrap();
    assert_eq!(edge.post("/events", "key-0", &event("0")).expect(202), accepted);
    let delivered = status(&relay);
    assert_eq!((&delivered["pending"], &delivered["delivered"]), (&json!(0), &json!(4)));
    assert_eq!(events(&database), 4);
}

#[test]
fn a_relay_forwards_by_itself_when_the_api_is_back() {
    let Some((mut hub, _, database)) = service(&[]) else {
        return;
    };
    let relay = installed(NAME, Relay::start(&hub.url())).unwrap();
    let edge = Client::new(relay.url());
    edge.post("/events", "", &event("up")).expect(202);
    wait_for(&database, "SELECT count(*) = 1 FROM progress_events");
    hub.stop().unwrap();
    edge.post("/events", "", &event("down")).expect(202);
    assert_eq!(events(&database), 1);
    hub.resume().unwrap();
    wait_for(&database, "SELECT count(*) = 2 FROM progress_events");
}

#[test]
fn a_replay_ends_while_events_keep_coming() {
    let Some((hub, _, database)) = service(&[]) else {
        return;
    };
    let relay = installed(NAME, Relay::start_on_hold(&hub.url())).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let edge = Client::new(relay.url());
                while !stop.load(Ordering::SeqCst) {
                    edge.post("/events", "", &event("more")).expect(202);
                }
            });
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while status(&relay)["pending"].as_u64() < Some(3) {
            assert!(std::time::Instant::now() < deadline, "no event came");
        }
        let (is_empty, said) = replay(&relay, &[]);
        stop.store(true, Ordering::SeqCst);
        assert!(is_empty && said["delivered"].as_u64() >= Some(3), "{said}");
        assert!(events(&database) >= 3);
    });
}

#[test]
fn an_event_whose_answer_is_lost_arrives_once() {
    let Some((hub, _, database)) = service(&[]) else {
        return;
    };
    let address = hub.url()["http://".len()..].parse().unwrap();
    let proxy = block_on(FaultProxy::start(Upstream::Tcp(address))).unwrap();
    // The API answers after its commit.
    proxy.inject(Fault::cut(Side::Server, 10));
    let api = format!("http://{}", proxy.address());
    let relay = installed(NAME, Relay::start_on_hold(&api)).unwrap();
    Client::new(relay.url()).post("/events", "", &event("once")).expect(202);

    let (is_empty, said) = replay(&relay, &[]);
    assert!(!is_empty && said["pending"] == 1, "{said}");
    assert_eq!((proxy.fired(), events(&database)), (1, 1));
    let (is_empty, said) = replay(&relay, &[]);
    assert!(is_empty && said["delivered"] == 1, "{said}");
    assert_eq!(events(&database), 1);
}

#[test]
fn an_event_that_the_api_refuses_is_kept_and_holds_up_no_other() {
    let Some(database) = migrated_database() else {
        return;
    };
    let hub = StateHub::start(&url(&database)).unwrap();
    let relay = installed(NAME, Relay::start_on_hold(&hub.url())).unwrap();
    let edge = Client::new(relay.url());
    let topic = "00000000-0000-4000-8000-000000000000";
    let early = json!({ "agent": "a", "summary": "early", "topic_id": topic }).to_string();
    edge.post("/events", "", &early).expect(202);
    edge.post("/events", "", &event("next")).expect(202);
    let (is_empty, said) = replay(&relay, &[]);
    assert!(!is_empty && said["delivered"] == 1 && said["rejected"] == 1, "{said}");
    assert_eq!(status(&relay)["rejected"], 1);

    // Its topic comes later, with another restore, say.
    let insert = format!("INSERT INTO topics (id, slug, title) VALUES ('{topic}', 'late', 'Late')");
    crate::support::sql(&database, &insert);
    assert_eq!(replay(&relay, &[]).1["delivered"], 0);
    let (is_empty, said) = replay(&relay, &["--rejected"]);
    assert!(is_empty && said["delivered"] == 1, "{said}");
    assert_eq!((status(&relay)["rejected"].clone(), events(&database)), (json!(0), 2));
}

#[test]
fn another_server_on_the_port_of_the_api_gets_no_event() {
    let Some(database) = migrated_database() else {
        return;
    };
    // It answers 202 to the same request, and is another relay.
    let other = installed(NAME, Relay::start_on_hold("http://127.0.0.1:9")).unwrap();
    let relay = installed(NAME, Relay::start_on_hold(&other.url())).unwrap();
    Client::new(relay.url()).post("/events", "", &event("astray")).expect(202);
    let (is_empty, said) = replay(&relay, &[]);
    assert!(!is_empty && said["pending"] == 1, "{said}");
    assert_eq!(events(&database), 0);
}

#[test]
fn a_missing_outbox_is_not_an_empty_one() {
    let Some(mut relay) = installed(NAME, Relay::start_on_hold("http://127.0.0.1:9")) else {
        return;
    };
    assert_eq!(status(&relay)["pending"], 0);
    relay.kill();
    fs_err::remove_file(relay.outbox()).unwrap();
    let error = relay.status().unwrap_err().to_string();
    assert!(error.contains("there is no outbox at"), "{error}");
    assert!(relay.replay(&[]).is_err());
    assert!(!relay.outbox().exists());
}
