//! Rows that change their partition when they are restored.

use pgsnap::{CensusOptions, CopyOptions, DumpOptions, Error, Extent, Note, RestoreOptions};

use crate::server::{Server, quiet};

/// A row's hash partition depends on the OIDs of the enum's labels, which a restore changes.
#[tokio::test(flavor = "multi_thread")]
async fn hash_partitions_of_an_enum_are_loaded_through_their_root() {
    let server = Server::start().await;
    let source = server.create("source").await;
    server.client("source").await.batch_execute(testkit::ENUM_HASH).await.unwrap();
    let (archive, manifest) = server.dump(&source).await;
    assert!(manifest.census.tables.iter().any(|table| table.with_partitions && table.rows > 0));
    // The labels' OIDs differ in the copy, because the enum's creation takes the next ones.
    let restored = server.restore(&archive, "copy").await;
    assert!(restored.comparison.unwrap().is_equal());
    let plain = server.create("plain").await;
    server.psql_restores(&server.file("source.sql.gz"), "plain");
    server.require_census(&plain, &manifest).await;
}

/// From 18 on `NOT NULL` is a constraint, and one that a table inherits must not become its own.
/// Before, there is nothing to see.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_child_inherits_stays_inherited() {
    const NOT_NULL: &str = "
        SELECT string_agg(format('%s %s %s', conrelid::regclass, conislocal, coninhcount), ', ' ORDER BY conrelid::regclass::text)
          FROM pg_constraint WHERE contype = 'n' AND conrelid::regclass::text ~ '^(parent|child|root|leaf)$'";
    let server = Server::start().await;
    let source = server
        .with_sql(
            "source",
            "CREATE TABLE parent (id int NOT NULL);
             CREATE TABLE child () INHERITS (parent);
             ALTER TABLE child ADD PRIMARY KEY (id);
             CREATE TABLE root (id int PRIMARY KEY) PARTITION BY RANGE (id);
             CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (10);
             INSERT INTO child VALUES (1); INSERT INTO root VALUES (2)",
        )
        .await;
    let (archive, _) = server.dump(&source).await;
    server.restore(&archive, "copy").await;
    let of = async |name: &str| {
        let database = server.scratch.database(name);
        pgsnap::query_scalar(&database, NOT_NULL).await.unwrap()
    };
    let source = of("source").await;
    assert_eq!(source, of("copy").await);
    assert_eq!(source.is_some(), server.major().await >= 18, "{source:?}");
}

/// Below another partitioned table, only the part whose rows move is loaded through its own root:
/// the rest stays apart, and is not counted twice. The foreign server is not asked for any row.
#[tokio::test(flavor = "multi_thread")]
async fn hash_partitions_of_an_enum_lie_beside_other_partitions() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "source",
            "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'bored', 'so so');
             CREATE TABLE top (id int, m mood) PARTITION BY RANGE (id);
             CREATE TABLE moods PARTITION OF top FOR VALUES FROM (0) TO (100) PARTITION BY HASH (m);
             CREATE TABLE moods_0 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE TABLE moods_1 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 1);
             CREATE TABLE plain PARTITION OF top FOR VALUES FROM (100) TO (200);
             INSERT INTO top SELECT i, (enum_range(NULL::mood))[1 + i % 5] FROM generate_series(0, 149) AS i;
             CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
             CREATE FOREIGN TABLE far PARTITION OF top FOR VALUES FROM (200) TO (300) SERVER files OPTIONS (filename '/nowhere')",
        )
        .await;
    let (archive, manifest) = server.dump(&source).await;
    let rows: Vec<(&str, u64)> =
        manifest.census.tables.iter().map(|table| (table.name.name.as_str(), table.rows)).collect();
    assert_eq!(rows, [("moods", 100), ("plain", 50)]);
    let restored = server.restore(&archive, "copy").await;
    assert!(restored.comparison.unwrap().is_equal());
    let plain = server.create("plain").await;
    server.psql_restores(&server.file("source.sql.gz"), "plain");
    server.require_census(&plain, &manifest).await;
    let mut options = CensusOptions::default();
    options.content = false;
    let counted = pgsnap::census(&source, &options, &quiet()).await.unwrap();
    assert_eq!(counted.rows(), 150);
}

