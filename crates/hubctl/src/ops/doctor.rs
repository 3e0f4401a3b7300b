//! Examine everything a backup, a restore and a tunnel need, and change nothing.

mod conditions;
mod keys;
mod server;
mod targets;
mod tunnels;

use std::path::PathBuf;

use journal::Journal;
use serde::Serialize;

use self::conditions::Question;
use super::{Ops, Report, schedule};
use crate::damage::Damaged;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::store;

/// The sites to examine.
#[derive(Debug, Clone, Default)]
pub struct DoctorOrder {
    /// Names of sites or connection URLs; without one, every site of the settings.
    pub sites: Vec<String>,
}

/// The findings of an examination.
#[derive(Debug, Clone, Serialize)]
pub struct DoctorReport {
    /// True if nothing failed and everything could be asked.
    pub healthy: bool,
    /// The findings, in the order of the examination.
    pub findings: Vec<Finding>,
}

/// One thing that was examined.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The state of the subject.
    #[serde(rename = "verdict")]
    pub health: Health,
    /// The thing that was examined, such as a site or `vault`.
    pub subject: String,
    /// The state in words.
    pub fact: String,
    /// The remedy, if there is one.
    pub hint: Option<String>,
}

/// The state of something that was examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It works.
    Ok,
    /// It works, and something needs attention.
    Warn,
    /// It does not work.
    Fail,
    /// It could not be asked.
    Unknown,
}

impl Report for DoctorReport {
    const SCHEMA: &'static str = "hubctl.doctor.v1";
}

impl DoctorReport {
    fn new(findings: Vec<Finding>) -> Self {
        let is_bad = |finding: &Finding| matches!(finding.health, Health::Fail | Health::Unknown);
        Self { healthy: !findings.iter().any(is_bad), findings }
    }

    /// Returns true if a finding has this state.
    #[must_use]
    pub fn has(&self, health: Health) -> bool {
        self.findings.iter().any(|finding| finding.health == health)
    }
}

impl Health {
    /// The state as one word, such as `ok`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
        }
    }
}

