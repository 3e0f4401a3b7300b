//! Tables that extensions mark as configuration: their rows belong to the user and are dumped.
//!
//! The tests write an extension of their own beside those of the server, which takes rights on that
//! directory (root, usually); from 18 on `extension_control_path` makes any directory do.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use pgsnap::ScratchOptions;

use super::golden::assert_golden;
use crate::server::Server;

const CONTROL: &str = "default_version = '1.0'\nrelocatable = false\nschema = settings\n";

/// A table with a condition, one without, a pair where the earlier name refers to the later one, a
/// sequence, and a table and a sequence that are not configuration.
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

/// The extension's files, removed in the end.
struct Installed {
    files: Vec<PathBuf>,
}

impl Installed {
    fn into(directory: &Path) -> std::io::Result<Self> {
        let mut installed = Self { files: Vec::new() };
        for (name, text) in
            [("pgsnap_settings--1.0.sql", SCRIPT), ("pgsnap_settings.control", CONTROL)]
        {
            let path = directory.join(name);
            fs_err::write(&path, text)?;
            installed.files.push(path);
        }
        Ok(installed)
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = fs_err::remove_file(file);
        }
    }
}

/// A server that knows the extension, or why its files cannot be written.
async fn server_with_extension() -> std::io::Result<(Server, Installed, tempfile::TempDir)> {
    let server = Server::start().await;
    let own = tempfile::tempdir().unwrap();
    if server.major().await < 18 {
        let admin = server.scratch.database("postgres");
        let query = "SELECT setting FROM pg_config WHERE name = 'SHAREDIR'";
        let share = pgsnap::query_scalar(&admin, query).await.unwrap().unwrap();
        let installed = Installed::into(&Path::new(&share).join("extension"))?;
        return Ok((server, installed, own));
    }
    let directory = own.path().join("extension");
    fs_err::create_dir(&directory).unwrap();
    fs_err::set_permissions(own.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut options = ScratchOptions::default();
    options.settings.push(format!("extension_control_path=$system:{}", own.path().display()));
    let installed = Installed::into(&directory)?;
    Ok((Server::start_with(options).await, installed, own))
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_of_extensions_is_kept() {
    let (server, _installed, _own) = match server_with_extension().await {
        Ok(started) => started,
        Err(error) => return testkit::skip(&format!("no extension can be installed: {error}")),
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

    let plain = server.create("plain").await;
    server.psql_restores(&server.file("source.sql.gz"), "plain");
    server.require_census(&plain, &manifest).await;
}
