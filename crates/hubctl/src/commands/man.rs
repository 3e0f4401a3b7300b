//! `hubctl man`.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};

use crate::cli::Cli;
use crate::context::Context;
use crate::exit::Exit;

/// Write the manual pages, one per command
///
/// Without a directory the main page goes to stdout. Reads no configuration.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hubctl man | man -l -\n  hubctl man ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Directory to write the pages to, made if it does not exist
    directory: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, args: ManArgs) -> anyhow::Result<Exit> {
    let Some(directory) = args.directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        context.printer.data(&String::from_utf8(page)?)?;
        return Ok(Exit::Yes);
    };
    fs_err::create_dir_all(&directory)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write_pages(&command, &directory)?;
    context
        .printer
        .say(format_args!("the pages are in {}", directory.display()));
    Ok(Exit::Yes)
}

/// Writes the pages of a command and of those below it, and never through a link that somebody put there.
fn write_pages(command: &clap::Command, directory: &Path) -> anyhow::Result<()> {
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        write_pages(below, directory)?;
    }
    let man = clap_mangen::Man::new(command.clone());
    let mut page = Vec::new();
    man.render(&mut page)?;
    regularfile::replace(directory.join(man.get_filename()), page)?;
    Ok(())
}
