//! A program in a process group of its own, with limits for its time and its output.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A program that was killed is gone within this time, unless the kernel holds it.
const DYING: Duration = Duration::from_secs(1);
/// A program that has ended wrote everything by then.
const DRAINING: Duration = Duration::from_millis(200);

/// The part of an output that is kept.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kept {
    /// The last bytes; longer outputs lose their beginning.
    Last(usize),
    /// All of it; a longer output is a failure.
    All(usize),
}

/// The end of a program, and its output.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// The reason why a program did not end by itself.
#[derive(Debug)]
pub(super) enum Failure {
    NotStarted(io::Error),
    TimedOut,
    TooLong,
    NotWatched(io::Error),
}

/// Kills the process group when it is dropped, also when the one who waits was dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs a program without an input. What it leaves behind in its group ends with it.
pub(super) async fn run(
    mut command: Command,
    stdout: Kept,
    stderr: Kept,
    limit: Duration,
) -> Result<Ended, Failure> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that it can be killed with its children.
        .process_group(0);
    let mut child = command.spawn().map_err(Failure::NotStarted)?;
    let group = Group::of(&child);
    let ended = timeout(limit, end(&mut child, stdout, stderr)).await;
    drop(group);
    let ended = ended.unwrap_or(Err(Failure::TimedOut));
    if ended.is_err() {
        let _ = timeout(DYING, child.wait()).await;
    }
    ended
}

/// The output ends when the program does: a child that keeps the pipe open must not keep us.
async fn end(child: &mut Child, stdout: Kept, stderr: Kept) -> Result<Ended, Failure> {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let reading = {
        let (from, complaints) = (child.stdout.take(), child.stderr.take());
        let (output, errors) = (&mut output, &mut errors);
        async move {
            tokio::try_join!(read(from, stdout, output), read(complaints, stderr, errors))
                .map(|_| ())
        }
    };
    let status = {
        let mut reading = std::pin::pin!(reading);
        tokio::select! {
            read = &mut reading => {
                read?;
                child.wait().await
            }
            status = child.wait() => {
                if let Ok(read) = timeout(DRAINING, &mut reading).await {
                    read?;
                }
                status
            }
        }
    };
    Ok(Ended { status: status.map_err(Failure::NotWatched)?, stdout: output, stderr: errors })
}

/// Reads to the end: a program that talks for ever must not fill the memory.
async fn read(
    stream: Option<impl AsyncRead + Unpin>,
    kept: Kept,
    into: &mut Vec<u8>,
) -> Result<(), Failure> {
    let Some(mut stream) = stream else {
        return Ok(());
    };
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        into.extend_from_slice(&buffer[..count]);
        match kept {
            Kept::Last(most) if into.len() > 8 * most => {
                into.drain(..into.len() - most);
            }
            Kept::All(most) if into.len() > most => return Err(Failure::TooLong),
            Kept::Last(_) | Kept::All(_) => {}
        }
    }
    Ok(())
}
