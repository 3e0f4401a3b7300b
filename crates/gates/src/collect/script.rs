//! A command with a time limit, which takes down with it whatever it started.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use processgroup::{Error, Kept, Options};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::evidence::{Absence, redact};

/// So much of the output is kept, of its end.
const KEPT: usize = 16 << 10;
/// So much of the end of each output is hashed.
const HASHED: usize = 8 * KEPT;

/// Runs it without a shell and without an input.
pub(super) async fn run(
    command: &[String],
    directory: Option<&str>,
    limit_seconds: u64,
) -> Result<Value, Absence> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| Absence::failed("no command is named"))?;
    let begun = Instant::now();
    let mut prepared = Command::new(program);
    prepared.args(arguments);
    if let Some(directory) = directory {
        prepared.current_dir(directory);
    }
    let limit = Duration::from_secs(limit_seconds);
    let kept = Kept::Last(HASHED);
    let ended = Options::new(limit).stdout(kept).stderr(kept).run(prepared).await;
    let seconds = (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    let ended = match ended {
        Ok(ended) => ended,
        Err(Error::TimedOut { .. }) => {
            return Ok(json!({ "timed_out_after_seconds": limit_seconds, "seconds": seconds }));
        }
        Err(Error::NotStarted { source, .. }) => {
            let detail = format!("`{program}` cannot be started: {source}");
            return Err(Absence::failed(detail));
        }
        Err(error) => return Err(Absence::failed(error)),
    };
    let mut output = ended.stdout;
    output.extend(ended.stderr);
    let mut hash = Sha256::new();
    hash.update(&output);
    let mut found = json!({
        "output": redact::output(tail(&output), command),
        "output_bytes": output.len(),
        "output_sha256": hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        "seconds": seconds,
    });
    match (ended.status.code(), ended.status.signal()) {
        (Some(code), _) => found["exit_code"] = json!(code),
        (None, signal) => found["signal"] = json!(signal),
    }
    Ok(found)
}

fn tail(output: &[u8]) -> &[u8] {
    &output[output.len().saturating_sub(KEPT)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_the_output_are_not_kept() {
        let text =
            redact::output(b"to postgresql://hub:hunter2@h/d with\nAGE-SECRET-KEY-1XYZ, ok", &[]);
        assert!(!text.contains("hunter2") && !text.contains("1XYZ"), "{text}");
        assert!(
            text.contains("postgresql://hub:(removed)@h/d with\n") && text.ends_with("ok"),
            "{text}"
        );
    }
}
