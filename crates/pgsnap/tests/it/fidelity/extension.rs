//! Tables that extensions mark as configuration: their rows belong to the user and are dumped.
//!
//! The tests write an extension of their own beside those of the server, which takes rights on that directory
//! (root, usually); from 18 on `extension_control_path` makes any directory do. Where neither works they say so and
//! pass.

use std::path::PathBuf;

use pgsnap::ScratchOptions;

use super::golden::assert_golden;
use crate::server::Server;

const CONTROL: &str = "default_version = '1.0'\nrelocatable = false\nschema = settings\n";

/// A table with a condition, one without, a pair where the earlier name refers to the later one, a sequence, and a
/// table and a sequence that are not configuration.
const SCRIPT: &str = r#"
CREATE TABLE settings.chosen (name text PRIMARY KEY, value text, builtin boolean NOT NULL DEFAULT false);
INSERT INTO settings.chosen VALUES ('from the extension', 'x', true);
CREATE TABLE settings.everything (id integer PRIMARY KEY, note text);
CREATE TABLE settings.z_referred (id integer PRIMARY KEY);
CREATE TABLE settings.a_referring (id integer PRIMARY KEY, referred integer REFERENCES settings.z_referred);
CREATE TABLE settings.private (id integer);
CREATE SEQUENCE settings.counter;
CREATE SEQUENCE settings.private_counter;
SELECT pg_catalog.pg_extension_config_dump('settings.chosen', 'WHERE NOT builtin AND name <> ''it''''s''');
SELECT pg_catalog.pg_extension_config_dump('settings.everything', '');
SELECT pg_catalog.pg_extension_config_dump('settings.z_referred', '');
SELECT pg_catalog.pg_extension_config_dump('settings.a_referring', '');
SELECT pg_catalog.pg_extension_config_dump('settings.counter', '');
"#;

const USED: &str = "
CREATE SCHEMA settings;
CREATE EXTENSION pgsnap_settings;
INSERT INTO settings.chosen VALUES ('mine', 'y'), ('it''s', 'not dumped');
INSERT INTO settings.everything VALUES (1, 'a'), (2, NULL);
INSERT INTO settings.z_referred SELECT generate_series(1, 20000);
INSERT INTO settings.a_referring SELECT id, id FROM settings.z_referred;
INSERT INTO settings.private VALUES (1);
SELECT nextval('settings.counter') FROM generate_series(1, 7);
SELECT nextval('settings.private_counter');
CREATE TABLE settings.no_member AS SELECT 1 AS id;
GRANT SELECT ON settings.chosen TO PUBLIC;
";

/// The directory of the server's extensions, and the programs it belongs to.
fn extension_directory() -> Option<PathBuf> {
    let programs = crate::server::server_programs().or_else(|| {
        let output = std::process::Command::new("pg_config")
            .arg("--bindir")
            .output();
        Some(PathBuf::from(
            String::from_utf8(output.ok()?.stdout).ok()?.trim(),
        ))
    })?;
    let output = std::process::Command::new(programs.join("pg_config"))
        .arg("--sharedir")
        .output();
    let told = output
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|path| PathBuf::from(path.trim()));
    let root = programs.parent()?;
    told.into_iter()
        .chain([root.join("share/postgresql"), root.join("share")])
        .map(|share| share.join("extension"))
        .find(|path| path.join("plpgsql.control").exists())
}

/// A server that knows the extension, or `None` where it cannot be told.
async fn server_with_extension() -> Option<Server> {
    let install = |directory: PathBuf| -> std::io::Result<()> {
        // Tests run side by side: each file appears whole.
        for (name, text) in [
            ("pgsnap_settings--1.0.sql", SCRIPT),
            ("pgsnap_settings.control", CONTROL),
        ] {
            let mut file = tempfile::NamedTempFile::new_in(&directory)?;
            std::io::Write::write_all(&mut file, text.as_bytes())?;
            std::os::unix::fs::PermissionsExt::set_mode(
                &mut file.as_file().metadata()?.permissions(),
                0o644,
            );
            fs_err::set_permissions(
                file.path(),
                std::os::unix::fs::PermissionsExt::from_mode(0o644),
            )?;
            file.persist(directory.join(name))?;
        }
        Ok(())
    };
    let Some(directory) = extension_directory() else {
        eprintln!("SKIPPED: the server's directory of extensions was not found");
        return None;
    };
    if let Err(error) = install(directory.clone()) {
        eprintln!(
            "SKIPPED: no extension can be put into {}: {error}",
            directory.display()
        );
        return None;
    }
    Some(Server::start_with(ScratchOptions::default()).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_of_extensions_is_kept() {
    let Some(server) = server_with_extension().await else {
        return;
    };
    let source = server.with_sql("source", USED).await;
    assert_golden(&server, &source).await;
    let (archive, manifest) = server.dump(&source).await;
    let rows = |name: &str| {
        let name = pgsnap::TableName::new("settings", name);
        manifest.census.table(&name).map(|table| table.rows)
    };
    assert_eq!(rows("chosen"), Some(1));
    assert_eq!(rows("private"), None);
    assert_eq!(rows("no_member"), Some(1));

    let restored = server.restore(&archive, "copy").await;
    assert!(restored.comparison.unwrap().is_equal());
    let state = pgsnap::query_scalar(
        &server.scratch.database("copy"),
        "SELECT concat_ws(' ', (SELECT count(*) FROM settings.chosen), (SELECT count(*) FROM settings.private), (SELECT last_value FROM settings.counter), (SELECT last_value FROM settings.private_counter))",
    )
    .await
    .unwrap();
    // One row came with the extension, one from the dump.
    assert_eq!(state.as_deref(), Some("2 0 7 1"));

    server.create("plain").await;
    let output = server.psql_file(&server.file("source.sql.gz"), "plain", &[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
