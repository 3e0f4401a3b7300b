//! `hubctl man`.

mod page;
mod settings;

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};

use crate::cli::Cli;
use crate::context::Context;
use crate::exit::Exit;

/// Write the manual pages, one per command, and hubctl.toml(5)
///
/// Without a directory the main page goes to stdout. Where the directory is named man1,
/// hubctl.toml(5) goes to man5 beside it. Reads no configuration.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hubctl man | man -l -\n  hubctl man ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Directory to write the pages to, made if it does not exist
    directory: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, args: ManArgs) -> anyhow::Result<Exit> {
    let mut command = Cli::command();
    command.build();
    let Some(directory) = args.directory else {
        let page = page::command(&command)?;
        context.printer.data(&String::from_utf8(page)?)?;
        return Ok(Exit::Yes);
    };
    fs_err::create_dir_all(&directory)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write_pages(&command, &directory)?;
    let man5 = match directory.file_name() {
        Some(name) if name == "man1" => directory.with_file_name("man5"),
        _ => directory.clone(),
    };
    fs_err::create_dir_all(&man5)?;
    write(&man5.join("hubctl.toml.5"), &settings::page()?)?;
    context.printer.say(format_args!("the pages are in {}", directory.display()));
    Ok(Exit::Yes)
}

/// The page of a command and those of its subcommands.
fn write_pages(command: &Command, directory: &Path) -> anyhow::Result<()> {
    let name = page::name(command);
    write(&directory.join(format!("{name}.1")), &page::command(command)?)?;
    let shown = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set() && below.get_name() != "help");
    for below in shown {
        write_pages(below, directory)?;
    }
    Ok(())
}

/// Takes the place of what has the name, and follows no link.
fn write(path: &Path, page: &[u8]) -> anyhow::Result<()> {
    regularfile::replace(path, page)?;
    Ok(())
}
