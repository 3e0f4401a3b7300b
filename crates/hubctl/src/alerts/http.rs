//! Requests to URLs that are secrets: whoever knows one may write there.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use ureq::http::StatusCode;
use url::Url;

use super::{LIMIT, Message};
use crate::failure::Refusal;
use crate::http::agent;
use crate::runtime::blocking;
use crate::secret;

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// For one attempt, so that there is time for another.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The URL in a file that only we may read. It must be encrypted, except on this machine, and it is
/// never shown.
pub(super) fn read_url(path: &Path, what: &str) -> anyhow::Result<Url> {
    let refused = |reason: &str| {
        let place = path.display();
        Refusal::usage(format!("{place} holds no URL for the {what}: {reason}"))
    };
    let text = secret::read_file(path, what)?;
    let url =
        Url::parse(text.expose_secret().trim()).map_err(|error| refused(&error.to_string()))?;
    let is_here = ["127.0.0.1", "[::1]", "localhost"].contains(&url.host_str().unwrap_or_default());
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        _ => Err(refused("it must begin with https://").into()),
    }
}

/// Posts to a URL, again where that may help, until the limit is over.
pub(super) async fn post(
    url: Url,
    content_type: &'static str,
    body: Vec<u8>,
) -> anyhow::Result<()> {
    blocking(move || {
        let (agent, begun) = (agent(ATTEMPT), Instant::now());
        loop {
            let request = agent.post(url.as_str()).content_type(content_type);
            let error = match request.send(&body[..]).map(|response| response.status()) {
                Ok(status) if status.is_success() => return Ok(()),
                // It heard us, and will say the same again.
                Ok(status) if !may_pass(status) => anyhow::bail!("the server answered {status}"),
                Ok(status) => anyhow::anyhow!("the server answered {status}"),
                // What is wrong with a URL is said with the URL.
                Err(ureq::Error::BadUri(_)) => anyhow::bail!("its URL is invalid"),
                Err(error) => anyhow::Error::from(error),
            };
            if begun.elapsed() + PAUSE + ATTEMPT > LIMIT {
                return Err(error);
            }
            tracing::info!("nobody was told yet: {error:#}");
            std::thread::sleep(PAUSE);
        }
    })
    .await
}

fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Posts a message to the webhook.
pub(super) async fn post_message(url_file: &Path, message: &Message) -> anyhow::Result<()> {
    let url = read_url(url_file, "webhook")?;
    let body = serde_json::to_vec(message).context("the message cannot be written")?;
    post(url, "application/json", body).await
}
