//! Tables that extensions mark as configuration: their rows belong to the user and are dumped.
//!
//! The tests write an extension of their own beside those of the server, which takes rights on that directory
//! (root, usually); from 18 on `extension_control_path` makes any directory do. Where neither works they say so and
//! pass.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

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

/// The extension's files, removed in the end.
struct Installed {
    files: Vec<PathBuf>,
}

impl Installed {
    fn into(directory: &Path) -> std::io::Result<Self> {
        let mut installed = Self { files: Vec::new() };
        for (name, text) in [
            ("pgsnap_settings--1.0.sql", SCRIPT),
            ("pgsnap_settings.control", CONTROL),
        ] {
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

/// What a program of PostgreSQL prints.
fn told(program: &Path, argument: &str) -> Option<String> {
    let output = std::process::Command::new(program).arg(argument).output();
    Some(
        String::from_utf8(output.ok()?.stdout)
            .ok()?
            .trim()
            .to_owned(),
    )
}

/// The server's own directory of extensions.
fn extension_directory(programs: &Path) -> Option<PathBuf> {
    let root = programs.parent()?;
    told(&programs.join("pg_config"), "--sharedir")
        .map(PathBuf::from)
        .into_iter()
        .chain([root.join("share/postgresql"), root.join("share")])
        .map(|share| share.join("extension"))
        .find(|path| path.join("plpgsql.control").exists())
}

/// A server that knows the extension, or why there is none.
async fn server_with_extension() -> Result<(Server, Installed, tempfile::TempDir), String> {
    let programs = crate::server::server_programs()
        .or_else(|| told(Path::new("pg_config"), "--bindir").map(PathBuf::from))
        .ok_or("pg_config is missing")?;
    let version = told(&programs.join("postgres"), "--version").unwrap_or_default();
    let takes_any_directory = version
        .split(|c: char| !c.is_ascii_digit())
        .find_map(|number| number.parse::<u32>().ok())
        .is_some_and(|major| major >= 18);
    let mut options = ScratchOptions::default();
    let own = tempfile::tempdir().unwrap();
    let directory = if takes_any_directory {
        let directory = own.path().join("extension");
        fs_err::create_dir(&directory).unwrap();
        fs_err::set_permissions(own.path(), PermissionsExt::from_mode(0o755)).unwrap();
        options.settings.push(format!(
            "extension_control_path=$system:{}",
            own.path().display()
        ));
        directory
    } else {
        extension_directory(&programs)
            .ok_or("the server's directory of extensions was not found")?
    };
    let installed = Installed::into(&directory).map_err(|error| error.to_string())?;
    Ok((Server::start_with(options).await, installed, own))
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_of_extensions_is_kept() {
    let (server, _installed, _own) = match server_with_extension().await {
        Ok(started) => started,
        Err(reason) => return eprintln!("SKIPPED: no extension can be installed: {reason}"),
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
    server.psql_restores(&server.file("source.sql.gz"), "plain");
}
