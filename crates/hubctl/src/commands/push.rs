//! `hubctl push`.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use backup::{Entry, Vault};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::act::Act;
use crate::cli::options::{JournalOptions, VaultOptions};
use crate::context::{Context, blocking};
use crate::damage::Damaged;
use crate::exit::Exit;
use crate::failure::{Refusal, is_disk_full};
use crate::human;
use crate::printer::table;
use crate::settings::{Overrides, Settings, TargetSettings};
use crate::store;

/// Copy verified backups to the places of [targets]
///
/// Every verified backup that is not there yet, the newest first, so that it makes up for days without the disk. Each copy is made durable, and read
/// again and compared, before it gets its name. A place has the form of a vault: --vault names it to every other command, and `prune --vault` keeps
/// it in order.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl push                                  to all targets
  hubctl push disk
  hubctl backups --vault /mnt/disk/backups     what is there")]
pub(crate) struct PushArgs {
    /// Targets of the configuration [default: all]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

#[derive(Debug, Serialize)]
struct Pushed {
    targets: Vec<Target>,
}

#[derive(Debug, Serialize)]
struct Target {
    name: String,
    folder: String,
    /// The ids of what was copied now.
    copied: Vec<String>,
    bytes: u64,
    /// How many were there before.
    there: usize,
    /// Why it could not be reached, or went no further.
    error: Option<String>,
}

pub(crate) async fn run(context: &Context, args: PushArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault);
    let settings = context.settings(overrides.journal(&args.journal))?;
    let vault = store::open_vault(&settings, None)?;
    let damaged = Damaged::read(&settings, &context.printer);
    let mut entries = vault.entries()?;
    entries.retain(|entry| damaged.is_good(entry));
    let mut pushed = Pushed {
        targets: Vec::new(),
    };
    for (name, target) in chosen(&settings, &args.targets)? {
        let target = push(context, &settings, &vault, &entries, (name, target)).await?;
        pushed.targets.push(target);
    }
    for target in &pushed.targets {
        if let Some(error) = &target.error {
            let printer = &context.printer;
            printer.warn(format_args!("{}: {error}", target.name));
        }
    }
    context
        .printer
        .result("hubctl.push.v1", &pushed, || text(&pushed))?;
    let is_done = pushed.targets.iter().all(|target| target.error.is_none());
    Ok(if is_done {
        Exit::Yes
    } else {
        Exit::CouldNotAsk
    })
}

/// The targets that are named, all where none is.
fn chosen<'a>(
    settings: &'a Settings,
    names: &[String],
) -> anyhow::Result<Vec<(&'a String, &'a TargetSettings)>> {
    if settings.targets.is_empty() {
        return Err(Refusal::usage("no target is configured")
            .hint("name a folder of another disk: [targets.NAME] folder = \"/mnt/disk/backups\"")
            .into());
    }
    if let Some(unknown) = names
        .iter()
        .find(|name| !settings.targets.contains_key(*name))
    {
        let known = human::quoted(settings.targets.keys().map(String::as_str));
        return Err(
            Refusal::usage(format!("no target `{unknown}` is configured"))
                .hint(format!("there is {known}"))
                .into(),
        );
    }
    let is_chosen = |name: &String| names.is_empty() || names.contains(name);
    let chosen = settings.targets.iter().filter(|(name, _)| is_chosen(name));
    Ok(chosen.collect())
}

async fn push(
    context: &Context,
    settings: &Settings,
    vault: &Vault,
    entries: &[Entry],
    (name, target): (&String, &TargetSettings),
) -> anyhow::Result<Target> {
    let act = Act::begin(settings, &context.printer, "push", name)?;
    let folder = target.folder.value.clone();
    let mut done = Target {
        name: name.clone(),
        folder: folder.display().to_string(),
        copied: Vec::new(),
        bytes: 0,
        there: 0,
        error: None,
    };
    if is_same_disk(vault.directory(), &folder) {
        context.printer.warn(format_args!(
            "{name} is on the same file system as the vault: what takes the one takes the other"
        ));
    }
    let (vault, entries) = (vault.clone(), entries.to_vec());
    let damaged = Damaged::read(settings, &context.printer);
    let (done, newest) = blocking(move || {
        let newest = copy_all(&vault, &entries, &folder, &damaged, &mut done);
        let newest = newest.unwrap_or_else(|error| {
            done.error = Some(error.to_string());
            None
        });
        (done, newest)
    })
    .await;
    let evidence = json!({ "folder": done.folder, "copied": done.copied, "bytes": done.bytes, "there": done.there,
                           "newest": newest, "error": done.error });
    act.answer(done.error.is_none(), evidence)?;
    Ok(done)
}

fn is_same_disk(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| fs_err::metadata(path).map(|metadata| metadata.dev());
    matches!((device(one), device(other)), (Ok(one), Ok(other)) if one == other)
}

/// Copies what is not there, and tells the time of the newest data that is there then. One that cannot be copied keeps no other from it.
fn copy_all(
    vault: &Vault,
    entries: &[Entry],
    folder: &Path,
    damaged: &Damaged,
    done: &mut Target,
) -> anyhow::Result<Option<String>> {
    let to = Vault::open(folder, vault.service())?;
    if to.directory() == vault.directory() {
        return Err(Refusal::usage("it is the vault itself").into());
    }
    let lock = to.lock()?;
    to.clean_leftovers(&lock)?;
    let there: Vec<String> = to
        .entries()?
        .iter()
        .map(|entry| entry.id().to_owned())
        .collect();
    let mut newest = None;
    for entry in entries {
        match vault
            .copy_to(entry, &to, &lock)
            .map_err(anyhow::Error::from)
        {
            Ok(copy) if damaged.finding(copy.path()).is_some() => {
                let first = || {
                    format!(
                        "{}: the copy was found damaged: remove it, and push again",
                        entry.id()
                    )
                };
                done.error.get_or_insert_with(first);
                continue;
            }
            Err(error) if is_disk_full(&error) => return Err(error),
            Ok(copy) => newest = newest.max(copy.taken_at()),
            Err(error) => {
                let first = || format!("{}: {error}", entry.id());
                done.error.get_or_insert_with(first);
                continue;
            }
        }
        if there.iter().any(|id| id == entry.id()) {
            done.there += 1;
        } else {
            done.copied.push(entry.id().to_owned());
            done.bytes += entry.sealed_bytes();
        }
    }
    Ok(newest.map(|at| at.to_string()))
}

fn text(pushed: &Pushed) -> String {
    let rows = pushed.targets.iter().map(|target| {
        vec![
            target.name.clone(),
            target.folder.clone(),
            target.copied.len().to_string(),
            human::bytes(target.bytes),
            target.there.to_string(),
            if target.error.is_some() {
                "FAILED"
            } else {
                "done"
            }
            .to_owned(),
        ]
    });
    table(
        &[
            "target",
            "folder",
            ">copied",
            ">size",
            ">there before",
            "result",
        ],
        rows,
    )
}
