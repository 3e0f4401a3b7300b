//! `hubctl clean`.

use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use pgsnap::KeptDatabase;
use serde::Serialize;
use serde_json::json;

use crate::act::Act;
use crate::cli::options::{JournalOptions, PasswordOptions};
use crate::cli::values;
use crate::commands::backups::age;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::human;
use crate::ops::blocking;
use crate::printer::{can_ask, table};
use crate::settings::Overrides;
use crate::site::Site;

/// Drop the databases that restores and copies kept
///
/// A restore and a copy keep the database that they replace as NAME__before_TIME, and a finished
/// copy that could not replace it as NAME__restored_TIME. Without --execute they are listed. With
/// it, you confirm by typing the database's name where you are at a terminal. The database itself
/// is never dropped, and where it is absent, nothing is. Names of more than 32 bytes are cut in
/// those of kept databases, so nothing is listed for them: drop those by hand.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl clean workstation                              list them, with their sizes and ages
  hubctl clean workstation --older-than 7days --execute")]
pub(crate) struct CleanArgs {
    /// Site or connection URL
    #[arg(value_name = "SITE|URL")]
    site: String,
    /// Only those that were kept at least this long ago, such as 7days
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    older_than: Option<Duration>,
    /// Drop them
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    passwords: PasswordOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

#[derive(Debug, Serialize)]
struct Cleaned {
    database: String,
    executed: bool,
    databases: Vec<Kept>,
}

#[derive(Debug, Serialize)]
struct Kept {
    name: String,
    kept_at: Option<String>,
    bytes: Option<u64>,
    sessions: u64,
    #[serde(skip)]
    age: Option<Duration>,
}

impl Kept {
    fn of(kept: &KeptDatabase, now: Timestamp) -> Self {
        let kept_at = kept_at(kept);
        Self {
            name: kept.name.clone(),
            kept_at: kept_at.map(|at| at.to_string()),
            bytes: kept.bytes,
            sessions: kept.sessions,
            age: kept_at.and_then(|at| age(at, now)),
        }
    }

    /// Without a usable time in its name nobody knows how old it is.
    fn is_older_than(&self, least: Option<Duration>) -> bool {
        least.is_none_or(|least| self.age.is_some_and(|age| age >= least))
    }
}

/// The time in a kept database's name.
fn kept_at(kept: &KeptDatabase) -> Option<Timestamp> {
    let at = DateTime::strptime("%Y%m%d%H%M%S", &kept.stamp).ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

pub(crate) async fn run(context: &Context, args: CleanArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().passwords(&args.passwords);
    let settings = context.settings(overrides.journal(&args.journal))?;
    let site = Site::resolve(&settings, &args.site).await?;
    let now = Timestamp::now();
    let kept = pgsnap::kept_databases(&site.database).await?;
    let mut databases: Vec<Kept> = kept.iter().map(|kept| Kept::of(kept, now)).collect();
    databases.retain(|kept| kept.is_older_than(args.older_than));
    let mut cleaned =
        Cleaned { database: site.database.name().to_owned(), executed: false, databases };
    if args.execute && !cleaned.databases.is_empty() {
        refuse_those_in_use(&cleaned)?;
        confirm(context, &cleaned).await?;
        let names: Vec<String> = cleaned.databases.iter().map(|kept| kept.name.clone()).collect();
        let act = Act::begin(&settings, context.console(), "clean", &site.label)?;
        let dropped = pgsnap::drop_kept(&site.database, &names).await;
        act.end(
            dropped.map_err(anyhow::Error::from),
            |()| json!({ "database": site.database.name(), "dropped": names }),
        )?;
        cleaned.executed = true;
    }
    context.printer.result("hubctl.clean.v1", &cleaned, || text(&cleaned))?;
    if !cleaned.executed && !cleaned.databases.is_empty() {
        context.printer.say("Dry run: nothing changed. Add --execute to drop them.");
    }
    Ok(Exit::Yes)
}

fn refuse_those_in_use(cleaned: &Cleaned) -> anyhow::Result<()> {
    let used = cleaned.databases.iter().filter(|kept| kept.sessions > 0);
    let used: Vec<&str> = used.map(|kept| kept.name.as_str()).collect();
    if used.is_empty() {
        return Ok(());
    }
    Err(Refusal::no(format!("sessions are connected to {}", used.join(", ")))
        .hint("end these sessions first; nothing was dropped")
        .into())
}

/// Nothing brings a dropped database back, so whoever sits at a terminal types its name.
async fn confirm(context: &Context, cleaned: &Cleaned) -> anyhow::Result<()> {
    if !can_ask() {
        return Ok(());
    }
    let printer = &context.printer;
    printer.talk(text(cleaned));
    let wanted = cleaned.database.clone();
    let typed = blocking(move || {
        let _ = write!(
            std::io::stderr(),
            "These databases will be gone. Type `{wanted}` to drop them: "
        );
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    })
    .await?;
    if typed.trim() == cleaned.database {
        return Ok(());
    }
    Err(Refusal::no("not confirmed; nothing was dropped").into())
}

/// `3 databases, 1.2 GB, the oldest kept 12 d ago`
pub(crate) fn summary(kept: &[KeptDatabase], now: Timestamp) -> String {
    let kept: Vec<Kept> = kept.iter().map(|kept| Kept::of(kept, now)).collect();
    let bytes = kept.iter().filter_map(|kept| kept.bytes).sum();
    let mut text =
        format!("{}, {}", human::plural(kept.len() as u64, "database"), human::bytes(bytes));
    if let Some(oldest) = kept.iter().filter_map(|kept| kept.age).max() {
        text += &format!(", the oldest kept {} ago", human::duration(oldest));
    }
    text
}

fn text(cleaned: &Cleaned) -> String {
    if cleaned.databases.is_empty() {
        return format!("no kept databases of {}", cleaned.database);
    }
    let unknown = || "unknown".to_owned();
    let rows = cleaned.databases.iter().map(|kept| {
        vec![
            kept.name.clone(),
            kept.age.map_or_else(unknown, human::duration),
            kept.bytes.map_or_else(unknown, human::bytes),
            match (cleaned.executed, kept.sessions) {
                (true, _) => "dropped".to_owned(),
                (false, 0) => "unused".to_owned(),
                (false, sessions) => human::plural(sessions, "session"),
            },
        ]
    });
    table(&["database", ">age", ">size", "state"], rows)
}
