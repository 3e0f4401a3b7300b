//! A fence belongs to one place and one time: no backup and no copy carries it along.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use pgsnap::{Archive, CopyOptions, Digest, Note, RestoreOptions, plan_restore, restore};

use crate::fence::{ask, put_up};
use crate::server::{Server, quiet};

const SETUP: &str = "
    CREATE ROLE app LOGIN; CREATE ROLE ops LOGIN; ALTER DATABASE hub CONNECTION LIMIT 50;
    REVOKE CONNECT ON DATABASE hub FROM PUBLIC; GRANT CONNECT ON DATABASE hub TO app;
    ALTER DATABASE hub SET work_mem = '9MB'; ALTER ROLE ops IN DATABASE hub SET work_mem = '8MB';
    ALTER ROLE ops IN DATABASE hub SET hubctl.x = '1'; ALTER ROLE ops SET hubctl.x = '2'; ALTER ROLE ops SET work_mem = '7MB';
    COMMENT ON DATABASE hub IS 'the hub'; CREATE TABLE t AS SELECT generate_series(1, 100) AS id";

/// Limit, privileges, settings and comment of a database.
async fn properties(server: &Server, name: &str) -> String {
    let query = format!(
        "SELECT concat_ws(' | ', d.datconnlimit, d.datacl,
            (SELECT string_agg(concat_ws(' ', CASE s.setrole WHEN 0 THEN 'all' ELSE s.setrole::regrole::text END, s.setconfig), ' ' ORDER BY 1)
               FROM pg_db_role_setting s WHERE s.setdatabase = d.oid), shobj_description(d.oid, 'pg_database'))
           FROM pg_database d WHERE d.datname = '{name}'"
    );
    ask(server, &query).await.unwrap()
}

async fn with_roles() -> Server {
    let server = Server::start().await;
    pgsnap::execute(&server.scratch.database("postgres"), "CREATE ROLE app; CREATE ROLE ops")
        .await
        .unwrap();
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_and_a_copy_from_behind_a_fence_have_the_state_before_it() {
    let (here, there) = (Server::start().await, with_roles().await);
    let hub = here.with_sql("hub", SETUP).await;
    let (open, open_manifest) = here.dump(&hub).await;
    there.restore(&open, "open").await;
    let fenced = put_up(&here, &hub).await;
    let behind = fenced.database(&hub);
    let (archive, manifest) = here.dump(&behind).await;
    assert_eq!(manifest.source.database, "hub", "the real name is recorded");
    let (a, b) = (&open_manifest.source, &manifest.source);
    assert_eq!((a.connection_limit, &a.settings), (b.connection_limit, &b.settings));
    assert_eq!((&a.roles, &a.role_settings, &a.comment), (&b.roles, &b.role_settings, &b.comment));
    assert!(!format!("{b:?}").contains("hubctl"), "{b:?}");

    let restored = there.restore(&archive, "hub").await;
    assert!(restored.notes.is_empty(), "{:?}", restored.notes);
    let target = there.scratch.database("copied");
    pgsnap::copy(&behind, &target, &CopyOptions::default(), &quiet()).await.unwrap();
    let expected = properties(&there, "open").await;
    assert!(expected.contains("50") && expected.contains("app=c"), "{expected}");
    for name in ["hub", "copied"] {
        assert_eq!(properties(&there, name).await, expected, "{name}");
        let insert = "INSERT INTO t VALUES (0)";
        pgsnap::execute(&there.scratch.database(name), insert).await.unwrap();
    }
}

/// Only the role that the fence shut out connects this database with that role.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_a_fence_shut_out_is_created_by_the_restore() {
    let (here, there) = (Server::start().await, Server::start().await);
    let hub = here.with_sql("hub", SETUP).await;
    let fenced = put_up(&here, &hub).await;
    let (archive, _) = here.dump(&fenced.database(&hub)).await;
    let mut options = RestoreOptions::default();
    options.create_roles = true;
    let target = there.scratch.database("hub");
    restore(&archive, &target, &options, &quiet()).await.unwrap();
    assert!(properties(&there, "hub").await.contains("app=c"));
}

const BY_HAND: &str = "
    ALTER DATABASE hub SET default_transaction_read_only = on; ALTER DATABASE hub CONNECTION LIMIT 0;
    REVOKE CONNECT ON DATABASE hub FROM PUBLIC, app; ALTER DATABASE hub SET hubctl.epoch = 'v1 epoch=7 role=retired'";

