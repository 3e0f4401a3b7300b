//! The commands, one file each: what is typed (`XxxArgs`) and what is done (`run`).

pub(crate) mod alert;
pub(crate) mod approve;
pub(crate) mod backup;
pub(crate) mod backups;
pub(crate) mod clean;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod copy;
pub(crate) mod cutover;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod drill;
pub(crate) mod freeze;
pub(crate) mod fresh;
pub(crate) mod gates;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod man;
pub(crate) mod migrate;
pub(crate) mod prune;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod quiet;
pub(crate) mod rekey;
pub(crate) mod restore;
pub(crate) mod rollback;
pub(crate) mod schedule;
pub(crate) mod site;
pub(crate) mod status;
pub(crate) mod thaw;
pub(crate) mod tunnel;
pub(crate) mod verify;
pub(crate) mod writers;

use crate::cli::Command;
use crate::context::Context;
use crate::exit::Exit;

/// Runs one command to its answer.
pub(crate) async fn run(context: &Context, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Init(args) => init::run(context, args),
        Command::Doctor(args) => doctor::run(context, args).await,
        Command::Config(args) => config::run(context, args),
        Command::Backup(args) => backup::run(context, args).await,
        Command::Backups(args) => backups::run(context, args),
        Command::Fresh(args) => fresh::run(context, args),
        Command::Gates(args) => gates::run(context, args).await,
        Command::Import(args) => import::run(context, args).await,
        Command::Alert(args) => alert::run(context, args).await,
        Command::Prune(args) => prune::run(context, args),
        Command::Verify(args) => verify::run(context, args).await,
        Command::Restore(args) => restore::run(context, args).await,
        Command::Copy(args) => copy::run(context, args).await,
        Command::Site(args) => site::run(context, args).await,
        Command::Status(args) => status::run(context, args).await,
        Command::Migrate(args) => migrate::run(context, args).await,
        Command::Writers(args) => writers::run(context, args).await,
        Command::Freeze(args) => freeze::run(context, args).await,
        Command::Quiet(args) => quiet::run(context, args).await,
        Command::Thaw(args) => thaw::run(context, args).await,
        Command::Cutover(args) => cutover::run(context, args).await,
        Command::Rollback(args) => rollback::run(context, args).await,
        Command::Clean(args) => clean::run(context, args).await,
        Command::Drill(args) => drill::run(context, args).await,
        Command::Diff(args) => diff::run(context, args).await,
        Command::Schedule(args) => schedule::run(context, args),
        Command::Tunnel(args) => tunnel::run(context, args).await,
        Command::Keys(args) => keys::run(context, args),
        Command::Pull(args) => pull::run(context, args).await,
        Command::Push(args) => push::run(context, args).await,
        Command::Rekey(args) => rekey::run(context, args).await,
        Command::Approve(args) => approve::run(context, args).await,
        Command::Journal(args) => journal::run(context, args).await,
        Command::Demo(args) => demo::run(context, args).await,
        Command::Completions(args) => completions::run(context, args),
        Command::Man(args) => man::run(context, args),
    }
}
