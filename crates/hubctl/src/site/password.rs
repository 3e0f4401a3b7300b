//! The password of a database: file, command, service, environment, passfile, in this order.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context as _;
use pgsnap::Database;
use secrecy::SecretString;
use tokio::process::Command;

use crate::environment;
use crate::failure::Refusal;
use crate::secret;
use crate::settings::{Settings, SiteSettings};

const PASSWORD: &str = "password";

/// Adds the password from the first place that has one; none suits sockets and trusted networks. `passfile` is the one
/// that the connection parameters name.
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

/// What was set up for this very password.
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

/// Runs the command with the shell. Its output is the secret, so nothing of it is ever repeated.
async fn run(command: &str) -> anyhow::Result<SecretString> {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    let output = shell
        .output()
        .await
        .context("the password_command could not be started")?;
    if !output.status.success() {
        return Err(Refusal::could_not_ask(format!(
            "the password_command failed ({})",
            output.status
        ))
        .into());
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| Refusal::usage("the password_command printed something that is not UTF-8"))?;
    secret::first_line(text, PASSWORD, "the password_command")
}
