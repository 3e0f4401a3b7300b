//! Forwards, asked of a running `ssh` through its control socket.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::try_join_all;
use openssh::{Error, ForwardType, Session, Socket};
use openssh_mux_client::Error as Refusal;

use crate::endpoint::Endpoint;

/// A starting `ssh` is checked at this interval.
const CONNECTED_POLL: Duration = Duration::from_millis(5);

/// A forward to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    kind: ForwardType,
    listen: Endpoint,
    connect: Endpoint,
}

/// The reason why a forward is not established.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unforwarded {
    /// Refused by the `ssh` or by the destination, in OpenSSH's words.
    #[error("{0}")]
    Refused(String),
    /// The `ssh` did not answer.
    #[error("ssh does not take its forwards: {0}")]
    Unasked(String),
}

impl Request {
    /// From a socket here to the destination.
    pub(super) fn to(listen: Endpoint, connect: Endpoint) -> Self {
        Self { kind: ForwardType::Local, listen, connect }
    }

    /// From the destination to here.
    pub(super) fn from(listen: Endpoint, connect: Endpoint) -> Self {
        Self { kind: ForwardType::Remote, listen, connect }
    }

    async fn ask(&self, session: &Session) -> Result<(), Unforwarded> {
        let (listen, connect) = (socket(&self.listen), socket(&self.connect));
        let asked = session.request_port_forward(self.kind, listen, connect);
        asked.await.map_err(|error| match error {
            Error::SshMux(Refusal::RequestFailure(said) | Refusal::PermissionDenied(said)) => {
                Unforwarded::Refused(said.into())
            }
            error => Unforwarded::Unasked(error.to_string()),
        })
    }
}

/// Waits until the `ssh` is connected, and lets it listen for each of these. All of them together
/// take one round trip.
///
/// An `ssh` that says nothing for so long is frozen. It cuts a silent destination by itself.
pub(super) async fn establish(
    control: PathBuf,
    requests: Vec<Request>,
    patience: Duration,
) -> Result<(), Unforwarded> {
    // It is made once the session stands (ssh.c, `ssh_session2`).
    while !control.exists() {
        tokio::time::sleep(CONNECTED_POLL).await;
    }
    let session = Session::resume_mux(control.into(), None);
    let asked = try_join_all(requests.iter().map(|request| request.ask(&session)));
    match tokio::time::timeout(patience, asked).await {
        Ok(answers) => answers.map(drop),
        Err(_) => {
            let silence = format!("no answer within {} s", patience.as_secs_f64());
            Err(Unforwarded::Unasked(silence))
        }
    }
}

/// An IPv6 address goes without brackets over this protocol.
fn socket(end: &Endpoint) -> Socket<'_> {
    match end {
        Endpoint::Tcp { host, port } => Socket::new(host, *port),
        Endpoint::Unix { path } => path.as_path().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frozen_ssh_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let control = directory.path().join("control");
        // It takes connections and says nothing.
        let _frozen = std::os::unix::net::UnixListener::bind(&control).unwrap();
        let request = Request::to(Endpoint::unix("/a"), Endpoint::tcp("::1", 80));
        let patience = Duration::from_millis(50);
        let error = establish(control, vec![request], patience).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "ssh does not take its forwards: no answer within 0.05 s"
        );
    }
}