impl Finding {
    fn new(health: Health, subject: impl Into<String>, fact: impl Into<String>) -> Self {
        Self { health, subject: subject.into(), fact: fact.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An error as a finding: a no is a failure, a question that was not answered is unknown.
    fn of(subject: impl Into<String>, error: &anyhow::Error) -> Self {
        let failure = Failure::of(error);
        let health = if failure.exit == Exit::CouldNotAsk { Health::Unknown } else { Health::Fail };
        Self { health, subject: subject.into(), fact: failure.sentence(), hint: failure.hint }
    }
}

/// Examines servers, tools, the vault, keys, clusters, tunnels and the journal.
///
/// Something that fails or cannot be asked is a finding, not an error.
pub async fn doctor(ops: &Ops, order: DoctorOrder) -> DoctorReport {
    let settings = ops.settings();
    let mut findings = Vec::new();
    let wanted = sites(ops, order, &mut findings).await;
    let mut questions: Vec<Question> = Question::of_clusters(settings).collect();
    questions.extend(vault(settings, &wanted, &mut findings));
    conditions::ask(ops, questions, &mut findings).await;
    keys::examine(ops, &mut findings);
    targets::examine(settings, &mut findings).await;
    tunnels::examine(settings, &mut findings).await;
    findings.extend(schedule(settings));
    findings.push(journal(settings));
    DoctorReport::new(findings)
}

/// Examines the sites, and returns what the vault is held against.
async fn sites(ops: &Ops, order: DoctorOrder, findings: &mut Vec<Finding>) -> Wanted {
    let settings = ops.settings();
    let takes_all = order.sites.is_empty();
    let words: Vec<String> =
        if takes_all { settings.sites.keys().cloned().collect() } else { order.sites };
    let (mut database, mut bytes, mut absent) = (None, 0, Vec::new());
    for word in &words {
        let examined = server::examine(ops, word, findings).await;
        bytes = examined.bytes.max(bytes);
        database = database.or(examined.database);
        absent.extend(examined.absent.map(|name| (word, name)));
    }
    for (word, name) in absent {
        // A site that the service has not moved to yet is normal, as long as it runs at another.
        let health = if takes_all && database.is_some() { Health::Warn } else { Health::Fail };
        let fact = format!("the server answers, but has no database {name}");
        findings.push(
            Finding::new(health, word, fact)
                .hint("a restore to this site makes it; a backup of this site needs it"),
        );
    }
    if words.is_empty() {
        findings.push(
            Finding::new(Health::Fail, "site", "no database is configured")
                .hint("add [sites.NAME] to hubctl.toml, or give a URL"),
        );
    }
    Wanted { database, bytes, damaged: Damaged::read(settings, &**ops.console()) }
}

/// The facts of the sites that the vault is held against.
struct Wanted {
    /// Names the service where nothing else does.
    database: Option<String>,
    /// The size of the largest database.
    bytes: u64,
    damaged: Damaged,
}

/// Examines the vault, and returns what is to be asked about its room.
fn vault(settings: &Settings, wanted: &Wanted, findings: &mut Vec<Finding>) -> Option<Question> {
    let directory = try_vault(settings, wanted, findings).unwrap_or_else(|error| {
        findings.push(Finding::of("vault", &error));
        None
    })?;
    // Without a database the room that is needed is unknown.
    (wanted.bytes > 0).then(|| Question::of_room(&directory, wanted.bytes))
}

fn try_vault(
    settings: &Settings,
    wanted: &Wanted,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<Option<PathBuf>> {
    let vault = store::open_vault(settings, wanted.database.as_deref())?;
    let directory = vault.directory();
    // Nothing tells as surely whether a directory is writable as writing; the file has no name to be left over.
    if let Err(error) = tempfile::tempfile_in(directory) {
        let hint = "make it writable for the user that runs the backup";
        findings.push(
            Finding::new(
                Health::Fail,
                "vault",
                format!("{} is not writable: {error}", directory.display()),
            )
            .hint(hint),
        );
        return Ok(None);
    }
    let fact = format!("{} is writable", directory.display());
    findings.push(Finding::new(Health::Ok, "vault", fact));
    findings.push(match vault.find("latest") {
        Ok(latest) => match wanted.damaged.refuse(&vault, &latest) {
            Ok(()) => Finding::new(
                Health::Ok,
                "backups",
                format!("the latest verified one is {}", latest.id()),
            ),
            Err(error) => Finding::of("backups", &error),
        },
        Err(error @ backup::Error::NothingVerified { entries, .. }) => {
            let remedy = if entries == 0 {
                "run `hubctl backup`"
            } else {
                "run `hubctl verify ID` where the key is"
            };
            Finding::new(Health::Warn, "backups", error.to_string()).hint(remedy)
        }
        Err(error) => Finding::of("backups", &error.into()),
    });
    for leftover in vault.leftovers()? {
        let fact = format!("{} is a leftover of an interrupted run", leftover.path.display());
        findings.push(Finding::new(Health::Warn, "vault", fact).hint("the next backup removes it"));
    }
    for path in crate::keys::beside_the_vault(settings, &vault) {
        let fact = format!("the identity {} lies in the vault", path.display());
        findings.push(Finding::new(Health::Warn, "identities", fact).hint(
            "move it out of the vault, so that nobody gets the backups and the key together",
        ));
    }
    Ok(Some(directory.to_owned()))
}

/// The site that the nightly backup takes, if that is a question or the schedule is installed.
fn schedule(settings: &Settings) -> Option<Finding> {
    let is_installed = schedule::is_installed(settings);
    match schedule::nightly_site(settings) {
        Ok(site) if is_installed => Some(Finding::new(
            Health::Ok,
            "schedule",
            format!("installed; the nightly backup takes {site}"),
        )),
        Ok(_) => None,
        Err(error) => {
            let finding = Finding::of("schedule", &error);
            let health = if is_installed { Health::Fail } else { Health::Warn };
            let is_a_question = is_installed || settings.sites.len() > 1;
            is_a_question.then_some(Finding { health, ..finding })
        }
    }
}

fn journal(settings: &Settings) -> Finding {
    let path = &settings.journal.value;
    let found =
        Journal::find(path).and_then(|found| found.map(|journal| journal.verify()).transpose());
    match found {
        Ok(None) => Finding::new(
            Health::Ok,
            "journal",
            format!("{} will be made by the first record", path.display()),
        ),
        Ok(Some(verified)) => match verified.leftovers.first() {
            None => Finding::new(
                Health::Ok,
                "journal",
                format!("{} records, and their chain holds", verified.records),
            ),
            Some(leftover) => Finding::new(
                Health::Warn,
                "journal",
                format!("{} is a leftover of an interrupted rotation", leftover.display()),
            )
            .hint("the next `hubctl journal rotate` replaces it"),
        },
        Err(error) => Finding::of("journal", &error.into()),
    }
}
