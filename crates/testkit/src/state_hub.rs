//! The sample service of `examples/state-hub`: its API, its relay and its sweep, each a process.
//!
//! Its Python packages are those that `cargo xtask setup` installed. Where they are missing, what
//! starts here fails with [`io::ErrorKind::NotFound`], as a program that is not installed does.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::child::{Daemon, Finished, finish};
use crate::port::free_port;

const OUTBOX: &str = "outbox.sqlite3";

/// The API, on a port of its own. Dropped, it ends.
#[derive(Debug)]
pub struct StateHub {
    /// First, so that it ends and shows its log before its directory is removed.
    daemon: Daemon,
    port: u16,
    python: Python,
}

impl StateHub {
    /// Starts the API on a database, and waits until it listens.
    ///
    /// # Errors
    ///
    /// If its packages are not installed, or it does not start; its log is part of the error.
    pub fn start(database_url: &str) -> io::Result<Self> {
        Self::start_with(database_url, &[])
    }

    /// Starts the API with some settings: variables, such as `STATE_HUB_SUMMARY_SECONDS`.
    ///
    /// # Errors
    ///
    /// As [`StateHub::start`].
    pub fn start_with(database_url: &str, settings: &[(&str, &str)]) -> io::Result<Self> {
        let python = Python::find(database_url, settings)?;
        let port = free_port();
        let daemon =
            python.daemon("the API of the sample service", &mut Self::api(&python, port))?;
        let mut hub = Self { daemon, port, python };
        hub.daemon.wait_for_port(port)?;
        Ok(hub)
    }

    /// Runs `alembic` with these arguments on a database; returns what it printed.
    ///
    /// # Errors
    ///
    /// If it is not installed, or fails.
    pub fn alembic(database_url: &str, arguments: &[&str]) -> io::Result<String> {
        let python = Python::find(database_url, &[])?;
        succeed(finish(python.module("alembic").args(arguments))?)
    }

    /// The address of the API, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends the API as an operator does, with SIGTERM; open streams end with it.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub fn stop(&mut self) -> io::Result<()> {
        self.daemon.stop()
    }

    /// Ends the API at once, with SIGKILL.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Starts the API again, on the same port.
    ///
    /// # Errors
    ///
    /// As [`StateHub::start`].
    pub fn resume(&mut self) -> io::Result<()> {
        self.daemon.respawn(&mut Self::api(&self.python, self.port))?;
        self.daemon.wait_for_port(self.port)
    }

    /// Returns the API's log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    fn api(python: &Python, port: u16) -> Command {
        let mut command = python.module("uvicorn");
        command.args(["state_hub.app:app", "--host", "127.0.0.1", "--port", &port.to_string()]);
        // Event streams do not end by themselves.
        command.args(["--timeout-graceful-shutdown", "1"]);
        command
    }
}

/// The edge relay with an outbox of its own. Dropped, it ends, and its outbox with it.
#[derive(Debug)]
pub struct Relay {
    daemon: Daemon,
    port: u16,
    api: String,
    options: &'static [&'static str],
    python: Python,
}

impl Relay {
    /// Starts a relay that forwards to the API at this address, and waits until it listens.
    ///
    /// # Errors
    ///
    /// If its packages are not installed, or it does not start; its log is part of the error.
    pub fn start(api: &str) -> io::Result<Self> {
        Self::start_serving(api, &[])
    }

    /// Starts a relay on hold: it accepts events and forwards none, except by [`Relay::replay`].
    ///
    /// # Errors
    ///
    /// As [`Relay::start`].
    pub fn start_on_hold(api: &str) -> io::Result<Self> {
        Self::start_serving(api, &["--hold"])
    }

