//! Secrets that lie in files: read only where nobody else could have read or replaced them.

use std::path::Path;

use regularfile::Options;
use secrecy::SecretString;

use crate::failure::Refusal;

/// No file of a secret is larger.
const LARGEST: u64 = 1024 * 1024;

/// The first line of a file that is private; `what` says what it is to hold.
pub(crate) fn read_file(path: &Path, what: &str) -> anyhow::Result<SecretString> {
    let text = Options::read().private().to_string(path, LARGEST);
    let text = text.map_err(|error| unusable(path, what, &error))?;
    first_line(text, what, &format!("the file {}", path.display()))
}

/// Refuses a file that others may read: its secret is not secret any more.
pub(crate) fn require_private(path: &Path, what: &str) -> anyhow::Result<()> {
    let opened = Options::read().private().open(path);
    opened.map(drop).map_err(|error| unusable(path, what, &error))
}

/// The first line of what `place` gave.
pub(crate) fn first_line(text: String, what: &str, place: &str) -> anyhow::Result<SecretString> {
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned().into()),
        None => Err(Refusal::usage(format!("{place} gives an empty {what}")).into()),
    }
}

fn unusable(path: &Path, what: &str, error: &std::io::Error) -> anyhow::Error {
    let refusal = regularfile::Error::of(error);
    if let Some(exposed @ regularfile::Error::Exposed { .. }) = refusal {
        return Refusal::usage(exposed.to_string())
            .hint(format!("chmod 600 {}", path.display()))
            .into();
    }
    let fact = format!("the {what} in {} cannot be read: {error}", path.display());
    Refusal::usage(fact).hinted(regularfile::hint(error)).into()
}
