//! `hubctl rekey`.

use std::collections::BTreeSet;

use backup::{Depth, Entry, Identities, Recipients, State, Timestamp, Vault};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::act::Act;
use crate::cli::options::SealedOptions;
use crate::context::Context;
use crate::damage::Damaged;
use crate::exit::Exit;
use crate::keys;
use crate::ops::{Console, blocking};
use crate::printer::{answer, table};
use crate::settings::Settings;
use crate::store;

/// Seal backups anew for the present recipients
///
/// For a new key, or one that is not to be trusted any more: every backup that is not sealed for
/// exactly the configured recipients is opened with a key at hand, sealed for them, read again and
/// compared, and takes the old file's place. No clear text touches a disk. Copies elsewhere are not
/// changed. Without --execute it is only said which those are.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl rekey                                  which backups would be sealed anew
  hubctl rekey --execute
  hubctl rekey 20261121T161200Z --execute --identity ~/old-key.txt")]
pub(crate) struct RekeyArgs {
    /// Only this one: id, path or `latest`
    #[arg(value_name = "ENTRY")]
    entry: Option<String>,
    /// Do it
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    sealed: SealedOptions,
}

#[derive(Debug, Serialize)]
struct Rekeyed {
    executed: bool,
    recipients: Vec<String>,
    backups: Vec<Backup>,
}

#[derive(Debug, Serialize)]
struct Backup {
    id: String,
    /// Whom it was sealed for.
    from: Vec<String>,
    new_id: Option<String>,
    /// Why it was not sealed anew.
    error: Option<String>,
}

pub(crate) async fn run(context: &Context, args: RekeyArgs) -> anyhow::Result<Exit> {
    let settings = context.settings(args.sealed.overrides())?;
    let passphrase = keys::passphrase(&settings, &context.printer)?;
    let recipients = keys::recipients(&settings, passphrase.as_ref())?;
    let identities = keys::identities(&settings, passphrase, &context.console())?;
    let (vault, entries) = match &args.entry {
        Some(spec) => {
            let (vault, entry) = store::find_entry(&settings, spec)?;
            (vault, vec![entry])
        }
        None => {
            let vault = store::open_vault(&settings, None)?;
            let entries = vault.entries()?;
            (vault, entries)
        }
    };
    let present = Present::new(&settings, &recipients, &context.printer)?;
    let others: Vec<Entry> =
        entries.into_iter().filter(|entry| !present.is_sealed_for(&vault, entry)).collect();
    let damaged = Damaged::read(&settings, &context.printer);
    let backups = others.iter().map(|entry| Backup {
        id: entry.id().to_owned(),
        from: sealed_for(entry).into_iter().collect(),
        new_id: None,
        // Sealed anew it would be another file, of which nobody knows that.
        error: damaged
            .finding(entry.path())
            .map(|finding| format!("it was found damaged {finding}")),
    });
    let mut rekeyed = Rekeyed {
        executed: args.execute,
        recipients: names(&recipients).collect(),
        backups: backups.collect(),
    };
    // Whoever cannot open what is sealed anew would seal everything for nothing.
    let provable =
        if others.is_empty() { Ok(()) } else { recipients.require_opened_by(&identities) };
    if args.execute && !others.is_empty() {
        provable?;
        let lock = vault.lock()?;
        let act = Act::begin(&settings, context.console(), "rekey", vault.service())?;
        let mut backups = std::mem::take(&mut rekeyed.backups);
        let progress = context.copies();
        progress.expect(others.len());
        let vault = vault.watched_by(progress.clone());
        rekeyed.backups = blocking(move || {
            for (backup, entry) in backups.iter_mut().zip(&others) {
                progress.next();
                if backup.error.is_some() {
                    continue;
                }
                match vault.rekey(&lock, entry, &identities, &recipients, Timestamp::now()) {
                    Ok(new) => backup.new_id = Some(new.id().to_owned()),
                    Err(error) => backup.error = Some(error.to_string()),
                }
            }
            progress.end();
            backups
        })
        .await;
        let evidence = json!({ "recipients": rekeyed.recipients, "backups": rekeyed.backups });
        act.answer(rekeyed.is_done(), evidence)?;
    } else if let Err(error) = provable {
        let printer = &context.printer;
        printer.warn(format_args!("--execute would be refused: {error}"));
        error.hint().iter().for_each(|hint| printer.hint(hint));
    }
    for backup in &rekeyed.backups {
        if let Some(error) = &backup.error {
            let printer = &context.printer;
            printer.warn(format_args!("{} is not sealed anew: {error}", backup.id));
        }
    }
    context.printer.result("hubctl.rekey.v1", &rekeyed, || text(&rekeyed))?;
    if !args.execute && !rekeyed.backups.is_empty() {
        context.printer.say("dry run: nothing changed; add --execute to seal them again");
    }
    Ok(answer(!args.execute || rekeyed.is_done()))
}

impl Rekeyed {
    fn is_done(&self) -> bool {
        self.backups.iter().all(|backup| backup.error.is_none())
    }
}

/// The recipients that every backup is to be sealed for.
struct Present {
    names: BTreeSet<String>,
    /// One passphrase looks like another; only trying tells.
    passphrase: Option<Identities>,
}

impl Present {
    fn new(
        settings: &Settings,
        recipients: &Recipients,
        console: &dyn Console,
    ) -> anyhow::Result<Self> {
        let mut passphrase = None;
        if keys::is_passphrase(recipients)
            && let Some(secret) = keys::passphrase(settings, console)?
        {
            let mut identities = Identities::new();
            identities.add_passphrase(secret);
            passphrase = Some(identities);
        }
        Ok(Self { names: names(recipients).collect(), passphrase })
    }

    /// A file without a sidecar does not say whom it was sealed for, and is left alone.
    fn is_sealed_for(&self, vault: &Vault, entry: &Entry) -> bool {
        let opens = |identities| vault.verify(entry, identities, Depth::Quick).is_ok();
        entry.state() == State::Foreign
            || sealed_for(entry) == self.names && self.passphrase.as_ref().is_none_or(opens)
    }
}

fn names(recipients: &Recipients) -> impl Iterator<Item = String> {
    recipients.fingerprints().map(|each| each.text.clone())
}

fn sealed_for(entry: &Entry) -> BTreeSet<String> {
    let sidecar = entry.sidecar().into_iter();
    let recipients = sidecar.flat_map(|sidecar| &sidecar.recipients);
    recipients.map(|each| each.recipient.clone()).collect()
}

fn text(rekeyed: &Rekeyed) -> String {
    if rekeyed.backups.is_empty() {
        return "every backup is sealed for the present recipients".to_owned();
    }
    let rows = rekeyed.backups.iter().map(|backup| {
        let new = backup.new_id.clone().unwrap_or_default();
        vec![backup.id.clone(), backup.from.join(" "), new]
    });
    table(&["id", "was sealed for", "now"], rows)
}
