//! `hubctl thaw`.

use clap::Args;

use crate::cli::options::{JournalOptions, PasswordOptions};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{self, Fence, ThawOrder};
use crate::settings::Overrides;

/// Thaw a site: take its fence down
///
/// Everything that the freeze changed is as it was before: name, connection limit, privileges,
/// defaults and comment. The record beside the journal is used, or the one on the server if that
/// file is lost. Without --execute nothing is changed. A site that is not frozen stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl thaw workstation                    show the fence
  hubctl thaw workstation --execute")]
pub(crate) struct ThawArgs {
    /// Site or connection URL
    #[arg(value_name = "SITE|URL")]
    site: String,
    /// Thaw; without this, only show the fence
    #[arg(long)]
    execute: bool,
    /// Open a retired primary: give up what the new one wrote since it began this epoch
    #[arg(long, value_name = "EPOCH", value_parser = values::epoch)]
    abandon_epoch: Option<u64>,
    #[command(flatten)]
    passwords: PasswordOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

pub(crate) async fn run(context: &Context, args: ThawArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().passwords(&args.passwords);
    let ops = context.ops(overrides.journal(&args.journal))?;
    let mut order = ThawOrder::new(args.site);
    order.abandon_epoch = args.abandon_epoch;
    let printer = &context.printer;
    if args.execute {
        let thawed = ops::thaw(&ops, order).await?;
        printer.report(&thawed, |thawed| thawed.database.clone())?;
        return Ok(Exit::Yes);
    }
    let plan = ops::plan_thaw(&ops, order).await?;
    printer.report(&plan, |plan| text(&plan.database, plan.fence.as_ref()))?;
    printer.say(match plan.fence {
        Some(_) => "dry run: nothing changed; add --execute to thaw",
        None => "nothing to thaw",
    });
    Ok(Exit::Yes)
}

fn text(database: &str, fence: Option<&Fence>) -> String {
    match fence {
        Some(fence) => {
            let since = human::time(&fence.planned_at);
            format!("thaw      {database}\nfrozen    since {since}, as {}", fence.behind)
        }
        None => format!("{database} is not frozen"),
    }
}
