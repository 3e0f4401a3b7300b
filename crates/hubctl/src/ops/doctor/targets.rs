//! The examination of the targets: each answers, or does not, and has copies.

use std::time::Instant;

use super::{Finding, Health};
use crate::ops::blocking;
use crate::settings::Settings;
use crate::store;
use crate::targets::{self, Opened};

pub(super) async fn examine(settings: &Settings, findings: &mut Vec<Finding>) {
    if settings.targets.is_empty() {
        let fact = "backups are kept in one place only";
        findings.push(
            Finding::new(Health::Warn, "targets", fact)
                .hint("add a target on another disk or machine: [targets.NAME]"),
        );
        return;
    }
    for name in settings.targets.keys() {
        let subject = format!("target {name}");
        let (settings, name) = (settings.clone(), name.clone());
        let examined = blocking(move || target(&settings, &name)).await;
        findings.push(match examined {
            Ok(fact) => Finding::new(Health::Ok, subject, fact),
            Err(error) => Finding::of(subject, &error),
        });
    }
}

fn target(settings: &Settings, name: &str) -> anyhow::Result<String> {
    let vault = store::open_vault(settings, None)?;
    let place = settings.targets[name].place();
    let until = Instant::now() + targets::PATIENCE;
    let ids = match targets::open_until(settings, name, &vault, Some(until))? {
        Opened::Folder(there) => {
            let entries = there.entries()?;
            entries.iter().map(|entry| entry.id().to_owned()).collect()
        }
        Opened::Remote(there) if there.target().is_readable() => there.listing()?.ids(),
        // To ask it would leave a file there.
        Opened::Remote(_) => {
            return Ok(format!("{place} takes files and shows none: a push tells whether it does"));
        }
    };
    Ok(match ids.iter().max() {
        Some(newest) => format!("{place} answers: {} backups, the newest {newest}", ids.len()),
        None => format!("{place} answers, and has no backup yet"),
    })
}
