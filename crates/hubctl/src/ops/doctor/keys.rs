//! The examination of recipients and identities, with a round trip through both.

use std::io::{Read as _, Write as _};

use backup::{Identities, Recipients, SidecarFacts, Vault};
use jiff::Timestamp;

use super::{Finding, Health};
use crate::failure::Refusal;
use crate::keys;
use crate::ops::Ops;

const PROBE: &[u8] = b"hubctl doctor";

pub(super) fn examine(ops: &Ops, findings: &mut Vec<Finding>) {
    let settings = ops.settings();
    let passphrase = match keys::passphrase(settings, &**ops.console()) {
        Ok(passphrase) => passphrase,
        Err(error) => return findings.push(Finding::of("passphrase", &error)),
    };
    let recipients = match keys::recipients(settings, passphrase.as_ref()) {
        Ok(recipients) => recipients,
        Err(error) => return findings.push(Finding::of("recipients", &error)),
    };
    findings.push(match recipients.len() {
        _ if keys::is_passphrase(&recipients) => Finding::new(
            Health::Warn,
            "recipients",
            "only a passphrase: without it every backup is lost",
        )
        .hint("keep a copy of it elsewhere, or seal for two public keys"),
        1 => Finding::new(
            Health::Warn,
            "recipients",
            "there is only one: without its key every backup is lost",
        )
        .hint("add an escrow recipient whose key is kept elsewhere"),
        several => {
            Finding::new(Health::Ok, "recipients", format!("{several}, each opens a backup alone"))
        }
    });
    if settings.identities.is_empty() && passphrase.is_none() {
        let fact = "none is configured: new backups stay sealed, not verified";
        return findings.push(
            Finding::new(Health::Warn, "identities", fact)
                .hint("name a key file with [vault] identities or --identity"),
        );
    }
    let identities = match keys::identities(settings, passphrase, ops.console()) {
        Ok(identities) => identities,
        Err(error) => return findings.push(Finding::of("identities", &error)),
    };
    if recipients.len() > 1 && keys::absent(&recipients, &identities).is_empty() {
        findings.push(
            Finding::new(Health::Warn, "recipients", keys::NO_ESCROW).hint(keys::ESCROW_HINT),
        );
    }
    match round_trip(&recipients, &identities, ops.now()) {
        Ok(()) => findings.push(Finding::new(
            Health::Ok,
            "identities",
            "a probe was sealed and opened again",
        )),
        Err(error) => findings.push(Finding::of("identities", &error)),
    }
}

/// Seals a few bytes the way a backup is sealed and opens them the way a restore does, away from
/// the vault.
fn round_trip(
    recipients: &Recipients,
    identities: &Identities,
    now: Timestamp,
) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let vault = Vault::open(directory.path(), "probe")?;
    let mut sealing = vault.begin(&vault.lock()?, recipients, now)?;
    sealing.write_all(PROBE)?;
    let entry = sealing.commit(SidecarFacts::new(now))?;
    let mut opened = match vault.open_entry(&entry, identities) {
        Err(backup::Error::NoIdentityMatched { tried, .. }) => {
            let fact = format!(
                "none of the {tried} configured identities opens what is sealed for the configured recipients"
            );
            return Err(Refusal::no(fact)
                .hint("find the identity that belongs to a recipient, or correct the recipients")
                .into());
        }
        other => other?,
    };
    let mut clear = Vec::new();
    opened.read_to_end(&mut clear)?;
    if clear == PROBE { Ok(()) } else { Err(Refusal::no("the probe came back changed").into()) }
}
