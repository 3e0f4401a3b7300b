//! `hubctl doctor`.

mod conditions;
mod keys;
mod server;
mod targets;
mod tunnels;

use std::path::PathBuf;

use clap::Args;
use journal::Journal;
use serde::Serialize;

use crate::cli::options::{
    IdentityOptions, JournalOptions, PasswordOptions, RecipientOptions, VaultOptions,
};
use crate::commands::schedule;
use crate::context::Context;
use crate::damage::Damaged;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::table;
use crate::settings::{Overrides, Settings};
use crate::store;
use conditions::Question;

/// Examine everything a backup, a restore and a tunnel need
///
/// Asks the servers, the tools, the vault, the keys, the clusters, the tunnels and the journal, and
/// changes nothing. Exits with 1 if something fails, 3 if something could not be asked.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hubctl doctor\n  hubctl doctor workstation --format json")]
pub(crate) struct DoctorArgs {
    /// Site or connection URL [default: every site]
    #[arg(value_name = "SITE|URL")]
    sites: Vec<String>,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    recipients: RecipientOptions,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    passwords: PasswordOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

/// What an examination found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
    /// It could not be asked.
    Unknown,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Debug, Serialize)]
struct Finding {
    verdict: Verdict,
    subject: String,
    fact: String,
    hint: Option<String>,
}

