//! Dumps of a database that others write to and migrate: each is one point in time, or fails as one
//! to repeat.
//!
//! `cargo xtask campaign writers` runs hundreds of dumps; the tests only some.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pgsnap::{Archive, Error};
use testkit::Dice;
use tokio::task::JoinSet;

use crate::campaign;
use crate::server::{Server, quiet, small_blocks};

/// The invariants that the writers keep at every point in time.
const SCHEMA: &str = "
    CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);
    INSERT INTO account SELECT n, 0 FROM generate_series(1, 200) n;
    CREATE TABLE ledger (id bigserial PRIMARY KEY, account int NOT NULL REFERENCES account, amount bigint NOT NULL);

    CREATE TABLE parent (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, children int NOT NULL);
    CREATE TABLE child (id serial PRIMARY KEY, parent int NOT NULL REFERENCES parent ON DELETE CASCADE, filling text);
    CREATE TABLE counter (parents bigint NOT NULL, children bigint NOT NULL);
    INSERT INTO counter VALUES (0, 0);

    CREATE TABLE document (id serial PRIMARY KEY, content oid NOT NULL, hash text NOT NULL);

    CREATE TABLE cleared (generation int NOT NULL);
    INSERT INTO cleared SELECT 0 FROM generate_series(1, 100);
    CREATE TABLE reshaped (id int NOT NULL, v int NOT NULL);
    INSERT INTO reshaped SELECT n, n FROM generate_series(1, 50) n;
    CREATE TABLE made (name text PRIMARY KEY);
    CREATE MATERIALIZED VIEW summary AS SELECT count(*) AS n FROM ledger;
    CREATE VIEW current_generation AS SELECT 0 AS generation;
    CREATE FUNCTION generation() RETURNS int LANGUAGE sql RETURN 0;
    CREATE TYPE mood AS ENUM ('calm', 'cross');
    CREATE TABLE feeling (id int, mood mood);
    INSERT INTO feeling SELECT n, CASE n % 2 WHEN 0 THEN 'calm' ELSE 'cross' END::mood FROM generate_series(1, 1000) n;
    CREATE TABLE generations (cleared int, reshaped int, viewed int, called int);
    INSERT INTO generations VALUES (0, 0, 0, 0);
";

/// One row per invariant that does not hold.
const BROKEN: &str = "
    SELECT string_agg(what, ', ') FROM (VALUES
        ('the balances do not sum up to zero', (SELECT sum(balance) = 0 FROM account)),
        ('a balance is not the sum of its entries', NOT EXISTS (SELECT FROM account a WHERE balance <>
            (SELECT COALESCE(sum(amount), 0) FROM ledger l WHERE l.account = a.id))),
        ('parents are not as many as counted', (SELECT parents = (SELECT count(*) FROM parent) FROM counter)),
        ('children are not as many as counted', (SELECT children = (SELECT count(*) FROM child) FROM counter)),
        ('a parent misses children', NOT EXISTS (SELECT FROM parent p WHERE children <> (SELECT count(*) FROM child c WHERE c.parent = p.id))),
        ('a child has no parent', NOT EXISTS (SELECT FROM child c WHERE NOT EXISTS (SELECT FROM parent p WHERE p.id = c.parent))),
        ('a large object is not the one of its row', NOT EXISTS (SELECT FROM document WHERE md5(lo_get(content)) <> hash)),
        ('large objects without a row', (SELECT count(*) FROM document) = (SELECT count(*) FROM pg_largeobject_metadata)),
        ('the sequence of the ledger is behind', (SELECT last_value FROM ledger_id_seq) >= (SELECT COALESCE(max(id), 0) FROM ledger)),
        ('the sequence of the parents is behind', (SELECT last_value FROM parent_id_seq) >= (SELECT COALESCE(max(id), 0) FROM parent)),
        ('the sequence of the children is behind', (SELECT last_value FROM child_id_seq) >= (SELECT COALESCE(max(id), 0) FROM child)),
        ('the sequence of the documents is behind', (SELECT last_value FROM document_id_seq) >= (SELECT COALESCE(max(id), 0) FROM document)),
        ('a truncated table is empty or old', (SELECT count(*) = 100 AND min(generation) = g.cleared AND max(generation) = g.cleared FROM cleared, generations g GROUP BY g.cleared)),
        ('a rewritten table is empty', (SELECT count(*) = 50 FROM reshaped)),
        ('a rewritten table has another type', (SELECT format_type(atttypid, NULL) = CASE reshaped % 2 WHEN 0 THEN 'integer' ELSE 'bigint' END
            FROM pg_attribute, generations WHERE attrelid = 'reshaped'::regclass AND attname = 'v')),
        ('tables are not those in the list', NOT EXISTS (SELECT FROM made FULL JOIN (SELECT relname AS name FROM pg_class WHERE relname ~ '^made_' AND relkind = 'r') t USING (name)
            WHERE made IS NULL OR t IS NULL)),
        ('the view is of another time', (SELECT v.generation = viewed FROM current_generation v, generations)),
        ('the function is of another time', (SELECT generation() = called FROM generations)),
        ('the materialised view is not fresh', (SELECT n = (SELECT count(*) FROM ledger) FROM summary)),
        ('a feeling is lost', (SELECT count(*) = 1000 AND count(DISTINCT mood) = 2 FROM feeling))
    ) AS invariant (what, holds) WHERE holds IS NOT TRUE";

