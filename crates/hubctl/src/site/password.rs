//! The password of a database: file, command, environment, passfile, in this order.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use pgsnap::Database;
use secrecy::SecretString;
use tokio::process::Command;

use super::passfile;
use crate::environment;
use crate::failure::Refusal;
use crate::settings::{Settings, SiteSettings};

/// Looks in every place that may hold it; `None` where none does, which suits sockets and trusted networks.
pub(super) async fn find(
    settings: &Settings,
    site: &SiteSettings,
    database: &Database,
) -> anyhow::Result<Option<SecretString>> {
    if let Some(path) = &site.password_file {
        return read_file(&path.value).map(Some);
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

fn read_file(path: &PathBuf) -> anyhow::Result<SecretString> {
    require_private(path)?;
    let text = fs_err::read_to_string(path).map_err(|error| unusable(path, &error))?;
    first_line(text, &format!("the password file {}", path.display()))
}

/// Refuses a file that others may read: its password is not secret any more.
pub(super) fn require_private(path: &Path) -> anyhow::Result<()> {
    let mode = fs_err::metadata(path)
        .map_err(|error| unusable(path, &error))?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let fact = format!(
        "{} may be read by others (mode {:03o})",
        path.display(),
        mode & 0o777
    );
    Err(Refusal::usage(fact)
        .hint(format!("chmod 600 {}", path.display()))
        .into())
}

fn unusable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    Refusal::usage(format!(
        "the password in {} cannot be read: {error}",
        path.display()
    ))
    .into()
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
    first_line(text, "the password_command")
}

fn first_line(text: String, place: &str) -> anyhow::Result<SecretString> {
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned().into()),
        None => Err(Refusal::usage(format!("{place} gives an empty password")).into()),
    }
}
