//! Alerts: the dead-man's switch is told when a backup is verified or fails, and everyone in
//! [alerts] when a scheduled run fails.
//!
//! Nothing here fails or delays what it is about: each has its limit, and what could not be told is
//! a warning.

mod http;
mod mail;
mod ping;

use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::process::Command;

use crate::act;
use crate::environment as env;
use crate::settings::Settings;
pub(crate) use ping::Ping;

/// The time limit of one channel, with all its attempts.
const LIMIT: Duration = Duration::from_secs(10);

/// An alert. The webhook gets it as JSON; chat programs show `text`.
#[derive(Debug, Serialize)]
pub(crate) struct Message {
    schema: &'static str,
    pub(crate) text: String,
    service: Option<String>,
    host: String,
    /// The unit or job that failed.
    what: String,
    at: String,
}

impl Message {
    pub(crate) fn new(settings: &Settings, what: &str, at: Timestamp) -> Self {
        let service = settings.service.as_ref().map(|service| service.value.clone());
        let host = act::host();
        let of = service.as_ref().map_or_else(String::new, |service| format!(" of {service}"));
        Self {
            schema: "hubctl.alert.v1",
            text: format!(
                "hubctl{of} on {host}: {what} failed; `hubctl journal list` and `hubctl fresh` say more"
            ),
            service,
            host,
            what: what.to_owned(),
            at: at.to_string(),
        }
    }
}

/// One way of telling, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// `command`, `webhook` or `mail`.
    pub by: &'static str,
    /// The reason why it failed.
    pub error: Option<String>,
}

/// Tells everybody that is configured, each whatever became of the others.
pub(crate) async fn tell(settings: &Settings, message: &Message) -> Vec<Told> {
    let alerts = &settings.alerts;
    let mut told = Vec::new();
    let mut tell = |by, outcome: anyhow::Result<()>| {
        let error = outcome.err().map(|error| format!("{error:#}"));
        told.push(Told { by, error });
    };
    if let Some(command) = &alerts.command {
        tell("command", run(&command.value, &message.what).await);
    }
    if let Some(webhook) = &alerts.webhook {
        tell("webhook", http::post_message(&webhook.value, message).await);
    }
    if let Some(mail) = &alerts.mail {
        tell("mail", mail::send(&mail.value, message).await);
    }
    told
}

/// The operator's own command.
async fn run(command: &str, what: &str) -> anyhow::Result<()> {
    let mut child = Command::new("/bin/sh");
    child.args(["-c", command]).env(env::FAILED_UNIT, what).stdin(Stdio::null());
    child.kill_on_drop(true);
    ended(child.spawn()?.wait_with_output()).await
}

/// Waits for a command within the limit.
async fn ended(
    output: impl Future<Output = std::io::Result<std::process::Output>>,
) -> anyhow::Result<()> {
    let output = tokio::time::timeout(LIMIT, output)
        .await
        .map_err(|_| anyhow::anyhow!("it did not end within {} s", LIMIT.as_secs()))??;
    anyhow::ensure!(output.status.success(), "it ended with {}", output.status);
    Ok(())
}
