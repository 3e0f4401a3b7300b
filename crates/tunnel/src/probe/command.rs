//! A program of the operator's that asks in its own way.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::Fault;

pub(super) async fn ask(words: &[String], socket: &Path) -> Result<Option<String>, Fault> {
    let (program, arguments) =
        words.split_first().ok_or_else(|| Fault::Unasked("there is no command".to_owned()))?;
    let output = Command::new(program)
        .args(arguments)
        .env("TUNNEL_SOCKET", socket)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| Fault::Unasked(format!("`{program}`: {error}")))?;
    if output.status.success() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().last().unwrap_or_default();
    Err(Fault::Wrong(format!("`{program}` ended with {}: {last}", output.status)))
}
