//! Ports and sockets that take connections.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::socket::Socket;
use crate::endpoint::Endpoint;

/// All addresses of one end.
#[derive(Debug)]
pub(super) enum Listener {
    /// A name may have several addresses: `localhost` has two.
    Tcp(Vec<TcpListener>),
    Unix(UnixListener),
}

impl Listener {
    pub(super) async fn bind(local: &Endpoint) -> io::Result<Self> {
        match local {
            Endpoint::Tcp { host, port } => {
                let mut listeners = Vec::new();
                for address in tokio::net::lookup_host((host.as_str(), *port)).await? {
                    listeners.push(TcpListener::bind(address).await?);
                }
                if listeners.is_empty() {
                    return Err(io::Error::other(format!("`{host}` has no address")));
                }
                Ok(Self::Tcp(listeners))
            }
            Endpoint::Unix { path } => {
                remove_stale(path).await?;
                let listener = UnixListener::bind(path)?;
                fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
                Ok(Self::Unix(listener))
            }
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listeners) => {
                let (accepted, _, _) = futures_util::future::select_all(
                    listeners.iter().map(|listener| Box::pin(listener.accept())),
                )
                .await;
                let (stream, _) = accepted?;
                // What waits in us waits twice.
                let _ = stream.set_nodelay(true);
                Ok(Socket::Tcp(stream))
            }
            Self::Unix(listener) => Ok(Socket::Unix(listener.accept().await?.0)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(listener) = self
            && let Ok(address) = listener.local_addr()
            && let Some(path) = address.as_pathname()
        {
            let _ = fs_err::remove_file(path);
        }
    }
}

/// A socket on which nobody listens is left over from a process that was killed.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = fs_err::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    let answer = tokio::time::timeout(Duration::from_secs(1), UnixStream::connect(path)).await;
    match answer {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs_err::remove_file(path)
        }
        _ => Ok(()),
    }
}