    fn start_serving(api: &str, options: &'static [&'static str]) -> io::Result<Self> {
        let python = Python::find("", &[])?;
        let port = free_port();
        let mut command = Self::command(&python, api, "serve");
        command.args(["--port", &port.to_string()]).args(options);
        let daemon = python.daemon("the relay of the sample service", &mut command)?;
        let mut relay = Self { daemon, port, api: api.to_owned(), options, python };
        relay.daemon.wait_for_port(port)?;
        Ok(relay)
    }

    /// The address of the relay, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The SQLite file in which the events are.
    #[must_use]
    pub fn outbox(&self) -> PathBuf {
        self.python.path(OUTBOX)
    }

    /// Returns the output of `status --json`; the relay itself need not run.
    ///
    /// # Errors
    ///
    /// If it fails.
    pub fn status(&self) -> io::Result<String> {
        succeed(finish(Self::command(&self.python, &self.api, "status").arg("--json"))?)
    }

    /// Runs `replay`; tells whether nothing is left, and what it printed.
    ///
    /// # Errors
    ///
    /// If it cannot be run.
    pub fn replay(&self, arguments: &[&str]) -> io::Result<(bool, String)> {
        let done = finish(Self::command(&self.python, &self.api, "replay").args(arguments))?;
        match done.status.code() {
            Some(0) => Ok((true, done.stdout)),
            Some(1) if !done.stdout.is_empty() => Ok((false, done.stdout)),
            _ => Err(failure(&done)),
        }
    }

    /// Ends the relay at once, with SIGKILL. Its outbox stays.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Starts the relay again, on the same port and outbox, and on hold if it was.
    ///
    /// # Errors
    ///
    /// As [`Relay::start`].
    pub fn resume(&mut self) -> io::Result<()> {
        let mut command = Self::command(&self.python, &self.api, "serve");
        command.args(["--port", &self.port.to_string()]).args(self.options);
        self.daemon.respawn(&mut command)?;
        self.daemon.wait_for_port(self.port)
    }

    /// The words of a command line that needs its task only.
    pub(crate) fn words(&self) -> Vec<String> {
        let program = [self.python.interpreter.display().to_string()];
        let module = ["-m", "state_hub.relay", "--outbox"].map(str::to_owned);
        let options = [self.outbox().display().to_string(), "--api".to_owned(), self.api.clone()];
        program.into_iter().chain(module).chain(options).collect()
    }

    fn command(python: &Python, api: &str, task: &str) -> Command {
        let mut command = python.module("state_hub.relay");
        command.arg("--outbox").arg(python.path(OUTBOX)).args(["--api", api, task]);
        command
    }
}

/// The sweep, which writes to a database at every interval. Dropped, it ends.
#[derive(Debug)]
pub struct Sweep {
    daemon: Daemon,
    _python: Python,
}

impl Sweep {
    /// Starts the sweep, and waits for the end of its first run, whether that succeeds or fails.
    ///
    /// # Errors
    ///
    /// If its packages are not installed, or it does not start; its log is part of the error.
    pub fn start(database_url: &str, interval: Duration) -> io::Result<Self> {
        let python = Python::find(database_url, &[])?;
        let mut command = python.module("state_hub.sweep");
        command.args(["--interval", &interval.as_secs_f64().to_string()]);
        let mut daemon = python.daemon("the sweep of the sample service", &mut command)?;
        daemon.wait_for_words(&["swept", "sweep failed"])?;
        Ok(Self { daemon, _python: python })
    }

    /// Ends the sweep after the run that it is in, with SIGTERM.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub fn stop(&mut self) -> io::Result<()> {
        self.daemon.stop()
    }

    /// Returns the sweep's log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}

/// The interpreter that has the service's packages, the variables that it gets, and a home.
#[derive(Debug)]
pub(crate) struct Python {
    pub(crate) interpreter: PathBuf,
    variables: Vec<(String, String)>,
    home: TempDir,
}

impl Python {
    /// The directory of the service's sources, which need not be installed.
    pub(crate) const SOURCES: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/state-hub");

    /// Finds the interpreter for a program that connects to a database.
    pub(crate) fn find(database_url: &str, settings: &[(&str, &str)]) -> io::Result<Self> {
        let interpreter = provision::STATE_HUB
            .find()
            .map_err(|error| io::Error::other(format!("{error:#}")))?
            .ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, "`cargo xtask setup` was not run")
            })?;
        Self::with(interpreter, database_url, settings)
    }

    /// An interpreter that stands in for the real one.
    #[cfg(test)]
    pub(crate) fn at(interpreter: PathBuf) -> Self {
        Self::with(interpreter, "", &[]).expect("a directory can be made")
    }

    fn with(
        interpreter: PathBuf,
        database_url: &str,
        settings: &[(&str, &str)],
    ) -> io::Result<Self> {
        let fixed = [
            ("DATABASE_URL", database_url),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("PYTHONUNBUFFERED", "1"),
        ];
        let variables = fixed.iter().chain(settings);
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Ok(Self {
            interpreter,
            variables: variables.collect(),
            home: tempfile::Builder::new().prefix("state-hub").tempdir()?,
        })
    }

    /// A command that runs a module, with no other variables than ours.
    fn module(&self, name: &str) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.args(["-m", name]).current_dir(Self::SOURCES).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn daemon(&self, name: &'static str, command: &mut Command) -> io::Result<Daemon> {
        Daemon::spawn(name, command, self.path("log"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
}

fn succeed(finished: Finished) -> io::Result<String> {
    if finished.status.success() { Ok(finished.stdout) } else { Err(failure(&finished)) }
}

fn failure(finished: &Finished) -> io::Error {
    let Finished { status, stdout, stderr } = finished;
    io::Error::other(format!("{status}\n{stdout}{stderr}"))
}
