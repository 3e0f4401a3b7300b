//! Many objects, wide rows, large values: everything arrives, and memory stays bounded.
//!
//! Each case has a short form among the tests and a large one, which takes minutes and gigabytes
//! and runs by `cargo xtask fidelity --large`, each in a process of its own: it measures the memory
//! of the whole process.

use std::time::Instant;

use pgsnap::{Archive, Database, DumpOptions, Error, RestoreOptions, VerifyOptions};

use crate::server::{Server, quiet};

const MEGABYTE: u64 = 1 << 20;

/// The most memory this process had since [`Peak::begin`], in bytes.
struct Peak;

impl Peak {
    fn begin() -> Self {
        // 5 sets the high-water mark to what is in use now (proc(5), `clear_refs`).
        fs_err::write("/proc/self/clear_refs", "5").unwrap();
        Self
    }

    fn bytes(&self) -> u64 {
        let status = fs_err::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes =
            line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kilobytes.expect("the system tells the most memory") * 1024
    }
}

/// The cost of one step.
struct Step {
    seconds: f64,
    peak: u64,
}

async fn measured<T>(step: impl Future<Output = T>) -> (T, Step) {
    let (peak, begun) = (Peak::begin(), Instant::now());
    let result = step.await;
    let step = Step { seconds: begun.elapsed().as_secs_f64(), peak: peak.bytes() };
    (result, step)
}

/// Dumps, verifies, restores and compares; prints a line for `docs/fidelity.md`, and returns the
/// most memory of it all.
#[expect(
    clippy::print_stderr,
    reason = "the command that runs the large cases shows what they print"
)]
async fn round_trip(case: &str, server: &Server, source: &Database) -> u64 {
    let path = server.file("large.sql.gz");
    let file = fs_err::File::create(&path).unwrap();
    let options = DumpOptions::default();
    let (dumped, dump) = measured(pgsnap::dump(source, file, &options, &quiet())).await;
    let manifest = dumped.unwrap().1;
    let archive = Archive::open(path).unwrap();
    let (verified, verify) =
        measured(async { pgsnap::verify(&archive, &VerifyOptions::default(), &quiet()) }).await;
    verified.unwrap();
    let (restored, restore) = measured(server.restore(&archive, "copy")).await;
    assert!(restored.comparison.unwrap().is_equal());
    assert_eq!(restored.rows, manifest.census.rows());
    let shown = |step: &Step| format!("{:.1} s, {} MB", step.seconds, step.peak / MEGABYTE);
    eprintln!("| {case} | {} | {} | {} |", shown(&dump), shown(&verify), shown(&restore));
    let steps = [dump.peak, verify.peak, restore.peak];
    assert!(steps.iter().all(|peak| *peak > 0), "{steps:?}");
    steps.into_iter().max().expect("there are three")
}

async fn with_tables(server: &Server, count: u32) -> Database {
    let sql = format!(
        "DO $$ BEGIN FOR n IN 1..{count} LOOP
             EXECUTE format('CREATE TABLE t%s (id serial PRIMARY KEY, note text)', n);
             EXECUTE format('INSERT INTO t%s (note) SELECT ''row '' || i FROM generate_series(1, %s) i', n, n % 4);
         END LOOP; END $$"
    );
    server.with_sql("source", &sql).await
}

async fn with_large_objects(server: &Server, count: u32) -> Database {
    let sql = format!(
        "CREATE ROLE reader; SELECT lo_from_bytea(100000 + n, decode(repeat(md5(n::text), n % 5), 'hex')) FROM generate_series(1, {count}) n;
         DO $$ BEGIN FOR n IN 1..{count} BY 3 LOOP EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO reader', 100000 + n); END LOOP; END $$"
    );
    server.with_sql("source", &sql).await
}

