//! Prove that nothing changed in a frozen site.

use pgsnap::{Finding, QuietOptions, QuietProof};
use serde::Serialize;

use super::{Fence, Ops, Report, phases};
use crate::failure::Refusal;
use crate::fences::FenceFiles;
use crate::site::Site;

/// Which site to ask.
#[derive(Debug, Clone)]
pub struct QuietOrder {
    /// The site's name or connection URL.
    pub site: String,
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
    /// No sequence advanced.
    pub sequences: Finding,
}

impl Report for QuietReport {
    const SCHEMA: &'static str = "hubctl.quiet.v1";
}

/// Proves that nothing changed in a frozen site since it was frozen.
///
/// "Not proven" is an answer and no error.
///
/// # Errors
/// The site is not frozen; those of [`pgsnap::find_fence`] and [`pgsnap::prove_quiet`]; an unknown
/// site.
pub async fn quiet(ops: &Ops, order: QuietOrder) -> anyhow::Result<QuietReport> {
    let site = Site::resolve(ops.settings(), &order.site).await?;
    let files = FenceFiles::of(ops.settings(), &site.label);
    let label = &site.label;
    let Some(record) = pgsnap::find_fence(&site.database, Some(files.record())).await? else {
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
    let fenced = site.database.with_name(record.fenced_name());
    let progress = ops.progress(phases::CENSUS);
    let proof = pgsnap::prove_quiet(&fenced, &since, &QuietOptions::default(), &progress).await?;
    let quiet = proof.is_quiet();
    let QuietProof { renamed, empty, xid, sequences, reading, .. } = proof;
    Ok(QuietReport {
        quiet,
        fence: Fence::of(&record),
        since: since.taken_at,
        until: reading.taken_at,
        site: site.label,
        renamed,
        empty,
        xid,
        sequences,
    })
}
