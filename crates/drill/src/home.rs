//! A directory with a configuration of `hubctl`, a fresh key and a vault, for one database.
//!
//! It holds secrets, so it must not outlive its run: whoever can take the lock in it knows that its
//! run is gone.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;

use age::secrecy::ExposeSecret as _;
use tempfile::TempDir;
use tokio::process::Command;

use crate::programs::{self, Programs};
use crate::server::Server;

const PREFIX: &str = "hubctl-drill-";
const LOCK: &str = "owner.lock";
const KEY: &str = "key.txt";

pub(crate) struct Home {
    directory: TempDir,
    _lock: fs_err::File,
}

impl Home {
    /// A home whose site `source` is this database.
    pub(crate) fn new(service: &str, source: &Server) -> anyhow::Result<Self> {
        let home = Self::empty()?;
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

    fn empty() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        let new = directory.path().join("owner.lock.new");
        let lock = fs_err::File::create(&new)?;
        lock.lock()?;
        // It appears under its name only once it is held: nobody takes this home for abandoned.
        fs_err::rename(&new, directory.path().join(LOCK))?;
        Ok(Self { directory, _lock: lock })
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
        let mut file = fs_err::OpenOptions::new().append(true).open(self.path("hubctl.toml"))?;
        let url = server.url(database);
        writeln!(file, "[sites.{name}]\ndatabase = \"{url}\"\npassword_file = \"{password}\"")?;
        Ok(())
    }

    /// Runs `hubctl` with the client programs for a server of this version; returns what it
    /// printed.
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

/// Removes the homes of runs that were killed.
pub(crate) fn sweep() -> anyhow::Result<()> {
    sweep_in(&std::env::temp_dir())
}

fn sweep_in(parent: &Path) -> anyhow::Result<()> {
    // /proc/self belongs to the user of this process.
    let me = fs_err::metadata("/proc/self")?.uid();
    for entry in fs_err::read_dir(parent)?.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.metadata().is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == me);
        if is_ours && is_abandoned(&entry.path()) {
            eprintln!("Removing {} of a run that was killed.", entry.path().display());
            // Another run may be at it as well.
            if let Err(error) = fs_err::remove_dir_all(entry.path())
                && entry.path().exists()
            {
                eprintln!("warning: {error}");
            }
        }
    }
    Ok(())
}

/// One without a lock is being made.
fn is_abandoned(directory: &Path) -> bool {
    fs_err::File::open(directory.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_home_of_a_run_that_is_gone_is_swept() {
        let parent = tempfile::tempdir().unwrap();
        let home = |name: &str| {
            let directory = parent.path().join(name);
            fs_err::create_dir(&directory).unwrap();
            directory
        };
        let [dead, alive] = ["hubctl-drill-dead", "hubctl-drill-alive"].map(|name| {
            let directory = home(name);
            fs_err::write(directory.join(LOCK), "").unwrap();
            directory
        });
        let [unfinished, strange] = ["hubctl-drill-unfinished", "strange"].map(home);
        let lock = fs_err::File::open(alive.join(LOCK)).unwrap();
        lock.lock().unwrap();

        sweep_in(parent.path()).unwrap();
        assert!(!dead.exists());
        assert!(alive.exists() && unfinished.exists() && strange.exists());
        drop(lock);
        sweep_in(parent.path()).unwrap();
        assert!(!alive.exists());
    }

    #[test]
    fn a_home_is_locked_and_goes_with_its_handle() {
        let home = Home::empty().unwrap();
        let directory = home.directory.path().to_owned();
        assert!(directory.join(LOCK).exists() && !is_abandoned(&directory));
        drop(home);
        assert!(!directory.exists());
    }
}