#[tokio::test(flavor = "multi_thread")]
async fn every_dump_under_writes_and_migrations_is_one_point_in_time() {
    let server = Server::start().await;
    let source = server.with_sql("busy", SCHEMA).await;
    let mut dice = Dice::new(campaign::seed(1));
    let load = Load::start(&server, &mut dice).await;
    let begun = Instant::now();
    let (mut proven, mut repeated) = (0, 0);
    let (mut with_writes, mut with_migrations) = (0, 0);
    while proven < campaign::rounds(5) {
        let before = load.seen();
        let file = server.file("busy.sql.gz");
        let mut options = small_blocks();
        options.jobs = 1 + dice.below(3);
        options.lock_timeout = Duration::from_secs(5);
        let writer = fs_err::File::create(&file).unwrap();
        match pgsnap::dump(&source, writer, &options, &quiet()).await {
            Ok(_) => {}
            Err(error) if error.is_retryable() => {
                eprintln!("to be repeated: {error}");
                repeated += 1;
                assert!(repeated < 20 + 10 * proven, "hardly any dump succeeds");
                continue;
            }
            Err(error) => panic!("dump {proven}: {error}"),
        }
        let after = load.seen();
        with_writes += u64::from(before.0 != after.0);
        with_migrations += u64::from(before.1 != after.1);
        let broken = if proven % 2 == 0 {
            restore_natively(&server, Archive::open(file).unwrap()).await
        } else {
            restore_with_psql(&server, &file).await
        };
        assert_eq!(broken.unwrap(), None, "dump {proven}");
        proven += 1;
        if proven % 20 == 0 {
            eprintln!("{proven} dumps proven, {repeated} repeated");
        }
    }
    let (writes, migrations) = load.stop().await;
    eprintln!(
        "{proven} dumps are each one point in time, {repeated} failed as ones to repeat; {writes} transactions and \
         {migrations} migrations went on meanwhile, during {with_writes} and {with_migrations} of the dumps; {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    // Without writes during the dumps this would prove nothing.
    assert!(with_writes * 10 >= proven * 9 && migrations > 0);
}

async fn restore_natively(server: &Server, archive: Archive) -> Result<Option<String>, Error> {
    let copy = server.scratch.database("busy_copy");
    server.restore(&archive, copy.name()).await;
    let broken = pgsnap::query_scalar(&copy, BROKEN).await;
    drop_copy(server).await;
    broken
}

async fn restore_with_psql(
    server: &Server,
    file: &std::path::Path,
) -> Result<Option<String>, Error> {
    let copy = server.create("busy_copy").await;
    server.psql_restores(file, copy.name());
    let broken = pgsnap::query_scalar(&copy, BROKEN).await;
    drop_copy(server).await;
    broken
}

async fn drop_copy(server: &Server) {
    let admin = server.scratch.database("postgres");
    pgsnap::execute(&admin, "DROP DATABASE busy_copy WITH (FORCE)").await.unwrap();
}

/// Sessions that write and migrate until they are stopped.
struct Load {
    is_over: Arc<AtomicBool>,
    writes: Arc<AtomicU64>,
    migrations: Arc<AtomicU64>,
    sessions: JoinSet<()>,
}

impl Load {
    async fn start(server: &Server, dice: &mut Dice) -> Self {
        let mut load = Self {
            is_over: Arc::default(),
            writes: Arc::default(),
            migrations: Arc::default(),
            sessions: JoinSet::new(),
        };
        for _ in 0..2 {
            let counter = Arc::clone(&load.writes);
            load.session(server, dice, write, counter, 10).await;
        }
        let counter = Arc::clone(&load.migrations);
        load.session(server, dice, migration, counter, 3000).await;
        load
    }

    async fn session(
        &mut self,
        server: &Server,
        dice: &mut Dice,
        next: fn(&mut Dice, u64) -> String,
        counter: Arc<AtomicU64>,
        pause: usize,
    ) {
        let client = server.client("busy").await;
        let settings = "SET client_min_messages = error; SET lock_timeout = '300ms'";
        client.batch_execute(settings).await.unwrap();
        let (is_over, mut dice) = (Arc::clone(&self.is_over), Dice::new(dice.bits()));
        self.sessions.spawn(async move {
            let mut turn = 0;
            while !is_over.load(Ordering::SeqCst) {
                turn += 1;
                match client.batch_execute(&next(&mut dice, turn)).await {
                    Ok(()) => drop(counter.fetch_add(1, Ordering::SeqCst)),
                    // Locks that a dump or the other session holds: a writer that gives way.
                    Err(error) => {
                        let code = error.code().expect("the server answered").code();
                        assert!(matches!(code, "55P03" | "40P01"), "{error:?}");
                        client.batch_execute("ROLLBACK").await.unwrap();
                    }
                }
                let pause = Duration::from_millis(dice.below(pause) as u64);
                tokio::time::sleep(pause).await;
            }
        });
    }

    fn seen(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        (count(&self.writes), count(&self.migrations))
    }

    async fn stop(mut self) -> (u64, u64) {
        self.is_over.store(true, Ordering::SeqCst);
        while let Some(ended) = self.sessions.join_next().await {
            ended.unwrap();
        }
        self.seen()
    }
}

fn write(dice: &mut Dice, _: u64) -> String {
    let statements = match dice.below(4) {
        0 | 1 => {
            let (from, to, amount) =
                (1 + dice.below(200), 1 + dice.below(200), 1 + dice.below(1000));
            format!(
                "INSERT INTO ledger (account, amount) VALUES ({from}, -{amount}), ({to}, {amount});
                 UPDATE account SET balance = balance - {amount} WHERE id = {from};
                 UPDATE account SET balance = balance + {amount} WHERE id = {to}"
            )
        }
        2 => {
            let children = dice.below(4);
            format!(
                "WITH p AS (INSERT INTO parent (children) VALUES ({children}) RETURNING id)
                 INSERT INTO child (parent, filling) SELECT id, repeat(md5(id::text), 50) FROM p, generate_series(1, {children});
                 UPDATE counter SET parents = parents + 1, children = children + {children};
                 WITH gone AS (DELETE FROM parent WHERE id = (SELECT min(id) FROM parent HAVING count(*) > 300) RETURNING children)
                 UPDATE counter SET parents = parents - 1, children = counter.children - gone.children FROM gone"
            )
        }
        _ => {
            let size = dice.below(20_000);
            format!(
                "INSERT INTO document (content, hash) SELECT lo_from_bytea(0, b), md5(b)
                   FROM (SELECT decode(repeat(md5(random()::text), 1 + {size} / 16), 'hex')) AS s (b);
                 SELECT lo_put(content, 0, 'changed') FROM document WHERE id = currval('document_id_seq');
                 UPDATE document SET hash = md5(lo_get(content)) WHERE id = currval('document_id_seq');
                 WITH gone AS (DELETE FROM document WHERE id = (SELECT min(id) FROM document HAVING count(*) > 50) RETURNING content)
                 SELECT lo_unlink(content) FROM gone"
            )
        }
    };
    format!("BEGIN; {statements}; COMMIT")
}

fn migration(dice: &mut Dice, turn: u64) -> String {
    let statements = match dice.below(10) {
        0 => format!(
            "TRUNCATE cleared; INSERT INTO cleared SELECT {turn} FROM generate_series(1, 100); UPDATE generations SET cleared = {turn}"
        ),
        1 => "UPDATE generations SET reshaped = reshaped + 1;
              DO $$ BEGIN EXECUTE 'ALTER TABLE reshaped ALTER v TYPE ' ||
                CASE (SELECT reshaped % 2 FROM generations) WHEN 0 THEN 'int' ELSE 'bigint' END; END $$"
            .to_owned(),
        2 => format!("CREATE TABLE made_{turn} AS SELECT {turn} AS id; INSERT INTO made VALUES ('made_{turn}')"),
        3 => "DO $$ DECLARE n text; BEGIN
                SELECT name INTO n FROM made ORDER BY name LIMIT 1;
                IF FOUND THEN EXECUTE format('DROP TABLE %I', n); DELETE FROM made WHERE name = n; END IF; END $$"
            .to_owned(),
        // These two cannot run in a transaction block.
        4 => return "VACUUM FULL account".to_owned(),
        5 => return "VACUUM FULL cleared".to_owned(),
        6 => "REFRESH MATERIALIZED VIEW summary".to_owned(),
        7 => format!(
            "CREATE OR REPLACE VIEW current_generation AS SELECT {turn} AS generation; UPDATE generations SET viewed = {turn}"
        ),
        8 => format!(
            "CREATE OR REPLACE FUNCTION generation() RETURNS int LANGUAGE sql RETURN {turn}; UPDATE generations SET called = {turn}"
        ),
        _ => "DO $$ BEGIN
                IF EXISTS (SELECT FROM pg_enum WHERE enumlabel = 'calm') THEN ALTER TYPE mood RENAME VALUE 'calm' TO 'serene';
                ELSE ALTER TYPE mood RENAME VALUE 'serene' TO 'calm'; END IF; END $$"
            .to_owned(),
    };
    format!("BEGIN; {statements}; COMMIT")
}