impl Finding {
    fn new(verdict: Verdict, subject: impl Into<String>, fact: impl Into<String>) -> Self {
        Self { verdict, subject: subject.into(), fact: fact.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An error as a finding: a no is a failure, a question that was not answered is unknown.
    fn of(subject: impl Into<String>, error: &anyhow::Error) -> Self {
        let failure = Failure::of(error);
        let verdict =
            if failure.exit == Exit::CouldNotAsk { Verdict::Unknown } else { Verdict::Fail };
        let fact =
            std::iter::once(failure.message).chain(failure.causes).collect::<Vec<_>>().join(": ");
        Self { verdict, subject: subject.into(), fact, hint: failure.hint }
    }
}

#[derive(Debug, Serialize)]
struct Examined {
    healthy: bool,
    findings: Vec<Finding>,
}

pub(crate) async fn run(context: &Context, args: DoctorArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default()
        .vault(&args.vault)
        .recipients(&args.recipients)
        .identities(&args.identities);
    let settings = context.settings(overrides.passwords(&args.passwords).journal(&args.journal))?;
    let words: Vec<String> = if args.sites.is_empty() {
        settings.sites.keys().cloned().collect()
    } else {
        args.sites.clone()
    };
    let mut findings = Vec::new();
    let mut database = None;
    let mut largest = 0;
    let mut absent = Vec::new();
    for word in &words {
        let examined = server::examine(&settings, word, &mut findings).await;
        largest = largest.max(examined.bytes);
        database = database.or(examined.database);
        absent.extend(examined.absent.map(|name| (word, name)));
    }
    for (word, name) in absent {
        // A site that the service has not moved to yet is normal, as long as it runs at another.
        let verdict =
            if args.sites.is_empty() && database.is_some() { Verdict::Warn } else { Verdict::Fail };
        let fact = format!("the server answers, but has no database {name}");
        findings.push(
            Finding::new(verdict, word, fact)
                .hint("a restore to this site makes it; a backup of this site needs it"),
        );
    }
    if words.is_empty() {
        findings.push(
            Finding::new(Verdict::Fail, "site", "no database is configured")
                .hint("add [sites.NAME] to hubctl.toml, or give a URL"),
        );
    }
    let wanted = Wanted {
        database: database.as_deref(),
        bytes: largest,
        damaged: Damaged::read(&settings, &context.printer),
    };
    let mut questions: Vec<Question> = Question::of_clusters(&settings).collect();
    questions.extend(vault(&settings, &wanted, &mut findings));
    conditions::ask(context, &settings, questions, &mut findings).await;
    keys::examine(context, &settings, &mut findings);
    targets::examine(&settings, &mut findings).await;
    tunnels::examine(&settings, &mut findings).await;
    findings.extend(schedule(&settings));
    findings.push(journal(&settings));
    report(context, findings)
}

fn report(context: &Context, findings: Vec<Finding>) -> anyhow::Result<Exit> {
    let has = |verdict| findings.iter().any(|finding| finding.verdict == verdict);
    let exit = match (has(Verdict::Fail), has(Verdict::Unknown)) {
        (true, _) => Exit::No,
        (false, true) => Exit::CouldNotAsk,
        (false, false) => Exit::Yes,
    };
    let examined = Examined { healthy: exit == Exit::Yes, findings };
    context.printer.result("hubctl.doctor.v1", &examined, || {
        let row = |finding: &Finding| {
            vec![finding.verdict.word().to_owned(), finding.subject.clone(), finding.fact.clone()]
        };
        table(&["verdict", "subject", "finding"], examined.findings.iter().map(row))
    })?;
    for finding in &examined.findings {
        if let Some(hint) = &finding.hint {
            context.printer.hint(format_args!("{}: {hint}", finding.subject));
        }
    }
    Ok(exit)
}

/// What the vault is held against.
struct Wanted<'a> {
    /// Names the service where nothing else does.
    database: Option<&'a str>,
    /// The size of the largest database.
    bytes: u64,
    damaged: Damaged,
}

/// Examines the vault, and returns what is to be asked about its room.
fn vault(
    settings: &Settings,
    wanted: &Wanted<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Question> {
    let directory = try_vault(settings, wanted, findings).unwrap_or_else(|error| {
        findings.push(Finding::of("vault", &error));
        None
    })?;
    // Without a database nobody knows how much is needed.
    (wanted.bytes > 0).then(|| Question::of_room(&directory, wanted.bytes))
}

fn try_vault(
    settings: &Settings,
    wanted: &Wanted<'_>,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<Option<PathBuf>> {
    let vault = store::open_vault(settings, wanted.database)?;
    let directory = vault.directory();
    // Nothing tells as surely whether a directory is writable as writing; the file has no name to be left over.
    if let Err(error) = tempfile::tempfile_in(directory) {
        let hint = "make it writable for the user that runs the backup";
        findings.push(
            Finding::new(
                Verdict::Fail,
                "vault",
                format!("{} is not writable: {error}", directory.display()),
            )
            .hint(hint),
        );
        return Ok(None);
    }
    let fact = format!("{} is writable", directory.display());
    findings.push(Finding::new(Verdict::Ok, "vault", fact));
    findings.push(match vault.find("latest") {
        Ok(latest) => match wanted.damaged.refuse(&vault, &latest) {
            Ok(()) => Finding::new(
                Verdict::Ok,
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
            Finding::new(Verdict::Warn, "backups", error.to_string()).hint(remedy)
        }
        Err(error) => Finding::of("backups", &error.into()),
    });
    for leftover in vault.leftovers()? {
        let fact = format!("{} is a leftover of an interrupted run", leftover.path.display());
        findings
            .push(Finding::new(Verdict::Warn, "vault", fact).hint("the next backup removes it"));
    }
    for path in crate::keys::beside_the_vault(settings, &vault) {
        let fact = format!("the identity {} lies in the vault", path.display());
        findings.push(Finding::new(Verdict::Warn, "identities", fact).hint(
            "move it out of the vault, so that nobody gets the backups and the key together",
        ));
    }
    Ok(Some(directory.to_owned()))
}

/// What the nightly backup takes, where that is a question or the schedule is installed.
fn schedule(settings: &Settings) -> Option<Finding> {
    let is_installed = schedule::is_installed(settings);
    match schedule::nightly_site(settings) {
        Ok(site) if is_installed => Some(Finding::new(
            Verdict::Ok,
            "schedule",
            format!("installed; the nightly backup takes {site}"),
        )),
        Ok(_) => None,
        Err(error) => {
            let finding = Finding::of("schedule", &error);
            let verdict = if is_installed { Verdict::Fail } else { Verdict::Warn };
            let is_a_question = is_installed || settings.sites.len() > 1;
            is_a_question.then_some(Finding { verdict, ..finding })
        }
    }
}

fn journal(settings: &Settings) -> Finding {
    let path = &settings.journal.value;
    let found =
        Journal::find(path).and_then(|found| found.map(|journal| journal.verify()).transpose());
    match found {
        Ok(None) => Finding::new(
            Verdict::Ok,
            "journal",
            format!("{} will be made by the first record", path.display()),
        ),
        Ok(Some(verified)) => match verified.leftovers.first() {
            None => Finding::new(
                Verdict::Ok,
                "journal",
                format!("{} records, and their chain holds", verified.records),
            ),
            Some(leftover) => Finding::new(
                Verdict::Warn,
                "journal",
                format!("{} is a leftover of an interrupted rotation", leftover.display()),
            )
            .hint("the next `hubctl journal rotate` replaces it"),
        },
        Err(error) => Finding::of("journal", &error.into()),
    }
}
