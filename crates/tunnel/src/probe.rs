//! Proof that bytes get through a forward, and who answers at its other end.
//!
//! A port that accepts, a running `ssh` and a master that says "running" prove nothing: all three
//! hold while the other side is frozen. So every kind of probe waits for an answer that only the
//! other side can give.

mod command;
mod http;
mod open;
mod postgres;
mod written;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::time::Instant;

pub use postgres::PostgresProbe;

use written::RawProbe;

const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(2);

/// The proof of a forward: the question, its interval, and the time allowed for an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawProbe", into = "RawProbe")]
#[non_exhaustive]
pub struct Probe {
    /// The question.
    pub question: Question,
    /// From one question to the next, 2 seconds unless told otherwise.
    pub interval: Duration,
    /// The time allowed for an answer, 2 seconds by default.
    pub timeout: Duration,
}

/// The question of a probe.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Question {
    /// Asks whether the SSH session answers and the target takes a connection. It reads no byte of
    /// the target, so it does not notice a frozen one.
    Open,
    /// Asks whether the target speaks first, as SSH, SMTP and MySQL do: `tcp = "banner"`.
    Banner,
    /// A `GET` of this path.
    #[non_exhaustive]
    Http {
        /// The path, with its query.
        path: String,
        /// The required answer.
        expected: Expected,
    },
    /// A PostgreSQL server.
    Postgres(PostgresProbe),
    /// Asks whether this program ends with 0. It finds the forward at the unix socket named by the
    /// environment variable `TUNNEL_SOCKET`.
    Command(Vec<String>),
}

/// The required answer of an HTTP server.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Expected {
    /// A status of 200 to 399. The body is not waited for, so a stream of events is no hindrance.
    #[default]
    Success,
    /// And that its body is JSON with this value at this path of keys, such as `database.name`.
    #[non_exhaustive]
    Json {
        /// The path.
        path: String,
        /// The value that tells who answers.
        equals: Value,
    },
    /// And that its body contains this text.
    Text(String),
}

impl Expected {
    /// JSON with this value at this path of keys.
    #[must_use]
    pub fn json(path: impl Into<String>, equals: impl Into<Value>) -> Self {
        Self::Json { path: path.into(), equals: equals.into() }
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self::new(Question::Open)
    }
}

impl Probe {
    /// A question at the default interval.
    #[must_use]
    pub fn new(question: Question) -> Self {
        Self { question, interval: INTERVAL, timeout: TIMEOUT }
    }

    /// A `GET` of this path.
    #[must_use]
    pub fn http(path: impl Into<String>, expected: Expected) -> Self {
        let path = path.into();
        Self::new(Question::Http { path, expected })
    }

