//! `hubctl tunnel run`: the supervisor itself.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tunnel::{Event, Supervisor};

use super::place::Place;
use super::{Names, chosen, show};
use crate::context::Context;
use crate::exit::Exit;
use crate::settings::Settings;

/// A log that is longer is begun anew, and the old one kept beside it.
const LONGEST_LOG: u64 = 8 << 20;

pub(super) async fn run(
    context: &Context,
    settings: &Settings,
    place: &Place,
    names: &Names,
) -> anyhow::Result<Exit> {
    let tunnels = chosen(settings, names)?;
    let supervisor = Arc::new(Supervisor::open(&place.runtime)?);
    allow_many_connections();
    let log = Log::open(&place.log)
        .inspect_err(|error| {
            let printer = &context.printer;
            printer.warn(format_args!("changes are not kept: {error:#}"));
        })
        .ok();
    let telling = tokio::spawn(tell(context.clone(), log, supervisor.events()));
    for (name, tunnel) in tunnels {
        supervisor.start(&name, tunnel).await?;
    }
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        context.printer.warn(format_args!("systemd was not told: {error}"));
    }
    tokio::select! {
        served = supervisor.serve() => served?,
        () = context.hold.wait() => supervisor.close().await,
    }
    telling.abort();
    Ok(Exit::Yes)
}

/// A connection takes six descriptors, and the usual limit is 1024; the hard one may be used
/// without asking.
fn allow_many_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: maximum, maximum };
    // The limit that there is serves a hundred and more.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Prints each change and keeps it.
async fn tell(context: Context, mut log: Option<Log>, mut events: broadcast::Receiver<Event>) {
    loop {
        match events.recv().await {
            Ok(event) => {
                if let Some(Err(error)) = log.as_mut().map(|log| log.write(&event)) {
                    context.printer.warn(format_args!("the change was not kept: {error}"));
                }
                // Nobody has to read along.
                let _ = show::change(&context.printer, &event);
            }
            Err(RecvError::Lagged(missed)) => {
                context.printer.warn(format_args!("{missed} changes were not told"));
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// The changes of the past.
struct Log {
    file: fs_err::File,
}

impl Log {
    fn open(path: &Path) -> anyhow::Result<Self> {
        if let Some(directory) = path.parent() {
            fs_err::create_dir_all(directory)?;
        }
        if fs_err::metadata(path).is_ok_and(|file| file.len() > LONGEST_LOG) {
            fs_err::rename(path, path.with_extension("jsonl.1"))?;
        }
        let file = regularfile::Options::append().or_create().open(path)?;
        Ok(Self { file })
    }

    /// One write for each line, so that two never mix.
    fn write(&mut self, event: &Event) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        Ok(())
    }
}
