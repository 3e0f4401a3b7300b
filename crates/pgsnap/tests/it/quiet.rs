//! The proof that nothing changed behind a fence, and what it cannot be deceived by.

use pgsnap::{
    CensusOptions, Database, QuietOptions, QuietProof, QuietReading, Verdict, prove_quiet,
    read_quiet,
};

use crate::fence::{put_up, take_down};
use crate::server::{Server, quiet};

const SETUP: &str = "
    CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 5000) n;
    CREATE TABLE u AS SELECT generate_series(1, 10) AS id; CREATE MATERIALIZED VIEW m AS SELECT * FROM t;
    CREATE SEQUENCE s; SELECT nextval('s'); SELECT lo_from_bytea(0, 'x')";

async fn fenced() -> (Server, Database, Database) {
    let server = Server::start().await;
    let hub = server.with_sql("hub", SETUP).await;
    let behind = put_up(&server, &hub).await.database(&hub);
    (server, hub, behind)
}

async fn prove(behind: &Database, since: &QuietReading) -> QuietProof {
    prove_quiet(behind, since, &QuietOptions::default(), &quiet()).await.unwrap()
}

/// A superuser who knows the new name and insists.
async fn write(behind: &Database, statement: &str) {
    let sql = format!("BEGIN READ WRITE; {statement}; COMMIT");
    pgsnap::execute(behind, &sql).await.unwrap();
}

/// Everything that is read behind a fence between two readings takes no transaction number.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_a_copy_and_a_census_leave_the_proof_whole() {
    let (server, hub, behind) = fenced().await;
    let target = Server::start().await;
    let since = read_quiet(&behind).await.unwrap();
    assert!(since.is_idle, "{since:?}");
    let (_, manifest) = server.dump(&behind).await;
    pgsnap::census(&behind, &CensusOptions::default(), &quiet()).await.unwrap();
    let copy = target.scratch.database("hub");
    pgsnap::copy(&behind, &copy, &pgsnap::CopyOptions::default(), &quiet()).await.unwrap();
    assert!(manifest.census.rows() > 5000);
    let proof = prove(&behind, &since).await;
    for finding in [&proof.renamed, &proof.empty, &proof.xid, &proof.sequences] {
        assert_eq!(finding.verdict, Verdict::Proven, "{proof:?}");
    }
    assert!(proof.is_quiet() && proof.census.is_none(), "{proof:?}");
    assert_eq!(proof.reading.next_xid, since.next_xid);
    take_down(&hub, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_neighbour_leaves_the_census_to_tell() {
    let (server, _, behind) = fenced().await;
    let (_, manifest) = server.dump(&behind).await;
    let since = read_quiet(&behind).await.unwrap();
    server.with_sql("other", "CREATE TABLE t ()").await;
    let proof = prove(&behind, &since).await;
    assert_eq!(proof.xid.verdict, Verdict::Unknown, "{proof:?}");
    assert!(!proof.is_quiet(), "nothing was expected");

    let mut options = QuietOptions::default();
    options.expected = Some(manifest.census);
    let proof = prove_quiet(&behind, &since, &options, &quiet()).await.unwrap();
    assert_eq!(
        proof.census.as_ref().map(|found| found.verdict),
        Some(Verdict::Proven),
        "{proof:?}"
    );
    assert!(proof.is_quiet(), "{proof:?}");

    write(&behind, "UPDATE t SET v = 'changed' WHERE id = 7").await;
    let proof = prove_quiet(&behind, &since, &options, &quiet()).await.unwrap();
    assert_eq!(
        proof.census.as_ref().map(|found| found.verdict),
        Some(Verdict::Refuted),
        "{proof:?}"
    );
    assert!(!proof.is_quiet(), "{proof:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_under_way_proves_nothing_and_is_named_if_it_is_inside() {
    let (server, _, behind) = fenced().await;
    let since = read_quiet(&behind).await.unwrap();
    let writer = server.client(behind.name()).await;
    writer.batch_execute("BEGIN READ WRITE; INSERT INTO u VALUES (0)").await.unwrap();
    let proof = prove(&behind, &since).await;
    assert_eq!(proof.xid.verdict, Verdict::Unknown, "{proof:?}");
    assert_eq!(proof.empty.verdict, Verdict::Unknown, "{proof:?}");
    assert!(proof.empty.fact.contains("postgres (pid "), "{proof:?}");
    assert!(!proof.is_quiet() && !proof.reading.is_idle, "{proof:?}");
    writer.batch_execute("ROLLBACK").await.unwrap();
}

/// A number is given to a sequence's log only every 32 values, so it is compared by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_that_moves_without_a_transaction_number_is_seen() {
    let (_server, _, behind) = fenced().await;
    let since = read_quiet(&behind).await.unwrap();
    write(&behind, "SELECT nextval('s')").await;
    let proof = prove(&behind, &since).await;
    assert_eq!(proof.xid.verdict, Verdict::Proven, "this is the blind spot: {proof:?}");
    assert_eq!(proof.sequences.verdict, Verdict::Refuted, "{proof:?}");
    assert!(proof.sequences.fact.contains("\"s\"") && !proof.is_quiet(), "{proof:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_hard_fence_nothing_was_renamed() {
    let server = Server::start().await;
    let hub = server.with_sql("hub", SETUP).await;
    let since = read_quiet(&hub).await.unwrap();
    let proof = prove(&hub, &since).await;
    assert_eq!(proof.renamed.verdict, Verdict::Unknown, "{proof:?}");
    assert!(proof.is_quiet(), "quiet it was, all the same: {proof:?}");
}