/// A value that compression does not shrink to nothing, beside small ones.
async fn with_value(server: &Server, megabytes: u64) -> Database {
    let sql = format!(
        "CREATE TABLE t (id int PRIMARY KEY, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
         INSERT INTO t SELECT 1, repeat(string_agg(md5(n::text), ''), {megabytes}) FROM generate_series(1, 32768) n;
         INSERT INTO t SELECT n, 'small' FROM generate_series(2, 100) n"
    );
    server.with_sql("source", &sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tables() {
    let server = Server::start().await;
    let source = with_tables(&server, 1000).await;
    round_trip("1 000 tables", &server, &source).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "large: run by `cargo xtask fidelity --large`"]
async fn large_ten_thousand_tables() {
    let server = Server::start().await;
    let source = with_tables(&server, 10_000).await;
    let peak = round_trip("10 000 tables", &server, &source).await;
    assert!(peak < 400 * MEGABYTE, "{peak}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_large_objects() {
    let server = Server::start().await;
    let source = with_large_objects(&server, 5000).await;
    round_trip("5 000 large objects", &server, &source).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "large: run by `cargo xtask fidelity --large`"]
async fn large_a_hundred_thousand_large_objects() {
    let server = Server::start().await;
    let source = with_large_objects(&server, 100_000).await;
    let peak = round_trip("100 000 large objects", &server, &source).await;
    assert!(peak < 600 * MEGABYTE, "{peak}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_64_megabytes() {
    let server = Server::start().await;
    let source = with_value(&server, 64).await;
    round_trip("a value of 64 MB", &server, &source).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "large: run by `cargo xtask fidelity --large`"]
async fn large_a_value_of_900_megabytes() {
    let server = Server::start().await;
    let source = with_value(&server, 900).await;
    let peak = round_trip("a value of 900 MB", &server, &source).await;
    assert!(peak < 5 * 900 * MEGABYTE, "{peak}");
}

/// 1 600 columns are the most that a table may have; a row of them must fit into a page but for
/// what is in TOAST.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_1600_columns() {
    const SQL: &str = "
        DO $$ BEGIN
            EXECUTE (SELECT format('CREATE TABLE wide (%s)', string_agg(format(CASE WHEN n % 16 = 0 THEN 'c%s text' ELSE 'c%s integer' END, n), ', ' ORDER BY n)) FROM generate_series(1, 1600) n);
            EXECUTE (SELECT format('ALTER TABLE wide %s', string_agg(format('ALTER c%s SET STORAGE EXTERNAL', n), ', ')) FROM generate_series(16, 1600, 16) n);
            FOR r IN 1..20 LOOP
                EXECUTE (SELECT format('INSERT INTO wide VALUES (%s)', string_agg(CASE WHEN n % 16 = 0 THEN format('repeat(md5(%L), 300)', r * n) WHEN (n + r) % 3 = 0 THEN 'NULL' ELSE n::text END, ', ' ORDER BY n)) FROM generate_series(1, 1600) n);
            END LOOP;
        END $$";
    let server = Server::start().await;
    let source = server.with_sql("source", SQL).await;
    let (archive, manifest) = server.dump(&source).await;
    assert_eq!(manifest.census.tables[0].columns.len(), 1600);
    assert!(manifest.census.bytes() > 19_000_000);
    let restored = server.restore(&archive, "copy").await;
    assert!(restored.comparison.unwrap().is_equal());
}

/// A row whose text is longer than 1 GB cannot leave the server by `COPY`, so neither `pg_dump` nor
/// we can dump it. That must be an error that says what to do, and not a dump.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "large: run by `cargo xtask fidelity --large`"]
async fn large_a_row_that_the_server_cannot_print_is_refused() {
    let server = Server::start().await;
    for (name, sql) in [
        (
            "columns",
            "CREATE TABLE t (a text, b text); ALTER TABLE t ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
             INSERT INTO t SELECT repeat('0123456789abcdef', 600 * 65536); UPDATE t SET b = repeat('0123456789abcdef', 600 * 65536)",
        ),
        (
            "bytes",
            "CREATE TABLE t (a bytea); INSERT INTO t SELECT convert_to(repeat('0123456789abcdef', 600 * 65536), 'UTF8')",
        ),
    ] {
        let database = server.with_sql(name, sql).await;
        let path = server.file(name);
        let file = fs_err::File::create(&path).unwrap();
        let error = pgsnap::dump(&database, file, &DumpOptions::default(), &quiet())
            .await
            .map(|_| ())
            .unwrap_err();
        eprintln!("{name}: {error}; {}", error.hint().unwrap_or_default());
        assert!(error.to_string().contains("\"public\".\"t\""), "{error}");
        assert!(
            error.hint().is_some_and(|hint| hint.contains("1 GB")),
            "{error}"
        );
        assert!(matches!(
            Archive::open(path),
            Err(Error::NotAnArchive { .. } | Error::Read { .. })
        ));
        let dumped = server
            .libpq("pg_dump", name)
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(!dumped.success(), "pg_dump can do it: so must we");
    }
}

/// Ten thousand tables in one transaction of psql take more locks than a server has by default. It
/// must say so and keep nothing.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_tables_for_one_transaction_leave_nothing_behind() {
    let mut options = pgsnap::ScratchOptions::default();
    options.settings.push("max_locks_per_transaction=10".into());
    options.settings.push("max_connections=10".into());
    let server = Server::start().await;
    let source = with_tables(&server, 1000).await;
    server.dump(&source).await;
    let small = Server::start_with(options).await;
    small.create("copy").await;
    let output = small.psql_file(&server.file("source.sql.gz"), "copy", &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("max_locks_per_transaction"), "{said}");
    let left = pgsnap::query_scalar(
        &small.scratch.database("copy"),
        "SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-9]'",
    )
    .await
    .unwrap();
    assert_eq!(left.as_deref(), Some("0"));

    // A native restore commits as it goes, but its proof locks every table at once, as a dump does.
    let archive = Archive::open(server.file("source.sql.gz")).unwrap();
    let target = small.scratch.database("native");
    let error = pgsnap::restore(&archive, &target, &RestoreOptions::default(), &quiet())
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.contains("max_locks_per_transaction")), "{error}");
    let left = pgsnap::query_scalar(
        &small.scratch.database("copy"),
        "SELECT count(*) FROM pg_database WHERE datname ~ '^native'",
    )
    .await
    .unwrap();
    assert_eq!(left.as_deref(), Some("0"));
}

/// Ranges of pages, several sessions, and many members must add up to the same table.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_read_in_ranges_is_whole() {
    let server = Server::start().await;
    let source = server
        .with_sql("source", "CREATE TABLE big (id int PRIMARY KEY, v text); INSERT INTO big SELECT n, repeat(md5(n::text), 40) FROM generate_series(1, 120000) n; DELETE FROM big WHERE id % 7 = 0; UPDATE big SET v = 'x' WHERE id % 11 = 0")
        .await;
    let (archive, manifest) = server.dump(&source).await;
    let table = &manifest.census.tables[0];
    assert_eq!(table.rows, 120_000 - 120_000 / 7);
    assert!(table.buckets.len() > 1);
    let counted =
        pgsnap::query_scalar(&source, "SELECT pg_relation_size('big') > 96 * 1024 * 1024")
            .await
            .unwrap();
    assert_eq!(counted.as_deref(), Some("t"), "the table must be large enough to be split");
    pgsnap::verify(&archive, &VerifyOptions::default(), &quiet()).unwrap();
}
