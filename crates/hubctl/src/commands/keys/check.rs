//! `hubctl keys check`.

use backup::{Depth, Entry, Identities, Vault};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::keys;
use crate::printer::{answer, table};
use crate::settings::Settings;
use crate::store;

#[derive(Debug, Serialize)]
struct Checked {
    recipients: Vec<Recipient>,
    backups: Vec<Opened>,
}

/// A public key that backups are sealed for from now on.
#[derive(Debug, Serialize)]
struct Recipient {
    recipient: String,
    /// Whether its private key is on this machine.
    here: bool,
}

#[derive(Debug, Serialize)]
struct Opened {
    id: String,
    path: String,
    opens: bool,
    /// Why it does not.
    problem: Option<String>,
    /// For whom it was sealed whose key is not here.
    absent: Vec<String>,
}

pub(super) fn run(context: &Context, settings: &Settings) -> anyhow::Result<Exit> {
    let printer = &context.printer;
    let passphrase = keys::passphrase(settings, &context.printer)?;
    let recipients = keys::recipients(settings, passphrase.as_ref())?;
    let identities = keys::identities(settings, passphrase, &context.console())?;
    let held = keys::held(&identities);
    let vault = store::open_vault(settings, None)?;
    let checked = Checked {
        recipients: recipients
            .fingerprints()
            .map(|each| Recipient {
                here: keys::is_here(&held, &each.text),
                recipient: each.text.clone(),
            })
            .collect(),
        backups: vault
            .entries()?
            .iter()
            .map(|entry| open(&vault, entry, &identities, &held))
            .collect(),
    };
    if checked.recipients.iter().all(|recipient| recipient.here) {
        printer.warn(keys::NO_ESCROW);
        printer.hint(keys::ESCROW_HINT);
    }
    printer.result("hubctl.keys.v1", &checked, || text(&checked))?;
    Ok(answer(checked.backups.iter().all(|backup| backup.opens)))
}

fn open(vault: &Vault, entry: &Entry, identities: &Identities, held: &[String]) -> Opened {
    let problem = vault.verify(entry, identities, Depth::Quick).err();
    let recipients = entry.sidecar().map(|sidecar| sidecar.recipients.as_slice());
    let recipients = recipients.unwrap_or_default().iter();
    let absent = recipients.filter(|sealed| !keys::is_here(held, &sealed.recipient));
    Opened {
        id: entry.id().to_owned(),
        path: entry.path().display().to_string(),
        opens: problem.is_none(),
        problem: problem.map(|problem| problem.to_string()),
        absent: absent.map(|sealed| sealed.recipient.clone()).collect(),
    }
}

fn text(checked: &Checked) -> String {
    let recipients = checked.recipients.iter().map(|each| {
        let place = if each.here { "here" } else { "elsewhere" };
        vec![each.recipient.clone(), place.to_owned()]
    });
    let backups = checked.backups.iter().map(|each| {
        let found = each.problem.clone().unwrap_or_else(|| "opens".to_owned());
        let absent = match each.absent.len() {
            0 => "no key".to_owned(),
            1 => "1 key".to_owned(),
            several => format!("{several} keys"),
        };
        vec![each.id.clone(), found, absent]
    });
    format!(
        "{}\n{}",
        table(&["recipient", "its key is"], recipients),
        table(&["backup", "with the keys here", "elsewhere opens it"], backups)
    )
}
