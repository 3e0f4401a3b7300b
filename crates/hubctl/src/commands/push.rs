//! `hubctl push`.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use backup::{Depth, Entry, Identities, Proof, Receipt, Remote, Vault};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::act::Act;
use crate::cli::options::{JournalOptions, VaultOptions};
use crate::context::Context;
use crate::damage::Damaged;
use crate::exit::Exit;
use crate::failure::{Failure, Refusal, is_disk_full};
use crate::human;
use crate::ops::Batch;
use crate::ops::blocking;
use crate::printer::table;
use crate::settings::{Overrides, Settings, TargetSettings};
use crate::store;
use crate::targets::{self, Opened};

/// Copy verified backups to the places of [targets]
///
/// Every verified backup that is not there yet, the newest first, so that it makes up for days off
/// line. A copy on a disk is read again and compared before it gets its name. One at a server is
/// sent under another name and moved when it is all there; then its header and its end are read
/// back and compared, and the vault remembers what was sent and what was proven. What a server has
/// under a name of ours is never overwritten.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl push                                  to all targets
  hubctl push cloud
  hubctl push cloud --prove                    and read every copy there back, whole
  hubctl backups --target cloud                what is there")]
pub(crate) struct PushArgs {
    /// Targets of the configuration [default: all]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Read all copies back, every byte, also those that were there
    #[arg(long)]
    prove: bool,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

#[derive(Debug, Serialize)]
struct Report {
    targets: Vec<Pushed>,
}

#[derive(Debug, Default, Serialize)]
struct Pushed {
    name: String,
    place: String,
    /// The ids of what was copied now.
    copied: Vec<String>,
    bytes: u64,
    /// How many were there before.
    there: usize,
    /// How many were read back and compared: a part of them where nothing else was asked for.
    proven: usize,
    /// The newest data that is there.
    newest: Option<String>,
    /// Why it could not be reached, or went no further.
    error: Option<String>,
    #[serde(skip)]
    exit: Option<Exit>,
}

pub(crate) async fn run(context: &Context, args: PushArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault);
    let settings = context.settings(overrides.journal(&args.journal))?;
    let vault = store::open_vault(&settings, None)?;
    let damaged = Damaged::read(&settings, &context.printer);
    let mut entries = vault.entries()?;
    entries.retain(|entry| damaged.is_good(entry));
    let mut report = Report { targets: Vec::new() };
    for (name, target) in chosen(&settings, &args.targets)? {
        let source = (&vault, &entries[..]);
        let pushed = push(context, &settings, source, (name, target), args.prove).await?;
        report.targets.push(pushed);
    }
    for pushed in &report.targets {
        if let Some(error) = &pushed.error {
            let printer = &context.printer;
            printer.warn(format_args!("{}: {error}", pushed.name));
        }
    }
    context.printer.result("hubctl.push.v1", &report, || text(&report))?;
    let exits = report.targets.iter().filter_map(|pushed| pushed.exit);
    // What is wrong comes before what could not be asked.
    Ok(exits.min_by_key(|exit| exit.code()).unwrap_or(Exit::Yes))
}

/// The targets that are named, all where none is.
fn chosen<'a>(
    settings: &'a Settings,
    names: &'a [String],
) -> anyhow::Result<Vec<(&'a String, &'a TargetSettings)>> {
    if names.is_empty() && !settings.targets.is_empty() {
        return Ok(settings.targets.iter().collect());
    }
    if names.is_empty() {
        targets::find(settings, "")?;
    }
    let named = names.iter().map(|name| Ok((name, targets::find(settings, name)?)));
    named.collect()
}

async fn push(
    context: &Context,
    settings: &Settings,
    (vault, entries): (&Vault, &[Entry]),
    (name, target): (&String, &TargetSettings),
    prove: bool,
) -> anyhow::Result<Pushed> {
    let act = Act::begin(settings, context.console(), "push", name)?;
    let progress = context.copies();
    let vault = vault.clone().watched_by(progress.clone());
    let opened = targets::open(settings, name, &vault);
    if let Ok(Opened::Folder(to)) = &opened
        && is_same_disk(vault.directory(), to.directory())
    {
        context.printer.warn(format_args!(
            "{name} is on the same file system as the vault: what takes the one takes the other"
        ));
    }
    let mut pushed =
        Pushed { name: name.clone(), place: target.kind.value.place(), ..Pushed::default() };
    let entries = entries.to_vec();
    let damaged = Damaged::read(settings, &context.printer);
    let pushed = blocking(move || {
        let order = Order { vault, entries, prove, progress };
        let result = opened.and_then(|opened| match opened {
            Opened::Folder(to) => to_folder(&order, to, &damaged, &mut pushed),
            Opened::Remote(to) => to_remote(&order, &to, &mut pushed),
        });
        order.progress.end();
        if let Err(error) = result {
            pushed.fail(None, &error);
        }
        pushed
    })
    .await;
    let evidence = json!({ "place": pushed.place, "copied": pushed.copied, "bytes": pushed.bytes, "there": pushed.there,
                           "proven": pushed.proven, "newest": pushed.newest, "error": pushed.error });
    act.answer(pushed.error.is_none(), evidence)?;
    Ok(pushed)
}

