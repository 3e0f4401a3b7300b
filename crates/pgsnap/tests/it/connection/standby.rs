//! A hot standby as the source.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pgsnap::{
    CensusOptions, Database, Difference, Error, ErrorClass, Progress, RestoreOptions,
    ScratchOptions, census, compare, find_handover, hand_over, identify, query_scalar,
};
use tokio_postgres::Client;

use crate::handover::{RUN, handed_over, order, with_prepared};
use crate::races::INCOMPRESSIBLE;
use crate::server::{Server, Slow, quiet, small_blocks};

/// Ends the server when its standard input ends, which is when the test does.
const UNTIL_END_OF_INPUT: &str =
    r#""$@" & server=$!; read -r _; kill -INT "$server"; wait "$server""#;

/// Settings of the primary that a standby needs, over those of a scratch server.
const REPLICATION: [&str; 2] = ["wal_level=replica", "max_wal_senders=4"];

/// A standby that streams from a server, in that server's directory.
struct Standby {
    process: Child,
    directory: PathBuf,
    primary: Client,
}

impl Standby {
    async fn of(server: &Server, settings: &[&str]) -> Self {
        let directory = server.scratch.directory().join("standby");
        let primary = server.client("postgres").await;
        copy_data(server, &primary, &directory).await;
        let row = primary
            .query_one("SELECT setting FROM pg_config WHERE name = 'BINDIR'", &[])
            .await
            .unwrap();
        let owner = fs_err::metadata(server.scratch.directory().join("data")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", UNTIL_END_OF_INPUT, "sh"]);
        command.arg(Path::new(row.get::<_, &str>(0)).join("postgres"));
        command.arg("-D").arg(directory.join("data"));
        command.arg("-k").arg(&directory).args(["-p", "5432"]);
        let needed = ["listen_addresses=", "max_locks_per_transaction=1024", "fsync=off"];
        for setting in REPLICATION.iter().chain(&needed).chain(settings) {
            command.args(["-c", setting]);
        }
        if owner.uid() != fs_err::metadata("/proc/self").unwrap().uid() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let log = fs_err::File::create(server.file("standby.log")).unwrap();
        let process = command
            .current_dir(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log.into_file()))
            .process_group(0)
            .spawn()
            .unwrap();
        let standby = Self { process, directory, primary };
        standby.wait_until_it_answers(&server.file("standby.log")).await;
        standby
    }

