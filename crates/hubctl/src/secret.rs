//! Secrets that lie in files: read only where nobody else could have read them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
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
    let metadata = fs_err::metadata(path).map_err(|error| unusable(path, what, &error))?;
    let mode = metadata.permissions().mode();
    // As libpq has it for keys: what root wrote for a group, such as a Secret of Kubernetes for its pod, is as private as it can be.
    let others = if metadata.uid() == 0 && !rustix::process::getuid().is_root() {
        0o037
    } else {
        0o077
    };
    if mode & others == 0 {
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
