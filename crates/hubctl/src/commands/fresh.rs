//! `hubctl fresh`.

mod metrics;

use std::path::PathBuf;
use std::time::Duration;

use backup::{Entry, State, Vault};
use clap::Args;
use gates::{Subject, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;

use crate::cli::options::{JournalOptions, VaultOptions};
use crate::cli::values;
use crate::commands::backups::age;
use crate::context::Context;
use crate::damage::Damaged;
use crate::exit::Exit;
use crate::human;
use crate::printer::{answer, table};
use crate::settings::{Overrides, Settings};
use crate::store;
use crate::targets;

/// Answer whether the backups are fresh, for monitors
///
/// Ages count from the time of the data, not of the file. It asks the vault itself, so that a schedule that died long ago shows. A backup
/// that is damaged or dated after now is none. Exit code 1 where a part is stale or never was, 3 where the vault cannot be asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl fresh                 by [freshness] of hubctl.toml: a backup of 26 hours, a drill of 8 days
  hubctl fresh --max-age 2h
  hubctl fresh --quiet || alert
  hubctl fresh --metrics /var/lib/node_exporter/hubctl.prom")]
pub(crate) struct FreshArgs {
    /// How old the newest backup may be, verified, such as 26h
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    max_age: Option<Duration>,
    /// Also write the answer for the Prometheus textfile collector [default: metrics of [freshness]]
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

#[derive(Debug, Serialize)]
struct Fresh {
    vault: String,
    service: String,
    fresh: bool,
    parts: Vec<Part>,
}

/// One thing that must have been done lately.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Part {
    part: String,
    fresh: bool,
    id: Option<String>,
    taken_at: Option<String>,
    sealed_bytes: Option<u64>,
    age_seconds: Option<u64>,
    max_age_seconds: u64,
}

pub(crate) fn run(context: &Context, args: FreshArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault);
    let settings = context.settings(overrides.journal(&args.journal))?;
    let asked = ask(context, &settings, args.max_age);
    let path = args
        .metrics
        .as_ref()
        .or(settings.freshness.value.metrics.as_ref());
    if let Some(path) = path {
        let found = asked.as_ref().ok();
        let found = found.map(|(fresh, entries)| (fresh, entries.as_slice()));
        metrics::write(path, &metrics::text(&settings, found))?;
    }
    let (fresh, _) = asked?;
    context
        .printer
        .result("hubctl.fresh.v1", &fresh, || text(&fresh.parts))?;
    Ok(answer(fresh.fresh))
}

/// Asks the vault and the targets; returns the vault's entries, too.
fn ask(
    context: &Context,
    settings: &Settings,
    max_age: Option<Duration>,
) -> anyhow::Result<(Fresh, Vec<Entry>)> {
    let vault = store::open_vault(settings, None).map_err(away)?;
    let damaged = Damaged::read(settings, &context.printer);
    let mut entries = vault.entries().map_err(targets::unreachable)?;
    entries.retain(|entry| damaged.finding(entry.path()).is_none());
    let limits = &settings.freshness.value;
    let max_age = max_age.unwrap_or(limits.max_age);
    let now = Timestamp::now();
    let mut parts = parts(&entries, max_age, limits.drilled, now);
    for (name, target) in &settings.targets {
        let limit = target.max_age.unwrap_or(max_age);
        let mut entries = copies(context, settings, name, &vault);
        entries.retain(|entry| damaged.finding(entry.path()).is_none());
        let newest = newest(&entries, now, Entry::is_verified);
        parts.push(Part::of(format!("copy: {name}"), newest, limit, now));
    }
    let fresh = Fresh {
        vault: vault.directory().display().to_string(),
        service: vault.service().to_owned(),
        fresh: parts.iter().all(|part| part.fresh),
        parts,
    };
    Ok((fresh, entries))
}

