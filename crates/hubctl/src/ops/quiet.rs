//! Prove that nothing changed in a frozen site.

use pgsnap::{Database, Finding, QuietOptions, QuietProof, QuietReading, Verdict};
use serde::Serialize;

use super::compare::{Reading, Side};
use super::{Fence, Ops, Report, phases};
use crate::failure::Refusal;
use crate::fences::FenceFiles;
use crate::keys;
use crate::site::Site;

/// Which site to ask.
#[derive(Debug, Clone)]
pub struct QuietOrder {
    /// The site's name or connection URL.
    pub site: String,
    /// A backup or site that must have the same rows. It is read only if the transaction numbers
    /// prove nothing.
    pub against: Option<String>,
}

impl QuietOrder {
    /// Asks this site, by its transaction numbers.
    #[must_use]
    pub fn new(site: impl Into<String>) -> Self {
        Self { site: site.into(), against: None }
    }
}

/// The proof, part by part.
#[derive(Debug, Clone, Serialize)]
pub struct QuietReport {
    /// The site.
    pub site: String,
    /// The answer: true if it is proven that nothing changed.
    pub quiet: bool,
    /// The fence.
    pub fence: Fence,
    /// The time of the first reading behind the fence, in RFC 3339.
    pub since: String,
    /// The time of the second reading, in RFC 3339.
    pub until: String,
    /// The server proved at the fence that no session was in the database.
    pub renamed: Finding,
    /// No session is in it now.
    pub empty: Finding,
    /// No transaction of the cluster wrote.
    pub xid: Finding,
    /// Every row is as in `against`; null if they were not compared.
    pub census: Option<Finding>,
    /// No sequence advanced.
    pub sequences: Finding,
    /// The backup or site that the rows were to be compared with.
    pub against: Option<String>,
}

impl Report for QuietReport {
    const SCHEMA: &'static str = "hubctl.quiet.v1";
}

/// Proves that nothing changed in a frozen site since it was frozen.
///
/// If other databases of the server took transaction numbers meanwhile, the proof needs
/// [`against`](QuietOrder::against): every row is counted and hashed again, and compared.
///
/// "Not proven" is an answer and no error.
///
/// # Errors
/// The site is not frozen; `against` cannot be found or read, or is the frozen site itself; those
/// of [`pgsnap::find_fence`] and [`pgsnap::prove_quiet`]; an unknown site.
pub async fn quiet(ops: &Ops, order: QuietOrder) -> anyhow::Result<QuietReport> {
    let site = Site::resolve(ops.settings(), &order.site).await?;
    let files = FenceFiles::of(ops.settings(), &site.label);
    let label = &site.label;
    let Some(record) = files.find(&site.database).await? else {
        return Err(Refusal::no(format!("{label} is not frozen"))
            .hint("freeze it first: a proof begins with a fence")
            .into());
    };
    let Some(since) = files.reading(&record.id)? else {
        return Err(Refusal::could_not_ask(format!(
            "no reading was taken behind the fence around {label}"
        ))
        .hint(format!("take one with `hubctl freeze {label} --execute`; proofs begin with it"))
        .into());
    };
    let fence = Fence::of(&record);
    let site = site.behind(record);
    let against = match &order.against {
        Some(word) => Some(other(ops, &site, word).await?),
        None => None,
    };
    let proof = prove(ops, &site.database, &since, against.as_ref()).await?;
    let quiet = proof.is_quiet();
    let QuietProof { renamed, empty, xid, census, sequences, reading, .. } = proof;
    Ok(QuietReport {
        quiet,
        fence,
        since: since.taken_at,
        until: reading.taken_at,
        site: site.label,
        renamed,
        empty,
        xid,
        census,
        sequences,
        against: against.map(|side| side.label()),
    })
}

/// Finds the backup or site to compare with. The frozen database itself would prove nothing.
async fn other(ops: &Ops, frozen: &Site, word: &str) -> anyhow::Result<Side> {
    let identities = keys::opening(ops.settings(), ops.console())?;
    let side = Side::resolve(ops, &identities, word).await?;
    if side.is_same(&Side::Live(Box::new(frozen.clone()))).await? {
        let fact = format!("{} is the frozen database itself", side.label());
        return Err(Refusal::usage(fact)
            .hint("compare with a backup that was taken behind the fence, or with a copy")
            .into());
    }
    Ok(side)
}

async fn prove(
    ops: &Ops,
    fenced: &Database,
    since: &QuietReading,
    against: Option<&Side>,
) -> anyhow::Result<QuietProof> {
    let progress = ops.progress(phases::CENSUS);
    let mut options = QuietOptions::default();
    let proof = pgsnap::prove_quiet(fenced, since, &options, &progress).await?;
    let Some(side) = against.filter(|_| proof.xid.verdict != Verdict::Proven) else {
        return Ok(proof);
    };
    let expected = side.census(ops, Reading::default(), None).await?;
    options.census.columns_like = Some(expected.clone());
    options.expected = Some(expected);
    Ok(pgsnap::prove_quiet(fenced, since, &options, &progress).await?)
}
