//! `hubctl import`.

mod moment;

use std::path::{Path, PathBuf};

use backup::{Entry, Identities, SidecarFacts, Vault, open_file};
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;

use crate::act::Act;
use crate::cli::options::{IdentityOptions, JournalOptions, VaultOptions};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::keys;
use crate::ops::blocking;
use crate::printer::{answer, table};
use crate::settings::Overrides;
use crate::store::{self, SUFFIX};

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

#[derive(Debug, Serialize)]
struct Imported {
    directory: String,
    executed: bool,
    files: Vec<File>,
}

#[derive(Debug, Default, Serialize)]
struct File {
    path: String,
    taken_at: Option<String>,
    /// `name` or `file`: what the time was taken from.
    time_of: Option<&'static str>,
    /// The entry that it is, or became.
    id: Option<String>,
    /// Whether it was there before.
    there: bool,
    error: Option<String>,
}

pub(crate) async fn run(context: &Context, args: ImportArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault).identities(&args.identities);
    let settings = context.settings(overrides.journal(&args.journal))?;
    let vault = store::open_vault(&settings, None)?;
    let identities = keys::opening(&settings, &context.console())?;
    let paths = sealed_files(&args.directory)?;
    let execute = args.execute;
    let act = match execute {
        true => Some(Act::begin(&settings, context.console(), "import", vault.service())?),
        false => None,
    };
    let done = blocking(move || import_all(&vault, &identities, &paths, execute)).await;
    let files = match act {
        Some(act) => act.end(done, |files| {
            let new = files.iter().filter(|file| !file.there && file.error.is_none());
            let imported: Vec<_> = new.map(|file| json!({ "id": file.id, "from": file.path })).collect();
            json!({ "imported": imported, "failed": files.iter().filter(|file| file.error.is_some()).count() })
        })?,
        None => done?,
    };
    let imported =
        Imported { directory: args.directory.display().to_string(), executed: execute, files };
    say(context, &imported);
    context.printer.result("hubctl.import.v1", &imported, || text(&imported))?;
    Ok(answer(imported.files.iter().all(|file| file.error.is_none())))
}

/// Regular files only: a link to the latest is no backup of its own.
fn sealed_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable =
        |error: std::io::Error| Refusal::usage(format!("the folder cannot be read: {error}"));
    let mut paths = Vec::new();
    for item in fs_err::read_dir(directory).map_err(unreadable)? {
        let item = item.map_err(unreadable)?;
        let is_sealed = item.file_name().to_string_lossy().ends_with(SUFFIX);
        if is_sealed && item.file_type().is_ok_and(|kind| kind.is_file()) {
            paths.push(item.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn import_all(
    vault: &Vault,
    identities: &Identities,
    paths: &[PathBuf],
    execute: bool,
) -> anyhow::Result<Vec<File>> {
    let lock = match execute {
        true => Some(vault.lock()?),
        false => None,
    };
    let zone = TimeZone::system();
    let mut files = Vec::new();
    for path in paths {
        let mut file = File { path: path.display().to_string(), ..File::default() };
        if let Some(present) = present(vault, path)? {
            file.id = Some(present.id().to_owned());
            file.taken_at = present.taken_at().map(|at| at.to_string());
            file.there = true;
            files.push(file);
            continue;
        }
        let (taken_at, time_of) = moment::of(path, &zone)?;
        file.taken_at = Some(taken_at.to_string());
        file.time_of = Some(time_of);
        let outcome = match &lock {
            None => open_file(path, identities).map(|_| None),
            Some(lock) => {
                let payload = json!({ "imported": { "from": file.path, "time_of": time_of } });
                let facts = SidecarFacts::new(Timestamp::now()).payload(payload);
                vault.import(lock, path, identities, taken_at, facts).map(Some)
            }
        };
        match outcome {
            Ok(entry) => file.id = entry.map(|entry| entry.id().to_owned()),
            Err(error) => file.error = Some(error.to_string()),
        }
        files.push(file);
    }
    Ok(files)
}

/// The entry with the same bytes. Only those of the same length are read.
fn present(vault: &Vault, path: &Path) -> anyhow::Result<Option<Entry>> {
    let bytes = fs_err::metadata(path)?.len();
    let mut hash = None;
    for entry in vault.entries()? {
        let Some(sidecar) = entry.sidecar().filter(|sidecar| sidecar.sealed_bytes == bytes) else {
            continue;
        };
        if hash.is_none() {
            hash = Some(backup::sha256_of(path)?);
        }
        if hash.as_ref() == Some(&sidecar.sha256) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

fn say(context: &Context, imported: &Imported) {
    let printer = &context.printer;
    if imported.files.is_empty() {
        printer.say(format_args!("there is no file *{SUFFIX} in {}", imported.directory));
    }
    for file in imported.files.iter().filter(|file| file.time_of == Some("file")) {
        printer.warn(format_args!(
            "no time stands in the name of {}: that of the file is taken",
            file.path
        ));
    }
    let new = imported.files.iter().any(|file| !file.there && file.error.is_none());
    let hint = match imported.executed {
        true => "they are sealed, not verified: `hubctl verify --full ID` lets one count",
        false => "dry run: nothing changed; add --execute to import",
    };
    if new {
        printer.hint(hint);
    }
}

fn text(imported: &Imported) -> String {
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
