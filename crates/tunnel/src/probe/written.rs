//! Probes as they are written in a configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Expected, INTERVAL, PostgresProbe, Probe, Question, TIMEOUT};
use crate::{Error, Result};

/// The same as it is written: exactly one of the questions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct RawProbe {
    /// Path of a `GET` request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http: Option<String>,
    /// Path of keys in the JSON answer of `http`; requires `equals`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json: Option<String>,
    /// Value at the path of `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    equals: Option<Value>,
    /// Text that the answer of `http` contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contains: Option<String>,
    /// Login to a PostgreSQL server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    postgres: Option<PostgresProbe>,
    /// `banner` waits for the first line of the server. Default: `open`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp: Option<Tcp>,
    /// Program and arguments; it finds the forward at the socket `TUNNEL_SOCKET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<Vec<String>>,
    /// Time between two probes. Default: 2s.
    #[serde(default = "interval", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    interval: Duration,
    /// How long an answer may take. Default: 2s.
    #[serde(default = "timeout", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    timeout: Duration,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum Tcp {
    Open,
    Banner,
}

fn interval() -> Duration {
    INTERVAL
}

fn timeout() -> Duration {
    TIMEOUT
}

impl TryFrom<RawProbe> for Probe {
    type Error = Error;

    fn try_from(raw: RawProbe) -> Result<Self> {
        let expected = match (raw.json, raw.equals, raw.contains) {
            (None, None, None) => Expected::Success,
            (Some(path), Some(equals), None) => Expected::Json { path, equals },
            (None, None, Some(text)) => Expected::Text(text),
            _ => {
                return Err(Error::invalid(
                    "an answer is checked by `json` and `equals`, or by `contains`",
                ));
            }
        };
        let question = match (raw.http, raw.postgres, raw.tcp, raw.command) {
            (Some(path), None, None, None) => Question::Http { path, expected },
            _ if expected != Expected::Success => {
                return Err(Error::invalid(
                    "only the answer to `http` is checked by `json` or `contains`",
                ));
            }
            (None, Some(probe), None, None) => Question::Postgres(probe),
            (None, None, Some(Tcp::Banner), None) => Question::Banner,
            (None, None, Some(Tcp::Open) | None, None) => Question::Open,
            (None, None, None, Some(words)) => Question::Command(words),
            _ => {
                return Err(Error::invalid(
                    "a probe is one of `http`, `postgres`, `tcp` and `command`",
                ));
            }
        };
        Ok(Self { question, interval: raw.interval, timeout: raw.timeout })
    }
}

impl From<Probe> for RawProbe {
    fn from(probe: Probe) -> Self {
        let mut raw = Self { interval: probe.interval, timeout: probe.timeout, ..Self::default() };
        match probe.question {
            Question::Open => raw.tcp = Some(Tcp::Open),
            Question::Banner => raw.tcp = Some(Tcp::Banner),
            Question::Http { path, expected } => {
                raw.http = Some(path);
                match expected {
                    Expected::Success => {}
                    Expected::Json { path, equals } => {
                        (raw.json, raw.equals) = (Some(path), Some(equals));
                    }
                    Expected::Text(text) => raw.contains = Some(text),
                }
            }
            Question::Postgres(probe) => raw.postgres = Some(probe),
            Question::Command(words) => raw.command = Some(words),
        }
        raw
    }
}
