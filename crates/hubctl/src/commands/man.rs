//! `hubctl man`.

use std::path::PathBuf;

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
    clap_mangen::generate_to(Cli::command(), &directory)?;
    context
        .printer
        .say(format_args!("the pages are in {}", directory.display()));
    Ok(Exit::Yes)
}
