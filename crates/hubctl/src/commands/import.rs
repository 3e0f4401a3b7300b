//! `hubctl import`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::options::{IdentityOptions, JournalOptions, VaultOptions};
use crate::context::Context;
use crate::exit::Exit;
use crate::ops::{self, ImportOrder, ImportReport};
use crate::printer::{answer, table};
use crate::settings::Overrides;

/// Take sealed dumps of other tools into the catalogue
///
/// Every `*.sql.gz.age` of a folder that the keys here open is copied into the vault under the
/// vault's name for its time, with a sidecar in the state `sealed`; one that lies in the vault
/// under such a name only gets its sidecar. The folder stays as it is. What is in the vault already
/// is left out, so that it can be run again. The answer is no where a file does not open.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl import /opt/backup/custodian               what would be imported
  hubctl import /opt/backup/custodian --execute")]
pub(crate) struct ImportArgs {
    /// The folder
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Do it
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

pub(crate) async fn run(context: &Context, args: ImportArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault).identities(&args.identities);
    let ops = context.ops(overrides.journal(&args.journal))?;
    let order = ImportOrder { directory: args.directory, execute: args.execute };
    let report = ops::import(&ops, order).await?;
    if report.files.iter().any(|file| !file.there && file.error.is_none()) {
        context.printer.hint(match report.executed {
            true => "they are sealed, not verified: `hubctl verify --full ID` lets one count",
            false => "dry run: nothing changed; add --execute to import",
        });
    }
    context.printer.report(&report, text)?;
    Ok(answer(report.files.iter().all(|file| file.error.is_none())))
}

fn text(imported: &ImportReport) -> String {
    if imported.files.is_empty() {
        return String::new();
    }
    let rows = imported.files.iter().map(|file| {
        let found = match (&file.error, &file.id) {
            (Some(error), _) => error.clone(),
            (None, Some(id)) if file.there => format!("is {id}"),
            (None, Some(id)) => format!("imported as {id}"),
            (None, None) => "opens".to_owned(),
        };
        vec![file.path.clone(), file.taken_at.clone().unwrap_or_default(), found]
    });
    table(&["file", "taken (utc)", "finding"], rows)
}
