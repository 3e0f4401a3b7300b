//! A command with a time limit, which takes down with it whatever it started.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use crate::evidence::Absence;

/// So much of the output is kept, of its end.
const KEPT: usize = 16 << 10;

/// Kills the process group when it is dropped, also when the one who waits was dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs it without a shell and without an input.
pub(super) async fn run(
    command: &[String],
    directory: Option<&str>,
    limit_seconds: u64,
) -> Result<Value, Absence> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| Absence::failed("no command is named"))?;
    let begun = Instant::now();
    let mut prepared = Command::new(program);
    prepared
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that it can be killed with its children.
        .process_group(0);
    if let Some(directory) = directory {
        prepared.current_dir(directory);
    }
    let mut child = prepared
        .spawn()
        .map_err(|error| Absence::failed(format!("`{program}` cannot be started: {error}")))?;
    let group = Group(
        child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)),
    );
    let limit = Duration::from_secs(limit_seconds);
    let ended = tokio::time::timeout(limit, output_and_end(&mut child)).await;
    // Also what a command that ended has left behind in its group.
    drop(group);
    let seconds = (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    match ended {
        Err(_) => {
            let _ = child.wait().await;
            Ok(json!({ "timed_out_after_seconds": limit_seconds, "seconds": seconds }))
        }
        Ok(Err(error)) => Err(Absence::failed(error)),
        Ok(Ok((output, status))) => {
            let mut hash = Sha256::new();
            hash.update(&output);
            let mut ended = json!({
                "output": tail(&output),
                "output_bytes": output.len(),
                "output_sha256": hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
                "seconds": seconds,
            });
            match (status.code(), status.signal()) {
                (Some(code), _) => ended["exit_code"] = json!(code),
                (None, signal) => ended["signal"] = json!(signal),
            }
            Ok(ended)
        }
    }
}

/// The output ends when the command does: a child that keeps the pipe open must not keep us.
async fn output_and_end(child: &mut Child) -> std::io::Result<(Vec<u8>, std::process::ExitStatus)> {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let status = {
        let reading = async {
            tokio::join!(read(stdout, &mut output), read(stderr, &mut errors));
        };
        let mut reading = std::pin::pin!(reading);
        tokio::select! {
            () = &mut reading => child.wait().await?,
            status = child.wait() => {
                // What is in the pipes already.
                let _ = tokio::time::timeout(Duration::from_millis(200), &mut reading).await;
                status?
            }
        }
    };
    output.extend(errors);
    Ok((output, status))
}

/// Reads to the end, and keeps the last of it: a command that talks for ever must not fill the memory.
async fn read(stream: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        into.extend_from_slice(&buffer[..count]);
        if into.len() > 8 * KEPT {
            into.drain(..into.len() - KEPT);
        }
    }
}

fn tail(output: &[u8]) -> String {
    let start = output.len().saturating_sub(KEPT);
    without_passwords(&String::from_utf8_lossy(&output[start..]))
}

/// The password of a URL, and age's secret keys; what else is secret only its author knows.
fn without_passwords(text: &str) -> String {
    let words = text.split_inclusive(char::is_whitespace);
    words
        .map(|word| {
            if word.to_ascii_uppercase().contains("AGE-SECRET-KEY-") {
                return "(removed) ".to_owned();
            }
            let url = word.split_once("://").and_then(|(scheme, rest)| {
                let (user, host) = rest.split_once('@')?;
                let (user, _) = user.split_once(':')?;
                Some(format!("{scheme}://{user}:(removed)@{host}"))
            });
            url.unwrap_or_else(|| word.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_the_output_are_not_kept() {
        let text =
            without_passwords("to postgresql://hub:hunter2@h/d with\nAGE-SECRET-KEY-1XYZ, ok");
        assert!(
            !text.contains("hunter2") && !text.contains("1XYZ"),
            "{text}"
        );
        assert!(
            text.contains("postgresql://hub:(removed)@h/d with\n") && text.ends_with("ok"),
            "{text}"
        );
    }
}
