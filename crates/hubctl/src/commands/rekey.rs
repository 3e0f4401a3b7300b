//! `hubctl rekey`.

use std::collections::BTreeSet;

use backup::{Entry, Recipients, State, Timestamp};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::act::Act;
use crate::cli::options::{IdentityOptions, JournalOptions, RecipientOptions, VaultOptions};
use crate::context::{Context, blocking};
use crate::exit::Exit;
use crate::keys;
use crate::printer::table;
use crate::settings::Overrides;
use crate::store;

/// Seal backups anew for the present recipients
///
/// For a new key, or one that is not to be trusted any more: every backup that is not sealed for exactly the configured recipients is opened
/// with a key at hand, sealed for them, read again and compared, and takes the old file's place. No clear text touches a disk. Copies
/// elsewhere are not changed. Without --execute it is only said which those are.
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
    vault: VaultOptions,
    #[command(flatten)]
    recipients: RecipientOptions,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    journal: JournalOptions,
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
}

pub(crate) async fn run(context: &Context, args: RekeyArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default()
        .vault(&args.vault)
        .recipients(&args.recipients)
        .identities(&args.identities);
    let settings = context.settings(overrides.journal(&args.journal))?;
    let passphrase = keys::passphrase(&settings)?;
    let recipients = keys::recipients(&settings, passphrase.as_ref())?;
    let identities = keys::identities(&settings, passphrase, &context.printer)?;
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
    let wanted: BTreeSet<String> = names(&recipients).collect();
    let others: Vec<Entry> = entries
        .into_iter()
        .filter(|entry| is_sealed_for_others(entry, &wanted))
        .collect();
    let backups = others.iter().map(|entry| Backup {
        id: entry.id().to_owned(),
        from: sealed_for(entry).into_iter().collect(),
        new_id: None,
    });
    let mut rekeyed = Rekeyed {
        executed: args.execute,
        recipients: names(&recipients).collect(),
        backups: backups.collect(),
    };
    if args.execute && !others.is_empty() {
        let lock = vault.lock()?;
        let act = Act::begin(&settings, &context.printer, "rekey", vault.service())?;
        let work = blocking(move || {
            let again = |entry: &Entry| {
                vault.rekey(&lock, entry, &identities, &recipients, Timestamp::now())
            };
            let mut done = Vec::new();
            for entry in &others {
                match again(entry) {
                    Ok(new) => done.push(new.id().to_owned()),
                    Err(error) => return (done, Err(error)),
                }
            }
            (done, Ok(()))
        })
        .await;
        let (done, result) = work;
        for (backup, new_id) in rekeyed.backups.iter_mut().zip(done) {
            backup.new_id = Some(new_id);
        }
        act.end(
            result.map_err(Into::into),
            |()| json!({ "recipients": rekeyed.recipients, "backups": rekeyed.backups }),
        )?;
    }
    context
        .printer
        .result("hubctl.rekey.v1", &rekeyed, || text(&rekeyed))?;
    if !args.execute && !rekeyed.backups.is_empty() {
        context
            .printer
            .say("nothing was changed; --execute seals them anew");
    }
    Ok(Exit::Yes)
}

fn names(recipients: &Recipients) -> impl Iterator<Item = String> {
    recipients.fingerprints().map(|each| each.text.clone())
}

fn sealed_for(entry: &Entry) -> BTreeSet<String> {
    let sidecar = entry.sidecar().into_iter();
    let recipients = sidecar.flat_map(|sidecar| &sidecar.recipients);
    recipients.map(|each| each.recipient.clone()).collect()
}

/// A file without a sidecar does not say whom it was sealed for, and is left alone.
fn is_sealed_for_others(entry: &Entry, wanted: &BTreeSet<String>) -> bool {
    entry.state() != State::Foreign && sealed_for(entry) != *wanted
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
