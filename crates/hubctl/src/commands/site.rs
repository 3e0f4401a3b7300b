//! `hubctl site`.

mod text;

use clap::{Args, Subcommand};

use crate::cli::options::PasswordOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::ops::{self, Ops, PinOrder, SiteFinding, SiteVerdict, SitesOrder};
use crate::printer::Printer;
use crate::settings::Overrides;

/// Show, check and pin the sites of the service
///
/// A pin is the system identifier of the server and the OID of the database, in the table of the
/// site in hubctl.toml. An address may lead elsewhere one day, through a changed tunnel or another
/// context; a pin shows it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl site show                       what hubctl.toml says, and what the servers say
  hubctl site check                      0 every site is the pinned one, 1 not, 3 could not ask
  hubctl site pin cluster                show what would be written
  hubctl site pin cluster --execute")]
pub(crate) struct SiteArgs {
    #[command(subcommand)]
    command: SiteCommand,
}

#[derive(Debug, Subcommand)]
enum SiteCommand {
    /// Show what the configuration says, and what the servers say
    ///
    /// Exit code 3 if a server could not be asked.
    #[command(after_help = "\
Examples:
  hubctl site show
  hubctl site show cluster --format json")]
    Show(SitesArgs),
    /// Check that sites are the servers and databases they are pinned to
    ///
    /// Two sites that are one database are refused, and so is a physical copy or a standby: it has
    /// the system identifier and the OIDs of the other server. A lock that is taken at one site and
    /// looked for at the other tells them apart.
    #[command(after_help = "\
Examples:
  hubctl site check
  hubctl site check cluster")]
    Check(SitesArgs),
    /// Pin a site to the server and database that it leads to now
    ///
    /// Writes `identity` into the table of the site in hubctl.toml; everything else in the file
    /// stays as it is. Without --execute nothing is changed. A frozen site can be pinned as well. A
    /// move or a restore makes a new database: then pin it again with --replace.
    #[command(after_help = "\
Examples:
  hubctl site pin cluster
  hubctl site pin cluster --execute
  hubctl site pin cluster --replace --execute")]
    Pin(PinArgs),
}

#[derive(Debug, Args)]
struct SitesArgs {
    /// Site of the configuration [default: all]
    #[arg(value_name = "SITE")]
    site: Option<String>,
    #[command(flatten)]
    passwords: PasswordOptions,
}

#[derive(Debug, Args)]
struct PinArgs {
    /// Site of the configuration
    #[arg(value_name = "SITE")]
    site: String,
    /// Replace a pin that differs
    #[arg(long)]
    replace: bool,
    /// Write the pin; without this, only show it
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    passwords: PasswordOptions,
}

pub(crate) async fn run(context: &Context, args: SiteArgs) -> anyhow::Result<Exit> {
    let ops = |passwords: &PasswordOptions| context.ops(Overrides::default().passwords(passwords));
    match args.command {
        SiteCommand::Show(args) => show(context, &ops(&args.passwords)?, args.order()).await,
        SiteCommand::Check(args) => check(context, &ops(&args.passwords)?, args.order()).await,
        SiteCommand::Pin(args) => pin(context, &ops(&args.passwords)?, args).await,
    }
}

impl SitesArgs {
    fn order(self) -> SitesOrder {
        SitesOrder { site: self.site }
    }
}

async fn show(context: &Context, ops: &Ops, order: SitesOrder) -> anyhow::Result<Exit> {
    let report = ops::show_sites(ops, order).await?;
    context.printer.report(&report, text::shown)?;
    Ok(if report.is_complete() { Exit::Yes } else { Exit::CouldNotAsk })
}

async fn check(context: &Context, ops: &Ops, order: SitesOrder) -> anyhow::Result<Exit> {
    let report = ops::check_sites(ops, order).await?;
    context.printer.report(&report, text::checked)?;
    report.sites.iter().for_each(|site| hint(&context.printer, &site.finding));
    for pair in &report.pairs {
        context.printer.warn(&pair.finding.fact);
        hint(&context.printer, &pair.finding);
    }
    Ok(match report.verdict {
        SiteVerdict::Ok => Exit::Yes,
        SiteVerdict::No => Exit::No,
        SiteVerdict::Unknown => Exit::CouldNotAsk,
    })
}

fn hint(printer: &Printer, finding: &SiteFinding) {
    if let Some(hint) = &finding.hint {
        printer.hint(hint);
    }
}

async fn pin(context: &Context, ops: &Ops, args: PinArgs) -> anyhow::Result<Exit> {
    let order = PinOrder { site: args.site, replace: args.replace };
    if args.execute {
        let pinned = ops::pin_site(ops, order).await?;
        context.printer.report(&pinned, text::pinned)?;
        return Ok(Exit::Yes);
    }
    let plan = ops::plan_pin(ops, order).await?;
    context.printer.report(&plan, text::pinned)?;
    context.printer.say(match plan.is_current() {
        true => "pinned already",
        false => "dry run: nothing changed; add --execute to pin",
    });
    Ok(Exit::Yes)
}
