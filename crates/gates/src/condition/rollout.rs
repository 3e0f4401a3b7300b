//! `rollout`: a Deployment or StatefulSet runs what it was told to run, and nothing else.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::kinds::{DEPLOYMENT, STATEFUL_SET};
use super::look::{Judged, Look};
use super::object::{Object, Stated};
use super::{Judge, NamespacedName};
use crate::evidence::Read;
use crate::verdict::Verdict;

/// All replicas are of the newest version and available.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rollout {
    /// The cluster.
    pub cluster: String,
    /// The kind of workload.
    pub kind: Workload,
    /// Its name, as `NAMESPACE/NAME`.
    pub name: NamespacedName,
    /// The least number of replicas.
    #[serde(default = "one")]
    pub replicas: i64,
}

/// The kinds of workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    #[serde(alias = "statefulset")]
    StatefulSet,
}

fn one() -> i64 {
    1
}

/// The counts of a workload's status.
struct Counts {
    wanted: i64,
    total: i64,
    updated: i64,
    available: i64,
    is_observed: bool,
}

impl Counts {
    fn of(workload: &Object<'_>) -> Self {
        let status = |name: &str| workload.number(&format!("/status/{name}")).unwrap_or(0);
        Self {
            // Kubernetes sets the default of 1 itself, so it is always there.
            wanted: workload.number("/spec/replicas").unwrap_or(1),
            total: status("replicas"),
            updated: status("updatedReplicas"),
            available: status("availableReplicas"),
            is_observed: status("observedGeneration")
                >= workload.number("/metadata/generation").unwrap_or(0),
        }
    }

    /// Returns the unfinished part, in the order in which `kubectl rollout status` looks.
    fn unfinished(&self) -> Option<String> {
        if !self.is_observed {
            // Until then the status is that of the version before.
            return Some("its newest version was not looked at yet".to_owned());
        }
        if self.updated < self.wanted {
            let (updated, wanted) = (self.updated, self.wanted);
            return Some(format!("{updated} of {wanted} replicas are of the newest version"));
        }
        if self.total > self.updated {
            let old = self.total - self.updated;
            return Some(format!("{old} replicas of an older version still run"));
        }
        (self.available < self.wanted)
            .then(|| format!("{} of {} replicas are available", self.available, self.wanted))
    }
}

impl Rollout {
    fn workload(&self) -> Read {
        let kind = match self.kind {
            Workload::Deployment => DEPLOYMENT,
            Workload::StatefulSet => STATEFUL_SET,
        };
        Read::object(&self.cluster, kind, Some(&self.name.namespace), &self.name.name)
    }

    fn verdict(&self, workload: &Object<'_>, counts: &Counts) -> Verdict {
        let name = &self.name;
        if workload.is_going() {
            return Verdict::fail(format!("{name} is being deleted")).terminal();
        }
        if counts.wanted < self.replicas {
            let (wanted, asked) = (counts.wanted, self.replicas);
            return Verdict::fail(format!("{name} is scaled to {wanted} ({asked} required)"))
                .with_hint("`kubectl scale` it, unless it was stopped on purpose")
                .terminal();
        }
        if self.kind == Workload::StatefulSet
            && workload.text("/spec/updateStrategy/type") == Some("OnDelete")
            && !is_current(workload)
        {
            return Verdict::fail(format!(
                "{name} replaces pods only when they are deleted, and some are of an older version"
            ))
            .with_hint("delete its pods one by one")
            .terminal();
        }
        let Some(unfinished) = counts.unfinished() else {
            return Verdict::pass(format!(
                "all {} replicas of {name} are of the newest version and available",
                counts.wanted
            ));
        };
        let progressing = workload.condition("Progressing");
        if counts.is_observed
            && progressing.and_then(Stated::reason) == Some("ProgressDeadlineExceeded")
        {
            return Verdict::fail(format!("{name} is stuck: {unfinished}"))
                .with_hint("`kubectl describe` its newest pod, or `kubectl rollout undo`")
                .terminal();
        }
        if workload.is_true("/spec/paused") {
            return Verdict::fail(format!("{name} is paused: {unfinished}"))
                .with_hint("`kubectl rollout resume` it")
                .terminal();
        }
        Verdict::waiting(format!("{name}: {unfinished}"))
    }
}

impl Judge for Rollout {
    fn reads(&self) -> Vec<Read> {
        vec![self.workload()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.workload();
        let workload = look.object(&read)?;
        let counts = Counts::of(&workload);
        Ok(self
            .verdict(&workload, &counts)
            .about(workload.subject())
            .with_evidence(json!({
                "generation": workload.number("/metadata/generation"),
                "wanted": counts.wanted,
                "total": counts.total,
                "updated": counts.updated,
                "available": counts.available,
                "observed": counts.is_observed,
            }))
            .against(json!({ "replicas": self.replicas })))
    }
}

/// Returns true if no pod of an older revision is left.
fn is_current(workload: &Object<'_>) -> bool {
    workload.text("/status/currentRevision") == workload.text("/status/updateRevision")
}
