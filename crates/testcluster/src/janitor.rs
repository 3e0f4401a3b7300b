//! A process that ends a cluster when its owner is gone, in whatever way that went: a failed `up`,
//! Ctrl-C, `kill -9`.
//!
//! The owner holds one end of a pipe, which the kernel closes with it.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};

use anyhow::Context as _;

use super::down;
use super::layout::Layout;
use super::process::COMMAND;

/// The hidden command.
pub(super) const JANITOR: &str = "__janitor";

/// The owner's message before it ends.
const IS_UP: u8 = b'u';
const LEAVE: u8 = b'l';

/// The owner's side. Dropped, it ends the cluster.
#[derive(Debug)]
pub(super) struct Janitor {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Janitor {
    pub(super) fn start(layout: &Layout, id: &str) -> anyhow::Result<Self> {
        // The file may have been replaced by a newer build; this is the one that we are.
        let mut child = Command::new("/proc/self/exe")
            .args([COMMAND, JANITOR, id])
            .arg(layout.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // The Ctrl-C that ends us is what it waits for.
            .process_group(0)
            .spawn()
            .context("could not start the process that ends the cluster after us")?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// From now on there is nothing in the logs that somebody would want to read.
    pub(super) fn say_it_is_up(&mut self) -> anyhow::Result<()> {
        self.say(IS_UP)
    }

    /// Leaves the cluster to run without an owner.
    pub(super) fn dismiss(mut self) -> anyhow::Result<()> {
        self.say(LEAVE)
    }

    fn say(&mut self, byte: u8) -> anyhow::Result<()> {
        let pipe = self.pipe.as_mut().expect("only the end takes it");
        Ok(pipe.write_all(&[byte])?)
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.child.wait();
    }
}

/// Waits for the end of the owner.
pub(super) fn run(id: &str, layout: &Layout) -> anyhow::Result<ExitCode> {
    let mut said = Vec::new();
    std::io::stdin().read_to_end(&mut said)?;
    match said.last() {
        Some(&LEAVE) => return Ok(ExitCode::SUCCESS),
        Some(&IS_UP) => down::end_only(id, layout, false)?,
        _ => {
            down::end_only(id, layout, true)?;
            let logs = layout.path("log");
            if logs.exists() {
                eprintln!("cluster: not up, and nothing of it is left but {}", logs.display());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
