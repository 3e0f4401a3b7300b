//! Check that sites lead to the servers and databases they are pinned to, and each to its own.

use pgsnap::{LocatedDatabase, MarkerRole};
use serde::Serialize;

use super::live::Live;
use super::pin::taken;
use super::{SiteIdentity, SitesOrder};
use crate::exit::Exit;
use crate::failure::{Failure, Refusal};
use crate::ops::{Ops, Report};
use crate::site::{Kinship, kinship, require_pinned};

/// The answer of a check.
#[derive(Debug, Clone, Serialize)]
pub struct SiteCheckReport {
    /// The answer for everything that was checked.
    pub verdict: SiteVerdict,
    /// The sites.
    pub sites: Vec<CheckedSite>,
    /// The pairs of sites whose servers have one system identifier and are not told apart.
    pub pairs: Vec<CheckedPair>,
}

impl Report for SiteCheckReport {
    const SCHEMA: &'static str = "hubctl.site-check.v1";
}

/// One site of a check.
#[derive(Debug, Clone, Serialize)]
pub struct CheckedSite {
    /// The site.
    pub site: String,
    /// The server and the database that it is pinned to.
    pub pinned: Option<SiteIdentity>,
    /// The server and the database that it leads to.
    pub live: Option<SiteIdentity>,
    /// The answer.
    #[serde(flatten)]
    pub finding: SiteFinding,
}

/// Two sites of a check.
#[derive(Debug, Clone, Serialize)]
pub struct CheckedPair {
    /// One site.
    pub a: String,
    /// The other site.
    pub b: String,
    /// The answer.
    #[serde(flatten)]
    pub finding: SiteFinding,
}

/// An answer, in words.
#[derive(Debug, Clone, Serialize)]
pub struct SiteFinding {
    /// The answer.
    pub verdict: SiteVerdict,
    /// The fact behind it.
    pub fact: String,
    /// The remedy, if there is one.
    pub hint: Option<String>,
}

/// The answer of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SiteVerdict {
    /// A site leads to the server and the database that it is pinned to.
    Ok,
    /// It could not be asked.
    Unknown,
    /// It leads elsewhere, or is not pinned.
    No,
}

impl SiteVerdict {
    /// The answer as one word, such as `ok`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::No => "no",
        }
    }
}

/// Checks each site against its pin, and the sites against one another. Nothing is changed.
///
/// "No" and "could not be asked" are answers and no errors.
///
/// # Errors
/// A site that is not configured.
pub async fn check_sites(ops: &Ops, order: SitesOrder) -> anyhow::Result<SiteCheckReport> {
    let settings = ops.settings();
    let (mut sites, mut asked) = (Vec::new(), Vec::new());
    for site in order.names(settings)? {
        let live = Live::ask(settings, &site).await;
        let pinned = settings.sites.get(&site).and_then(|configured| configured.identity.as_ref());
        sites.push(CheckedSite {
            pinned: pinned.map(SiteIdentity::from),
            live: live.as_ref().ok().and_then(|live| live.own().ok()),
            finding: match live.as_ref().map(judge) {
                Ok(Ok(fact)) => SiteFinding { verdict: SiteVerdict::Ok, fact, hint: None },
                Ok(Err(error)) => SiteFinding::of(&error),
                Err(error) => SiteFinding::of(error),
            },
            site,
        });
        asked.extend(live);
    }
    let pairs = conflicts(&asked).await;
    let of_sites = sites.iter().map(|site| site.finding.verdict);
    let verdicts = of_sites.chain(pairs.iter().map(|pair| pair.finding.verdict));
    Ok(SiteCheckReport { verdict: verdicts.max().unwrap_or(SiteVerdict::Ok), sites, pairs })
}

impl SiteFinding {
    /// An error as an answer: a question that was not answered is unknown.
    fn of(error: &anyhow::Error) -> Self {
        let failure = Failure::of(error);
        let verdict = match failure.exit {
            Exit::CouldNotAsk => SiteVerdict::Unknown,
            _ => SiteVerdict::No,
        };
        Self { verdict, fact: failure.sentence(), hint: failure.hint }
    }
}

/// Compares what a site is with what it is pinned to.
fn judge(live: &Live) -> anyhow::Result<String> {
    require_pinned(&live.site, &live.identity)?;
    let (site, name) = (&live.site.label, live.site.database.name());
    if live.is_name_taken() {
        return Err(taken(site, name).into());
    }
    let own = live.own()?;
    let marker = live.located().and_then(LocatedDatabase::own_marker);
    if let Some(marker) = marker {
        // A move makes a new database, and its marker says so.
        let role = if marker.role == MarkerRole::Primary { "primary of" } else { "retired with" };
        return Ok(format!("{own}, {role} epoch {}", marker.epoch));
    }
    let pinned = live.site.pinned.as_ref().and_then(|pinned| pinned.database_oid);
    let fact = match (pinned, own.database_oid) {
        (None, _) => return Ok(own.to_string()),
        (pinned, found) if pinned == found => return Ok(own.to_string()),
        (Some(pinned), Some(found)) => format!(
            "{site} leads to another database: it is pinned to number {pinned}, and {name} is {found}"
        ),
        (Some(pinned), None) => {
            format!(
                "the server of {site} has no database {name}, and it is pinned to number {pinned}"
            )
        }
    };
    let hint = format!(
        "if it was moved or restored, pin it anew with `hubctl site pin {site} --replace --execute`"
    );
    Err(Refusal::no(fact).hint(hint).into())
}

/// The pairs of sites that a move between them would destroy.
async fn conflicts(asked: &[Live]) -> Vec<CheckedPair> {
    let mut found = Vec::new();
    for (index, a) in asked.iter().enumerate() {
        for b in &asked[index + 1..] {
            if let Err(error) = tell_apart(a, b).await {
                let (a, b) = (a.site.label.clone(), b.site.label.clone());
                found.push(CheckedPair { a, b, finding: SiteFinding::of(&error) });
            }
        }
    }
    found
}

/// Refuses two names of one database, and a physical copy of its server.
async fn tell_apart(a: &Live, b: &Live) -> anyhow::Result<()> {
    let systems = [a, b].map(|live| live.identity.system_identifier.as_ref());
    let have_databases = a.own().and_then(|a| Ok(a.database_oid.and(b.own()?.database_oid)));
    let (Some(system), true) = (systems[0], systems[0] == systems[1]) else {
        return Ok(());
    };
    if have_databases?.is_none() {
        return Ok(());
    }
    let (one, other) = (&a.site.label, &b.site.label);
    let refusal = match kinship(&a.database(), &b.database()).await? {
        Kinship::Neighbours => return Ok(()),
        Kinship::Same => Refusal::no(format!("{one} and {other} are one database"))
            .hint("correct the address of one of them, or remove it"),
        Kinship::Copies => Refusal::no(format!(
            "{one} and {other} are two servers with one system identifier ({system}): one is a physical copy or a standby of the other"
        ))
        .hint("lead one of them to a server that was not made from the other"),
    };
    Err(refusal.into())
}
