//! Trust the key that a tunnel's host shows now.

use std::collections::BTreeMap;

use ::tunnel::{Client, HostKey, Tunnel};
use serde::Serialize;

use super::chosen;
use super::paths::SupervisorPaths;
use crate::ops::{Ops, Report};

/// A host's key, which a person has to compare with the host's own.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TrustPlan {
    /// The key that the host shows.
    pub key: HostKey,
    /// The fingerprints by which the host is known now.
    pub known: Vec<String>,
    paths: SupervisorPaths,
    tunnels: BTreeMap<String, Tunnel>,
}

/// A host and the key by which it is known.
#[derive(Debug, Clone, Serialize)]
pub struct TrustReport {
    /// The host, as files of known hosts name it.
    pub host: String,
    /// The fingerprint of its key, as `SHA256:…`.
    pub fingerprint: String,
    /// The kind of key, such as `ED25519`.
    pub kind: String,
    /// The file of known hosts.
    pub known_hosts: String,
    /// The fingerprints by which it was known before, and is no longer.
    pub replaced: Vec<String>,
}

impl Report for TrustReport {
    const SCHEMA: &'static str = "hubctl.tunnel-trust.v1";
}

impl TrustPlan {
    /// Returns true if the host is known by this key alone; then there is nothing to agree to.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.known == [self.key.fingerprint.clone()]
    }
}

/// Asks the host of a tunnel for its key, and believes nothing of it yet.
///
/// # Errors
/// A name without a tunnel; a host that cannot be reached.
pub async fn plan_trust(ops: &Ops, name: String) -> anyhow::Result<TrustPlan> {
    let paths = SupervisorPaths::of(ops.settings())?;
    let tunnels = chosen(ops.settings(), &[name])?;
    let tunnel = tunnels.values().next().expect("one was named and found");
    let key = HostKey::shown(tunnel).await?;
    let known = key.known().await?;
    Ok(TrustPlan { key, known, paths, tunnels })
}

/// Makes the host known by the key of the plan, after a person compared its fingerprint.
///
/// # Errors
/// A file of known hosts that cannot be written.
pub async fn trust_host(plan: TrustPlan) -> anyhow::Result<TrustReport> {
    if !plan.is_trusted() {
        plan.key.trust().await?;
        // It may have waited for just this.
        if let Ok(mut client) = Client::connect(&plan.paths.runtime).await {
            client.start(plan.tunnels).await?;
        }
    }
    let (key, known) = (plan.key, plan.known);
    Ok(TrustReport {
        replaced: known.into_iter().filter(|known| *known != key.fingerprint).collect(),
        host: key.host,
        fingerprint: key.fingerprint,
        kind: key.kind,
        known_hosts: key.known_hosts.display().to_string(),
    })
}
