//! The command line.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::plan::Version;

/// Restore backups of one version of PostgreSQL into another, in containers
///
/// Without --pg, --from, --to or --all: each of the five versions once. Exits with 0 if every copy
/// is right, 1 if one is not, 3 if a way could not be tried.
#[derive(Debug, clap::Parser)]
#[command(bin_name = "cargo xtask drill")]
pub(crate) struct Arguments {
    /// Every way between these versions: 14 to 18, and 16-musl where that image was built
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    pub(crate) pg: Vec<Version>,

    /// Only ways from this version
    #[arg(long, value_name = "VERSION")]
    pub(crate) from: Option<Version>,

    /// Only ways to this version
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: Option<Version>,

    /// Every way from one version to the same or a newer one
    #[arg(long)]
    pub(crate) all: bool,

    /// Leave the containers running, with all databases in them
    #[arg(long)]
    pub(crate) keep: bool,

    /// Image of the servers, with {major} for the version [default: what `cargo xtask images` built
    /// if it is there, else postgres:{major}-alpine]
    #[arg(long, value_name = "NAME:TAG")]
    pub(crate) image: Option<String>,

    /// Print results for people, or as one JSON document
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Search path with directories of PostgreSQL's client programs, besides those of installed
    /// packages
    #[arg(long, value_name = "PATH", default_value = "", value_parser = search_path, hide = true)]
    pub(crate) clients: SearchPath,

    /// The file that keeps an engine of our own running, to be made where containers are to be kept
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) engine_keeper: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Directories, in order.
#[derive(Debug, Clone)]
pub(crate) struct SearchPath(pub(crate) Vec<PathBuf>);

#[expect(clippy::unnecessary_wraps, reason = "as clap wants it")]
fn search_path(text: &str) -> Result<SearchPath, std::convert::Infallible> {
    let directories = std::env::split_paths(text).filter(|path| !path.as_os_str().is_empty());
    Ok(SearchPath(directories.collect()))
}
