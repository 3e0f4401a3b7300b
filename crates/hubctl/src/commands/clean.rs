//! `hubctl clean`.

use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use clap::Args;

use crate::cli::options::{JournalOptions, PasswordOptions};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::human;
use crate::ops::{self, CleanOrder, CleanReport, blocking};
use crate::printer::{can_ask, table};
use crate::settings::Overrides;

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

pub(crate) async fn run(context: &Context, args: CleanArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().passwords(&args.passwords);
    let ops = context.ops(overrides.journal(&args.journal))?;
    let order = CleanOrder { site: args.site, older_than: args.older_than };
    let plan = ops::plan_clean(&ops, order).await?;
    let nothing_to_drop = plan.report().databases.is_empty();
    if !args.execute || nothing_to_drop {
        context.printer.report(plan.report(), text)?;
        if !nothing_to_drop {
            context.printer.say("Dry run: nothing changed. Add --execute to drop them.");
        }
        return Ok(Exit::Yes);
    }
    plan.require_unused()?;
    confirm(context, plan.report()).await?;
    let cleaned = ops::clean(&ops, plan).await?;
    context.printer.report(&cleaned, text)?;
    Ok(Exit::Yes)
}

/// Nothing brings a dropped database back, so a person at a terminal types its name.
async fn confirm(context: &Context, kept: &CleanReport) -> anyhow::Result<()> {
    if !can_ask() {
        return Ok(());
    }
    let printer = &context.printer;
    printer.talk(text(kept));
    let wanted = kept.database.clone();
    let typed = blocking(move || {
        let _ = write!(
            std::io::stderr(),
            "These databases will be gone. Type `{wanted}` to drop them: "
        );
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    })
    .await?;
    if typed.trim() == kept.database {
        return Ok(());
    }
    Err(Refusal::no("not confirmed; nothing was dropped").into())
}

fn text(cleaned: &CleanReport) -> String {
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