/// Loaded through the root, rows might be sent to a foreign server that never had them.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_partition_among_hash_partitions_of_an_enum_is_refused() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "source",
            "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
             CREATE TABLE moods (m mood) PARTITION BY HASH (m);
             CREATE TABLE moods_0 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
             CREATE FOREIGN TABLE far PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 1) SERVER files OPTIONS (filename '/nowhere')",
        )
        .await;
    let target = server.scratch.database("copy");
    let dumped = pgsnap::dump(&source, Vec::new(), &DumpOptions::default(), &quiet()).await;
    let copied = pgsnap::copy(&source, &target, &CopyOptions::default(), &quiet()).await;
    for error in [dumped.map(|_| ()).unwrap_err(), copied.unwrap_err()] {
        let Error::ForeignPartition { tables } = &error else { panic!("{error}") };
        assert_eq!(tables, &["\"public\".\"far\""]);
        assert!(error.hint().unwrap().contains("DETACH"));
    }
    // To look at it is no harm.
    for content in [true, false] {
        let mut options = CensusOptions::default();
        options.content = content;
        pgsnap::census(&source, &options, &quiet()).await.unwrap();
    }
}

/// A hash that every database computes in its own way, as another collation or C library would.
const OWN_HASH: &str = "
    CREATE FUNCTION own_hash(int, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
        'SELECT pg_catalog.hashint4extended($1, (SELECT d.oid::bigint FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))';
    CREATE OPERATOR CLASS own_ops FOR TYPE int USING hash AS OPERATOR 1 =, FUNCTION 2 own_hash(int, bigint);
    CREATE TABLE events (id int, v text) PARTITION BY HASH (id own_ops);
    CREATE TABLE events_0 PARTITION OF events FOR VALUES WITH (MODULUS 4, REMAINDER 0);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES WITH (MODULUS 4, REMAINDER 1) PARTITION BY RANGE (id);
    CREATE TABLE events_1_low PARTITION OF events_1 FOR VALUES FROM (MINVALUE) TO (3000);
    CREATE TABLE events_1_high PARTITION OF events_1 FOR VALUES FROM (3000) TO (MAXVALUE);
    CREATE TABLE events_2 PARTITION OF events FOR VALUES WITH (MODULUS 4, REMAINDER 2);
    CREATE TABLE events_3 PARTITION OF events FOR VALUES WITH (MODULUS 4, REMAINDER 3);
    INSERT INTO events SELECT n, md5(n::text) FROM generate_series(1, 20000) AS n;
    CREATE INDEX ON events (v);
    ALTER TABLE events ADD UNIQUE (id);
    CREATE TABLE beside AS SELECT n AS id FROM generate_series(1, 100) AS n";

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_belong_to_other_partitions_elsewhere_are_loaded_through_the_root() {
    let server = Server::start().await;
    let source = server.with_sql("source", OWN_HASH).await;
    let (archive, _) = server.dump(&source).await;
    let restored = server.restore(&archive, "copy").await;
    let comparison = restored.comparison.unwrap();
    assert!(comparison.is_equal());
    // The root, and the table beside it.
    assert_eq!((comparison.tables, comparison.rows), (2, 20_100));
    let is_told = |note: &Note| matches!(note, Note::Rerouted { table } if table.name == "events");
    assert_eq!(restored.notes.iter().filter(|note| is_told(note)).count(), 1);
    let content = "SELECT md5(string_agg(concat_ws(' ', id, v), ',' ORDER BY id)) || (SELECT count(*) FROM events WHERE id = 4711) FROM events";
    let copy = server.scratch.database("copy");
    assert_eq!(
        pgsnap::query_scalar(&copy, content).await.unwrap(),
        pgsnap::query_scalar(&source, content).await.unwrap()
    );
    let leaf = "SELECT string_agg(id::text, ',' ORDER BY id) FROM events_0";
    assert_ne!(
        pgsnap::query_scalar(&copy, leaf).await.unwrap(),
        pgsnap::query_scalar(&source, leaf).await.unwrap(),
        "without rows in other partitions the test proves nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_begins_again_where_rows_belong_to_other_partitions() {
    let server = Server::start().await;
    let source = server.with_sql("source", OWN_HASH).await;
    let target = server.scratch.database("copy");
    let copied = pgsnap::copy(&source, &target, &CopyOptions::default(), &quiet()).await.unwrap();
    let comparison = copied.restored.comparison.unwrap();
    assert!(comparison.is_equal());
    assert_eq!((comparison.tables, comparison.rows), (2, 20_100));
    let is_told = |note: &Note| matches!(note, Note::Rerouted { table } if table.name == "events");
    assert!(copied.restored.notes.iter().any(is_told));
    let content = "SELECT md5(string_agg(concat_ws(' ', id, v), ',' ORDER BY id)) || (SELECT count(*) FROM events WHERE id = 4711) FROM events";
    assert_eq!(
        pgsnap::query_scalar(&target, content).await.unwrap(),
        pgsnap::query_scalar(&source, content).await.unwrap()
    );
}

/// Rows that cannot be proven or must not be sent are not loaded through the root; a restore of
/// rows alone does not try.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_partition_refuses_are_told_apart_from_other_failures() {
    let server = Server::start().await;
    let restored = async |name: &str, change: &str, extent: Extent| {
        let source = server.with_sql(name, &format!("{OWN_HASH};{change}")).await;
        let (archive, _) = server.dump(&source).await;
        let target = server.scratch.database(&format!("{name}_copy"));
        let mut options = RestoreOptions::default();
        if extent == Extent::DataOnly {
            options.extent = Extent::SchemaOnly;
            let made = pgsnap::restore(&archive, &target, &options, &quiet()).await;
            made.unwrap();
        }
        options.extent = extent;
        let error = pgsnap::restore(&archive, &target, &options, &quiet()).await.unwrap_err();
        let Error::PartitionBound { obstacle, .. } = &error else { panic!("{name}: {error}") };
        assert!(error.to_string().contains("rows of partition \"public\".\"events_"), "{error}");
        assert!(error.hint().unwrap().contains("collation"));
        obstacle.clone()
    };
    let other_order = "ALTER TABLE events DETACH PARTITION events_2; DROP TABLE events_2; CREATE TABLE events_2 (v text, id int);
        ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES WITH (MODULUS 4, REMAINDER 2)";
    let obstacle = restored("columns", other_order, Extent::Everything).await;
    assert!(obstacle.unwrap().contains("another order"));
    let foreign = "DROP TABLE events_2; ALTER TABLE events DROP CONSTRAINT events_id_key; CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
        CREATE FOREIGN TABLE events_2 PARTITION OF events FOR VALUES WITH (MODULUS 4, REMAINDER 2) SERVER files OPTIONS (filename '/nowhere')";
    let obstacle = restored("foreign", foreign, Extent::Everything).await;
    assert!(obstacle.unwrap().contains("foreign table"));
    assert_eq!(restored("rows", "", Extent::DataOnly).await, None);

    let target = server.scratch.database("copied");
    let source = server.scratch.database("columns");
    let error =
        pgsnap::copy(&source, &target, &CopyOptions::default(), &quiet()).await.unwrap_err();
    assert!(matches!(error, Error::PartitionBound { obstacle: None, .. }), "{error}");
    let left = "SELECT count(*) FROM pg_database WHERE datname LIKE 'copied%'";
    let left = pgsnap::query_scalar(&server.scratch.database("postgres"), left).await;
    assert_eq!(left.unwrap().as_deref(), Some("0"));

    // The same SQLSTATE, and another cause.
    let check = "CREATE FUNCTION here() RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.current_database()::text';
        CREATE TABLE t (v text CHECK (public.here() = 'checked')); INSERT INTO t VALUES ('x')";
    let source = server.with_sql("checked", check).await;
    let (archive, _) = server.dump(&source).await;
    let target = server.scratch.database("unchecked");
    let error =
        pgsnap::restore(&archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("23514"), "{error}");
}
