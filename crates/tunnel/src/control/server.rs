//! The supervisor's end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use super::{Overview, Request, Response};
use crate::supervisor::{Supervisor, control_socket_in};
use crate::{Error, Result};

impl Supervisor {
    /// Answers on the socket in the runtime directory, until a request has stopped the last tunnel.
    ///
    /// Dropped, it stops answering, and the tunnels stay.
    pub async fn serve(self: &Arc<Self>) -> Result<()> {
        // The directory is this supervisor's own: only an earlier call of this can have left a socket there.
        let path = control_socket_in(self.directory());
        let _ = fs_err::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        let is_empty = Arc::new(Notify::new());
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (supervisor, is_empty) = (Arc::clone(self), Arc::clone(&is_empty));
                    let (stream, _) = accepted?;
                    clients.spawn(async move {
                        // A client that went away needs no answer.
                        let _ = answer(stream, &supervisor, &is_empty).await;
                    });
                }
                Some(_) = clients.join_next() => {}
                () = is_empty.notified() => {
                    // The last answer is still to be written.
                    let written = async { while clients.join_next().await.is_some() {} };
                    let _ = tokio::time::timeout(Duration::from_millis(200), written).await;
                    let _ = fs_err::remove_file(&path);
                    return Ok(());
                }
            }
        }
    }

    fn overview(&self) -> Overview {
        Overview { pid: std::process::id(), since: self.since(), tunnels: self.status() }
    }

    async fn obey(&self, request: Request) -> Result<()> {
        match request {
            Request::Status | Request::Watch => {}
            Request::Start { tunnels } => {
                for (name, tunnel) in &tunnels {
                    tunnel.check(name)?;
                }
                for (name, tunnel) in tunnels {
                    self.start(&name, tunnel).await?;
                }
            }
            Request::Stop { names } => {
                for name in self.known(names)? {
                    self.stop(&name).await;
                }
            }
            Request::Restart { names } => {
                for name in self.known(names)? {
                    self.restart(&name).await?;
                }
            }
            Request::Settle { names, within_ms } => {
                let within = Duration::from_millis(within_ms);
                let names = self.known(names)?;
                let all = names.iter().map(|name| self.settled(name, within));
                futures_util::future::try_join_all(all).await?;
            }
        }
        Ok(())
    }

    /// All tunnels where none is named; none at all where one is not known.
    fn known(&self, names: Vec<String>) -> Result<Vec<String>> {
        let known: Vec<String> = self.status().into_iter().map(|status| status.name).collect();
        if names.is_empty() {
            return Ok(known);
        }
        match names.iter().find(|name| !known.contains(name)) {
            Some(name) => Err(Error::Unknown { name: name.clone() }),
            None => Ok(names),
        }
    }
}

async fn answer(stream: UnixStream, supervisor: &Supervisor, is_empty: &Notify) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut requests = BufReader::new(reader).lines();
    while let Some(line) = requests.next_line().await? {
        let request: Request = match serde_json::from_str(&line) {
            Ok(request) => request,
            Err(error) => {
                let reason = format!("this is no request: {error}");
                write(&mut writer, &Response::Refused { reason }).await?;
                continue;
            }
        };
        if matches!(request, Request::Watch) {
            return watch(writer, supervisor).await;
        }
        let mut is_stop = matches!(request, Request::Stop { .. });
        let response = match supervisor.obey(request).await {
            Ok(()) => Response::Status(supervisor.overview()),
            Err(error) => {
                is_stop = false;
                let reason = error.to_string();
                Response::Refused { reason }
            }
        };
        write(&mut writer, &response).await?;
        if is_stop && supervisor.status().is_empty() {
            is_empty.notify_one();
            return Ok(());
        }
    }
    Ok(())
}

async fn watch(mut writer: OwnedWriteHalf, supervisor: &Supervisor) -> io::Result<()> {
    // What happens after this is not missed: the events are subscribed to before the status is read.
    let mut events = supervisor.events();
    write(&mut writer, &Response::Status(supervisor.overview())).await?;
    loop {
        match events.recv().await {
            Ok(event) => write(&mut writer, &Response::Event(event)).await?,
            // Whoever is too slow is told how it stands.
            Err(RecvError::Lagged(_)) => {
                write(&mut writer, &Response::Status(supervisor.overview())).await?;
            }
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

async fn write(writer: &mut OwnedWriteHalf, response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_string(response)?;
    line.push('\n');
    writer.write_all(line.as_bytes()).await
}
