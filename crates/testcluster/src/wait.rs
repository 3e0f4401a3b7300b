//! Waiting for something that comes soon or never.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

/// Asks until the answer is yes. When time is up the error ends with the last lines of a log.
pub(super) fn wait_for(
    what: &str,
    limit: Duration,
    log: &Path,
    mut is_there: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    while !is_there()? {
        if Instant::now() > deadline {
            bail!("gave up waiting for {what} after {} s{}", limit.as_secs(), last_lines(log));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The end of a log, for an error.
pub(super) fn last_lines(log: &Path) -> String {
    let text = fs_err::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    if lines.is_empty() {
        return String::new();
    }
    let end = lines[lines.len().saturating_sub(5)..].join("\n");
    format!("; {} ends with\n{end}", log.display())
}