    async fn wait_until_it_answers(&self, log: &Path) {
        for _ in 0..1500 {
            if query_scalar(&self.database("postgres"), "SELECT 1").await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let log = fs_err::read_to_string(log).unwrap();
        panic!("the standby does not answer: {log}");
    }

    fn database(&self, name: &str) -> Database {
        let text = format!("host={} user=postgres dbname={name}", self.directory.display());
        Database::from_url(&text).unwrap()
    }

    /// Waits until everything that the primary has done is here.
    async fn catch_up(&self) {
        let row =
            self.primary.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await.unwrap();
        let query =
            format!("SELECT pg_last_wal_replay_lsn() >= '{}'::pg_lsn", row.get::<_, &str>(0));
        for _ in 0..1500 {
            let reached = query_scalar(&self.database("postgres"), &query).await;
            if reached.unwrap().as_deref() == Some("t") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the standby lags behind");
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// A base backup, with the server's own functions: clients of its version may not be here.
async fn copy_data(server: &Server, primary: &Client, directory: &Path) {
    let version: i32 = primary
        .query_one("SELECT current_setting('server_version_num')::int", &[])
        .await
        .unwrap()
        .get(0);
    let (start, stop) = if version < 150_000 {
        (
            "SELECT pg_start_backup('standby', true, false)::text",
            "SELECT labelfile FROM pg_stop_backup(false, false)",
        )
    } else {
        (
            "SELECT pg_backup_start('standby', true)::text",
            "SELECT labelfile FROM pg_backup_stop(false)",
        )
    };
    primary.query_one(start, &[]).await.unwrap();
    let from = server.scratch.directory();
    shell(from, "mkdir standby && cp -a data standby/ && rm standby/data/postmaster.pid");
    let label: String = primary.query_one(stop, &[]).await.unwrap().get(0);
    let data = directory.join("data");
    fs_err::write(data.join("backup_label"), label).unwrap();
    fs_err::write(data.join("standby.signal"), "").unwrap();
    let source = format!(
        "primary_conninfo = 'host={} port={} user=postgres'\n",
        from.display(),
        server.scratch.port()
    );
    fs_err::write(data.join("postgresql.auto.conf"), source).unwrap();
    // From version 16 on the server also wants to write what it reads there.
    let status = Command::new("chown")
        .args(["-R", "--reference=data", "standby"])
        .current_dir(from)
        .status()
        .unwrap();
    assert!(status.success());
    shell(from, "chown -R --reference=data standby");
}

fn shell(directory: &Path, script: &str) {
    let mut shell = Command::new("sh");
    let status = shell.args(["-ec", script]).current_dir(directory).status();
    assert!(status.unwrap().success(), "{script}");
}

async fn primary() -> Server {
    let mut options = ScratchOptions::default();
    options.settings = REPLICATION.map(str::to_owned).to_vec();
    Server::start_with(options).await
}

/// Keeps what is said.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_a_standby_is_one_of_its_primary() {
    let server = primary().await;
    let source = server.zoo("zoo").await;
    pgsnap::execute(
        &source,
        "CREATE UNLOGGED TABLE draft (id serial PRIMARY KEY, v text); INSERT INTO draft (v) VALUES ('a'), ('b')",
    )
    .await
    .unwrap();
    let standby = Standby::of(&server, &[]).await;
    pgsnap::execute(
        &source,
        "CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later SELECT generate_series(1, 100)",
    )
    .await
    .unwrap();
    standby.catch_up().await;

    let notes = Arc::new(Notes::default());
    let progress: Arc<dyn Progress> = Arc::clone(&notes) as _;
    let file = fs_err::File::create(server.file("zoo.sql.gz")).unwrap();
    let (_, manifest) =
        pgsnap::dump(&standby.database("zoo"), file, &small_blocks(), &progress).await.unwrap();
    assert!(manifest.source.in_recovery);
    let said = notes.0.lock().unwrap().join("\n");
    assert!(said.contains("standby") && said.contains("\"draft\""), "{said}");

    // Equal to the primary, but for what a standby does not have.
    let options = CensusOptions::default();
    let of_primary = census(&source, &options, &quiet()).await.unwrap();
    let of_standby = census(&standby.database("zoo"), &options, &quiet()).await.unwrap();
    assert_eq!(compare(&of_standby, &manifest.census).differences, []);
    let differences = compare(&of_primary, &manifest.census).differences;
    let missing = |difference: &&Difference| {
        matches!(difference, Difference::TableMissing { .. })
            && difference.to_string().contains("draft")
    };
    assert_eq!(differences.iter().filter(missing).count(), 1, "{differences:?}");
    for difference in differences {
        let words = difference.to_string();
        assert!(words.contains("draft") || words.contains("unlogged"), "{words}");
        assert!(
            matches!(difference, Difference::TableMissing { .. } | Difference::Sequence { .. }),
            "{difference}"
        );
    }

    // And it restores, with the unlogged table in its place.
    let archive = pgsnap::Archive::open(server.file("zoo.sql.gz")).unwrap();
    let target = server.scratch.database("copy");
    pgsnap::restore(&archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap();
    let drafts = query_scalar(&target, "SELECT count(*) FROM draft").await.unwrap();
    assert_eq!(drafts.as_deref(), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_with_recovery_may_be_tried_again() {
    let server = primary().await;
    // Compressed it is more than what may wait for the slow writer, so the reading is stopped in the middle.
    server.with_sql("hub", INCOMPRESSIBLE).await;
    let standby = Standby::of(&server, &["max_standby_streaming_delay=100ms"]).await;
    standby.catch_up().await;
    let source = standby.database("hub");
    let path = server.file("hub.sql.gz");
    let file = Slow(fs_err::File::create(&path).unwrap());
    let dump =
        tokio::spawn(async move { pgsnap::dump(&source, file, &small_blocks(), &quiet()).await });
    // Rows are written, so pg_dump has ended; and the leader and the worker have their locks. What ends the dump now is the
    // replay.
    let locked = "SELECT count(*) = 2 FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE granted AND relation = 'big'::regclass AND application_name LIKE 'pgsnap %'";
    while fs_err::metadata(&path).unwrap().len() < 100_000
        || query_scalar(&standby.database("hub"), locked).await.unwrap().as_deref() != Some("t")
    {
        assert!(!dump.is_finished(), "the dump was too fast");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    pgsnap::execute(&server.scratch.database("hub"), "TRUNCATE big").await.unwrap();
    let error = dump.await.unwrap().expect_err("the rows are gone");
    assert_eq!(error.sqlstate(), Some("40001"), "{error:?}");
    assert!(error.is_retryable());
    assert!(error.hint().unwrap().contains("hot_standby_feedback"), "{error}");
    assert!(!matches!(error, Error::ConnectionLost { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_cannot_be_restored_to() {
    let server = primary().await;
    let source = server.with_sql("hub", "CREATE TABLE t (id int)").await;
    let (archive, _) = server.dump(&source).await;
    let standby = Standby::of(&server, &[]).await;
    let target = standby.database("copy");
    let error =
        pgsnap::restore(&archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap_err();
    assert!(matches!(error, Error::Preflight { .. }), "{error}");
    assert!(error.to_string().contains("standby"), "{error}");
}

/// It may lack a commit that its primary has.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_shows_markers_and_answers_no_question_about_a_handover() {
    let server = primary().await;
    let hub = with_prepared(&server, RUN).await;
    let standby = Standby::of(&server, &[]).await;
    let done = handed_over(&hub, RUN, 1).await;
    standby.catch_up().await;
    let copy = standby.database("hub");
    let identity = identify(&copy).await.unwrap();
    assert!(identity.is_standby);
    assert_eq!(identity.database.unwrap().own_marker(), Some(&done.marker));
    let asked = find_handover(&copy, RUN).await.map(drop);
    for outcome in [asked, hand_over(&copy, &order(RUN, 1)).await.map(drop)] {
        let error = outcome.unwrap_err();
        assert!(error.to_string().contains("is a standby"), "{error}");
        assert_eq!(error.class(), ErrorClass::CouldNotAsk);
    }
}
