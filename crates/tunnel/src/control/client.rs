//! The end of whoever asks.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::{Overview, Request, Response};
use crate::spec::Tunnel;
use crate::state::Event;
use crate::supervisor::control_socket;
use crate::{Error, Result};

/// A supervisor answers within this time. A stopped one must not stop its client.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to a running supervisor, of this process or another.
#[derive(Debug)]
pub struct Client {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

/// The changes, as they happen.
#[derive(Debug)]
pub struct Watch {
    lines: Lines<BufReader<OwnedReadHalf>>,
    /// The supervisor takes its end for that of the watching.
    _writer: OwnedWriteHalf,
}

impl Client {
    /// Connects to the supervisor of a runtime directory.
    pub async fn connect(runtime: &Path) -> Result<Self> {
        let not_running = || Error::NotRunning { runtime: runtime.to_owned() };
        let socket = control_socket(runtime).ok_or_else(not_running)?;
        let connected = UnixStream::connect(&socket).await;
        let stream = connected.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => not_running(),
            _ => Error::Io(error),
        })?;
        let (reader, writer) = stream.into_split();
        Ok(Self { lines: BufReader::new(reader).lines(), writer })
    }

    /// Returns what the supervisor knows now.
    pub async fn status(&mut self) -> Result<Overview> {
        self.ask(&Request::Status, PATIENCE).await
    }

    /// Begins to make tunnels, or makes them anew as they are described now.
    pub async fn start(&mut self, tunnels: BTreeMap<String, Tunnel>) -> Result<Overview> {
        self.ask(&Request::Start { tunnels }, PATIENCE).await
    }

    /// Ends tunnels, all where none is named. The supervisor ends with the last one.
    pub async fn stop(&mut self, names: Vec<String>) -> Result<Overview> {
        self.ask(&Request::Stop { names }, PATIENCE).await
    }

    /// Begins tunnels anew, all where none is named, also such that had failed.
    pub async fn restart(&mut self, names: Vec<String>) -> Result<Overview> {
        self.ask(&Request::Restart { names }, PATIENCE).await
    }

    /// Waits until each tunnel is up, has failed, or the time is over; all where none is named.
    pub async fn settle(&mut self, names: Vec<String>, within: Duration) -> Result<Overview> {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let patience = within.saturating_add(PATIENCE);
        self.ask(&Request::Settle { names, within_ms }, patience).await
    }

    /// The status now, and then each change.
    pub async fn watch(mut self) -> Result<(Overview, Watch)> {
        let overview = self.ask(&Request::Watch, PATIENCE).await?;
        let watch = Watch { lines: self.lines, _writer: self.writer };
        Ok((overview, watch))
    }

    async fn ask(&mut self, request: &Request, patience: Duration) -> Result<Overview> {
        let mut line = serde_json::to_string(request).map_err(io::Error::from)?;
        line.push('\n');
        let asked = async {
            self.writer.write_all(line.as_bytes()).await?;
            next(&mut self.lines).await
        };
        let response = tokio::time::timeout(patience, asked).await.map_err(|_| {
            Error::Protocol { said: format!("nothing within {} s", patience.as_secs()) }
        })??;
        match response {
            Some(Response::Status(overview)) => Ok(overview),
            Some(Response::Refused { reason }) => Err(Error::Invalid { reason }),
            Some(Response::Event(_)) => Err(Error::Protocol { said: "an event".to_owned() }),
            None => Err(Error::Protocol { said: "nothing, and closed the connection".to_owned() }),
        }
    }
}

impl Watch {
    /// The next change; nothing when the supervisor ended. Whoever reads too slowly misses changes
    /// and not the last state: [`Watch::next`] then gives a status.
    pub async fn next(&mut self) -> Result<Option<Change>> {
        Ok(match next(&mut self.lines).await? {
            Some(Response::Event(event)) => Some(Change::Event(event)),
            Some(Response::Status(overview)) => Some(Change::Missed(overview)),
            Some(Response::Refused { reason }) => return Err(Error::Invalid { reason }),
            None => None,
        })
    }
}

/// An item of a watch.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// A forward's state is another.
    Event(Event),
    /// Changes were missed; this is how it stands.
    Missed(Overview),
}

async fn next(lines: &mut Lines<BufReader<OwnedReadHalf>>) -> Result<Option<Response>> {
    let Some(line) = lines.next_line().await? else {
        return Ok(None);
    };
    serde_json::from_str(&line)
        .map(Some)
        .map_err(|_| Error::Protocol { said: line.chars().take(80).collect() })
}
