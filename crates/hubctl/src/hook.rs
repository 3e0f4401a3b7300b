//! Programs of the operator that act on a move or answer about it: run without a shell, within a
//! limit, and ended with everything they started when the limit is reached or hubctl is.
//!
//! A program that is started to start another one leaves it behind: daemons live on.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use processgroup::{Ended, Error, Kept, Options};
use tokio::process::Command;

use crate::environment as env;
use crate::failure::Refusal;
use crate::settings::ProgramCommand;

/// The time between the request to end and the end.
const GRACE: Duration = Duration::from_secs(5);
/// So much of an output is kept to explain a failure.
const EXPLAINS: usize = 4 << 10;
/// No answer is longer.
const LONGEST: usize = 64 << 10;

/// The site and the run that a program works for, which it reads from its environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hooked<'a> {
    pub(crate) site: &'a str,
    pub(crate) run: &'a str,
}

/// The answer to a question of yes or no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    /// It could not be asked, or gave another answer. The reason follows "NAME: ".
    Unknown(String),
}

/// Asks: exit code 0 is yes, 1 is no.
pub(crate) async fn ask(command: &ProgramCommand, within: Duration, of: &Hooked<'_>) -> Answer {
    let kept = Kept::Last(EXPLAINS);
    match run(command, kept, within, of).await {
        Ok(ended) => match ended.status.code() {
            Some(0) => Answer::Yes,
            Some(1) => Answer::No,
            _ => Answer::Unknown(failed(command, &ended)),
        },
        Err(refusal) => Answer::Unknown(refusal.to_string()),
    }
}

/// Runs a program that must succeed.
pub(crate) async fn act(
    command: &ProgramCommand,
    within: Duration,
    of: &Hooked<'_>,
) -> Result<(), Refusal> {
    let ended = succeeded(command, Kept::Last(EXPLAINS), within, of).await?;
    if ended.is_held {
        tracing::warn!(
            "`{command}` left a process that holds its output, which is closed now: let it redirect the output of what it starts"
        );
    }
    Ok(())
}

/// Runs a program that must succeed, and returns what it printed.
pub(crate) async fn read(
    command: &ProgramCommand,
    within: Duration,
    of: &Hooked<'_>,
) -> Result<Vec<u8>, Refusal> {
    Ok(succeeded(command, Kept::All(LONGEST), within, of).await?.stdout)
}

async fn succeeded(
    command: &ProgramCommand,
    stdout: Kept,
    within: Duration,
    of: &Hooked<'_>,
) -> Result<Ended, Refusal> {
    let ended = run(command, stdout, within, of).await?;
    if ended.status.success() {
        return Ok(ended);
    }
    let hint = format!(
        "run it by hand with {}={} and {}={}, and mend what it says",
        env::SITE,
        of.site,
        env::RUN,
        of.run
    );
    Err(Refusal::no(failed(command, &ended)).hint(hint))
}

async fn run(
    command: &ProgramCommand,
    stdout: Kept,
    within: Duration,
    of: &Hooked<'_>,
) -> Result<Ended, Refusal> {
    let options = Options::new(within).grace(GRACE).leaving_children();
    let options = options.stdout(stdout).stderr(Kept::Last(EXPLAINS));
    options.run(prepared(command, of)).await.map_err(|error| refusal(command, &error))
}

/// The command with our environment, but for our secrets.
fn prepared(command: &ProgramCommand, of: &Hooked<'_>) -> Command {
    let mut program = Command::new(&command.program);
    program.args(&command.arguments).env(env::SITE, of.site).env(env::RUN, of.run);
    for secret in env::SECRETS {
        program.env_remove(secret);
    }
    if let Some(directory) = &command.directory {
        program.current_dir(directory);
    }
    program
}

/// A program that is missing stays missing; one that took too long may be faster the next time.
fn refusal(command: &ProgramCommand, error: &Error) -> Refusal {
    let fact = match error {
        Error::NotStarted { source, .. } => {
            return Refusal::usage(format!("`{command}` cannot be started: {source}"))
                .hint(error.hint());
        }
        Error::TimedOut { limit, stdout, stderr, .. } => {
            let limit = humantime::format_duration(*limit);
            let fact = format!("`{command}` did not end within {limit}");
            with_last_words(fact, command, stdout, stderr)
        }
        error => format!("`{command}` failed: {error}"),
    };
    Refusal::could_not_ask(fact).hint(error.hint())
}

fn failed(command: &ProgramCommand, ended: &Ended) -> String {
    let fact = format!("`{command}` {}", how_it_ended(ended.status));
    with_last_words(fact, command, &ended.stdout, &ended.stderr)
}

fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, signal) => format!("was ended by signal {}", signal.unwrap_or_default()),
    }
}

/// The fact, and the end of what the program said of it, in one line and without secrets.
fn with_last_words(fact: String, command: &ProgramCommand, stdout: &[u8], stderr: &[u8]) -> String {
    let said = [stderr, stdout].map(|output| last_words(command, output));
    match said.iter().find(|said| !said.is_empty()) {
        Some(said) => format!("{fact}: {said}"),
        None => fact,
    }
}

fn last_words(command: &ProgramCommand, output: &[u8]) -> String {
    const LINES: usize = 3;
    const LONGEST: usize = 500;
    let text = gates::shown_output(output, &command.arguments);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("; ");
    let surplus = last.chars().count().saturating_sub(LONGEST);
    last.chars().skip(surplus).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests;
