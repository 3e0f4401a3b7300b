//! `hubctl quiet`.

use clap::Args;
use pgsnap::Finding;

use crate::cli::options::PasswordOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{self, QuietOrder, QuietReport};
use crate::printer::answer;
use crate::settings::Overrides;

/// Prove that nothing changed in a frozen site
///
/// Each part is a finding of its own: the server renamed the database, no session is in it, no
/// transaction of the cluster had a number since the freeze, and no sequence advanced. The answer
/// is yes if the last two are proven. Writers of other databases on the same server make the third
/// unknown: then compare the database behind the fence with a copy or backup by `hubctl diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl quiet workstation
  hubctl quiet workstation --format json")]
pub(crate) struct QuietArgs {
    /// Site or connection URL
    #[arg(value_name = "SITE|URL")]
    site: String,
    #[command(flatten)]
    passwords: PasswordOptions,
}

pub(crate) async fn run(context: &Context, args: QuietArgs) -> anyhow::Result<Exit> {
    let ops = context.ops(Overrides::default().passwords(&args.passwords))?;
    let report = ops::quiet(&ops, QuietOrder { site: args.site }).await?;
    context.printer.report(&report, text)?;
    let (site, since) = (&report.site, human::time(&report.since));
    context.printer.say(match report.quiet {
        true => format!("quiet: nothing changed in {site} since {since}"),
        false => format!("not proven: {site} may have changed since {since}"),
    });
    Ok(answer(report.quiet))
}

fn text(report: &QuietReport) -> String {
    let line = |name: &str, finding: &Finding| format!("{name:<11}{finding}");
    [
        line("renamed", &report.renamed),
        line("empty", &report.empty),
        line("xid", &report.xid),
        line("sequences", &report.sequences),
    ]
    .join("\n")
}
