//! The sample service `examples/state-hub` on a real server, and hubctl on its database.

mod client;
mod migrations;
mod relay;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{StateHub, Sweep, installed};

use self::client::{Client, event};
use crate::support::{Home, database_of, scalar, spawn, sql, url, wait_for};

const NAME: &str = "the sample service";

fn new_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("state_hub_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn empty_database() -> String {
    let name = new_name();
    sql("postgres", &format!("CREATE DATABASE {name}"));
    name
}

/// A new database at the newest revision. Without the service, says that the test was skipped.
fn migrated_database() -> Option<String> {
    static TEMPLATE: Mutex<Option<String>> = Mutex::new(None);
    let mut template = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
    if template.is_none() {
        let name = empty_database();
        alembic(&name, &["upgrade", "head"])?;
        *template = Some(name);
    }
    let name = new_name();
    let template = template.as_deref().unwrap();
    sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {template}"));
    Some(name)
}

fn alembic(database: &str, arguments: &[&str]) -> Option<String> {
    installed(NAME, StateHub::alembic(&url(database), arguments))
}

/// The service on a new database, with some settings.
fn service(settings: &[(&str, &str)]) -> Option<(StateHub, Client, String)> {
    let database = migrated_database()?;
    let hub = installed(NAME, StateHub::start_with(&url(&database), settings))?;
    let client = Client::new(hub.url());
    Some((hub, client, database))
}

fn events(database: &str) -> u32 {
    scalar(database, "SELECT count(*) FROM progress_events").unwrap().parse().unwrap()
}

#[test]
fn the_identity_is_that_of_the_database() {
    let Some((_hub, client, database)) = service(&[]) else {
        return;
    };
    let asked = |query: &str| scalar(&database, query).unwrap();
    let identity = client.get("/state/identity").expect(200);
    let system = asked("SELECT system_identifier FROM pg_control_system()");
    let oid = asked("SELECT oid FROM pg_database WHERE datname = current_database()");
    assert_eq!(identity["system_identifier"], system);
    assert_eq!(identity["database_oid"].to_string(), oid);
    assert_eq!(identity["database"], database);
    assert_eq!(identity["marker"], Value::Null);

    // The sessions of the pool are older than the marker.
    sql(&database, &format!("ALTER DATABASE {database} SET hubctl.epoch = '7=x'"));
    sql(&database, &format!("ALTER DATABASE {database} SET hubctl.epoch_of_others = '8'"));
    assert_eq!(client.get("/state/identity").expect(200)["marker"], "7=x");
}

