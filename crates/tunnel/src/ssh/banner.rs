//! The greeting of an SSH server. A TCP connection that costs next to nothing decides when `ssh` is
//! worth starting.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Connects, tells that, and waits for `SSH-`, with which every server begins (RFC 4253, 4.2; lines
/// may stand before it, which OpenSSH never sends).
pub(crate) async fn greets(
    host: &str,
    port: u16,
    timeout: Duration,
    connected: impl FnOnce(),
) -> io::Result<()> {
    let greeting = async {
        let mut stream = TcpStream::connect((host, port)).await?;
        connected();
        let mut first = [0; 4];
        stream.read_exact(&mut first).await?;
        if &first == b"SSH-" {
            Ok(())
        } else {
            Err(io::Error::other("what answers is not an SSH server"))
        }
    };
    tokio::time::timeout(timeout, greeting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
