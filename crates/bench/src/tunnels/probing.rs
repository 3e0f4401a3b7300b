//! A client outside of every tool: what it sees is what counts.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// From one connection to the next.
const EVERY: Duration = Duration::from_millis(25);

/// A client waits this long for its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Milliseconds that an answer may take through a forward that stands.
const ON_ITS_WAY: f64 = 5.0;

/// Milliseconds of the clock that all processes share.
pub(crate) fn now() -> f64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// Connects again and again, and prints when each answer came.
pub(crate) async fn probe(port: u16) {
    loop {
        tokio::spawn(async move {
            if let Ok(Ok(())) = tokio::time::timeout(PATIENCE, echo(port)).await {
                println!("{}", now());
            }
        });
        tokio::time::sleep(EVERY).await;
    }
}

/// Asks again and again over one connection, and prints when that ended.
pub(crate) async fn stay(port: u16) {
    let asked: std::io::Result<()> = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"!").await?;
        loop {
            stream.write_all(b"x").await?;
            stream.read_u8().await?;
            tokio::time::sleep(EVERY).await;
        }
    }
    .await;
    asked.unwrap_err();
    println!("{}", now());
}

async fn echo(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"!x").await?;
    stream.read_u8().await.map(drop)
}

/// The observations of the client, read beside it.
pub(crate) struct Seen {
    answers: Receiver<f64>,
    client: Child,
}

impl Seen {
    pub(crate) fn of(mut client: Child) -> Self {
        let stdout: ChildStdout = client.stdout.take().unwrap();
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(at) = line.parse() else { continue };
                if sender.send(at).is_err() {
                    return;
                }
            }
        });
        Self { answers, client }
    }

    /// The first answer after a moment, in milliseconds after it; nothing within the limit. An
    /// answer that was on its way when a fault struck is not one: they take less than a
    /// millisecond, and the next client comes after [`EVERY`].
    pub(crate) fn first_after(&self, moment: f64, limit: Duration) -> Option<f64> {
        let limit = limit.as_secs_f64() * 1e3;
        loop {
            let left = moment + limit - now();
            if left <= 0.0 {
                return None;
            }
            let at = self.answers.recv_timeout(Duration::from_secs_f64(left / 1e3)).ok()?;
            if at > moment + ON_ITS_WAY {
                return Some(at - moment);
            }
        }
    }

    /// Waits until answers came without a gap for this long.
    pub(crate) fn steady(&self, long: Duration) {
        let (mut begin, mut last) = (now(), now());
        loop {
            match self.answers.recv_timeout(Duration::from_millis(500)) {
                Ok(at) if at - last < 500.0 => last = at,
                Ok(at) => (begin, last) = (at, at),
                Err(_) => (begin, last) = (now(), now()),
            }
            if last - begin >= long.as_secs_f64() * 1e3 {
                return;
            }
        }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}