/// The answer of a gate: whether the newest verified backup, or the newest drilled one, is of data that is new enough.
pub(crate) fn verdict(
    context: &Context,
    settings: &Settings,
    max_age: Option<Duration>,
    drilled: bool,
) -> anyhow::Result<Verdict> {
    let vault = store::open_vault(settings, None).map_err(away)?;
    let damaged = Damaged::read(settings, &context.printer);
    let mut entries = vault.entries().map_err(targets::unreachable)?;
    entries.retain(|entry| damaged.finding(entry.path()).is_none());
    let limits = &settings.freshness.value;
    let limit = |configured: Duration| max_age.unwrap_or(configured);
    let now = Timestamp::now();
    let parts = parts(&entries, limit(limits.max_age), limit(limits.drilled), now);
    let wanted = if drilled { "drilled" } else { "verified" };
    let part = parts
        .into_iter()
        .find(|part| part.part == wanted)
        .expect("both are always among them");
    let allowed = human::duration(Duration::from_secs(part.max_age_seconds));
    let age = part
        .age_seconds
        .map(|age| human::duration(Duration::from_secs(age)));
    let verdict = match age {
        None => Verdict::fail(format!("no {wanted} backup")).with_hint(if drilled {
            "run `hubctl backup`, then `hubctl drill`"
        } else {
            "run `hubctl backup`, or `hubctl verify ID` where the key is"
        }),
        Some(age) => {
            let reason =
                format!("the newest {wanted} backup holds data of {age} ago, {allowed} allowed");
            if part.fresh {
                Verdict::pass(reason)
            } else {
                Verdict::fail(reason)
                    .with_hint("run `hubctl fresh` for all parts, and check that the schedule runs")
            }
        }
    };
    let end = part
        .taken_at
        .as_ref()
        .and_then(|at| at.parse::<Timestamp>().ok());
    let end = end.and_then(|at| {
        at.checked_add(SignedDuration::from_secs(
            i64::try_from(part.max_age_seconds).ok()?,
        ))
        .ok()
    });
    let verdict = match end.filter(|_| part.fresh) {
        Some(end) => verdict.until(end),
        None => verdict,
    };
    let subject = Subject::named("vault", vault.directory().display().to_string());
    Ok(verdict
        .about(subject)
        .with_evidence(json!({ "id": part.id, "taken_at": part.taken_at }))
        .against(json!({ "max_age_seconds": part.max_age_seconds, "drilled": drilled })))
}

/// The same for a vault.
fn away(error: anyhow::Error) -> anyhow::Error {
    match error.downcast() {
        Ok(error) => targets::unreachable(error),
        Err(error) => error,
    }
}

/// The backups at a target. One that is not there has none: nobody knows what became of it.
fn copies(context: &Context, settings: &Settings, name: &str, vault: &Vault) -> Vec<Entry> {
    let opened = targets::open(settings, name, vault);
    let entries = opened.and_then(|opened| Ok(opened.entries(name, vault)?));
    entries.unwrap_or_else(|error| {
        context.printer.warn(format_args!("target {name}: {error}"));
        Vec::new()
    })
}

/// The entries come newest first.
fn newest(entries: &[Entry], now: Timestamp, is: impl Fn(&Entry) -> bool) -> Option<&Entry> {
    entries
        .iter()
        .find(|entry| is_past(entry, now) && is(entry))
}

impl Part {
    fn of(
        part: impl Into<String>,
        newest: Option<&Entry>,
        limit: Duration,
        now: Timestamp,
    ) -> Self {
        let taken = newest.and_then(Entry::taken_at);
        // A few minutes ahead are none.
        let age = taken.map(|taken| age(taken, now).unwrap_or_default());
        Self {
            part: part.into(),
            fresh: age.is_some_and(|age| age <= limit),
            id: newest.map(|entry| entry.id().to_owned()),
            taken_at: taken.map(|at| at.to_string()),
            sealed_bytes: newest.map(Entry::sealed_bytes),
            age_seconds: age.map(|age| age.as_secs()),
            max_age_seconds: limit.as_secs(),
        }
    }
}

fn parts(entries: &[Entry], max_age: Duration, drilled: Duration, now: Timestamp) -> Vec<Part> {
    let is_taken = |entry: &Entry| entry.state() >= State::Sealed;
    let is_drilled = |entry: &Entry| entry.is_verified() && entry.state() == State::Drilled;
    vec![
        Part::of("taken", newest(entries, now, is_taken), max_age, now),
        Part::of(
            "verified",
            newest(entries, now, Entry::is_verified),
            max_age,
            now,
        ),
        Part::of("drilled", newest(entries, now, is_drilled), drilled, now),
    ]
}

/// Clocks of two machines differ by less than five minutes.
fn is_past(entry: &Entry, now: Timestamp) -> bool {
    let limit = now + SignedDuration::from_mins(5);
    entry.taken_at().is_some_and(|taken| taken <= limit)
}

fn text(parts: &[Part]) -> String {
    let rows = parts.iter().map(|part| {
        let age = part.age_seconds.map(Duration::from_secs);
        vec![
            part.part.clone(),
            if part.fresh { "fresh" } else { "STALE" }.to_owned(),
            age.map_or_else(|| "never".to_owned(), human::duration),
            human::duration(Duration::from_secs(part.max_age_seconds)),
            part.id.clone().unwrap_or_default(),
        ]
    });
    table(&["part", "verdict", ">age", ">may be", "backup"], rows)
}
