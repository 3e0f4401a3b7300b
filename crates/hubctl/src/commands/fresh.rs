//! `hubctl fresh`.

mod metrics;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

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
use crate::failure::{Failure, Refusal};
use crate::human;
use crate::printer::table;
use crate::settings::{Overrides, Settings};
use crate::store;
use crate::targets;

/// Answer whether the backups are fresh, for monitors
///
/// Ages count from the time of the data, not of the file. It asks the vault itself, so that a
/// schedule that died long ago shows. A backup that is damaged or dated after now is none. Exit
/// code 1 where a part is stale or never was, 3 where nothing is known to be stale and the vault or
/// a target cannot be asked. Targets have 30 seconds to answer.
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
    /// Also write the answer for the Prometheus textfile collector [default: metrics of
    /// [freshness]]
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
    /// Why the target could not be asked: then nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) fn run(context: &Context, args: FreshArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault);
    let settings = context.settings(overrides.journal(&args.journal))?;
    let asked = ask(context, &settings, args.max_age);
    let path = args.metrics.as_ref().or(settings.freshness.value.metrics.as_ref());
    if let Some(path) = path {
        let found = asked.as_ref().ok();
        let found = found.map(|(fresh, entries)| (fresh, entries.as_slice()));
        metrics::write(path, &metrics::text(&settings, found))?;
    }
    let (fresh, _) = asked?;
    context.printer.result("hubctl.fresh.v1", &fresh, || text(&fresh.parts))?;
    Ok(fresh.exit())
}

impl Fresh {
    /// A part that is stale for certain comes before one that could not be asked.
    fn exit(&self) -> Exit {
        let is_stale = |part: &Part| !part.fresh && part.error.is_none();
        if self.fresh {
            Exit::Yes
        } else if self.parts.iter().any(is_stale) {
            Exit::No
        } else {
            Exit::CouldNotAsk
        }
    }
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
    for (name, newest) in copies(settings, &vault, damaged, now, targets::PATIENCE) {
        let limit = settings.targets[&name].max_age.unwrap_or(max_age);
        let (newest, failure) = match newest {
            Ok(newest) => (newest, None),
            Err(error) => (None, Some(Failure::of(&error))),
        };
        let mut part = Part::of(format!("copy: {name}"), newest.as_ref(), limit, now);
        if let Some(failure) = failure {
            let printer = &context.printer;
            printer.warn(format_args!("target {name}: {}", failure.message));
            failure.hint.iter().for_each(|hint| printer.hint(hint));
            part.error = Some(failure.message);
        }
        parts.push(part);
    }
    let fresh = Fresh {
        vault: vault.directory().display().to_string(),
        service: vault.service().to_owned(),
        fresh: parts.iter().all(|part| part.fresh),
        parts,
    };
    Ok((fresh, entries))
}

/// The answer of a gate: whether the newest verified backup, or the newest drilled one, is of data
/// that is new enough.
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
    let part =
        parts.into_iter().find(|part| part.part == wanted).expect("both are always among them");
    let allowed = human::duration(Duration::from_secs(part.max_age_seconds));
    let age = part.age_seconds.map(|age| human::duration(Duration::from_secs(age)));
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
    let end = part.taken_at.as_ref().and_then(|at| at.parse::<Timestamp>().ok());
    let end = end.and_then(|at| {
        at.checked_add(SignedDuration::from_secs(i64::try_from(part.max_age_seconds).ok()?)).ok()
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

/// The answer of a target: its newest copy.
type Asked = anyhow::Result<Option<Entry>>;

/// The newest good copy at each target. All targets are asked at the same time, and each one only
/// until its time is over: a disk that is gone may keep its thread for ever.
fn copies(
    settings: &Settings,
    vault: &Vault,
    damaged: Damaged,
    now: Timestamp,
    patience: Duration,
) -> Vec<(String, Asked)> {
    /// The limits of a target speak first, since they know what it was doing.
    const GRACE: Duration = Duration::from_secs(2);
    let until = Instant::now() + patience;
    let damaged = Arc::new(damaged);
    let ask = |name: &String| {
        let (sender, receiver) = sync_channel(1);
        let (settings, vault, damaged) = (settings.clone(), vault.clone(), Arc::clone(&damaged));
        let asked = name.clone();
        thread::spawn(move || {
            // Nobody listens any more where this comes too late.
            let _ = sender.send(copy(&settings, &vault, &damaged, &asked, (now, until)));
        });
        (name.clone(), receiver)
    };
    let asked: Vec<(String, Receiver<Asked>)> = settings.targets.keys().map(ask).collect();
    let late = || {
        let allowed = human::duration(patience);
        let fact = format!("it did not answer within {allowed}");
        Refusal::could_not_ask(fact).hint("check the target and the network; is its disk mounted?")
    };
    let answers = asked.into_iter().map(|(name, answer)| {
        let left = (until + GRACE).saturating_duration_since(Instant::now());
        let answer = answer.recv_timeout(left);
        (name, answer.unwrap_or_else(|_| Err(late().into())))
    });
    answers.collect()
}

fn copy(
    settings: &Settings,
    vault: &Vault,
    damaged: &Damaged,
    name: &str,
    (now, until): (Timestamp, Instant),
) -> Asked {
    let opened = targets::open_until(settings, name, vault, Some(until))?;
    let newest =
        opened.newest(name, vault, |entry| is_past(entry, now) && damaged.is_good(entry))?;
    Ok(newest)
}

/// The entries come newest first.
fn newest(entries: &[Entry], now: Timestamp, is: impl Fn(&Entry) -> bool) -> Option<&Entry> {
    entries.iter().find(|entry| is_past(entry, now) && is(entry))
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
            error: None,
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.fresh, &self.error) {
            (true, _) => "fresh",
            (false, None) => "STALE",
            (false, Some(_)) => "UNKNOWN",
        }
    }
}

