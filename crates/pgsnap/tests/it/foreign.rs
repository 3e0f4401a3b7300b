//! Plain dumps of other programs: hostile, cut and odd ones included.

use std::io::{Cursor, Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pgsnap::{
    Error, ErrorClass, ForeignRestored, OpenDump, Progress, RestoreOptions, restore_foreign,
};

use crate::server::{Server, quiet};

const TWO_TABLES: &str = "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY REFERENCES a, v text);
    CREATE INDEX b_v ON b (v); INSERT INTO a SELECT n, 'a' || n FROM generate_series(1, 1000) n; INSERT INTO b SELECT n, 'b' || n FROM generate_series(1, 500) n";

const HEAD: &str = "--\n-- PostgreSQL database dump\n--\n\nSET lock_timeout = 0;\n\n";
const TRAILER: &str = "--\n-- PostgreSQL database dump complete\n--\n\n";

fn opening(text: impl Into<Vec<u8>>) -> Arc<OpenDump> {
    let text = text.into();
    Arc::new(move || Ok(Box::new(Cursor::new(text.clone())) as _))
}

/// Restores a text as database `copy`.
async fn restore(server: &Server, text: &str) -> pgsnap::Result<ForeignRestored> {
    restore_with(server, opening(text), &RestoreOptions::default()).await
}

async fn restore_with(
    server: &Server,
    open: Arc<OpenDump>,
    options: &RestoreOptions,
) -> pgsnap::Result<ForeignRestored> {
    restore_foreign(open, &server.scratch.database("copy"), options, &quiet()).await
}

async fn databases(server: &Server) -> String {
    const QUERY: &str =
        "SELECT coalesce(string_agg(datname, ' ' ORDER BY datname), '') FROM pg_database
        WHERE datname !~ '^(postgres|template)'";
    let found = pgsnap::query_scalar(&server.scratch.database("postgres"), QUERY).await;
    found.unwrap().unwrap()
}

/// Programs that say they are of a version nobody has yet, and a psql that runs this script.
fn fake_programs(directory: &Path, version: &str, psql: &str) -> RestoreOptions {
    let answer = |name: &str| {
        format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo '{name} (PostgreSQL) {version}'; exit; fi\n"
        )
    };
    for (name, rest) in [("pg_dump", "exit 1\n"), ("psql", psql)] {
        write_program(&directory.join(name), &(answer(name) + rest));
    }
    let mut options = RestoreOptions::default();
    options.bin_directories = vec![directory.to_owned()];
    options
}

/// Writes a script that can be run at once. What another test starts meanwhile would inherit a
/// descriptor of ours, and the kernel runs no file that somebody may still write to ("text file
/// busy"): so a shell writes it.
fn write_program(path: &Path, script: &str) {
    let mut shell = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = shell.stdin.take().unwrap();
    input.write_all(script.as_bytes()).unwrap();
    drop(input);
    assert!(shell.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_dump_is_restored_and_says_what_is_unproven() {
    let server = Server::start().await;
    server.with_sql("hub", TWO_TABLES).await;
    let text = server.pg_dump("hub", &[]);
    let restored = restore(&server, &text).await.unwrap();
    assert_eq!(restored.census.rows(), 1500);
    let unproven = restored.unproven.join("\n");
    assert!(unproven.contains("row counts") && unproven.contains("privileges"), "{unproven}");

    // Cut anywhere, also in the middle of a COPY: psql alone would commit that.
    for cut in [text.len() / 3, text.len() / 2, text.len() - 60] {
        let cut_off = opening(&text.as_bytes()[..cut]);
        let target = server.scratch.database("cut");
        let error = restore_foreign(cut_off, &target, &RestoreOptions::default(), &quiet())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::ForeignDump { .. }), "{error}");
        assert_eq!(databases(&server).await, "copy hub", "cut at {cut}");
    }
}

