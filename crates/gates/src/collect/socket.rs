//! TCP: whether somebody accepts a connection, and whether a port is free.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::evidence::Absence;

/// Connects, and leaves again without a word.
pub(super) async fn connect(address: &str, limit_seconds: u64) -> Result<Value, Absence> {
    let limit = Duration::from_secs(limit_seconds);
    let connected = tokio::time::timeout(limit, TcpStream::connect(address)).await;
    match connected {
        Err(_) => Err(Absence::TimedOut { seconds: limit_seconds }),
        Ok(Ok(_)) => Ok(json!({ "accepted": true })),
        Ok(Err(error)) => match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => {
                Ok(json!({ "accepted": false }))
            }
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                Err(Absence::Unreachable { detail: error.to_string() })
            }
            _ => Err(Absence::failed(error)),
        },
    }
}

/// Listens for a moment.
pub(super) async fn listen(address: &str) -> Result<Value, Absence> {
    match TcpListener::bind(address).await {
        Ok(_) => Ok(json!({ "free": true })),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(json!({ "free": false })),
        Err(error) => Err(Absence::failed(error)),
    }
}
