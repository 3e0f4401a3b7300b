//! The process of a plugin: started, waited for within a limit, and ended whatever it does.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::conversation::{Conversation, Event};
use super::{Terms, failed, program};
use crate::Result;

/// A plugin exits within this time after its last word.
const PARTING: Duration = Duration::from_secs(1);

/// Runs a plugin and lets `talk` speak with it, on a thread of its own: whatever blocks there, this
/// returns within the limit.
pub(super) fn converse<T: Send + 'static>(
    plugin: &str,
    machine: &str,
    terms: &Terms,
    talk: impl FnOnce(&mut Conversation) -> io::Result<T> + Send + 'static,
) -> Result<T> {
    // As the age tools do: a plugin finds nothing of ours where it stands.
    let directory = tempfile::tempdir()?;
    let mut child = start(plugin, machine, terms, directory.path())?;
    let pipes = (
        child.stdout.take().expect("its output is a pipe"),
        child.stdin.take().expect("its input is a pipe"),
    );
    let (events, asking) = mpsc::channel();
    let mut conversation = Conversation::new(pipes, plugin, terms.person.clone(), events);
    let (end, ended) = mpsc::channel();
    thread::spawn(move || {
        let result = talk(&mut conversation);
        // Its input ends with the conversation, before anybody waits for it to exit; and nobody may wait any more.
        drop(conversation);
        let _ = end.send(result);
    });
    let outcome = wait(&ended, &asking, terms.limit);
    let is_silent = outcome.is_none();
    finish(child, is_silent, terms);
    match outcome {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(failed(plugin, error)),
        None => {
            Err(failed(plugin, format_args!("it was not done within {} s", terms.limit.as_secs())))
        }
    }
}

fn start(plugin: &str, machine: &str, terms: &Terms, directory: &std::path::Path) -> Result<Child> {
    // On WSL, plugins of Windows are programs as well.
    for name in [program(plugin), format!("{}.exe", program(plugin))] {
        let mut command = Command::new(name);
        command
            .arg(format!("--age-plugin={machine}"))
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if terms.person.is_none() {
            // Whatever it starts is ended with it. Where somebody sits, it stays in the group that may use the terminal.
            command.process_group(0);
        }
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(plugin, error)),
            Ok(child) => return Ok(child),
        }
    }
    Err(failed(plugin, "it is not installed"))
}

/// The result, or nothing once the limit has passed. The time in which a person is asked does not
/// count.
fn wait<T>(ended: &Receiver<T>, asking: &Receiver<Event>, limit: Duration) -> Option<T> {
    const STEP: Duration = Duration::from_millis(20);
    let mut left = limit;
    loop {
        let begun = Instant::now();
        match ended.recv_timeout(STEP.min(left)) {
            Ok(result) => return Some(result),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
        left = left.saturating_sub(begun.elapsed());
        while let Ok(Event::Asking) = asking.try_recv() {
            // Until the answer, or the end of the thread that asks.
            let _ = asking.recv();
        }
        if left.is_zero() {
            return None;
        }
    }
}

/// Sees the process off, so that none is left behind.
fn finish(mut child: Child, at_once: bool, terms: &Terms) {
    let begun = Instant::now();
    while !at_once && begun.elapsed() < PARTING {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    if let Ok(Some(pid)) = i32::try_from(child.id()).map(Pid::from_raw) {
        // It was not waited for yet, so the number is still its own.
        let _ = match terms.person {
            None => kill_process_group(pid, Signal::KILL),
            Some(_) => kill_process(pid, Signal::KILL),
        };
    }
    let _ = child.wait();
}
