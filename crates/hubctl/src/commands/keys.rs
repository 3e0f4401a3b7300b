//! `hubctl keys`.

mod check;
mod escrow;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::options::SealedOptions;
use crate::context::Context;
use crate::exit::Exit;

/// Prove that the keys open the backups: those at hand, and the one kept elsewhere
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl keys check                           which keys are here, and which backups they open
  hubctl keys escrow-test --make test.age     a challenge that only the escrow key opens
  hubctl keys escrow-test --code ABCD-EFGH-…  what was read in it, on the machine that has the key")]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Show which recipients' keys are here, and open every backup with them
    ///
    /// Opens the header and the end of each backup. The answer is no where one cannot be opened. It
    /// warns where no recipient's key is kept elsewhere: then the loss of this machine is the loss
    /// of every backup.
    Check(SealedOptions),
    /// Prove that the escrow key, which is not on this machine, is still good
    ///
    /// Make a challenge, take it to where the key is, open it there with `age -d -i KEY`, and bring
    /// the code in it back. The journal keeps the result.
    EscrowTest(EscrowTest),
}

#[derive(Debug, Args)]
struct EscrowTest {
    /// Write a challenge into this new file
    #[arg(long, value_name = "FILE", required_unless_present = "code", conflicts_with = "code")]
    make: Option<PathBuf>,
    /// The code that was in the challenge
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    #[command(flatten)]
    options: SealedOptions,
}

pub(crate) fn run(context: &Context, args: KeysArgs) -> anyhow::Result<Exit> {
    match args.command {
        KeysCommand::Check(options) => check::run(context, &context.settings(options.overrides())?),
        KeysCommand::EscrowTest(EscrowTest { make, code, options }) => {
            let settings = context.settings(options.overrides())?;
            match (make, code) {
                (Some(path), _) => escrow::make(context, &settings, &path),
                (None, code) => {
                    let code = code.expect("one of the two is required");
                    escrow::answer(context, &settings, &code)
                }
            }
        }
    }
}
