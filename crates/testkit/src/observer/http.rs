//! A client of HTTP that keeps nothing: one connection for each request, whose port is known.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// So that nothing hangs.
const LIMIT: Duration = Duration::from_secs(5);

/// An answer, and the port that the request came from.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) port: u16,
}

/// Posts JSON with an idempotency key.
pub(super) fn post(address: SocketAddr, path: &str, key: &str, body: &str) -> io::Result<Answer> {
    let mut stream = connect(address)?;
    let port = stream.local_addr()?.port();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = BufReader::new(stream);
    let status = status(&mut answer)?;
    // An answer that breaks off acknowledges nothing.
    let mut rest = String::new();
    answer.read_to_string(&mut rest)?;
    if rest.trim_end().ends_with('}') {
        Ok(Answer { status, port })
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// The lines of a stream of events, behind the event with this number or from now on.
pub(super) fn follow(address: SocketAddr, last: Option<u64>) -> io::Result<impl BufRead> {
    let mut stream = connect(address)?;
    let last = last.map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
    write!(stream, "GET /events/stream HTTP/1.1\r\nHost: {address}\r\n{last}\r\n")?;
    let mut answer = BufReader::new(stream);
    match status(&mut answer)? {
        200 => Ok(answer),
        status => Err(io::Error::other(format!("status {status}"))),
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn status(answer: &mut impl BufRead) -> io::Result<u16> {
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    status.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
