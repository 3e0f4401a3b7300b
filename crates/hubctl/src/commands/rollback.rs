//! `hubctl rollback`.

use clap::Args;

use crate::cli::options::{IdentityOptions, JournalOptions};
use crate::context::Context;
use crate::exit::Exit;
use crate::ops::{self, RollbackOrder};
use crate::printer::Present as _;
use crate::settings::{CutoverMode, Overrides};

/// Take back a cutover
///
/// An unfinished cutover before its commit point is undone. Past it, the service is moved back with
/// the sites exchanged, by the same steps and proofs, and the rows that were written since come
/// along. Without --execute nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl rollback                            show the plan
  hubctl rollback --execute
  hubctl rollback --mode delta --execute     begin with the old database, ship what is new")]
pub(crate) struct RollbackArgs {
    /// How the rows get back [default: [cutover] mode]
    #[arg(long, value_enum)]
    mode: Option<CutoverMode>,
    /// Go back; without this, only show the plan
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

pub(crate) async fn run(context: &Context, args: RollbackArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().identities(&args.identities).journal(&args.journal);
    let ops = context.ops(overrides)?;
    let order = RollbackOrder { mode: args.mode };
    if args.execute {
        return ops::rollback(&ops, order).await?.present(&context.printer);
    }
    ops::plan_rollback(&ops, order).await?.present(&context.printer)
}
