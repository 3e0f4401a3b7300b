//! Backups that a real operator of CloudNativePG makes, or fails to make, and what it says of them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use gates::Answer;
use serde_json::{Value, json};
use testkit::WebServer;
use testkit::cluster::Handle;

use super::database::{Database, LIMIT, condition, require};
use super::real::Real;

/// It is in the directory of the operator where somebody has put it there.
const IMAGE_WITH_BARMAN: &str = "postgres-barman:17";

#[tokio::test]
async fn a_database_without_a_place_for_backups_has_none_whatever_is_scheduled() {
    let Some(cluster) = Handle::find_with_operator() else {
        return;
    };
    let real = Real::open(cluster.kubeconfig()).await;
    let database = Database::create(&real, cluster.namespace("no-backup"), json!({})).await;
    database.until(database.healthy(), Answer::Pass).await;

    let archiving = database.gate("cnpg-cluster", json!({ "archiving": true }));
    let verdict = database.ask(archiving).await;
    require(&verdict, Answer::Fail, "archives no WAL");
    assert!(verdict.terminal, "{verdict:?}");
    let status = database.status().await;
    assert_eq!(
        condition(&status, "ContinuousArchiving")["status"],
        "True",
        "the field that lies: {status}"
    );

    let backup = database.gate("cnpg-backup", json!({ "max_age": "26h" }));
    let verdict = database.ask(backup.clone()).await;
    require(&verdict, Answer::Fail, "was ever completed");
    let spec = json!({ "schedule": "0 0 3 * * *", "immediate": true, "cluster": { "name": "db" } });
    database.add("scheduledbackups", "ScheduledBackup", "nightly", spec).await;
    let begun = Instant::now();
    let failed = "is failed (cannot proceed with the backup as the cluster has no backup section)";
    loop {
        let verdict = database.ask(backup.clone()).await;
        assert_ne!(verdict.answer, Answer::Pass, "{verdict:?}");
        if verdict.answer == Answer::Fail && verdict.reason.contains(failed) {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "{verdict:?}");
    }
    let scheduled = database.path.replace("clusters/db", "scheduledbackups/nightly");
    let scheduled = real.get(&scheduled).await;
    assert!(
        scheduled["status"]["lastScheduleTime"].is_string(),
        "the field that lies: {scheduled}"
    );
    database.delete().await;
}

/// A place for backups at S3, as a part of a specification.
async fn archive(real: &Real, namespace: &str, endpoint: &str) -> Value {
    real.namespace(namespace, &json!({})).await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s3", "namespace": namespace },
        "stringData": { "id": "nobody", "key": "none" },
    });
    real.create("secrets", &secret).await;
    let credential = |key: &str| json!({ "name": "s3", "key": key });
    json!({ "backup": { "barmanObjectStore": {
        "destinationPath": "s3://backups/", "endpointURL": endpoint,
        "s3Credentials": { "accessKeyId": credential("id"), "secretAccessKey": credential("key") },
    } } })
}

#[tokio::test]
async fn a_place_for_backups_that_cannot_be_reached_archives_nothing() {
    let Some(cluster) = Handle::find_with_operator() else {
        return;
    };
    let real = Real::open(cluster.kubeconfig()).await;
    let namespace = cluster.namespace("archiving");
    let place = archive(&real, &namespace, "http://127.0.0.1:1").await;
    let database = Database::create(&real, namespace, place).await;
    database.until(database.healthy(), Answer::Pass).await;
    let archiving = database.gate("cnpg-cluster", json!({ "archiving": true }));
    let verdict = real.until(archiving.clone(), Answer::Fail).await;
    require(&verdict, Answer::Fail, "cannot archive its WAL (ContinuousArchivingFailing");

    let backup = database.gate("cnpg-backup", json!({ "max_age": "26h" }));
    database.add("backups", "Backup", "by-hand", json!({ "cluster": { "name": "db" } })).await;
    for _ in 0..20 {
        let verdict = database.ask(backup.clone()).await;
        assert!(matches!(verdict.answer, Answer::Waiting | Answer::Fail), "{verdict:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    require(&database.ask(archiving).await, Answer::Fail, "cannot archive");
    database.delete().await;
}

#[tokio::test]
async fn a_backup_that_was_completed_counts_until_it_is_too_old() {
    let Some(cluster) = Handle::find_with_operator() else {
        return;
    };
    let Some(packages) = std::env::var_os("HUBCTL_TEST_MOTO") else {
        return testkit::skip("HUBCTL_TEST_MOTO is not set: no S3");
    };
    let real = Real::open(cluster.kubeconfig()).await;
    let nodes = real.get("/api/v1/nodes").await;
    if !nodes.to_string().contains(IMAGE_WITH_BARMAN) {
        return testkit::not_applicable(&format!("the nodes have no image {IMAGE_WITH_BARMAN}"));
    }
    let server = WebServer::moto_at(Path::new(&packages), host(&nodes)).unwrap();
    let made = std::process::Command::new("curl")
        .args(["--silent", "--fail", "--request", "PUT"])
        .arg(format!("{}/backups", server.url()))
        .stdout(std::process::Stdio::null())
        .status();
    assert!(made.unwrap().success());

    let namespace = cluster.namespace("backup");
    let mut more = archive(&real, &namespace, &server.url()).await;
    more["imageName"] = json!(IMAGE_WITH_BARMAN);
    more["env"] = json!([{ "name": "AWS_DEFAULT_REGION", "value": "us-east-1" }]);
    let database = Database::create(&real, namespace, more).await;
    let archiving = database.gate("cnpg-cluster", json!({ "archiving": true }));
    database.until(archiving, Answer::Pass).await;
    let backup = database.gate("cnpg-backup", json!({ "max_age": "26h" }));
    let verdict = database.ask(backup.clone()).await;
    require(&verdict, Answer::Fail, "was ever completed");

    let begun = Instant::now();
    let spec = json!({ "cluster": { "name": "db" } });
    database.add("backups", "Backup", "by-hand", spec).await;
    let verdict = database.ask(backup.clone()).await;
    require(&verdict, Answer::Waiting, "one is being made");
    let (verdict, _) = database.until(backup, Answer::Pass).await;
    eprintln!("a backup after {:.1} s", begun.elapsed().as_secs_f64());
    let by_hand = database.path.replace("clusters/db", "backups/by-hand");
    let by_hand = real.get(&by_hand).await;
    assert_eq!(by_hand["status"]["phase"], "completed", "{by_hand}");
    let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let completed = time(&verdict.evidence["completed_at"]);
    assert_eq!(completed, time(&by_hand["status"]["stoppedAt"]));
    assert!(verdict.expires_at > Some(completed), "{verdict:?}");

    let strict = database.gate("cnpg-backup", json!({ "max_age": "1s" }));
    let verdict = real.until(strict, Answer::Fail).await;
    require(&verdict, Answer::Fail, "the last backup of");
    database.delete().await;
}

/// By which address the pods reach this machine: the first of the network of the nodes. A name with
/// dots would not do, since moto takes its first part for that of a bucket.
fn host(nodes: &Value) -> IpAddr {
    let addresses = nodes["items"][0]["status"]["addresses"].as_array().unwrap();
    let mut internal = addresses.iter().filter(|address| address["type"] == "InternalIP");
    let node: Ipv4Addr = internal.next().unwrap()["address"].as_str().unwrap().parse().unwrap();
    let [a, b, c, _] = node.octets();
    Ipv4Addr::new(a, b, c, 1).into()
}
