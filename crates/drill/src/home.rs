//! A directory with a configuration of `hubctl`, a fresh key and a vault, for one database.

use fs_err::os::unix::fs::OpenOptionsExt as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret as _;
use tempfile::TempDir;
use tokio::process::Command;

use crate::programs::{self, Programs};
use crate::server::Server;

const KEY: &str = "key.txt";

pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    /// A home whose site `source` is this database.
    pub(crate) fn new(service: &str, source: &Server) -> anyhow::Result<Self> {
        let home = Self {
            directory: tempfile::Builder::new().prefix("hubctl-drill-").tempdir()?,
        };
        let key = age::x25519::Identity::generate();
        home.secret(KEY, key.to_string().expose_secret())?;
        home.secret("source.password", source.password())?;
        fs_err::create_dir(home.path("vault"))?;
        let configuration = format!(
            "[service]\nname = \"{service}\"\n\
             [sites.source]\ndatabase = \"{}\"\npassword_file = \"source.password\"\n\
             [vault]\npath = \"vault\"\nrecipients = [\"{}\"]\nidentities = [\"{KEY}\"]\n\
             [journal]\npath = \"journal.jsonl\"\n",
            source.url(service),
            key.to_public(),
        );
        fs_err::write(home.path("hubctl.toml"), configuration)?;
        Ok(home)
    }

    /// Makes a database of another server known as a site.
    pub(crate) fn add_site(
        &self,
        name: &str,
        server: &Server,
        database: &str,
    ) -> anyhow::Result<()> {
        let password = format!("{name}.password");
        self.secret(&password, server.password())?;
        let mut file = fs_err::OpenOptions::new()
            .append(true)
            .open(self.path("hubctl.toml"))?;
        let url = server.url(database);
        writeln!(
            file,
            "[sites.{name}]\ndatabase = \"{url}\"\npassword_file = \"{password}\""
        )?;
        Ok(())
    }

    /// Runs `hubctl` with the client programs for a server of this version; returns what it printed.
    pub(crate) async fn hubctl(
        &self,
        programs: &Programs,
        major: u32,
        arguments: &[&str],
    ) -> anyhow::Result<String> {
        programs::run(&mut self.command(programs, major, arguments)?).await
    }

    /// Runs `hubctl` for JSON that says yes or no.
    pub(crate) async fn ask(
        &self,
        programs: &Programs,
        major: u32,
        arguments: &[&str],
    ) -> anyhow::Result<serde_json::Value> {
        let mut command = self.command(programs, major, arguments)?;
        command.args(["--format", "json"]);
        let printed = programs::run_for_answer(&mut command, &[0, 1]).await?;
        Ok(serde_json::from_str(&printed)?)
    }

    fn command(
        &self,
        programs: &Programs,
        major: u32,
        arguments: &[&str],
    ) -> anyhow::Result<Command> {
        let mut command = Command::new(&programs.hubctl);
        command
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", programs.search_path(major)?)
            .env("HOME", self.directory.path())
            .args(arguments)
            .arg("--no-progress");
        Ok(command)
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.path(KEY)
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(self.directory.path(), name)
    }

    /// Writes a file that only we may read.
    fn secret(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let mut file = fs_err::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(self.path(name))?;
        Ok(writeln!(file, "{text}")?)
    }
}
