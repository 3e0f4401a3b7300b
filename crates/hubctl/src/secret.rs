//! Secrets that lie in files: read only where nobody else could have read them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrecy::SecretString;

use crate::failure::Refusal;

/// The first line of a file that is private; `what` says what it is to hold.
pub(crate) fn read_file(path: &Path, what: &str) -> anyhow::Result<SecretString> {
    require_private(path, what)?;
    let text = fs_err::read_to_string(path).map_err(|error| unusable(path, what, &error))?;
    first_line(text, what, &format!("the file {}", path.display()))
}

/// Refuses a file that others may read: its secret is not secret any more.
pub(crate) fn require_private(path: &Path, what: &str) -> anyhow::Result<()> {
    let mode = fs_err::metadata(path)
        .map_err(|error| unusable(path, what, &error))?
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

/// The first line of what `place` gave.
pub(crate) fn first_line(text: String, what: &str, place: &str) -> anyhow::Result<SecretString> {
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned().into()),
        None => Err(Refusal::usage(format!("{place} gives an empty {what}")).into()),
    }
}

fn unusable(path: &Path, what: &str, error: &std::io::Error) -> anyhow::Error {
    Refusal::usage(format!(
        "the {what} in {} cannot be read: {error}",
        path.display()
    ))
    .into()
}
