//! The room in a file system.

use std::thread;
use std::time::Duration;

use rustix::fs::statvfs;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::evidence::Absence;

/// A file system that answers at all does so within this time.
const LIMIT: Duration = Duration::from_secs(10);

/// Returns the bytes a user without privileges may still write.
pub(super) async fn room(path: &str) -> Result<Value, Absence> {
    let path = path.to_owned();
    within(LIMIT, move || measured(&path)).await
}

fn measured(path: &str) -> Result<Value, Absence> {
    let room = statvfs(path).map_err(|error| Absence::failed(format!("{path}: {error}")))?;
    Ok(json!({
        "free_bytes": room.f_bavail.saturating_mul(room.f_frsize),
        "total_bytes": room.f_blocks.saturating_mul(room.f_frsize),
        "free_files": room.f_favail,
        "files": room.f_files,
    }))
}

/// Asks on a thread that is left behind where the kernel never answers, as for a network file
/// system that is gone. A runtime would wait for one of its own.
async fn within(
    limit: Duration,
    ask: impl FnOnce() -> Result<Value, Absence> + Send + 'static,
) -> Result<Value, Absence> {
    let (sender, answer) = oneshot::channel();
    let ask = move || {
        // Nobody may be waiting any more.
        let _ = sender.send(ask());
    };
    thread::Builder::new().name("disk".to_owned()).spawn(ask).map_err(Absence::failed)?;
    match timeout(limit, answer).await {
        Ok(answer) => answer.unwrap_or(Err(Absence::NotCollected)),
        Err(_) => Err(Absence::TimedOut { seconds: limit.as_secs() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_system_that_never_answers_is_given_up() {
        let never = || {
            thread::sleep(Duration::from_secs(3600));
            Ok(Value::Null)
        };
        let given_up = within(Duration::from_millis(50), never).await;
        assert_eq!(given_up, Err(Absence::TimedOut { seconds: 0 }));
        assert!(room("/").await.unwrap()["total_bytes"].is_u64());
    }
}
