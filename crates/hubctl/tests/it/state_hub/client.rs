//! A client of the sample service.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Response;
use ureq::{Agent, Body, BodyReader};

/// So that nothing hangs; also a stream is read for less.
const LIMIT: Duration = Duration::from_secs(60);

/// Asks one address.
pub(super) struct Client {
    url: String,
    agent: Agent,
}

/// The answers.
#[derive(Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Client {
    pub(super) fn new(url: String) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).proxy(None);
        Self { url, agent: config.timeout_global(Some(LIMIT)).build().into() }
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        Reply::of(self.agent.get(self.path(path)).call().unwrap())
    }

    /// Posts a body, with an idempotency key where it is not empty.
    pub(super) fn post(&self, path: &str, key: &str, body: &str) -> Reply {
        let mut request =
            self.agent.post(self.path(path)).header("Content-Type", "application/json");
        if !key.is_empty() {
            request = request.header("Idempotency-Key", key);
        }
        Reply::of(request.send(body).unwrap())
    }

    pub(super) fn patch(&self, path: &str, body: &Value) -> Reply {
        let request = self.agent.patch(self.path(path)).header("Content-Type", "application/json");
        Reply::of(request.send(body.to_string()).unwrap())
    }

    pub(super) fn delete(&self, path: &str) -> Reply {
        Reply::of(self.agent.delete(self.path(path)).call().unwrap())
    }

    /// Follows the log of events, after the one with a number or from now on.
    pub(super) fn follow(&self, last: Option<u64>) -> Stream {
        let mut request = self.agent.get(self.path("/events/stream"));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last.to_string());
        }
        let response = request.call().unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        let mut stream = Stream(BufReader::new(response.into_body().into_reader()));
        // It says where it begins: what is written from now on is behind that.
        assert!(stream.line().starts_with(": after "));
        stream
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

impl Reply {
    fn of(mut response: Response<Body>) -> Self {
        let text = response.body_mut().read_to_string().unwrap();
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
        };
        Self { status: response.status().as_u16(), body }
    }

    /// The body, where this is the status.
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

/// Events as they come.
pub(super) struct Stream(BufReader<BodyReader<'static>>);

impl Stream {
    /// The next event.
    pub(super) fn next(&mut self) -> Value {
        loop {
            if let Some(data) = self.line().strip_prefix("data: ") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).unwrap();
        assert!(read > 0, "the stream ended");
        line
    }
}

/// An event as agents send it.
pub(super) fn event(summary: &str) -> String {
    json!({ "agent": "agent-1", "kind": "note", "summary": summary }).to_string()
}
