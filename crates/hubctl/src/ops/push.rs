//! Copy verified backups to targets.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use backup::{Depth, Entry, Identities, Proof, Receipt, Remote, TargetSpec, Vault};
use journal::evidence;
use serde::Serialize;

use super::{Batch, Ops, Report, blocking};
use crate::damage::Damaged;
use crate::exit::Exit;
use crate::failure::{Failure, Refusal, is_disk_full};
use crate::settings::Settings;
use crate::store;
use crate::targets::{self, Opened};

/// The targets to copy to, and how thoroughly.
#[derive(Debug, Clone, Default)]
pub struct PushOrder {
    /// Names of targets in the settings; all of them if empty.
    pub targets: Vec<String>,
    /// Reads every copy back whole, including those that were there before.
    pub prove: bool,
}

/// The result of a push, target by target.
#[derive(Debug, Clone, Serialize)]
pub struct PushReport {
    /// Each target that was ordered.
    pub targets: Vec<TargetPush>,
}

/// The result of a push to one target.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TargetPush {
    /// The target's name in the settings.
    pub name: String,
    /// Its folder or address.
    pub place: String,
    /// The ids of the backups that were copied now.
    pub copied: Vec<String>,
    /// The size of those in bytes.
    pub bytes: u64,
    /// The number of backups that were there before.
    pub there: usize,
    /// The number of copies that were read back and compared, at least in part.
    pub proven: usize,
    /// The time of the newest data there, in RFC 3339.
    pub newest: Option<String>,
    /// The first failure: the target could not be reached, or a backup could not be copied.
    pub error: Option<String>,
    #[serde(skip)]
    exit: Option<Exit>,
}

impl Report for PushReport {
    const SCHEMA: &'static str = "hubctl.push.v1";
}

impl PushReport {
    /// Returns the answer of the worst target; a failure comes before a target that could not be
    /// asked.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let exits = self.targets.iter().filter_map(|target| target.exit);
        exits.min_by_key(|exit| exit.code()).unwrap_or(Exit::Yes)
    }
}

/// Copies every verified backup that a target does not have yet, the newest first.
///
/// A copy on a disk is read again and compared before it gets its name. A server receives a file
/// under another name; its header and end are read back before the vault records it as proven. A
/// target that fails does not stop the others: its report has the error.
///
/// # Errors
/// A configuration without a vault or an ordered target, a vault that cannot be read, and a journal
/// that cannot be written.
pub async fn push(ops: &Ops, order: PushOrder) -> anyhow::Result<PushReport> {
    let settings = ops.settings();
    let vault = store::open_vault(settings, None)?;
    let damaged = Damaged::read(settings, &**ops.console());
    let mut entries = vault.entries()?;
    entries.retain(|entry| damaged.is_good(entry));
    let mut targets = Vec::new();
    for target in chosen(settings, &order.targets)? {
        targets.push(push_to(ops, (&vault, &entries), target, order.prove).await?);
    }
    for target in &targets {
        if let Some(error) = &target.error {
            ops.warn(format_args!("{}: {error}", target.name));
        }
    }
    Ok(PushReport { targets })
}

/// Returns the named targets, or all of them if none is named.
fn chosen<'a>(
    settings: &'a Settings,
    names: &'a [String],
) -> anyhow::Result<Vec<(&'a String, &'a TargetSpec)>> {
    if names.is_empty() && !settings.targets.is_empty() {
        return Ok(settings.targets.iter().collect());
    }
    if names.is_empty() {
        targets::find(settings, "")?;
    }
    let named = names.iter().map(|name| Ok((name, targets::find(settings, name)?)));
    named.collect()
}