    /// The same, more or less often.
    #[must_use]
    pub fn every(mut self, interval: Duration, timeout: Duration) -> Self {
        (self.interval, self.timeout) = (interval, timeout);
        self
    }

    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        if self.interval.is_zero() || self.timeout.is_zero() {
            return Err("a probe needs an interval and a timeout".to_owned());
        }
        match &self.question {
            Question::Http { path, .. } if !path.starts_with('/') => {
                Err(format!("the path `{path}` of its probe does not begin with `/`"))
            }
            Question::Command(words) if words.is_empty() => {
                Err("its probe has no command".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Asks once: through the socket of the forward, beside the control socket of the session.
    pub(crate) async fn ask(
        &self,
        socket: &Path,
        control: &Path,
    ) -> std::result::Result<Answer, Fault> {
        let begin = Instant::now();
        let question = async {
            match &self.question {
                Question::Open => open::ask(socket, control).await,
                Question::Banner => banner(socket).await,
                Question::Http { path, expected } => http::ask(socket, path, expected).await,
                Question::Postgres(probe) => probe.ask(socket).await,
                Question::Command(words) => command::ask(words, socket).await,
            }
        };
        let identity = tokio::time::timeout(self.timeout, question)
            .await
            .map_err(|_| Fault::Silent(self.timeout))??;
        Ok(Answer { at: Timestamp::now(), round_trip: begin.elapsed(), identity })
    }
}

/// Asks whether the session answers at all: what it says does not matter, an error is an answer as
/// well.
pub(crate) async fn is_alive(control: &Path, timeout: Duration) -> bool {
    tokio::time::timeout(timeout, open::session(control))
        .await
        .is_ok_and(|answer| !matches!(answer, Err(Fault::Gone(_))))
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.question {
            Question::Open => write!(f, "opens"),
            Question::Banner => write!(f, "banner"),
            Question::Http { path, expected } => {
                write!(f, "GET {path}")?;
                match expected {
                    Expected::Success => Ok(()),
                    Expected::Json { path, equals } => write!(f, " with {path} = {equals}"),
                    Expected::Text(text) => write!(f, " with `{text}`"),
                }
            }
            Question::Postgres(probe) => write!(f, "{probe}"),
            Question::Command(words) => write!(f, "`{}`", words.join(" ")),
        }
    }
}

/// A probe was answered as it should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// The moment it arrived.
    pub(crate) at: Timestamp,
    pub(crate) round_trip: Duration,
    /// The identity of the server, if the question asks for it.
    pub(crate) identity: Option<String>,
}

/// A probe was not answered as it should be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Fault {
    /// Nothing came back. The way may be dead, or the target frozen.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Silent(Duration),
    /// The connection to `ssh` itself failed.
    #[error("ssh does not listen ({0})")]
    Gone(String),
    /// The connection was closed before an answer: the target refuses, or cannot be reached from
    /// there.
    #[error("the destination closed the connection before an answer")]
    Closed,
    /// An answer came, and it was a wrong one.
    #[error("{0}")]
    Wrong(String),
    /// The address of the service could not be found.
    #[error("{0}")]
    Unresolved(String),
    /// Somebody else answers.
    #[error("`{found}` answers, not `{expected}`")]
    Mismatch { expected: String, found: String },
    /// The question could not be asked.
    #[error("the probe cannot ask: {0}")]
    Unasked(String),
}

impl Fault {
    /// Returns true if the connection itself may be dead.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Silent(_) | Self::Gone(_))
    }
}

pub(crate) async fn connect(socket: &Path) -> std::result::Result<UnixStream, Fault> {
    UnixStream::connect(socket).await.map_err(|error| Fault::Gone(error.to_string()))
}

/// Waits for the first byte of a server that speaks first; its line tells who it is.
async fn banner(socket: &Path) -> std::result::Result<Option<String>, Fault> {
    let mut stream = connect(socket).await?;
    let mut first = [0; 256];
    match stream.read(&mut first).await {
        Ok(0) | Err(_) => Err(Fault::Closed),
        Ok(length) => {
            let said = String::from_utf8_lossy(&first[..length]).into_owned();
            let line = said.lines().next().unwrap_or_default();
            let is_text = !line.is_empty() && !line.contains(|c: char| c.is_control());
            Ok(is_text.then(|| line.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Probe, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_probe_asks_one_question() {
        assert_eq!(read("").unwrap().question, Question::Open);
        assert_eq!(read("tcp = 'banner'").unwrap().question, Question::Banner);
        let probe = read("http = '/x'\ncontains = 'a'\ntimeout = '100ms'").unwrap();
        assert_eq!(probe.timeout, Duration::from_millis(100));
        assert_eq!(probe.to_string(), "GET /x with `a`");
        for wrong in [
            "http = '/x'\ntcp = 'banner'",
            "json = 'a'\nequals = 1",
            "http = '/x'\njson = 'a'",
            "tcp = 'banner'\ncontains = 'a'",
            "command = ['a']\npostgres = {}",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_question_that_cannot_be_asked_is_refused() {
        assert!(Probe::http("x", Expected::Success).check().is_err());
        assert!(Probe::new(Question::Command(vec![])).check().is_err());
        let command = Probe::new(Question::Command(vec!["true".to_owned()]));
        assert!(command.check().is_ok());
        let never = Probe::default().every(Duration::ZERO, Duration::from_secs(1));
        assert!(never.check().is_err());
    }
}
