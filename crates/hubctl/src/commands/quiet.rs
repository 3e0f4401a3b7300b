//! `hubctl quiet`.

use clap::Args;
use pgsnap::Verdict;

use crate::cli::options::{IdentityOptions, PasswordOptions, VaultOptions};
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
/// unknown. Then --against proves it instead: every row is read, and compared with a backup that
/// was taken behind the fence, or with a copy.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl quiet workstation
  hubctl quiet workstation --against latest
  hubctl quiet workstation --format json")]
pub(crate) struct QuietArgs {
    /// Site or connection URL
    #[arg(value_name = "SITE|URL")]
    site: String,
    /// Compare every row with this backup or site if the transaction numbers prove nothing
    #[arg(long, value_name = "BACKUP|SITE")]
    against: Option<String>,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    passwords: PasswordOptions,
}

pub(crate) async fn run(context: &Context, args: QuietArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault).identities(&args.identities);
    let ops = context.ops(overrides.passwords(&args.passwords))?;
    let order = QuietOrder { site: args.site, against: args.against };
    let report = ops::quiet(&ops, order).await?;
    context.printer.report(&report, text)?;
    context.printer.say(summary(&report));
    if !report.quiet && report.against.is_none() && report.sequences.verdict == Verdict::Proven {
        let site = &report.site;
        context.printer.hint(format_args!(
            "compare every row with a backup that was taken behind the fence: `hubctl quiet {site} --against BACKUP`"
        ));
    }
    Ok(answer(report.quiet))
}

fn summary(report: &QuietReport) -> String {
    let (site, since) = (&report.site, human::time(&report.since));
    match (report.quiet, &report.census, &report.against) {
        (true, Some(_), Some(against)) => format!("quiet: every row of {site} is as in {against}"),
        (true, ..) => format!("quiet: nothing changed in {site} since {since}"),
        (false, ..) => format!("not proven: {site} may have changed since {since}"),
    }
}

fn text(report: &QuietReport) -> String {
    let parts = [
        ("renamed", Some(&report.renamed)),
        ("empty", Some(&report.empty)),
        ("xid", Some(&report.xid)),
        ("census", report.census.as_ref()),
        ("sequences", Some(&report.sequences)),
    ];
    let known = parts.into_iter().filter_map(|(name, finding)| Some((name, finding?)));
    known.map(|(name, finding)| format!("{name:<11}{finding}")).collect::<Vec<_>>().join("\n")
}