async fn push_to(
    ops: &Ops,
    (vault, entries): (&Vault, &[Entry]),
    (name, target): (&String, &TargetSpec),
    prove: bool,
) -> anyhow::Result<TargetPush> {
    let settings = ops.settings();
    let act = ops.act(name)?;
    let progress = ops.console().batch();
    let vault = vault.clone().watched_by(progress.clone());
    let opened = targets::open(settings, name, &vault);
    if let Ok(Opened::Folder(to)) = &opened
        && is_same_disk(vault.directory(), to.directory())
    {
        ops.warn(format_args!(
            "{name} is on the same file system as the vault: a failed disk takes both"
        ));
    }
    let mut pushed =
        TargetPush { name: name.clone(), place: target.place(), ..TargetPush::default() };
    let damaged = Damaged::read(settings, &**ops.console());
    let job = Job { ops: ops.clone(), vault, entries: entries.to_vec(), prove, progress };
    let pushed = blocking(move || {
        let result = opened.and_then(|opened| match opened {
            Opened::Folder(to) => job.to_folder(to, &damaged, &mut pushed),
            Opened::Remote(to) => job.to_remote(&to, &mut pushed),
        });
        job.progress.end();
        if let Err(error) = result {
            pushed.fail(None, &error);
        }
        pushed
    })
    .await;
    act.answer(pushed.error.is_none(), &pushed.evidence())?;
    Ok(pushed)
}

impl TargetPush {
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

    fn evidence(&self) -> evidence::Push {
        evidence::Push {
            place: self.place.clone(),
            copied: self.copied.clone(),
            bytes: self.bytes,
            there: self.there as u64,
            proven: self.proven as u64,
            newest: self.newest.clone(),
            error: self.error.clone(),
        }
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
struct Job {
    ops: Ops,
    vault: Vault,
    entries: Vec<Entry>,
    prove: bool,
    progress: Arc<dyn Batch>,
}

impl Job {
    /// The entries, one step each.
    fn steps(&self) -> impl Iterator<Item = &Entry> {
        self.progress.expect(self.entries.len());
        let step = |_: &&Entry| self.progress.next();
        self.entries.iter().inspect(step)
    }

    /// Copies the missing backups to a disk.
    fn to_folder(
        &self,
        to: Vault,
        damaged: &Damaged,
        pushed: &mut TargetPush,
    ) -> anyhow::Result<()> {
        if to.directory() == self.vault.directory() {
            return Err(Refusal::usage("it is the vault itself").into());
        }
        let to = to.watched_by(self.progress.clone());
        let lock = to.lock()?;
        to.clean_leftovers(&lock)?;
        let present = to.entries()?;
        for entry in self.steps() {
            let is_new = present.iter().all(|present| present.id() != entry.id());
            let copied = self.vault.copy_to(entry, &to, &lock).and_then(|copy| {
                if self.prove && !is_new {
                    to.verify(&copy, &Identities::new(), Depth::Sealed)?;
                }
                // A new one was compared before it got its name.
                let is_proven = self.prove || is_new;
                if damaged.finding(copy.path()).is_none() {
                    self.record(entry, &pushed.name, is_new, is_proven)?;
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

    /// Remembers a copy on a disk in the entry's sidecar.
    fn record(
        &self,
        entry: &Entry,
        target: &str,
        is_new: bool,
        is_proven: bool,
    ) -> Result<(), backup::Error> {
        let receipt = Receipt {
            answer: if is_new { "copied" } else { "found" }.to_owned(),
            is_hash_confirmed: false,
        };
        let proof = is_proven.then_some(Proof::Whole);
        self.vault.record_copy(entry, target, receipt, proof, self.ops.now())?;
        Ok(())
    }

    /// Sends the missing backups to a server.
    fn to_remote(&self, remote: &Remote, pushed: &mut TargetPush) -> anyhow::Result<()> {
        // Two runs at once would send the same files.
        let _lock = self.vault.lock()?;
        let there = remote.listing()?;
        remote.clean(&there)?;
        for entry in self.steps() {
            let sent = remote.push(&self.vault, entry, &there, self.ops.now());
            let sent = sent.and_then(|sent| {
                let is_readable = remote.target().is_readable();
                if self.prove && is_readable {
                    remote.prove(&self.vault, &sent.entry, Proof::Whole, self.ops.now())?;
                }
                pushed.proven += usize::from(is_readable && (self.prove || sent.is_sent));
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
}

/// Returns true if the next backup may fare better.
fn is_about_one(error: &backup::Error) -> bool {
    match error {
        backup::Error::Target { failure, .. } => {
            failure.is_answer() || matches!(failure, backup::TargetFailure::TooLarge)
        }
        _ => true,
    }
}
