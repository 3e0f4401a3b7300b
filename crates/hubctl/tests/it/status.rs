//! Which site is the primary: by the journal, the databases and the clients.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use pgsnap::{Handover, Marker, MarkerRole};
use serde_json::Value;

use crate::support::{Home, block_on, database_of, new_database, scalar, url};

const FIRST: &str = "20261201123144d567";
const SECOND: &str = "20261201133144d567";

/// A home with a second site, to which the service moves.
fn home() -> (Home, String) {
    let (home, cluster) = (Home::new(), new_database());
    home.append(&format!(
        "[sites.cluster]\ndatabase = \"{}\"\n[cutover]\nfrom = \"workstation\"\nto = \"cluster\"\n",
        url(&cluster)
    ));
    (home, cluster)
}

/// Makes a copy of `template` the primary under a name.
fn hand_over(name: &str, template: &str, run: &str, site: &str, epoch: u64) {
    let target = database_of(name);
    block_on(pgsnap::clone_database(&target, template, run)).unwrap();
    let order = Handover::new(run, site, epoch, Duration::from_secs(30));
    block_on(pgsnap::hand_over(&target, &order)).unwrap();
}

fn status(home: &Home, code: i32) -> Value {
    home.json(code, "hubctl.status.v1", &["status"])
}

#[test]
fn before_any_cutover_the_site_that_is_left_is_the_primary() {
    let (home, _) = home();
    let run = home.expect(0, &["status"]);
    run.shows("primary     workstation").shows("no cutover was made");
    run.shows("hubctl cutover --execute   moves the service from workstation to cluster");
    run.shows("hubctl rollback --execute  has nothing to roll back");
    let report = status(&home, 0);
    assert_eq!((&report["agreed"], &report["run"]), (&true.into(), &().into()));
    assert!(!home.path("journal.jsonl").exists(), "nothing is changed");

    home.expect(0, &["freeze", "workstation", "--execute"]);
    let frozen = status(&home, 1);
    assert_eq!(frozen["by_databases"], "workstation");
    let problem = frozen["problems"][0].as_str().unwrap();
    assert!(problem.contains("frozen since") && problem.contains("no cutover is under way"));
}

#[test]
fn markers_name_the_primary_and_two_of_them_are_a_disagreement() {
    let (home, cluster) = home();
    home.expect(0, &["freeze", "workstation", "--execute"]);
    hand_over(&cluster, &cluster, FIRST, "cluster", 1);
    let retired = Marker::new(1, MarkerRole::Retired, "workstation", FIRST);
    block_on(pgsnap::retire(&database_of(&home.database), None, retired)).unwrap();
    let report = status(&home, 0);
    assert_eq!((&report["primary"], &report["by_journal"]), (&"cluster".into(), &().into()));
    let sites = report["sites"].as_array().unwrap();
    assert_eq!((&sites[0]["role"], &sites[1]["role"]), (&"retired".into(), &"primary".into()));
    home.expect(0, &["status"])
        .shows("workstation retired, epoch 1, frozen since")
        .shows(&format!("keeps {cluster}__before_"))
        .shows("is refused: cluster is the primary");
    let shown = home.expect(0, &["site", "show"]);
    shown.shows("retired, epoch 1").shows("primary, epoch 1").shows(&format!("{cluster}__before_"));

    home.expect(0, &["thaw", "workstation", "--abandon-epoch", "1", "--execute"]);
    home.expect(1, &["status"]).says("workstation is retired with epoch 1 and not frozen");
    hand_over(&home.database, &home.database, SECOND, "workstation", 2);
    let split = status(&home, 1);
    assert_eq!((&split["agreed"], &split["primary"]), (&false.into(), &().into()));
    home.expect(1, &["status"])
        .says("DISAGREEMENT: two primaries: workstation (epoch 2) and cluster (epoch 1)");
}

/// A service that names the server of its database, until the test ends.
fn service(system: String) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let body = format!("{{\"system_identifier\": \"{system}\"}}");
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
    });
    format!("http://{address}/identity")
}

#[test]
fn clients_that_reach_another_server_are_a_disagreement() {
    let own = scalar("postgres", "SELECT system_identifier FROM pg_control_system()").unwrap();
    let closed = "http://127.0.0.1:1/identity".to_owned();
    for (url, code, said) in [
        (service(own), 0, ""),
        (service("7000000000000000001".to_owned()), 1, "which is none of the sites"),
        (closed, 3, "could not ask clients' address"),
    ] {
        let (home, _) = home();
        home.append(&format!("probe = {{ http = \"{url}\", json = \"system_identifier\" }}\n"));
        let run = home.expect(code, &["status"]);
        run.shows("databases   workstation").says(said);
        let clients = if code == 0 { "workstation".into() } else { Value::Null };
        assert_eq!(status(&home, code)["by_clients"], clients);
    }
}

#[test]
fn a_site_that_does_not_answer_is_no_agreement() {
    let (home, cluster) = home();
    let text = fs_err::read_to_string(home.path("hubctl.toml")).unwrap();
    let silent = text.replace(&url(&cluster), "postgresql://hub@127.0.0.1:1/hub");
    fs_err::write(home.path("hubctl.toml"), silent).unwrap();
    let report = status(&home, 3);
    assert_eq!((&report["agreed"], &report["primary"]), (&().into(), &().into()));
    home.expect(3, &["status"]).says("could not ask cluster: could not connect");
}