#[test]
fn an_event_that_is_sent_again_is_one_row() {
    let Some((_hub, client, database)) = service(&[]) else {
        return;
    };
    let post = |key: &str, body: &str| client.post("/events", key, body);
    let replies: Vec<_> = std::thread::scope(|scope| {
        let send = || post("key-1", &event("at once"));
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(send)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(replies[0].status, 201, "{replies:?}");
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
    assert_eq!(post("key-1", &event("at once")), replies[0]);
    assert_eq!(events(&database), 1);

    // Another body is no repeat, and without a key nothing is.
    post("key-1", &event("other")).expect(422);
    assert_eq!(events(&database), 1);
    post("", &event("at once")).expect(201);
    post("", &event("at once")).expect(201);
    assert_eq!(events(&database), 3);
}

#[test]
fn a_summary_is_older_than_the_database_and_outlives_it() {
    let settings = [("STATE_HUB_SUMMARY_SECONDS", "3600")];
    let Some((_hub, client, database)) = service(&settings) else {
        return;
    };
    let before = client.get("/state/summary").expect(200);
    assert_eq!(before["events"], 0);
    client.post("/events", "", &event("unseen")).expect(201);
    assert_eq!(events(&database), 1);
    assert_eq!(client.get("/state/summary").expect(200), before);

    // The database refuses everybody: the summary is the only answer that does not say so.
    sql("postgres", &format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false"));
    let sessions = format!("FROM pg_stat_activity WHERE datname = '{database}'");
    sql("postgres", &format!("SELECT pg_terminate_backend(pid) {sessions}"));
    wait_for("postgres", &format!("SELECT count(*) = 0 {sessions}"));
    assert_eq!(client.get("/state/summary").expect(200), before);
    client.get("/state/health").expect(503);
    client.get("/state/identity").expect(503);
    client.post("/events", "", &event("lost")).expect(503);

    sql("postgres", &format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true"));
    client.get("/state/health").expect(200);
    let fresh = installed(NAME, StateHub::start(&url(&database))).unwrap();
    let fresh = Client::new(fresh.url()).get("/state/summary").expect(200);
    assert_eq!(fresh["events"], 1);
}

#[test]
fn a_stream_delivers_the_events_of_all_writers() {
    let Some((mut hub, client, database)) = service(&[("STATE_HUB_POLL_SECONDS", "0.05")]) else {
        return;
    };
    client.post("/events", "", &event("before")).expect(201);
    let mut stream = client.follow(None);
    let first = client.post("/events", "", &event("by the API")).expect(201);
    assert_eq!(stream.next(), first);
    sql(
        &database,
        "INSERT INTO progress_events (kind, agent, summary) VALUES ('commit', 'hook', 'by SQL')",
    );
    assert_eq!(stream.next()["summary"], "by SQL");

    // An open stream does not keep the service from ending, and a client comes back for the rest.
    hub.stop().unwrap();
    hub.resume().unwrap();
    let mut stream = client.follow(first["sequence"].as_u64());
    assert_eq!(stream.next()["summary"], "by SQL");
}

#[test]
fn sequence_numbers_become_visible_in_their_order() {
    let Some(database) = migrated_database() else {
        return;
    };
    let insert = |agent: &str, then: &str| {
        let database = database_of(&database);
        let script = format!(
            "BEGIN; INSERT INTO progress_events (kind, agent, summary) VALUES ('note', '{agent}', ''); {then} COMMIT"
        );
        spawn(async move {
            let _ = pgsnap::execute(&database, &script).await;
        })
    };
    let sleeper =
        format!("FROM pg_stat_activity WHERE datname = '{database}' AND wait_event = 'PgSleep'");
    let first = insert("first", "SELECT pg_sleep(600);");
    wait_for("postgres", &format!("SELECT count(*) = 1 {sleeper}"));
    let second = insert("second", "");
    let waits = "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    wait_for(&database, waits);
    assert_eq!(events(&database), 0);
    sql("postgres", &format!("SELECT pg_terminate_backend(pid) {sleeper}"));
    crate::support::block_on(async {
        let _ = first.await;
        let _ = second.await;
    });
    let agents = scalar(&database, "SELECT string_agg(agent, ',') FROM progress_events");
    assert_eq!(agents.as_deref(), Some("second"));
}

#[test]
fn topics_and_tasks_are_created_changed_and_deleted() {
    let Some((_hub, client, database)) = service(&[]) else {
        return;
    };
    let create = |path: &str, body: &Value| client.post(path, "", &body.to_string());
    let topic = create("/topics", &json!({ "slug": "move", "title": "Move" })).expect(201);
    create("/topics", &json!({ "slug": "move", "title": "Again" })).expect(409);
    let topic = topic["id"].as_str().unwrap();
    let body = json!({ "topic_id": topic, "title": "Try", "detail": { "ü": [1, null] } });
    let task = create("/tasks", &body).expect(201);
    assert_eq!((&task["status"], &task["priority"]), (&json!("todo"), &json!(3)));
    let path = format!("/tasks/{}", task["id"].as_str().unwrap());
    let changed = client.patch(&path, &json!({ "status": "in_progress" })).expect(200);
    assert_eq!(changed["status"], "in_progress");
    assert_eq!((&changed["title"], &changed["detail"]), (&task["title"], &task["detail"]));

    // An event outlives its topic, and can be neither changed nor removed.
    let body = json!({ "topic_id": topic, "agent": "a", "summary": "s" });
    create("/events", &body).expect(201);
    client.delete(&format!("/topics/{topic}")).expect(204);
    client.get(&format!("/topics/{topic}")).expect(404);
    assert_eq!(client.get(&path).expect(200)["topic_id"], Value::Null);
    assert_eq!(client.get("/events").expect(200)[0]["topic_id"], Value::Null);
    for statement in
        ["UPDATE progress_events SET created_at = now()", "DELETE FROM progress_events"]
    {
        let refused = crate::support::block_on(pgsnap::execute(&database_of(&database), statement));
        assert!(refused.unwrap_err().to_string().contains("append-only"), "{statement}");
    }
}

#[test]
fn what_the_database_cannot_keep_is_refused() {
    let Some((_hub, client, database)) = service(&[]) else {
        return;
    };
    for body in [
        "",
        "[]",
        r#"{"agent": "a"}"#,
        r#"{"agent": "a", "summary": "s", "created_at": "2020-01-01T00:00:00Z"}"#,
        r#"{"agent": "a", "summary": "s", "kind": "rumour"}"#,
        r#"{"agent": "a", "summary": "\u0000"}"#,
        r#"{"agent": "a", "summary": "\ud800"}"#,
        r#"{"agent": "a", "summary": "s", "detail": {"x": ["\u0000"]}}"#,
        r#"{"agent": "a", "summary": "s", "detail": {"x": "\ud800"}}"#,
        r#"{"agent": "a", "summary": "s", "detail": {"x": NaN}}"#,
    ] {
        assert_eq!(client.post("/events", "", body).status, 422, "{body}");
    }
    let unknown = "00000000-0000-4000-8000-000000000000";
    let body = json!({ "agent": "a", "summary": "s", "topic_id": unknown });
    client.post("/events", "", &body.to_string()).expect(409);
    assert_eq!(events(&database), 0);
}

#[test]
fn a_sweep_writes_past_the_api() {
    let Some(database) = migrated_database() else {
        return;
    };
    sql(
        &database,
        "INSERT INTO tasks (title, status, updated_at) VALUES
         ('old', 'in_progress', now() - interval '8 days'), ('new', 'in_progress', now())",
    );
    let interval = Duration::from_millis(50);
    let Some(mut sweep) = installed(NAME, Sweep::start(&url(&database), interval)) else {
        return;
    };
    let sweeps = "FROM progress_events WHERE kind = 'sweep' AND agent = 'sweep'";
    wait_for(&database, &format!("SELECT count(*) > 2 {sweeps}"));
    sweep.stop().unwrap();
    assert_eq!(sweep.log().matches("swept").count(), events(&database) as usize);
    let blocked = "SELECT string_agg(title, ',') FROM tasks WHERE status = 'blocked'";
    assert_eq!(scalar(&database, blocked).as_deref(), Some("old"));
}

#[test]
fn a_restored_service_is_the_same_service() {
    let Some((mut hub, client, database)) = service(&[]) else {
        return;
    };
    let topic = json!({ "slug": "move", "title": "Move" }).to_string();
    client.post("/topics", "", &topic).expect(201);
    let written = client.post("/events", "key-1", &event("before the move")).expect(201);
    let health = client.get("/state/health").expect(200);
    let identity = client.get("/state/identity").expect(200);
    hub.stop().unwrap();

    let home = Home::with_database(database.clone());
    home.backup();
    let copy = format!("{database}_copy");
    home.expect(0, &["restore", "--to", "workstation", "--database", &copy, "--execute"]);
    home.expect(0, &["diff", "workstation", &url(&copy)]).says("equal:");

    assert_eq!(alembic(&copy, &["current"]), alembic(&database, &["current"]));
    alembic(&copy, &["check"]).unwrap();
    let moved = StateHub::start(&url(&copy)).unwrap();
    let client = Client::new(moved.url());
    assert_eq!(client.get("/state/health").expect(200), health);
    let there = client.get("/state/identity").expect(200);
    assert_eq!(there["system_identifier"], identity["system_identifier"]);
    assert_ne!(there["database_oid"], identity["database_oid"]);

    // A client that did not hear that its event was written may send it again, to the new home.
    let again = client.post("/events", "key-1", &event("before the move")).expect(201);
    assert_eq!(again, written);
    let next = client.post("/events", "key-2", &event("after the move")).expect(201);
    assert!(next["sequence"].as_u64() > written["sequence"].as_u64());
    assert_eq!((events(&database), events(&copy)), (1, 2));
}
