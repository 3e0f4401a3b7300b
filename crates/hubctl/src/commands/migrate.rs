//! `hubctl migrate`.

use clap::Args;

use crate::cli::options::{IdentityOptions, JournalOptions, RecipientOptions, VaultOptions};
use crate::context::Context;
use crate::exit::Exit;
use crate::ops::{self, MigrateOrder};
use crate::printer::Present as _;
use crate::settings::Overrides;

/// Rehearse a move: back up a site and restore the backup at another one
///
/// The source is only read. The backup is restored under another name, compared row by row, and
/// takes the name of the target's database, which is kept under another one. The target must not
/// be the primary. It may be repeated: each time shows how long backup and restore take. Without
/// --execute nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl migrate workstation cluster         show the plan
  hubctl migrate workstation cluster --execute")]
pub(crate) struct MigrateArgs {
    /// Site or connection URL to back up
    #[arg(value_name = "FROM")]
    from: String,
    /// Site or connection URL to restore at
    #[arg(value_name = "TO")]
    to: String,
    /// Back up and restore; without this, only show the plan
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    recipients: RecipientOptions,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

pub(crate) async fn run(context: &Context, args: MigrateArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default()
        .vault(&args.vault)
        .recipients(&args.recipients)
        .identities(&args.identities);
    let ops = context.ops(overrides.journal(&args.journal))?;
    let order = MigrateOrder { from: args.from, to: args.to };
    if !args.execute {
        return ops::plan_migrate(&ops, order).await?.present(&context.printer);
    }
    let migrated = ops::migrate(&ops, order).await?;
    context.printer.report(&migrated, |migrated| migrated.restored.database().to_owned())?;
    Ok(Exit::Yes)
}
