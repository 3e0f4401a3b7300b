//! `hubctl writers`.

use std::time::Duration;

use clap::Args;
use pgsnap::{TableName, Writer};

use crate::cli::options::PasswordOptions;
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{self, WritersOrder, WritersReport};
use crate::printer::table;
use crate::settings::Overrides;

/// Watch who writes to a site
///
/// Names the role, application and address of every client that is seen writing, by table, and the
/// tables that changed without a client being seen. Watch at least as long as the longest pause of
/// a periodic writer. Short transactions are missed by the samples, not by the counters of tables;
/// --hold makes writers wait, so that each is seen.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl writers workstation --for 15m
  hubctl writers workstation --for 10s --hold")]
pub(crate) struct WritersArgs {
    /// Site or connection URL
    #[arg(value_name = "SITE|URL")]
    site: String,
    /// Time to watch, such as 15m
    #[arg(long = "for", value_name = "TIME", default_value = "1m", value_parser = values::duration)]
    window: Duration,
    /// Lock every table meanwhile, so that writers wait
    #[arg(long)]
    hold: bool,
    #[command(flatten)]
    passwords: PasswordOptions,
}

pub(crate) async fn run(context: &Context, args: WritersArgs) -> anyhow::Result<Exit> {
    let ops = context.ops(Overrides::default().passwords(&args.passwords))?;
    let mut options = pgsnap::WriterOptions::default();
    (options.window, options.hold) = (args.window, args.hold);
    let report = ops::writers(&ops, WritersOrder { site: args.site, options }).await?;
    context.printer.report(&report, text)?;
    for unnamed in &report.writers.unnamed {
        context.printer.warn(format_args!("{unnamed} changed, and no writer of it was seen"));
    }
    if report.writers.counters_reset {
        context.printer.warn("the counters of tables were reset meanwhile; watch again");
    }
    Ok(Exit::Yes)
}

fn text(report: &WritersReport) -> String {
    let (writers, tables) = (&report.writers.writers, &report.writers.tables);
    if writers.is_empty() && tables.is_empty() {
        return format!(
            "no writer was seen in {}",
            human::duration(Duration::from_secs_f64(report.seconds))
        );
    }
    let named = writers.iter().map(|writer| row(report, &writer.table, Some(writer)));
    let unnamed = report.writers.unnamed.iter().map(|table| row(report, table, None));
    table(&["table", "role", "application", "address", ">rows"], named.chain(unnamed))
}

/// A writer, with the changes of its table by all writers.
fn row(report: &WritersReport, name: &TableName, writer: Option<&Writer>) -> Vec<String> {
    let shown = |text: Option<&String>| {
        text.filter(|text| !text.is_empty())
            .map_or_else(|| "-".to_owned(), |text| human::one_line(text))
    };
    let changes = report.writers.tables.iter().find(|changes| changes.table == *name);
    let rows = changes.map_or(0, |changes| changes.inserted + changes.updated + changes.deleted);
    let role = writer.and_then(|writer| writer.role.as_ref().or(writer.kind.as_ref()));
    vec![
        name.to_string(),
        shown(role),
        shown(writer.and_then(|writer| writer.application.as_ref())),
        shown(writer.and_then(|writer| writer.address.as_ref())),
        human::number(u64::try_from(rows).unwrap_or_default()),
    ]
}
