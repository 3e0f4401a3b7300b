//! `hubctl backup`.

use clap::Args;

use crate::cli::options::{
    IdentityOptions, JournalOptions, PasswordOptions, RecipientOptions, VaultOptions,
};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::ops::{self, BackupOrder, BackupReport};
use crate::printer::{Present, Printer, answer};
use crate::settings::Overrides;

/// Take an encrypted backup and verify it; print its path
///
/// All rows are of one point in time. The file is sealed while it is written, appears in the vault
/// only when it is complete, and becomes `latest` only after it is reopened and verified, which
/// requires an identity.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl backup
  hubctl backup workstation --jobs 4
  hubctl backup postgresql://hub@127.0.0.1:5432/state_hub --vault /opt/backup/hub --recipient age1…")]
pub(crate) struct BackupArgs {
    /// Site or connection URL [default: site of [backup], else the only site]
    #[arg(value_name = "SITE|URL")]
    source: Option<String>,
    /// Sessions that read rows [default: number of processors]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::jobs)]
    jobs: Option<u16>,
    /// Include role password hashes (requires superuser)
    #[arg(long)]
    role_passwords: bool,
    /// Also back up the rows of this foreign server's tables, read when it is queried (exact name;
    /// can be repeated)
    #[arg(long = "include-foreign-data", value_name = "SERVER")]
    foreign_data: Vec<String>,
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

pub(crate) async fn run(context: &Context, args: BackupArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default()
        .vault(&args.vault)
        .recipients(&args.recipients)
        .identities(&args.identities);
    let ops = context.ops(overrides.passwords(&args.passwords).journal(&args.journal))?;
    ops::backup(&ops, args.order()).await?.present(&context.printer)
}

impl Present for BackupReport {
    fn present(&self, printer: &Printer) -> anyhow::Result<Exit> {
        printer.report(self, |taken| taken.path.clone())?;
        Ok(answer(self.suspicious.is_empty()))
    }
}

impl BackupArgs {
    fn order(self) -> BackupOrder {
        BackupOrder {
            source: self.source,
            jobs: self.jobs,
            role_passwords: self.role_passwords,
            foreign_data: self.foreign_data,
            of_former_primary: false,
        }
    }
}
