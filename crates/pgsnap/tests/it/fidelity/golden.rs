//! Our script against that of `pg_dump --format=plain` of the same database, which nobody changes
//! meanwhile: the same statements in the same order, rows, sequences, and large objects. What may
//! differ is listed here and explained in `docs/fidelity.md`; anything else fails.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use pgsnap::{Database, DumpOptions};

use super::script::{Script, unquoted};
use crate::server::{Server, small_blocks};

/// The clear text of the file that the last dump of this database wrote.
fn our_script(server: &Server, database: &Database) -> Script {
    let file = fs_err::File::open(server.file(&format!("{}.sql.gz", database.name()))).unwrap();
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).unwrap();
    // Before it come a query for the version of psql and what it makes of the answer.
    let begin = memchr::memmem::find(&text, b"\nBEGIN;\n").unwrap();
    Script::parse(&text[begin..])
}

/// Fails on every difference that is not explained.
pub(super) async fn assert_golden(server: &Server, database: &Database) {
    assert_golden_with(server, database, &small_blocks(), &[]).await;
}

/// The same for a dump with options, which are `arguments` of `pg_dump`.
pub(super) async fn assert_golden_with(
    server: &Server,
    database: &Database,
    options: &DumpOptions,
    arguments: &[&str],
) {
    let (_, manifest) = server.dump_with(database, options).await;
    let ours = our_script(server, database);
    let mut pg_dump = server.libpq("pg_dump", database.name());
    let dumped = pg_dump.args(arguments).output().unwrap();
    assert!(dumped.status.success(), "{dumped:?}");
    let theirs = Script::parse(&dumped.stdout);

    let (their_objects, their_statements) = statements(&theirs);
    let (our_objects, our_statements) = statements(&ours);
    assert!(our_statements.len() > 3, "{our_statements:?}");
    assert_same_list("statements", &their_statements, &our_statements);
    assert_same_list("large objects", &their_objects, &our_objects);
    assert_eq!(theirs.sequences, ours.sequences);
    assert_eq!(theirs.large_objects, ours.large_objects);
    for (target, rows) in &theirs.rows {
        // Difference: a table without rows has no COPY.
        let found = ours.rows.get(target).map_or(&[][..], Vec::as_slice);
        assert_same_list(target, rows, found);
    }
    let known: BTreeSet<&String> = theirs.rows.keys().collect();
    let unknown: Vec<&String> = ours.rows.keys().filter(|target| !known.contains(target)).collect();
    assert!(unknown.is_empty(), "only we have rows of {unknown:?}");
    let rows: usize = ours.rows.values().map(Vec::len).sum();
    assert_eq!(rows as u64, manifest.census.rows());
}

/// The statements that both sides must have: those that define large objects, sorted, and all
/// others in order.
fn statements(script: &Script) -> (Vec<String>, Vec<String>) {
    let mut defaults = BTreeMap::new();
    let (mut objects, mut others, mut event_triggers) = (Vec::new(), Vec::new(), Vec::new());
    for statement in &script.ddl {
        // Difference: we count every table before anything is committed.
        if statement.starts_with("DO $pgsnap") {
            continue;
        }
        // Difference: a default that is in force is set again where our second half of the DDL begins.
        if let Some((name, value)) =
            statement.strip_prefix("SET default_").and_then(|rest| rest.split_once(" = "))
            && defaults.insert(name, value) == Some(value)
        {
            continue;
        }
        // Difference: where pg_dump leaves large objects to the data, which is from 17 on, it goes by owner and
        // privileges, and we by OID and with all names in quotes.
        if statement.starts_with("SELECT pg_catalog.lo_create(")
            || statement.contains(" LARGE OBJECT ")
        {
            objects.push(unquoted(statement));
        } else if statement.contains("EVENT TRIGGER ") {
            // Difference: ours come after the refreshes of materialised views, for which pg_dump's fire.
            event_triggers.push(statement.clone());
        } else {
            others.push(statement.clone());
        }
    }
    objects.sort_unstable();
    others.extend(event_triggers);
    (objects, others)
}

fn assert_same_list(what: &str, theirs: &[String], ours: &[String]) {
    for (a, b) in theirs.iter().zip(ours) {
        assert!(a == b, "{what}:\n  pg_dump: {a:.600}\n  pgsnap:  {b:.600}");
    }
    let more = theirs.get(ours.len()).or(ours.get(theirs.len()));
    assert_eq!(theirs.len(), ours.len(), "{what}: one side has also {more:.300?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zoo_is_dumped_as_pg_dump_does() {
    let server = Server::start().await;
    let zoo = server.zoo("zoo").await;
    assert_golden(&server, &zoo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hash_partitions_of_an_enum_are_dumped_as_pg_dump_does() {
    let server = Server::start().await;
    let source = server.with_sql("source", testkit::ENUM_HASH).await;
    assert_golden(&server, &source).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_is_dumped_as_pg_dump_does() {
    let server = Server::start().await;
    let source = server.create("hub").await;
    testkit::load_hub(&server.client("hub").await, 0.01).await.unwrap();
    assert_golden(&server, &source).await;
}
