//! `hubctl completions`.

use clap::Args;
use clap_complete::Shell;

use crate::completing;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;

/// Print the completions of a shell
///
/// They complete commands and options, and the sites, backups, targets, gates and tunnels of the
/// configuration: the shell asks hubctl as you type. Print them again after an update of hubctl.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  echo 'source <(hubctl completions bash)' >> ~/.bashrc
  echo 'source <(hubctl completions zsh)' >> ~/.zshrc
  hubctl completions fish > ~/.config/fish/completions/hubctl.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(context: &Context, args: CompletionsArgs) -> anyhow::Result<Exit> {
    let program = std::env::current_exe()?;
    let script = completing::script(&args.shell.to_string(), &program)
        .ok_or_else(|| Refusal::usage(format!("there are no completions for {}", args.shell)))?;
    context.printer.data(&script)?;
    Ok(Exit::Yes)
}