/// Earlier versions wrote the fence into the manifest.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_backup_with_a_fence_in_it_says_so_and_restores_without() {
    let (here, there) = (Server::start().await, with_roles().await);
    let hub = here.with_sql("hub", SETUP).await;
    let (_, manifest) = here.dump(&hub).await;
    let mut old = serde_json::to_value(&manifest).unwrap();
    let source = &mut old["source"];
    source["connection_limit"] = 0.into();
    source["settings"] = serde_json::json!([
        "work_mem=9MB",
        "default_transaction_read_only=on",
        "hubctl.epoch=v1 epoch=7 role=retired"
    ]);
    source["privileges"] = serde_json::json!([{ "privilege": "TEMPORARY" }]);
    let path = here.file("old.sql.gz");
    fs_err::write(&path, with_manifest(&fs_err::read(here.file("hub.sql.gz")).unwrap(), &old))
        .unwrap();
    let archive = Archive::open(path).unwrap();
    assert_eq!(archive.manifest().source.connection_limit, 0);

    let target = there.scratch.database("hub");
    let plan = plan_restore(&archive, &target, &RestoreOptions::default()).await.unwrap();
    assert!(plan.warnings.iter().any(|warning| warning.contains("behind a fence")), "{plan:?}");
    let restored = there.restore(&archive, "hub").await;
    let parts = restored.notes.iter().find_map(|note| match note {
        Note::FenceLeftOut { parts } => Some(parts.clone()),
        _ => None,
    });
    assert_eq!(parts.unwrap_or_default().len(), 3, "{:?}", restored.notes);
    let found = properties(&there, "hub").await;
    assert!(
        found.starts_with("-1 | ") && found.contains("=Tc/") && found.contains("work_mem=9MB"),
        "{found}"
    );
    assert!(!found.contains("hubctl") && !found.contains("read_only"), "{found}");
    pgsnap::execute(&target, "INSERT INTO t VALUES (0)").await.unwrap();
}

/// A fence that was put up by hand, with no record: what is known to be a fence's is left out.
#[tokio::test(flavor = "multi_thread")]
async fn a_fence_by_hand_does_not_travel() {
    let (here, there) = (Server::start().await, with_roles().await);
    let hub = here.with_sql("hub", SETUP).await;
    pgsnap::execute(&here.scratch.database("postgres"), BY_HAND).await.unwrap();
    let (archive, _) = here.dump(&hub).await;
    there.restore(&archive, "hub").await;
    pgsnap::execute(&there.scratch.database("hub"), "INSERT INTO t VALUES (0)").await.unwrap();
    let found = properties(&there, "hub").await;
    assert!(!found.contains("hubctl") && found.starts_with("-1 | "), "{found}");
}

/// An archive with another manifest.
fn with_manifest(archive: &[u8], manifest: &serde_json::Value) -> Vec<u8> {
    const BEGIN: &[u8] = b"-- pgsnap/1 manifest offset=";
    let at =
        archive.windows(BEGIN.len()).rposition(|window| window == BEGIN).unwrap() + BEGIN.len();
    let offset: usize = std::str::from_utf8(&archive[at..at + 20]).unwrap().parse().unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&archive[offset..]).read_to_string(&mut text).unwrap();
    let head: String = text
        .lines()
        .take_while(|line| !line.starts_with("--@ "))
        .map(|line| format!("{line}\n"))
        .collect();
    let json = serde_json::to_string_pretty(manifest).unwrap();
    let body: String = json.lines().map(|line| format!("--@ {line}\n")).collect();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all((head + &body).as_bytes()).unwrap();
    let member = encoder.finish().unwrap();
    let pointer = format!(
        "-- pgsnap/1 manifest offset={offset:020} length={:020} xxh3={}\n",
        member.len(),
        Digest::of(&member)
    );
    let mut stored = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    let length = u16::try_from(pointer.len()).unwrap();
    stored.extend(length.to_le_bytes());
    stored.extend((!length).to_le_bytes());
    stored.extend(pointer.as_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(pointer.as_bytes());
    stored.extend(crc.sum().to_le_bytes());
    stored.extend(crc.amount().to_le_bytes());
    [&archive[..offset], &member, &stored].concat()
}
