//! From one C library to another: an index that was sorted by musl would be damaged under glibc,
//! and is built anew.

use std::path::PathBuf;

use pgsnap::{Note, ScratchOptions};

use crate::server::Server;

/// The server that `cargo xtask servers musl` brings. Its clusters take any name of a locale, and
/// sort by bytes.
fn musl_programs() -> Option<PathBuf> {
    std::env::var_os("PGSNAP_TEST_MUSL_SERVER_BIN").map(PathBuf::from)
}

/// A locale of glibc that does not sort by bytes.
const LOCALE: &str = "en_US.utf8";

/// Words that musl, glibc and the versions of ICU may put in different orders, some of them more
/// than once.
const WORDS: &str = "
    CREATE EXTENSION citext;
    CREATE TABLE words (id int PRIMARY KEY, word text NOT NULL, unicode text COLLATE \"und-x-icu\", german text COLLATE \"de-x-icu\", any_case citext, UNIQUE (word, id));
    INSERT INTO words SELECT n, word, word, word, word FROM generate_series(1, 5000) n,
        LATERAL (SELECT string_agg((ARRAY['a','A','b','B','z','Z','ä','Ä','ö','ß','é','e','-',' ','_','.','1','10','字','😀'])[1 + get_byte(decode(md5(n::text), 'hex'), i) % 20], '' ORDER BY i) AS word
                   FROM generate_series(0, n % 5) AS i) w;
    CREATE INDEX ON words (word);
    CREATE INDEX ON words (lower(word) DESC);
    CREATE INDEX ON words (word text_pattern_ops);
    CREATE INDEX ON words (unicode);
    CREATE INDEX ON words (german DESC NULLS LAST, unicode);
    CREATE INDEX ON words (any_case);
    CREATE TABLE by_word (word text) PARTITION BY RANGE (word);
    CREATE TABLE by_word_low PARTITION OF by_word FOR VALUES FROM (MINVALUE) TO ('m');
    CREATE TABLE by_word_high PARTITION OF by_word FOR VALUES FROM ('m') TO (MAXVALUE);
    CREATE INDEX ON by_word (word)";

/// Counts the indexes that `amcheck` found sound, with every row of their tables in them. It fails
/// at the first damage.
const CHECK: &str = "
    SELECT count(*) FROM (
        SELECT amcheck.bt_index_check(i.indexrelid, true) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
         WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relnamespace = 'public'::regnamespace) AS checked";

#[tokio::test(flavor = "multi_thread")]
async fn text_that_musl_sorted_is_sorted_anew_by_glibc() {
    let Some(programs) = musl_programs() else {
        testkit::not_applicable("there is no server of another C library here: cargo xtask test");
        return;
    };
    let mut options = ScratchOptions::default();
    options.bin_directory = Some(programs);
    let (musl, glibc) = tokio::join!(Server::start_with(options), Server::start());
    if musl.major().await > glibc.major().await {
        testkit::not_applicable("the server with musl is newer than the one under test");
        return;
    }
    let create =
        format!("CREATE DATABASE hub TEMPLATE template0 LC_COLLATE '{LOCALE}' LC_CTYPE '{LOCALE}'");
    // The locale comes with the server of the other library; without it the restore below could not be made either.
    let admin = glibc.scratch.database("postgres");
    let probe = create.replace("DATABASE hub", "DATABASE probe");
    pgsnap::execute(&admin, &probe).await.unwrap();
    pgsnap::execute(&musl.scratch.database("postgres"), &create).await.unwrap();
    let source = musl.scratch.database("hub");
    pgsnap::execute(&source, WORDS).await.unwrap();

    let (archive, _) = musl.dump(&source).await;
    let comparison = glibc.restore(&archive, "copy").await.comparison.unwrap();
    assert!(comparison.is_equal(), "{:?}", comparison.differences);
    let copy = glibc.scratch.database("copy");
    pgsnap::execute(&copy, "CREATE SCHEMA amcheck; CREATE EXTENSION amcheck SCHEMA amcheck")
        .await
        .unwrap();
    let checked = pgsnap::query_scalar(&copy, CHECK).await.unwrap();
    assert_eq!(checked.as_deref(), Some("10"));

    // Without this the test would prove nothing: the two must sort differently.
    const ORDER: &str = "SELECT md5(string_agg(word, '|' ORDER BY word, id)) FROM words";
    let order = async |database| pgsnap::query_scalar(database, ORDER).await.unwrap();
    assert_ne!(order(&source).await, order(&copy).await);
    let is_told = |note: &Note| matches!(note, Note::Collation { .. });
    assert!(comparison.notes.iter().any(is_told), "{:?}", comparison.notes);
}
