//! Child processes of tests: their output is kept, every wait for them ends, and so do they.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::sshd::signal;

/// So that nothing hangs; what is waited for takes a second or two.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// A process that serves a test. Dropped, it is killed; a test that fails then shows its log.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: &'static str,
    log: PathBuf,
    child: Option<Child>,
}

impl Daemon {
    /// Starts a program, whose output goes to the end of a file.
    pub(crate) fn spawn(
        name: &'static str,
        command: &mut Command,
        log: PathBuf,
    ) -> io::Result<Self> {
        let mut daemon = Self { name, log, child: None };
        daemon.respawn(command)?;
        Ok(daemon)
    }

    /// Starts a program in place of the one that ended.
    pub(crate) fn respawn(&mut self, command: &mut Command) -> io::Result<()> {
        self.kill();
        let output = fs_err::OpenOptions::new().append(true).create(true).open(&self.log)?;
        let output = output.into_file();
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        self.child = Some(command.spawn()?);
        Ok(())
    }

    /// Waits until something listens on a port of the loopback interface.
    pub(crate) fn wait_for_port(&mut self, port: u16) -> io::Result<()> {
        self.wait_until("does not listen", |_| {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        })
    }

    /// Waits until the log has one of these words.
    pub(crate) fn wait_for_words(&mut self, words: &[&str]) -> io::Result<()> {
        self.wait_until("does not say so", |log| words.iter().any(|word| log.contains(word)))
    }

    fn wait_until(&mut self, failure: &str, holds: impl Fn(&str) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + LIMIT;
        while !holds(&self.log()) {
            let has_ended = match &mut self.child {
                Some(child) => child.try_wait()?.is_some(),
                None => true,
            };
            if has_ended || Instant::now() > deadline {
                let (name, log) = (self.name, self.log());
                return Err(io::Error::other(format!("{name} {failure}:\n{log}")));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Asks the program to end, and waits for that.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        signal(child.id(), Signal::TERM);
        match wait(&mut child)? {
            Some(_) => Ok(()),
            None => {
                let (name, log) = (self.name, self.log());
                Err(io::Error::other(format!("{name} does not stop:\n{log}")))
            }
        }
    }

    /// Ends the program at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The output so far.
    pub(crate) fn log(&self) -> String {
        fs_err::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            #[allow(clippy::print_stderr, reason = "the harness shows it with the failure")]
            {
                eprintln!("--- log of {}\n{}", self.name, self.log());
            }
        }
    }
}

/// The end of a program, and its output.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end. One that does not end is killed, and is an error.
pub(crate) fn finish(command: &mut Command) -> io::Result<Finished> {
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut child = command.spawn()?;
    let status = wait(&mut child)?;
    let (stdout, stderr) = (text(&mut stdout)?, text(&mut stderr)?);
    match status {
        Some(status) => Ok(Finished { status, stdout, stderr }),
        None => Err(io::Error::other(format!("it does not end:\n{stdout}{stderr}"))),
    }
}

/// Waits for a process; kills it where that takes too long.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
}

fn text(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_ends_says_how() {
        let finished = finish(&mut shell("echo out; echo err >&2; exit 3")).unwrap();
        assert_eq!(finished.status.code(), Some(3));
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn a_daemon_that_ends_early_shows_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut daemon = Daemon::spawn("it", &mut shell("echo no room; exit 1"), log).unwrap();
        let error = daemon.wait_for_words(&["ready"]).unwrap_err().to_string();
        assert!(error.starts_with("it does not say so:"), "{error}");
        assert!(error.contains("no room"), "{error}");
    }

    #[test]
    fn a_daemon_is_stopped_and_started_with_one_log() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let script = "trap 'echo stopped; exit' TERM; echo ready; while :; do sleep 0.05; done";
        let mut daemon = Daemon::spawn("it", &mut shell(script), log).unwrap();
        daemon.wait_for_words(&["ready"]).unwrap();
        daemon.stop().unwrap();
        assert_eq!(daemon.log(), "ready\nstopped\n");
        daemon.respawn(&mut shell("echo again")).unwrap();
        daemon.wait_for_words(&["again"]).unwrap();
        assert_eq!(daemon.log(), "ready\nstopped\nagain\n");
    }
}
