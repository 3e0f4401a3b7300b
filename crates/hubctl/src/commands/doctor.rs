//! `hubctl doctor`.

use clap::Args;

use crate::cli::options::{
    IdentityOptions, JournalOptions, PasswordOptions, RecipientOptions, VaultOptions,
};
use crate::context::Context;
use crate::exit::Exit;
use crate::ops::{self, DoctorOrder, DoctorReport, Health};
use crate::printer::{self, Present, Printer};
use crate::settings::Overrides;

/// Examine everything a backup, a restore and a tunnel need
///
/// Asks the servers, the tools, the vault, the keys, the clusters, the tunnels and the journal, and
/// changes nothing. Exits with 1 if something fails, 3 if something could not be asked.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hubctl doctor\n  hubctl doctor workstation --format json")]
pub(crate) struct DoctorArgs {
    /// Site or connection URL [default: every site]
    #[arg(value_name = "SITE|URL")]
    sites: Vec<String>,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    recipients: RecipientOptions,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    passwords: PasswordOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

pub(crate) async fn run(context: &Context, args: DoctorArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default()
        .vault(&args.vault)
        .recipients(&args.recipients)
        .identities(&args.identities);
    let ops = context.ops(overrides.passwords(&args.passwords).journal(&args.journal))?;
    ops::doctor(&ops, DoctorOrder { sites: args.sites }).await.present(&context.printer)
}

impl Present for DoctorReport {
    fn present(&self, printer: &Printer) -> anyhow::Result<Exit> {
        printer.report(self, table)?;
        for finding in &self.findings {
            if let Some(hint) = &finding.hint {
                printer.hint(format_args!("{}: {hint}", finding.subject));
            }
        }
        Ok(match (self.has(Health::Fail), self.has(Health::Unknown)) {
            (true, _) => Exit::No,
            (false, true) => Exit::CouldNotAsk,
            (false, false) => Exit::Yes,
        })
    }
}

fn table(report: &DoctorReport) -> String {
    let rows = report.findings.iter().map(|finding| {
        vec![finding.health.word().to_owned(), finding.subject.clone(), finding.fact.clone()]
    });
    printer::table(&["verdict", "subject", "finding"], rows)
}