impl Pushed {
    /// The first failure is told; the worst gives the exit code, and what is wrong comes before
    /// what could not be asked.
    fn fail(&mut self, about: Option<&Entry>, error: &anyhow::Error) {
        let failure = Failure::of(error);
        let exits = self.exit.into_iter().chain([failure.exit]);
        self.exit = exits.min_by_key(|exit| exit.code());
        self.error.get_or_insert_with(|| {
            let about = about.map(|entry| format!("{}: ", entry.id()));
            let hint = failure.hint.map(|hint| format!("; {hint}"));
            let (about, hint) = (about.unwrap_or_default(), hint.unwrap_or_default());
            format!("{about}{}{hint}", failure.message)
        });
    }

    fn count(&mut self, entry: &Entry, is_new: bool) {
        self.newest = self.newest.take().max(entry.taken_at().map(|at| at.to_string()));
        if is_new {
            self.copied.push(entry.id().to_owned());
            self.bytes += entry.sealed_bytes();
        } else {
            self.there += 1;
        }
    }
}

fn is_same_disk(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| fs_err::metadata(path).map(|metadata| metadata.dev());
    matches!((device(one), device(other)), (Ok(one), Ok(other)) if one == other)
}

/// A push to one target.
struct Order {
    vault: Vault,
    entries: Vec<Entry>,
    prove: bool,
    progress: Arc<dyn Batch>,
}

impl Order {
    /// The entries, one step each.
    fn steps(&self) -> impl Iterator<Item = &Entry> {
        self.progress.expect(self.entries.len());
        let step = |_: &&Entry| self.progress.next();
        self.entries.iter().inspect(step)
    }
}

/// Copies what is not on a disk.
fn to_folder(
    order: &Order,
    to: Vault,
    damaged: &Damaged,
    pushed: &mut Pushed,
) -> anyhow::Result<()> {
    let vault = &order.vault;
    if to.directory() == vault.directory() {
        return Err(Refusal::usage("it is the vault itself").into());
    }
    let to = to.watched_by(order.progress.clone());
    let lock = to.lock()?;
    to.clean_leftovers(&lock)?;
    let present = to.entries()?;
    for entry in order.steps() {
        let is_new = present.iter().all(|present| present.id() != entry.id());
        let copied = vault.copy_to(entry, &to, &lock).and_then(|copy| {
            if order.prove && !is_new {
                to.verify(&copy, &Identities::new(), Depth::Sealed)?;
            }
            // A new one was compared before it got its name.
            let is_proven = order.prove || is_new;
            if damaged.finding(copy.path()).is_none() {
                let proof = is_proven.then_some(Proof::Whole);
                let receipt = Receipt {
                    answer: if is_new { "copied" } else { "found" }.to_owned(),
                    is_hash_confirmed: false,
                };
                vault.record_copy(entry, &pushed.name, receipt, proof, Timestamp::now())?;
            }
            pushed.proven += usize::from(is_proven);
            Ok(copy)
        });
        match copied.map_err(anyhow::Error::from) {
            Ok(copy) if damaged.finding(copy.path()).is_some() => {
                let found =
                    Refusal::no("the copy was found damaged").hint("remove it, and push again");
                pushed.fail(Some(entry), &found.into());
            }
            Ok(copy) => pushed.count(&copy, is_new),
            Err(error) if is_disk_full(&error) => return Err(error),
            Err(error) => pushed.fail(Some(entry), &error),
        }
    }
    Ok(())
}

/// Sends what is not at a server.
fn to_remote(order: &Order, remote: &Remote, pushed: &mut Pushed) -> anyhow::Result<()> {
    let (vault, prove) = (&order.vault, order.prove);
    // Two runs at once would send the same files.
    let _lock = vault.lock()?;
    let there = remote.listing()?;
    remote.clean(&there)?;
    for entry in order.steps() {
        let sent = remote.push(vault, entry, &there, Timestamp::now());
        let sent = sent.and_then(|sent| {
            let is_readable = remote.target().is_readable();
            if prove && is_readable {
                remote.prove(vault, &sent.entry, Proof::Whole, Timestamp::now())?;
            }
            pushed.proven += usize::from(is_readable && (prove || sent.is_sent));
            Ok(sent)
        });
        match sent {
            Ok(sent) => pushed.count(entry, sent.is_sent),
            Err(error) if is_about_one(&error) => pushed.fail(Some(entry), &error.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether the next backup may fare better.
fn is_about_one(error: &backup::Error) -> bool {
    match error {
        backup::Error::Target { failure, .. } => {
            failure.is_answer() || matches!(failure, backup::TargetFailure::TooLarge)
        }
        _ => true,
    }
}

fn text(report: &Report) -> String {
    let rows = report.targets.iter().map(|pushed| {
        vec![
            pushed.name.clone(),
            pushed.place.clone(),
            pushed.copied.len().to_string(),
            human::bytes(pushed.bytes),
            pushed.there.to_string(),
            pushed.proven.to_string(),
            if pushed.error.is_some() { "FAILED" } else { "done" }.to_owned(),
        ]
    });
    table(&["target", "place", ">copied", ">size", ">there before", ">read back", "result"], rows)
}
