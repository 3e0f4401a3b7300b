//! A durable server with the data, a key, and the commands of both sides.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pgsnap::{ScratchOptions, ScratchServer};

use super::data::Data;
use super::run::Run;

/// The database that is measured.
pub(crate) const SOURCE: &str = "source";

pub(crate) struct Stage {
    pub(crate) data: Data,
    pub(crate) server: ScratchServer,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) recipient: String,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    pub(crate) fn prepare(data: Data, scale: f64) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut options = ScratchOptions::default();
        // Durable, with the settings of a new cluster.
        options.fast = false;
        if data == Data::Many {
            // pg_dump locks every table; a default server has room for about 7 800 of them.
            let setting = "max_locks_per_transaction=256";
            options.settings.push(setting.to_owned());
        }
        let server = runtime.block_on(ScratchServer::start(&options)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let recipient = make_key(&directory.path().join("key.txt"));
        let stage = Self { data, server, directory, recipient, runtime };
        stage.sql("postgres", &format!("CREATE DATABASE {SOURCE}"));
        eprintln!("loading {} at scale {scale}", data.name());
        for statement in data.sql(scale) {
            stage.sql(SOURCE, &statement);
        }
        stage.sql(SOURCE, "VACUUM ANALYZE");
        stage.sql("postgres", "CHECKPOINT");
        fs_err::write(stage.path("hubctl.toml"), stage.configuration()).unwrap();
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Runs statements, untimed.
    pub(crate) fn sql(&self, database: &str, statement: &str) {
        let database = self.server.database(database);
        self.block_on(pgsnap::execute(&database, statement)).unwrap();
    }

    /// The answer to a query, untimed.
    pub(crate) fn scalar(&self, database: &str, query: &str) -> String {
        let database = self.server.database(database);
        self.block_on(pgsnap::query_scalar(&database, query)).unwrap().unwrap()
    }

    /// Drops databases and writes out what is dirty, so that no side pays for the one before.
    pub(crate) fn clean(&self, databases: &[&str]) {
        for name in databases {
            self.sql("postgres", &format!("DROP DATABASE IF EXISTS {name}"));
        }
        self.sql("postgres", "CHECKPOINT");
    }

    pub(crate) fn create(&self, database: &str) {
        self.clean(&[database]);
        let create = format!("CREATE DATABASE {database} TEMPLATE template0");
        self.sql("postgres", &create);
        self.sql("postgres", "CHECKPOINT");
    }

    pub(crate) fn hubctl(&self, arguments: &[&str]) -> Run {
        let mut command = self.command(&crate::hubctl());
        command.args(arguments).arg("--quiet");
        Run::of(command)
    }

    /// A pipeline of the peer; all of its parts must succeed.
    pub(crate) fn shell(&self, pipeline: &str) -> Run {
        let mut command = self.command(Path::new("bash"));
        command.args(["-o", "pipefail", "-c", pipeline]);
        Run::of(command)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("PGHOST", self.server.directory())
            .env("PGPORT", self.server.port().to_string())
            .env("PGUSER", "postgres")
            .env("HUBCTL_CONFIG", self.path("hubctl.toml"))
            .env("HOME", self.directory.path())
            .current_dir(self.directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// A configuration with the vault and the key, so that both sides are one short command.
    fn configuration(&self) -> String {
        let directory = self.directory.path().display();
        format!(
            "[service]\nname = \"hub\"\n[vault]\npath = \"{directory}/vault\"\nrecipients = [\"{}\"]\nidentities = [\"{directory}/key.txt\"]\n[journal]\npath = \"{directory}/journal.jsonl\"\n",
            self.recipient
        )
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgresql://postgres@/{database}?host={}&port={}",
            self.server.directory().display(),
            self.server.port()
        )
    }

    /// Returns the command that undoes `gzip | age`.
    pub(crate) fn decrypt(&self, file: &str) -> String {
        format!("age -d -i key.txt {file} | gunzip")
    }

    /// The newest entry of the vault.
    pub(crate) fn entry(&self) -> String {
        let path = self.path("vault/hub-latest.sql.gz.age");
        path.to_str().unwrap().to_owned()
    }

    /// The sizes of both files, for the claim that ours is no larger.
    pub(crate) fn sizes(&self) -> String {
        let size = |path: PathBuf| fs_err::metadata(path).map(|file| file.len());
        let ours = size(PathBuf::from(self.entry()));
        match (ours, size(self.path("peer.sql.gz.age"))) {
            (Ok(ours), Ok(theirs)) => format!(
                "\nFile sizes: hubctl {ours} bytes, `gzip -6 | age` {theirs} bytes (ratio {:.3}).\n",
                ours as f64 / theirs as f64
            ),
            _ => String::new(),
        }
    }
}

fn make_key(path: &Path) -> String {
    let made =
        Command::new("age-keygen").arg("-o").arg(path).stderr(Stdio::null()).status().unwrap();
    assert!(made.success());
    let text = fs_err::read_to_string(path).unwrap();
    text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned()
}
