//! The password of a database: file, command, environment, passfile, in this order.

use std::process::Stdio;

use anyhow::Context as _;
use pgsnap::Database;
use secrecy::SecretString;
use tokio::process::Command;

use super::passfile;
use crate::environment;
use crate::failure::Refusal;
use crate::secret;
use crate::settings::{Settings, SiteSettings};

const PASSWORD: &str = "password";

/// Looks in every place that may hold it; `None` where none does, which suits sockets and trusted networks.
pub(super) async fn find(
    settings: &Settings,
    site: &SiteSettings,
    database: &Database,
) -> anyhow::Result<Option<SecretString>> {
    if let Some(path) = &site.password_file {
        return secret::read_file(&path.value, PASSWORD).map(Some);
    }
    if let Some(command) = &site.password_command {
        return run(&command.value).await.map(Some);
    }
    if let Some(password) = environment::get(environment::PGPASSWORD) {
        return Ok(Some(password.into()));
    }
    match &site.passfile {
        Some(path) => passfile::find(&path.value, database),
        None => default_passfile(settings, database),
    }
}

/// The file that libpq would look into; that it is missing is normal unless somebody named it.
fn default_passfile(
    settings: &Settings,
    database: &Database,
) -> anyhow::Result<Option<SecretString>> {
    if let Some(path) = environment::get(environment::PGPASSFILE) {
        return passfile::find(&settings.expand(&path), database);
    }
    let path = environment::home().map(|home| home.join(".pgpass"));
    match path.filter(|path| path.exists()) {
        Some(path) => passfile::find(&path, database),
        None => Ok(None),
    }
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
