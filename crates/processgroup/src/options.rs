//! The limits of a program, and how it ended.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::Error;
use crate::output::{Kept, Outputs};
use crate::running::Running;

/// So much of each output is kept by default, of its end.
const KEPT: usize = 16 << 10;

/// The limits of a program.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Options {
    limit: Duration,
    grace: Duration,
    stdout: Kept,
    stderr: Kept,
    leaves_children: bool,
}

/// The end of a program, and its output.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ended {
    /// The exit code, or the signal.
    pub status: ExitStatus,
    /// The part of its standard output that was kept.
    pub stdout: Vec<u8>,
    /// The part of its standard error that was kept.
    pub stderr: Vec<u8>,
    /// True if a child that lives on held one of the outputs. They are closed now: it gets SIGPIPE
    /// when it prints.
    pub is_held: bool,
}

impl Options {
    /// The limit in time. The last 16 KiB of each output are kept, and when the program ends, its
    /// group is killed.
    pub const fn new(limit: Duration) -> Self {
        Self {
            limit,
            grace: Duration::ZERO,
            stdout: Kept::Last(KEPT),
            stderr: Kept::Last(KEPT),
            leaves_children: false,
        }
    }

    /// The part of the standard output that is kept.
    pub const fn stdout(mut self, kept: Kept) -> Self {
        self.stdout = kept;
        self
    }

    /// The part of the standard error that is kept.
    pub const fn stderr(mut self, kept: Kept) -> Self {
        self.stderr = kept;
        self
    }

    /// Where the program must be ended, asks with SIGTERM first, and kills what is left of the
    /// group after this time. When the future is dropped, it is half a second at most: that wait
    /// blocks.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Leaves the children alone when the program ended by itself, as daemons that it started.
    pub const fn leaving_children(mut self) -> Self {
        self.leaves_children = true;
        self
    }

    /// Runs a program to its end. It gets no input, and its outputs are those that are returned.
    ///
    /// # Errors
    /// Where the program did not start, or did not end by itself within the limits. Its exit code
    /// is none.
    pub async fn run(&self, mut command: Command) -> Result<Ended, Error> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(&mut command, self.grace)?;
        let mut outputs = Outputs::of(running.child(), self.stdout, self.stderr);
        let ended = tokio::time::timeout(self.limit, running.end(&mut outputs)).await;
        let Ok(ended) = ended else {
            running.stop(&mut outputs).await;
            let (stdout, stderr) = outputs.into_bytes();
            return Err(Error::TimedOut { limit: self.limit, stdout, stderr });
        };
        let drained = match ended {
            Ok(status) => outputs.drain().await.map(|()| status),
            Err(error) => Err(error),
        };
        let status = match drained {
            Ok(status) => status,
            Err(error) => {
                running.stop(&mut outputs).await;
                return Err(error);
            }
        };
        if self.leaves_children {
            running.release();
        }
        let is_held = outputs.are_held();
        let (stdout, stderr) = outputs.into_bytes();
        Ok(Ended { status, stdout, stderr, is_held })
    }
}
