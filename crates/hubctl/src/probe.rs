//! Questions over HTTP at the addresses that clients use: which database answers, whether the
//! service is healthy, and whether a write arrives.
//!
//! An address that cannot be asked (a refused connection, a redirection, an error of the server) is
//! no answer about a database.

use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::Value;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};
use url::Url;

use crate::failure::Refusal;
use crate::http::agent;
use crate::runtime::blocking;
use crate::settings::{ProbeTable, WriteProbeTable};

/// The time of one request.
const LIMIT: Duration = Duration::from_secs(10);
/// No answer about a database is longer.
const LONGEST: u64 = 64 << 10;
/// The place of the nonce in a body and in a query.
pub(crate) const PLACE: &str = "{nonce}";

/// A word that the row of a write probe is found by: letters and digits, which need no quotes in
/// JSON or SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nonce(String);

impl Nonce {
    /// The word of a run. It is the same after a crash, so that a repeated write is one write for a
    /// service that knows idempotency keys.
    pub(crate) fn of(run: &str) -> Self {
        let hash = blake3::hash(run.as_bytes()).to_hex();
        Self(format!("hubctl{}", &hash[..20]))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Asks for the identity of the database behind the address of the probe. Only a whole answer is
/// one.
pub(crate) async fn answering(probe: &ProbeTable) -> anyhow::Result<String> {
    let (address, json) = (probe.http.clone(), probe.json.clone());
    let identity = blocking(move || identity(&address, &json)).await?;
    Ok(identity)
}

/// Requires that the service at this address answers with success.
pub(crate) async fn healthy(api: &str) -> anyhow::Result<()> {
    let address = api.to_owned();
    blocking(move || get(&address).and_then(|response| require_success(&address, &response)))
        .await?;
    Ok(())
}

/// Writes at the address that clients use, and requires that the service accepts.
pub(crate) async fn write(probe: &WriteProbeTable, nonce: &Nonce) -> anyhow::Result<()> {
    let (address, body) = (probe.post.clone(), filled(&probe.body, nonce));
    let key = nonce.as_str().to_owned();
    blocking(move || {
        let request = agent(LIMIT)
            .post(url(&address)?.as_str())
            .content_type("application/json")
            .header("Idempotency-Key", &key);
        let response = request.send(body).map_err(|error| unreachable(&address, &error))?;
        require_success(&address, &response)
    })
    .await?;
    Ok(())
}

/// The query that counts the row of a write probe.
pub(crate) fn sql(probe: &WriteProbeTable, nonce: &Nonce) -> String {
    filled(&probe.sql, nonce)
}

fn filled(text: &str, nonce: &Nonce) -> String {
    text.replace(PLACE, nonce.as_str())
}

fn identity(address: &str, json: &str) -> Result<String, Refusal> {
    let mut response = get(address)?;
    let shown = gates::shown_url(address);
    let could_not_ask = |fact: String| {
        Refusal::could_not_ask(format!("{shown} does not say which database answers: {fact}"))
    };
    let status = response.status();
    if !status.is_success() {
        return Err(could_not_ask(format!("it answered {}", said(status))));
    }
    let body = response.body_mut().with_config().limit(LONGEST).read_to_vec();
    let body = body.map_err(|error| could_not_ask(error.to_string()))?;
    let answer: Value = serde_json::from_slice(&body)
        .map_err(|_| could_not_ask("its answer is not JSON".into()))?;
    member(&answer, json).ok_or_else(|| {
        could_not_ask(format!("its answer has no text or number as member `{json}`"))
            .hint("set `json` of [cutover] probe to the member that names the database")
    })
}

/// A member by its name, or by the names on the way to it, joined by dots.
fn member(answer: &Value, path: &str) -> Option<String> {
    let found = answer
        .get(path)
        .or_else(|| path.split('.').try_fold(answer, |value, name| value.get(name)))?;
    match found {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        _ => None,
    }
}

/// Asks past every cache.
fn get(address: &str) -> Result<Response<Body>, Refusal> {
    let mut asked = url(address)?;
    asked.query_pairs_mut().append_pair("nonce", &random_word());
    let client: Agent = agent(LIMIT);
    let request = client
        .get(asked.as_str())
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::PRAGMA, "no-cache")
        .header(header::ACCEPT, "application/json, */*;q=0.5");
    request.call().map_err(|error| unreachable(address, &error))
}

/// Not a secret: where the kernel has no random bytes yet, a cache is only more likely.
fn random_word() -> String {
    let mut bytes = [0_u8; 8];
    let _ = getrandom(&mut bytes, GetRandomFlags::NONBLOCK);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn url(address: &str) -> Result<Url, Refusal> {
    let shown = gates::shown_url(address);
    Url::parse(address).map_err(|error| Refusal::usage(format!("{shown} is not a URL: {error}")))
}

/// A server that has trouble may have none the next time; a refusal stays one.
fn require_success(address: &str, response: &Response<Body>) -> Result<(), Refusal> {
    let (status, shown) = (response.status(), gates::shown_url(address));
    let fact = format!("{shown} answered {}", said(status));
    let passes =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    match status {
        _ if status.is_success() => Ok(()),
        _ if status.is_server_error() || passes.contains(&status) => {
            Err(Refusal::could_not_ask(fact))
        }
        _ if status.is_redirection() => {
            Err(Refusal::no(fact).hint("name the address that it leads to; none is followed"))
        }
        _ => Err(Refusal::no(fact)),
    }
}

fn said(status: StatusCode) -> String {
    status.canonical_reason().map_or_else(
        || status.as_str().to_owned(),
        |reason| format!("{} {reason}", status.as_str()),
    )
}

fn unreachable(address: &str, error: &ureq::Error) -> Refusal {
    let shown = gates::shown_url(address);
    match error {
        // It would be repeated with its secrets.
        ureq::Error::BadUri(_) => Refusal::usage(format!("{shown} is not a URL to ask")),
        ureq::Error::Timeout(_) => {
            Refusal::could_not_ask(format!("{shown} did not answer within {} s", LIMIT.as_secs()))
        }
        error => Refusal::could_not_ask(format!("{shown} cannot be reached: {error}")),
    }
}

#[cfg(test)]
mod tests;
