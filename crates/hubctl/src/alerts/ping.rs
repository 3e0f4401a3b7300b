//! The dead-man's switch: a monitor elsewhere that is told when a backup begins and ends, and
//! alarms when it hears nothing.
//!
//! As healthchecks.io and its like have it: `URL/start`, `URL` and `URL/fail`, with the same `rid`
//! for what belongs together. An interrupted backup tells nothing more, which is what the monitor
//! is there to notice.

use std::sync::Arc;

use tokio::task::JoinHandle;
use url::Url;

use super::http;
use crate::console::Console;
use crate::failure::Failure;
use crate::settings::Settings;

/// A backup that was begun, and of which the monitor was told.
pub(crate) struct Ping {
    url: Url,
    console: Arc<dyn Console>,
    begun: JoinHandle<anyhow::Result<()>>,
}

impl Ping {
    /// Tells that a backup begins, beside it; nothing where no monitor is configured or it cannot
    /// be asked.
    pub(crate) fn begin(settings: &Settings, console: &Arc<dyn Console>) -> Option<Self> {
        let url_file = &settings.alerts.ping.as_ref()?.value;
        let mut url = match http::read_url(url_file, "ping") {
            Ok(url) => url,
            Err(error) => {
                unheard(&**console, &error);
                return None;
            }
        };
        url.query_pairs_mut().append_pair("rid", &random_uuid());
        let begun = tokio::spawn(post(below(&url, "start"), String::new()));
        Some(Self { url, console: Arc::clone(console), begun })
    }

    /// Tells that there is a verified backup.
    pub(crate) async fn succeed(self) {
        let url = self.url.clone();
        self.end(url, String::new()).await;
    }

    /// Tells that there is none, and why.
    pub(crate) async fn fail(self, reason: String) {
        let url = below(&self.url, "fail");
        self.end(url, reason).await;
    }

    async fn end(self, url: Url, body: String) {
        // In this order, or the monitor would take the end for that of the run before. Whether the beginning was heard does not matter now.
        let _ = self.begun.await;
        if let Err(error) = post(url, body).await {
            unheard(&*self.console, &error);
        }
    }
}

async fn post(url: Url, body: String) -> anyhow::Result<()> {
    http::post(url, "text/plain; charset=utf-8", body.into_bytes()).await
}

fn unheard(console: &dyn Console, error: &anyhow::Error) {
    console.warn(format_args!(
        "the monitor of [alerts.ping] was not told: {}",
        Failure::of(error).message
    ));
}

/// The URL with one more word in its path.
fn below(url: &Url, word: &str) -> Url {
    let mut url = url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push(word);
    }
    url
}

/// A UUID of version 4.
fn random_uuid() -> String {
    let mut bytes = [0_u8; 16];
    // Not a secret: where the kernel has none yet, runs are told apart less well.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_goes_into_the_path_and_before_the_query() {
        let url = "https://hc.example/ping/abc/?create=1".parse().unwrap();
        assert_eq!(below(&url, "start").as_str(), "https://hc.example/ping/abc/start?create=1");
    }

    #[test]
    fn runs_have_uuids_of_their_own() {
        let (one, two) = (random_uuid(), random_uuid());
        assert!(one != two && one.len() == 36 && one.as_bytes()[14] == b'4', "{one}");
    }
}
