//! `hubctl completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::context::Context;
use crate::exit::Exit;

/// Print the completions of a shell
///
/// Reads no configuration.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hubctl completions bash > ~/.local/share/bash-completion/completions/hubctl"
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(context: &Context, args: CompletionsArgs) -> anyhow::Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hubctl", &mut text);
    context.printer.data(&String::from_utf8(text)?)?;
    Ok(Exit::Yes)
}
