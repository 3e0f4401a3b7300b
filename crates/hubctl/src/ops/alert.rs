//! Send a failure alert to everyone in the settings.

use serde::Serialize;

use super::{Ops, Report};
use crate::alerts::{self, Message};
use crate::failure::Refusal;

pub use crate::alerts::Told;

/// The failure to tell.
#[derive(Debug, Clone, Default)]
pub struct AlertOrder {
    /// The unit or job that failed.
    pub what: String,
}

/// An alert that was sent.
#[derive(Debug, Clone, Serialize)]
pub struct AlertReport {
    /// The unit or job that failed.
    pub what: String,
    /// The configured ways, and what became of each.
    pub told: Vec<Told>,
}

impl Report for AlertReport {
    const SCHEMA: &'static str = "hubctl.alerted.v1";
}

/// Sends a failure alert in every way of `[alerts]`, whatever becomes of the others.
///
/// # Errors
/// A configuration whose `[alerts]` names nobody. A way that fails is in the report with its error.
pub async fn alert(ops: &Ops, order: AlertOrder) -> anyhow::Result<AlertReport> {
    let settings = ops.settings();
    if !settings.alerts.tells_anybody() {
        return Err(Refusal::usage("[alerts] names no channel")
            .hint("set command, webhook or mail in [alerts]")
            .into());
    }
    let message = Message::new(settings, &order.what, ops.now());
    let told = alerts::tell(settings, &message).await;
    for told in &told {
        if let Some(error) = &told.error {
            ops.warn(format_args!("not told by {}: {error}", told.by));
        }
    }
    Ok(AlertReport { what: order.what, told })
}