/// As `pg_dump` prints it, with its own `\restrict` and `\unrestrict`.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_with_a_key_of_its_own_is_restored_gzipped_too() {
    let server = Server::start().await;
    server.with_sql("hub", TWO_TABLES).await;
    let text = server.pg_dump("hub", &[]);
    let start = text.find("-- Dumped from").unwrap();
    let text =
        format!("{}\\restrict abc123\n\n{}\\unrestrict abc123\n\n", &text[..start], &text[start..]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, text.as_bytes()).unwrap();
    let open = opening(gzip.finish().unwrap());
    let restored = restore_with(&server, open, &RestoreOptions::default()).await.unwrap();
    assert_eq!(restored.census.rows(), 1500);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_look_like_the_trailer_are_not_the_end() {
    let server = Server::start().await;
    let copy = format!("{HEAD}CREATE TABLE public.t (v text);\nCOPY public.t (v) FROM stdin;\n");
    let in_a_row = format!("{copy}one -- PostgreSQL database dump complete\ntwo\nthr");
    // Such a row cannot be told from the trailer by looking at it; psql can.
    let a_whole_row = format!("{copy}one\n--\n-- PostgreSQL database dump complete\n--\n\n");
    let in_a_body = format!(
        "{HEAD}CREATE TABLE public.t (v text);\nCREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $$\n{TRAILER}"
    );
    for text in [in_a_row, a_whole_row, in_a_body] {
        let error = restore(&server, &text).await.unwrap_err();
        assert!(matches!(error, Error::ForeignDump { .. }), "{error}");
        assert_eq!(databases(&server).await, "", "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_of_a_hostile_dump_runs_here() {
    let server = Server::start().await;
    let witness = server.file("witness");
    let command = format!("\\! touch {}\n", witness.display());
    let body = "CREATE TABLE public.t (v text);\n";
    for text in [
        format!("{HEAD}-- \\restrict abc\n{body}{command}{TRAILER}"),
        format!("{HEAD}CREATE TABLE public.\"\\restrict \" ();\n{command}{TRAILER}"),
        format!(
            "--\n-- PostgreSQL database dump\n--\n\\restrict abc\n\\unrestrict abc\n{command}{body}{TRAILER}"
        ),
        format!("{HEAD}{body}\\q\n{TRAILER}"),
    ] {
        let error = restore(&server, &text).await.unwrap_err();
        assert!(error.to_string().contains("restrict"), "{error}");
        assert!(!witness.exists(), "{text}");
        assert_eq!(databases(&server).await, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_psql_without_restrict_is_refused() {
    let server = Server::start().await;
    // No other psql can be newer than that.
    let old = fake_programs(server.files.path(), "99", "exit 0\n");
    let psql = server.file("psql");
    write_program(&psql, "#!/bin/sh\necho 'psql (PostgreSQL) 16.9'\n");
    let error = restore_with(&server, opening(format!("{HEAD}{TRAILER}")), &old).await.unwrap_err();
    assert!(error.to_string().contains("16.9"), "{error}");
    assert!(error.hint().unwrap().contains("16.10"), "{:?}", error.hint());
    assert_eq!(error.class(), ErrorClass::CouldNotAsk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_psql_that_ends_early_has_not_succeeded() {
    let server = Server::start().await;
    let text = format!("{HEAD}{}{TRAILER}", "-- padding\n".repeat(100_000));
    for (psql, text) in [
        ("exec sleep 0\n", text.as_str()),
        // A dump that fits into the pipe: every write succeeds.
        ("sleep 1\n", &format!("{HEAD}{TRAILER}")),
        ("cat > /dev/null\n", &text),
    ] {
        let options = fake_programs(server.files.path(), "99", psql);
        let error = restore_with(&server, opening(text), &options).await.unwrap_err();
        assert!(matches!(error, Error::ForeignDump { .. }), "{psql}: {error}");
        assert_eq!(databases(&server).await, "", "{psql}");
    }
}

/// The end of its input would make psql commit what it has.
#[tokio::test(flavor = "multi_thread")]
async fn a_psql_that_is_abandoned_never_sees_the_end_of_its_input() {
    let server = Server::start().await;
    let (begun, ended) = (server.file("begun"), server.file("ended"));
    let script = format!(
        "read -r line; touch {}; cat > /dev/null; touch {}\n",
        begun.display(),
        ended.display()
    );
    let options = fake_programs(server.files.path(), "99", &script);
    let head = format!("{HEAD}{}", "-- padding\n".repeat(100_000));
    let path = begun.clone();
    let open: Arc<OpenDump> = Arc::new(move || {
        let broken = Broken(path.clone());
        Ok(Box::new(Cursor::new(head.clone().into_bytes()).chain(broken)) as _)
    });
    let error = restore_with(&server, open, &options).await.unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(begun.exists() && !ended.exists());
}

/// A disk that breaks once psql is reading.
struct Broken(std::path::PathBuf);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        while !self.0.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(std::io::Error::from_raw_os_error(5))
    }
}

/// The output of `pg_dump` 17 and newer goes into a server that may be older.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_a_newer_pg_dump_goes_into_an_older_server() {
    #[derive(Default)]
    struct Notes(std::sync::Mutex<Vec<String>>);
    impl Progress for Notes {
        fn note(&self, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
    let server = Server::start().await;
    server.with_sql("hub", TWO_TABLES).await;
    let text = server.pg_dump("hub", &[]).replacen(
        "SET lock_timeout = 0;\n",
        "SET lock_timeout = 0;\nSET transaction_timeout = 0;\n",
        1,
    );
    assert!(text.contains("SET transaction_timeout"));
    let notes = Arc::new(Notes::default());
    let progress: Arc<dyn Progress> = Arc::<Notes>::clone(&notes);
    let target = server.scratch.database("copy");
    restore_foreign(opening(text), &target, &RestoreOptions::default(), &progress).await.unwrap();
    let knows = pgsnap::query_scalar(
        &target,
        "SELECT count(*) FROM pg_settings WHERE name = 'transaction_timeout'",
    )
    .await;
    let expected = usize::from(knows.unwrap().as_deref() == Some("0"));
    assert_eq!(notes.0.lock().unwrap().len(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_do_not_leak_into_errors() {
    let server = Server::start().await;
    let text = format!(
        "{HEAD}CREATE TABLE public.t (v text PRIMARY KEY, n int);\nCOPY public.t (v, n) FROM stdin;\ns3cret\t1\ns3cret\t2\n\\.\n{TRAILER}"
    );
    let error = restore(&server, &text).await.unwrap_err();
    assert!(error.to_string().contains("t_pkey"), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_created_whatever_language_the_server_speaks() {
    let server = Server::start().await;
    let text = format!(
        "{HEAD}CREATE TABLE public.t ();\nALTER TABLE public.t OWNER TO \"app owner\";\n{TRAILER}"
    );
    let error = restore(&server, &text).await.unwrap_err();
    assert!(error.to_string().contains("app owner"), "{error}");
    let mut options = RestoreOptions::default();
    options.create_roles = true;
    restore_with(&server, opening(text), &options).await.unwrap();
    let owner = pgsnap::query_scalar(
        &server.scratch.database("copy"),
        "SELECT tableowner FROM pg_tables WHERE tablename = 't'",
    )
    .await
    .unwrap();
    assert_eq!(owner.as_deref(), Some("app owner"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_the_load_leaves_nothing_behind() {
    let server = Server::start().await;
    // Whoever connects afterwards, to count, is turned away.
    let fails_late = format!(
        "{HEAD}CREATE TABLE public.t (n int);
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET session_preload_libraries = too_late', current_database()); END $$;\n{TRAILER}"
    );
    let error = restore(&server, &fails_late).await.unwrap_err();
    assert!(error.to_string().contains("too_late"), "{error}");
    assert_eq!(databases(&server).await, "");

    // Somebody connects to the database that is to be replaced.
    server.create("copy").await;
    let slow =
        format!("{HEAD}CREATE TABLE public.t ();\nSELECT pg_catalog.pg_sleep(1);\n{TRAILER}");
    let mut options = RestoreOptions::default();
    options.swap_timeout = Duration::from_millis(100);
    let restoring = restore_with(&server, opening(slow), &options);
    let connecting = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.client("copy").await
    };
    let (restored, _client) = tokio::join!(restoring, connecting);
    let error = restored.unwrap_err();
    assert!(matches!(error, Error::Preflight { .. }), "{error}");
    let left = databases(&server).await;
    assert!(left.starts_with("copy") && !left.contains("__restoring_"), "{left}");
}

/// The session that holds the restore lock is idle while psql loads.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_for_idle_sessions_does_not_end_a_restore() {
    let server = Server::start().await;
    pgsnap::execute(
        &server.scratch.database("postgres"),
        "ALTER ROLE postgres SET idle_session_timeout = '300ms'",
    )
    .await
    .unwrap();
    let slow =
        format!("{HEAD}CREATE TABLE public.t ();\nSELECT pg_catalog.pg_sleep(1.5);\n{TRAILER}");
    restore(&server, &slow).await.unwrap();
    assert_eq!(databases(&server).await, "copy");
}
