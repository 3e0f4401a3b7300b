//! Take sealed dumps of other tools into the vault.

mod moment;

use std::path::{Path, PathBuf};

use backup::{Entry, Identities, SidecarFacts, Vault, VaultLock, open_file};
use jiff::tz::TimeZone;
use journal::evidence;
use serde::Serialize;
use serde_json::json;

use super::{Ops, Report, blocking};
use crate::failure::Refusal;
use crate::keys;
use crate::store::{self, SUFFIX};

/// The folder to import, and whether to do it.
#[derive(Debug, Clone, Default)]
pub struct ImportOrder {
    /// A folder of `*.sql.gz.age` files, which stays as it is.
    pub directory: PathBuf,
    /// Imports the files; without it the report is a plan.
    pub execute: bool,
}

/// The sealed files of a folder, and what became of each.
#[derive(Debug, Clone, Serialize)]
pub struct ImportReport {
    /// The folder.
    pub directory: String,
    /// True if the files were imported, false if this is a plan.
    pub executed: bool,
    /// The files, by name.
    pub files: Vec<ImportedFile>,
}

impl Report for ImportReport {
    const SCHEMA: &'static str = "hubctl.import.v1";
}

/// A sealed file of the folder.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ImportedFile {
    /// The file.
    pub path: String,
    /// The time of its data, in RFC 3339.
    pub taken_at: Option<String>,
    /// The source of that time: `name` or `file`.
    pub time_of: Option<&'static str>,
    /// The id of the backup that it is or became.
    pub id: Option<String>,
    /// True if the vault had it before.
    pub there: bool,
    /// The reason why it was not imported.
    pub error: Option<String>,
}

/// Copies the sealed files of a folder into the vault, each with a sidecar in the state `sealed`.
///
/// Each is opened first. A file that is in the vault already only gets a sidecar, if it has none. A
/// file that does not open does not stop the others: it is in the report with its error.
///
/// # Errors
/// A configuration without a vault, a folder that cannot be read, and a file of the vault that
/// cannot be read. To execute also needs a journal that can be written.
pub async fn import(ops: &Ops, order: ImportOrder) -> anyhow::Result<ImportReport> {
    let settings = ops.settings();
    let vault = store::open_vault(settings, None)?;
    let identities = keys::opening(settings, ops.console())?;
    let paths = sealed_files(&order.directory)?;
    let act = if order.execute { Some(ops.act(vault.service())?) } else { None };
    let (clock, execute) = (ops.clone(), order.execute);
    let done = blocking(move || {
        let lock = if execute { Some(vault.lock()?) } else { None };
        let folder = Folder { ops: clock, vault, identities, lock, zone: TimeZone::system() };
        paths.iter().map(|path| folder.import(path)).collect::<anyhow::Result<Vec<_>>>()
    })
    .await;
    let files = match act {
        Some(act) => act.end(done, |files| evidence_of(files))?,
        None => done?,
    };
    let directory = order.directory.display().to_string();
    let report = ImportReport { directory, executed: order.execute, files };
    say(ops, &report);
    Ok(report)
}

fn evidence_of(files: &[ImportedFile]) -> evidence::Import {
    let new = files.iter().filter(|file| !file.there);
    let imported = new.filter_map(|file| {
        Some(evidence::Imported { id: file.id.clone()?, from: file.path.clone() })
    });
    let failed = files.iter().filter(|file| file.error.is_some()).count() as u64;
    evidence::Import { imported: imported.collect(), failed }
}

fn say(ops: &Ops, report: &ImportReport) {
    if report.files.is_empty() {
        ops.say(format_args!("there is no file *{SUFFIX} in {}", report.directory));
    }
    for file in report.files.iter().filter(|file| file.time_of == Some("file")) {
        let path = &file.path;
        ops.warn(format_args!("no time stands in the name of {path}: that of the file is taken"));
    }
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

/// An import of a folder into a vault.
struct Folder {
    ops: Ops,
    vault: Vault,
    identities: Identities,
    /// Held where files are imported, and not only opened.
    lock: Option<VaultLock>,
    zone: TimeZone,
}

impl Folder {
    fn import(&self, path: &Path) -> anyhow::Result<ImportedFile> {
        let mut file = ImportedFile { path: path.display().to_string(), ..ImportedFile::default() };
        if let Some(present) = present(&self.vault, path)? {
            file.id = Some(present.id().to_owned());
            file.taken_at = present.taken_at().map(|at| at.to_string());
            file.there = true;
            return Ok(file);
        }
        let (taken_at, time_of) = moment::of(path, &self.zone)?;
        file.taken_at = Some(taken_at.to_string());
        file.time_of = Some(time_of);
        let outcome = match &self.lock {
            None => open_file(path, &self.identities).map(|_| None),
            Some(lock) => {
                let payload = json!({ "imported": { "from": file.path, "time_of": time_of } });
                let facts = SidecarFacts::new(self.ops.now()).payload(payload);
                self.vault.import(lock, path, &self.identities, taken_at, facts).map(Some)
            }
        };
        match outcome {
            Ok(entry) => file.id = entry.map(|entry| entry.id().to_owned()),
            Err(error) => file.error = Some(error.to_string()),
        }
        Ok(file)
    }
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
