//! Signals that end a command: it is asked to end, and ended where something in it never answers.
//!
//! A command that is dropped removes what it had not finished. But a thread may wait where nothing
//! can be dropped: for a lock, for an answer over HTTP, for a plugin, for a terminal. So the
//! signals are watched by a thread of its own, which ends the program when its time is over, with a
//! record of every act that was under way.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::getpgrp;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::act;
use crate::context::Hold;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Format, Printer};
use crate::unfinished::Unfinished;

/// A command that was asked to end has this much time.
const GRACE: Duration = Duration::from_millis(1500);
/// The same while a server, which answers, drops what a restore had begun.
const CLEANING_UP: Duration = Duration::from_secs(12);
/// After a second signal, the program ends within this time.
const HURRY: Duration = Duration::from_millis(200);
/// The journal and the terminal may be what the program waits for.
const LAST_WORDS: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(20);

/// The file in which the kernel says which signals a process ignores.
const STATUS: &str = "/proc/self/status";
const LONGEST_STATUS: u64 = 64 * 1024;

/// The signals so far, and what they led to.
#[derive(Debug, Clone)]
pub(crate) struct Interruption {
    signals: watch::Receiver<u32>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    printer: Printer,
    is_cleaning: AtomicBool,
    is_said: AtomicBool,
    terminal: Option<Termios>,
}

impl Interruption {
    /// Begins to watch. A signal that somebody holds is passed on to them.
    pub(crate) fn watch(printer: &Printer, hold: &Arc<Hold>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            Listener::new()?
        };
        let shared = Arc::new(Shared {
            printer: printer.clone(),
            is_cleaning: AtomicBool::new(false),
            is_said: AtomicBool::new(false),
            terminal: terminal(),
        });
        let (sender, signals) = watch::channel(0);
        let watching = watch_signals(listener, sender, Arc::clone(hold), Arc::clone(&shared));
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(watching))?;
        Ok(Self { signals, shared })
    }

    /// Waits for the signal that ends the command.
    pub(crate) async fn asked(&self) {
        self.count(1).await;
    }

    /// Waits for the second one.
    pub(crate) async fn hurried(&self) {
        self.count(2).await;
    }

    async fn count(&self, wanted: u32) {
        let mut signals = self.signals.clone();
        if signals.wait_for(|count| *count >= wanted).await.is_err() {
            // Nobody watches any more.
            std::future::pending::<()>().await;
        }
    }

    /// A server answers, and needs its time.
    pub(crate) fn cleaning(&self) {
        self.shared.is_cleaning.store(true, Ordering::SeqCst);
    }

    /// Says that a signal ended the command, and what it left.
    pub(crate) fn report(&self, unfinished: &Unfinished) -> Exit {
        if unfinished.cutover().is_some() {
            self.shared.say(
                "interrupted; the cutover is not finished: `hubctl cutover --execute` goes on, `hubctl rollback --execute` takes it back",
            );
        } else if unfinished.may_be_fenced() {
            self.shared.say("interrupted; thaw the site, or freeze it again");
        } else {
            self.shared.say("interrupted; nothing unfinished is in place");
        }
        self.shared.restore_terminal();
        Exit::Interrupted
    }
}

impl Shared {
    fn say(&self, message: &str) {
        if self.is_said.swap(true, Ordering::SeqCst) {
            return;
        }
        let failure = Failure {
            message: message.to_owned(),
            causes: Vec::new(),
            hint: None,
            exit: Exit::Interrupted,
        };
        self.printer.talk(&failure.message);
        if self.printer.format() == Format::Json {
            self.printer.failure_document(&failure);
        }
    }

    /// Somebody may have been typing a password, unseen. A process in the background would be
    /// stopped by this.
    fn restore_terminal(&self) {
        let is_ours = || tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp());
        if let Some(terminal) = self.terminal.as_ref().filter(|_| is_ours()) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, terminal);
        }
    }
}

fn terminal() -> Option<Termios> {
    let stdin = io::stdin();
    stdin.is_terminal().then(|| tcgetattr(stdin).ok())?
}

/// The signals that end a command.
struct Listener {
    interrupt: Signal,
    terminate: Signal,
    /// Nothing where `nohup` asked to ignore it.
    hang_up: Option<Signal>,
    /// With a handler, a file that would become too large is an error and no death.
    _too_large: Signal,
}

impl Listener {
    fn new() -> io::Result<Self> {
        let too_large = rustix::process::Signal::XFSZ.as_raw();
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: if ignores_hang_up() { None } else { Some(signal(SignalKind::hangup())?) },
            _too_large: signal(SignalKind::from_raw(too_large))?,
        })
    }

    async fn next(&mut self) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hang_up => {}
        }
    }
}

/// Returns true if SIGHUP was ignored when the program began.
fn ignores_hang_up() -> bool {
    let status = regularfile::read_to_string(STATUS, LONGEST_STATUS).unwrap_or_default();
    is_ignored(&status, rustix::process::Signal::HUP.as_raw())
}

/// The line `SigIgn` is a mask in hexadecimal, whose lowest bit is signal 1.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

async fn watch_signals(
    mut listener: Listener,
    sender: watch::Sender<u32>,
    hold: Arc<Hold>,
    shared: Arc<Shared>,
) {
    loop {
        listener.next().await;
        if !hold.release() {
            break;
        }
    }
    sender.send_modify(|count| *count += 1);
    let begun = Instant::now();
    let mut hurry = None;
    while begun.elapsed() < limit(&shared) && hurry.is_none_or(|at| Instant::now() < at) {
        tokio::select! {
            () = listener.next() => {
                sender.send_modify(|count| *count += 1);
                hurry.get_or_insert(Instant::now() + HURRY);
            }
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    end(shared);
}

fn limit(shared: &Shared) -> Duration {
    if shared.is_cleaning.load(Ordering::SeqCst) { CLEANING_UP } else { GRACE }
}

/// Ends the program, whatever its threads wait for.
fn end(shared: Arc<Shared>) {
    shared.restore_terminal();
    let (said, all) = channel();
    thread::spawn(move || {
        act::record_interrupted();
        shared.say(
            "interrupted; what was not finished is left over, and the next run removes or names it",
        );
        let _ = said.send(());
    });
    let _ = all.recv_timeout(LAST_WORDS);
    #[expect(clippy::exit, reason = "a thread that never answers cannot be ended in another way")]
    std::process::exit(Exit::Interrupted.code().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_asked_for_is_read() {
        let status = "Name:\thubctl\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\n";
        assert!(is_ignored(status, 1) && is_ignored(status, 13));
        assert!(!is_ignored(status, 2) && !is_ignored(status, 64));
        assert!(!is_ignored("", 1) && !is_ignored("SigIgn:\tx\n", 1));
    }
}
