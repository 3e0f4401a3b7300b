//! What is shown of tunnels, once or as they change.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tunnel::{Change, Client, Event, ForwardStatus, Overview, TunnelStatus};

use super::place::Place;
use super::{Names, chosen};
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::printer::{Format, Printer, answer, table};
use crate::settings::Settings;

/// How often a log is looked at for more.
const FOLLOW: Duration = Duration::from_millis(200);

#[derive(Serialize)]
struct Status<'a> {
    running: bool,
    pid: Option<u32>,
    since: Option<Timestamp>,
    tunnels: Vec<&'a TunnelStatus>,
}

/// A change as one line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    #[serde(flatten)]
    event: &'a Event,
}

pub(super) async fn status(
    context: &Context,
    settings: &Settings,
    place: &Place,
    names: &Names,
) -> anyhow::Result<Exit> {
    chosen(settings, names)?;
    match Client::connect(&place.runtime).await {
        Ok(mut client) => {
            overview(context, &client.status().await?, names)?;
            Ok(Exit::Yes)
        }
        Err(tunnel::Error::NotRunning { .. }) => {
            let nothing = Status { running: false, pid: None, since: None, tunnels: Vec::new() };
            context
                .printer
                .result("hubctl.tunnel-status.v1", &nothing, || "not running".to_owned())?;
            Ok(Exit::No)
        }
        Err(error) => Err(error.into()),
    }
}

/// Prints what a supervisor knows, and tells whether all that were asked for are up.
pub(super) fn overview(
    context: &Context,
    overview: &Overview,
    names: &Names,
) -> anyhow::Result<bool> {
    let tunnels: Vec<&TunnelStatus> =
        overview.tunnels.iter().filter(|tunnel| names.include(&tunnel.name)).collect();
    let status =
        Status { running: true, pid: Some(overview.pid), since: Some(overview.since), tunnels };
    context.printer.result("hubctl.tunnel-status.v1", &status, || text(&status.tunnels))?;
    Ok(!status.tunnels.is_empty() && status.tunnels.iter().all(|tunnel| tunnel.is_up()))
}

fn text(tunnels: &[&TunnelStatus]) -> String {
    let now = Timestamp::now();
    let rows = tunnels.iter().flat_map(|tunnel| {
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
    let mut text =
        table(&["tunnel", "forward", "state", "for", "proof", "bytes", ">reconnects"], rows);
    for tunnel in tunnels {
        for forward in &tunnel.forwards {
            if let Some(reason) = forward.state.reason() {
                text.push_str(&format!("\n{} {}: {reason}", tunnel.name, forward.local));
            }
        }
    }
    text
}

/// When the probe was last answered, how fast, and by whom.
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

pub(super) async fn check(
    context: &Context,
    settings: &Settings,
    place: &Place,
    names: &Names,
) -> anyhow::Result<Exit> {
    let wanted = chosen(settings, names)?;
    let mut client = Client::connect(&place.runtime).await?;
    let known = client.status().await?;
    let all_up = overview(context, &known, names)?;
    // One that was not started is not up.
    let are_known =
        wanted.keys().all(|name| known.tunnels.iter().any(|tunnel| tunnel.name == *name));
    Ok(answer(all_up && are_known))
}

pub(super) async fn watch(context: &Context, place: &Place, names: &Names) -> anyhow::Result<Exit> {
    let (known, mut watch) = Client::connect(&place.runtime).await?.watch().await?;
    let printer = &context.printer;
    present(printer, &known, names)?;
    loop {
        let next = tokio::select! {
            next = watch.next() => next?,
            () = context.hold.wait() => return Ok(Exit::Yes),
        };
        match next {
            Some(Change::Event(event)) if names.include(&event.tunnel) => {
                change(printer, &event)?;
            }
            Some(Change::Missed(known)) => present(printer, &known, names)?,
            Some(_) => {}
            None => {
                printer.say("the supervisor ended");
                return Ok(Exit::No);
            }
        }
    }
}

/// How it stands, as the change that led there: so a watch is lines of one kind.
fn present(printer: &Printer, known: &Overview, names: &Names) -> anyhow::Result<()> {
    for tunnel in known.tunnels.iter().filter(|tunnel| names.include(&tunnel.name)) {
        for event in tunnel.as_events() {
            change(printer, &event)?;
        }
    }
    Ok(())
}

/// One change, as one line.
pub(crate) fn change(printer: &Printer, event: &Event) -> anyhow::Result<()> {
    let line = match printer.format() {
        Format::Json => serde_json::to_string(&Line { schema: "hubctl.tunnel-event.v1", event })?,
        Format::Text => {
            let reason =
                event.state.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!(
                "{:.3} {} {} {}{reason}",
                event.at,
                event.tunnel,
                event.local,
                event.state.word()
            )
        }
    };
    printer.data(&line)
}

pub(super) async fn logs(
    context: &Context,
    place: &Place,
    names: &Names,
    follow: bool,
) -> anyhow::Result<Exit> {
    let file = match regularfile::open(&place.log) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            context.printer.say("nothing happened yet");
            return Ok(Exit::Yes);
        }
        Err(error) => return Err(error.into()),
    };
    let mut lines = BufReader::new(file);
    let mut line = String::new();
    loop {
        // Half a line is read on when the other half is written.
        while lines.read_line(&mut line)? > 0 && line.ends_with('\n') {
            match serde_json::from_str::<Event>(&line) {
                Ok(event) if names.include(&event.tunnel) => {
                    change(&context.printer, &event)?;
                }
                Ok(_) => {}
                Err(_) => context
                    .printer
                    .warn(format_args!("a line of `{}` is no change", place.log.display())),
            }
            line.clear();
        }
        if !follow {
            return Ok(Exit::Yes);
        }
        tokio::select! {
            () = tokio::time::sleep(FOLLOW) => {}
            () = context.hold.wait() => return Ok(Exit::Yes),
        }
    }
}
