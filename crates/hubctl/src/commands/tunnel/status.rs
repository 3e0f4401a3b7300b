//! The status of tunnels as text.

use jiff::{SignedDuration, Timestamp};
use tunnel::ForwardStatus;

use crate::human;
use crate::ops::TunnelReport;
use crate::printer;

/// One line for each forward, then the reasons of those that are not up.
pub(super) fn text(report: &TunnelReport) -> String {
    if !report.running {
        return "not running".to_owned();
    }
    let now = Timestamp::now();
    let rows = report.tunnels.iter().flat_map(|tunnel| {
        tunnel.forwards.iter().map(move |forward| {
            vec![
                tunnel.name.clone(),
                format!("{} {}", forward.local, forward.way),
                forward.state.word().to_owned(),
                age(now, forward.since),
                proof(now, forward),
                format!(
                    "{} up, {} down",
                    human::bytes(forward.sent),
                    human::bytes(forward.received)
                ),
                tunnel.reconnects.to_string(),
            ]
        })
    });
    let header = ["tunnel", "forward", "state", "for", "proof", "bytes", ">reconnects"];
    let mut text = printer::table(&header, rows);
    for tunnel in &report.tunnels {
        for forward in &tunnel.forwards {
            if let Some(reason) = forward.state.reason() {
                text.push_str(&format!("\n{} {}: {reason}", tunnel.name, forward.local));
            }
        }
    }
    text
}

/// Returns the last answer to the probe: its time, its duration, and the server.
fn proof(now: Timestamp, forward: &ForwardStatus) -> String {
    let Some(proven) = forward.proven else {
        return format!("none yet: {}", forward.probe);
    };
    let round_trip = forward.round_trip_ms.map(|ms| format!(" in {ms:.1} ms")).unwrap_or_default();
    let identity = forward.identity.as_ref().map(|who| format!(" by {who}")).unwrap_or_default();
    format!("answered {} ago{round_trip}{identity}", age(now, proven))
}

fn age(now: Timestamp, then: Timestamp) -> String {
    let age = now.duration_since(then).max(SignedDuration::ZERO);
    human::duration(age.unsigned_abs())
}
