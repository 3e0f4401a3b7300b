//! The password of a database: file, command, service, environment, passfile, in this order.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context as _;
use pgsnap::Database;
use secrecy::SecretString;
use tokio::io::AsyncReadExt as _;
use tokio::process::{ChildStderr, Command};

use crate::environment;
use crate::failure::Refusal;
use crate::printer::can_ask;
use crate::prompt;
use crate::secret;
use crate::settings::{Settings, SiteSettings};

const PASSWORD: &str = "password";

/// Adds the password from the first place that has one; none suits sockets and trusted networks.
/// `passfile` is the one that the connection parameters name.
pub(super) async fn complete(
    settings: &Settings,
    site: &SiteSettings,
    database: Database,
    passfile: Option<String>,
) -> anyhow::Result<Database> {
    if let Some(password) = dedicated(site).await? {
        return Ok(database.with_password(password));
    }
    if database.has_password() {
        return Ok(database);
    }
    if let Some(password) = environment::get(environment::PGPASSWORD) {
        return Ok(database.with_password(password.into()));
    }
    let named = site.passfile.as_ref().map(|path| path.value.clone());
    let named = named.or_else(|| passfile.map(|path| settings.expand(&path)));
    match named.or_else(|| default_passfile(settings)) {
        Some(path) => Ok(database.with_passfile(&path)?),
        None => Ok(database),
    }
}

/// Asks for the password where the server does, nobody configured one, and somebody sits at the
/// terminal.
pub(super) async fn prompted(database: Database) -> anyhow::Result<Database> {
    if database.has_password() || !can_ask() {
        return Ok(database);
    }
    match pgsnap::query_scalar(&database, "SELECT 1").await {
        Err(error) if error.wants_password() => {
            let password = prompt::secret(format!("Password for {database}: ")).await?;
            Ok(database.with_password(password))
        }
        // Nobody wants to wait for the same twice.
        Err(error @ (pgsnap::Error::Connect { .. } | pgsnap::Error::ConnectTimeout { .. })) => {
            Err(error.into())
        }
        // Whatever else is wrong, the command itself finds out.
        _ => Ok(database),
    }
}

/// Returns the password from the source configured for this site.
async fn dedicated(site: &SiteSettings) -> anyhow::Result<Option<SecretString>> {
    if let Some(path) = &site.password_file {
        return secret::read_file(&path.value, PASSWORD).map(Some);
    }
    if let Some(command) = &site.password_command {
        return run(&command.value).await.map(Some);
    }
    Ok(None)
}

/// The file that libpq would look into; that it is missing is normal unless somebody named it.
fn default_passfile(settings: &Settings) -> Option<PathBuf> {
    if let Some(path) = environment::get(environment::PGPASSFILE) {
        return Some(settings.expand(&path));
    }
    let path = environment::home()?.join(".pgpass");
    path.exists().then_some(path)
}

/// Runs the command with the shell. Its output is the secret, so nothing of it is ever repeated;
/// the end of what it writes to stderr is, since that says why there is no password.
async fn run(command: &str) -> anyhow::Result<SecretString> {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = shell.spawn().context("the password_command could not be started")?;
    let mut stderr = child.stderr.take();
    let (output, said) = tokio::join!(child.wait_with_output(), listen(stderr.as_mut()));
    let output = output.context("the password_command could not be awaited")?;
    let text = String::from_utf8(output.stdout);
    if !output.status.success() {
        let fact = format!("the password_command failed ({})", output.status);
        let printed = text.unwrap_or_default();
        return Err(Refusal::could_not_ask(match shown(&said, &printed) {
            Some(said) => format!("{fact}: {said}"),
            None => fact,
        })
        .hint("run it by hand, as the user and in the environment of this program")
        .into());
    }
    let text = text
        .map_err(|_| Refusal::usage("the password_command printed something that is not UTF-8"))?;
    secret::first_line(text, PASSWORD, "the password_command")
}

/// Collects what a command writes to stderr. On a terminal it is shown at once: it may be a
/// question.
async fn listen(stderr: Option<&mut ChildStderr>) -> Vec<u8> {
    const LONGEST: usize = 64 * 1024;
    let mut said = Vec::new();
    let Some(stderr) = stderr else {
        return said;
    };
    let is_shown = std::io::stderr().is_terminal();
    let mut piece = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut piece).await {
        if is_shown {
            let mut terminal = std::io::stderr();
            let _ = terminal.write_all(&piece[..read]).and_then(|()| terminal.flush());
        }
        said.extend_from_slice(&piece[..read]);
        let surplus = said.len().saturating_sub(LONGEST);
        said.drain(..surplus);
    }
    said
}

/// The last lines that a command wrote to stderr, in one, without what it printed on stdout.
fn shown(stderr: &[u8], printed: &str) -> Option<String> {
    const LINES: usize = 3;
    const LONGEST: usize = 500;
    let mut text = String::from_utf8_lossy(stderr).into_owned();
    for secret in printed.lines().map(str::trim).filter(|line| !line.is_empty()) {
        text = text.replace(secret, "…");
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("; ");
    let said: String = last.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    (!said.is_empty()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_stderr_is_told_and_never_what_was_printed() {
        assert_eq!(shown(b" \n\x1b\n", "secret"), None);
        let said = shown(b"one\ntwo\n+ echo secret\nno such entry\n", "secret\n");
        assert_eq!(said.as_deref(), Some("two; + echo …; no such entry"));
    }
}