fn parts(entries: &[Entry], max_age: Duration, drilled: Duration, now: Timestamp) -> Vec<Part> {
    let is_taken = |entry: &Entry| entry.state() >= State::Sealed;
    let is_drilled = |entry: &Entry| entry.is_verified() && entry.state() == State::Drilled;
    vec![
        Part::of("taken", newest(entries, now, is_taken), max_age, now),
        Part::of("verified", newest(entries, now, Entry::is_verified), max_age, now),
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
            part.verdict().to_owned(),
            match (age, &part.error) {
                (Some(age), _) => human::duration(age),
                (None, None) => "never".to_owned(),
                (None, Some(_)) => "?".to_owned(),
            },
            human::duration(Duration::from_secs(part.max_age_seconds)),
            part.id.clone().unwrap_or_default(),
        ]
    });
    table(&["part", "verdict", ">age", ">may be", "backup"], rows)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// A server that sends a byte now and then, or none at all; it ends with the test.
    fn deaf(drips: bool) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    let _ = stream.read(&mut [0; 4096]);
                    let _ = stream.write_all(b"HTTP/1.1 207 x\r\n\r\n");
                    while !drips || stream.write_all(b" ").is_ok() {
                        thread::sleep(Duration::from_millis(50));
                    }
                });
            }
        });
        port
    }

    #[test]
    fn targets_that_drip_or_hang_are_unknown_in_bounded_time() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("hubctl.toml");
        let target = |name, drips| {
            let port = deaf(drips);
            format!("[targets.{name}]\nwebdav = \"http://127.0.0.1:{port}/\"\n")
        };
        let text = [target("drips", true), target("hangs", false)].concat();
        fs_err::write(&config, text).unwrap();
        let settings = Settings::load(Some(&config), Overrides::default()).unwrap();
        let vault = Vault::open(directory.path(), "hub").unwrap();
        let (now, patience) = (Timestamp::now(), Duration::from_millis(500));
        let begun = Instant::now();
        let asked = copies(&settings, &vault, Damaged::default(), now, patience);
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(asked.len(), 2);
        for (name, answer) in asked {
            let failure = Failure::of(&answer.unwrap_err());
            assert_eq!(failure.exit, Exit::CouldNotAsk, "{name}: {failure}");
        }
    }

    #[test]
    fn what_is_stale_for_certain_comes_before_what_is_unknown() {
        let part = |fresh, error: Option<&str>| {
            let mut part = Part::of("x", None, Duration::ZERO, Timestamp::now());
            part.fresh = fresh;
            part.error = error.map(str::to_owned);
            part
        };
        let exit = |parts: Vec<Part>| {
            let fresh = parts.iter().all(|part| part.fresh);
            let (vault, service) = (String::new(), String::new());
            let asked = Fresh { vault, service, fresh, parts };
            asked.exit()
        };
        let (fresh, stale, unknown) =
            (|| part(true, None), || part(false, None), || part(false, Some("x")));
        assert_eq!(exit(vec![fresh()]), Exit::Yes);
        assert_eq!(exit(vec![fresh(), unknown()]), Exit::CouldNotAsk);
        assert_eq!(exit(vec![unknown(), stale(), fresh()]), Exit::No);
    }
}
