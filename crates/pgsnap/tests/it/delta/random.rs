//! Random databases with random changes: a delta ends where a copy would.

use pgsnap::{
    CensusOptions, CopyOptions, Database, Error, Updated, compare, copy, delta, plan_delta, survey,
};

use super::options;
use crate::campaign;
use crate::property::random_database;
use crate::server::{Server, quiet};

/// Deletes some rows of every table, writes some anew as they were, and gives some the values of
/// others where nothing forbids it.
fn changes(seed: u64) -> String {
    format!(
        "SET session_replication_role = replica;
         DO $do$
         DECLARE t record; picked text := $$pg_catalog.hashtext(ctid::text || '{seed}') $$;
         BEGIN
           FOR t IN SELECT c.oid::regclass AS name, a.attname AS col FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
                     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
           LOOP
             EXECUTE format('DELETE FROM ONLY %s WHERE %s %% 5 = 0', t.name, picked);
             CONTINUE WHEN t.col IS NULL;
             EXECUTE format('UPDATE ONLY %s SET %I = %I WHERE %s %% 4 = 1', t.name, t.col, t.col, picked);
             BEGIN
               EXECUTE format('UPDATE ONLY %s SET %I = (SELECT %I FROM ONLY %s ORDER BY ctid DESC LIMIT 1) WHERE %s %% 3 = 1',
                 t.name, t.col, t.col, t.name, picked);
             EXCEPTION WHEN others THEN NULL;
             END;
           END LOOP;
         END $do$"
    )
}

async fn require_equal(seed: u64, a: &Database, b: &Database) {
    let census = |database| async move {
        pgsnap::census(database, &CensusOptions::default(), &quiet()).await.unwrap()
    };
    let comparison = compare(&census(a).await, &census(b).await);
    assert!(comparison.is_equal(), "seed {seed}: {:#?}", comparison.differences);
}

/// Surveys the base while it is as it was, and brings it up to its source.
async fn bring_up(seed: u64, source: &Database, base: &Database) -> Updated {
    let surveyed = survey(base, &options(), &quiet()).await.unwrap();
    let updated = delta(source, surveyed, &options(), &quiet()).await;
    let updated = updated.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    require_equal(seed, source, base).await;
    updated
}

#[tokio::test(flavor = "multi_thread")]
async fn random_changes_end_where_a_copy_does() {
    let server = Server::start().await;
    let (mut changed, mut refused) = (0, 0);
    let seed = campaign::seed(1);
    let rounds = campaign::rounds(2);
    for seed in seed..seed + rounds {
        let source = random_database(&server, seed).await;
        let (base, full) = (
            server.scratch.database(&format!("base{seed}")),
            server.scratch.database(&format!("full{seed}")),
        );
        for target in [&base, &full] {
            copy(&source, target, &CopyOptions::default(), &quiet()).await.unwrap();
        }
        if !plan_delta(&source, &base, &options()).await.unwrap().obstacles.is_empty() {
            let error = survey(&base, &options(), &quiet()).await.err();
            assert!(matches!(error, Some(Error::Preflight { .. })), "seed {seed}: {error:?}");
            refused += 1;
            continue;
        }
        pgsnap::execute(&source, &changes(seed)).await.unwrap();
        for updated in [bring_up(seed, &source, &base).await, bring_up(seed, &full, &base).await] {
            changed += updated.tables.iter().map(|one| one.inserted + one.deleted).sum::<u64>();
        }
    }
    assert!(changed > 0 && refused * 2 < rounds, "{changed} rows changed, {refused} refused");
}
