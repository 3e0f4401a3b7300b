//! Requests with deadlines and repetitions of our own: the defaults wait for ever, and repeat for
//! minutes.

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use kube::{Client, Config};

use super::answer::{Answered, Refused, Retry, understand};
use super::kubeconfig::Chosen;
use super::path::Asking;
use super::{Access, Pace};
use crate::evidence::Absence;
use crate::evidence::weight::weight;

/// The first pause before another try; each one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// So often is a request made that may bring something the next time.
const TRIES: u32 = 4;
/// No page is longer. 500 pods with everything in them are a tenth of this.
const MOST: usize = 64 << 20;

/// No parsed answer needs more memory. An ordinary page of 500 pods needs a fifth of this.
const HEAVIEST: u64 = 256 << 20;
/// Credentials that end are renewed so long before.
const AHEAD: SignedDuration = SignedDuration::from_secs(60);

/// A client of one cluster.
pub(super) struct Connection {
    client: Client,
    pace: Pace,
    /// The expiry of its credentials.
    until: Option<Timestamp>,
}

impl Connection {
    pub(super) async fn open(access: &Access) -> Result<Self, Absence> {
        let (mut config, until) = match &access.kubeconfig {
            None => (Config::incluster_dns().map_err(Absence::failed)?, None),
            Some(path) => {
                let context = access.context.as_deref().unwrap_or_default();
                let chosen = Chosen::read(path, context)?;
                chosen.config(access.pace).await?
            }
        };
        config.default_retry = false;
        config.connect_timeout = Some(access.pace.request);
        config.read_timeout = Some(access.pace.question);
        let client = Client::try_from(config).map_err(|error| Absence::failed(chain(&error)))?;
        Ok(Self { client, pace: access.pace, until })
    }

    /// Returns true if its credentials have ended, or are about to.
    pub(super) fn is_ending(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until.duration_since(now) <= AHEAD)
    }

    pub(super) fn page(&self) -> u32 {
        self.pace.page
    }

    /// Asks until there is an answer, or a refusal that stays, or no time is left.
    pub(super) async fn get(&self, path: &str, asking: &Asking) -> Result<Answered, Absence> {
        let mut pause = PAUSE;
        let mut tries = 1;
        loop {
            let refused = match self.once(path, asking).await {
                Ok(answered) => return Ok(answered),
                Err(refused) => refused,
            };
            let wait = match refused.retry {
                Retry::No => return Err(refused.absence),
                _ if tries >= TRIES => return Err(refused.absence),
                // Whoever asks for more time than there is gets none of it.
                Retry::After(wait) if wait >= self.pace.question => return Err(refused.absence),
                Retry::After(wait) => wait,
                Retry::Soon => pause,
            };
            tokio::time::sleep(wait).await;
            pause *= 2;
            tries += 1;
        }
    }

    async fn once(&self, path: &str, asking: &Asking) -> Result<Answered, Refused> {
        let soon = |absence| Refused { absence, retry: Retry::Soon };
        let finally = |absence| Refused { absence, retry: Retry::No };
        // Labels and continue tokens may be longer than an address can be.
        let request = Request::get(path)
            .header("accept", "application/json")
            .body(Body::empty())
            .map_err(|error| finally(Absence::failed(error)))?;
        let limit = self.pace.request;
        let exchange = async {
            let response = self
                .client
                .send(request)
                .await
                .map_err(|error| soon(Absence::Unreachable { detail: chain(&error) }))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MOST).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                // It is as long the next time.
                true => finally(Absence::failed(format!(
                    "the answer is longer than {} MiB",
                    MOST >> 20
                ))),
                false => soon(Absence::Unreachable { detail: error.to_string() }),
            })?;
            let body = body.to_bytes();
            if weight(&body) > HEAVIEST {
                return Err(finally(Absence::failed(format!(
                    "the answer needs more than {} MiB of memory",
                    HEAVIEST >> 20
                ))));
            }
            understand(head.status, &head.headers, &body, asking)
        };
        tokio::time::timeout(limit, exchange)
            .await
            .unwrap_or_else(|_| Err(soon(Absence::TimedOut { seconds: limit.as_secs() })))
    }
}

/// An error with its causes, each once: the first alone is "error trying to connect".
pub(in crate::collect) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
