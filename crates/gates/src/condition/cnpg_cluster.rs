//! `cnpg-cluster`: a CloudNativePG cluster has all its instances, and one primary that is there.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::kinds::{POD, cnpg};
use super::look::{Judged, Look};
use super::object::Object;
use super::words::list;
use super::{Judge, NamespacedName};
use crate::evidence::Read;
use crate::verdict::Verdict;

const HEALTHY: &str = "Cluster in healthy state";
/// Phases that end by themselves.
const PASSING: [&str; 12] = [
    "Setting up primary",
    "Creating a new replica",
    "Failing over",
    "Switchover in progress",
    "Upgrading cluster",
    "Upgrading Postgres major version",
    "Primary instance is being restarted in-place",
    "Primary instance is being restarted without a switchover",
    "Waiting for the instances to become active",
    "Online upgrade in progress",
    "Applying configuration",
    "Promoting to primary cluster",
];
/// Phases in which somebody has to act.
const STUCK: [&str; 10] = [
    "Waiting for user action",
    "Cluster upgrade delayed",
    "Cluster is unrecoverable and needs manual intervention",
    "Cluster is in an unrecoverable state, needs manual intervention",
    "Cluster cannot proceed to reconciliation due to an unknown plugin being required",
    "Cluster cannot proceed to reconciliation due to an error while interacting with plugins",
    "Cluster has incomplete or invalid image catalog",
    "Cluster cannot execute instance online upgrade due to missing architecture binary",
    "Unable to create required cluster objects",
    "Invalid cluster definition",
];
/// Annotations of a cluster that its owner has put to rest, in one way or another.
const HIBERNATION: &str = "cnpg.io/hibernation";
const FENCED: &str = "cnpg.io/fencedInstances";
const RECONCILIATION: &str = "cnpg.io/reconciliationLoop";
/// The label of instances' pods; those of its jobs and poolers carry other roles.
const INSTANCE: &str = "cnpg.io/podRole";

/// The cluster is in its healthy phase, the pods say the same, and no primary is on its way
/// elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CnpgCluster {
    /// The cluster of Kubernetes.
    pub cluster: String,
    /// The cluster of CloudNativePG, as `NAMESPACE/NAME`.
    pub name: NamespacedName,
    /// The least number of instances.
    #[serde(default = "one")]
    pub instances: i64,
    /// True if WAL must be archived, to a place that is configured.
    #[serde(default)]
    pub archiving: bool,
}

fn one() -> i64 {
    1
}

impl CnpgCluster {
    fn database(&self) -> Read {
        Read::object(&self.cluster, cnpg::CLUSTER, Some(&self.name.namespace), &self.name.name)
    }

    fn pods(&self) -> Read {
        Read::List {
            cluster: self.cluster.clone(),
            kind: POD,
            namespace: Some(self.name.namespace.clone()),
            labels: Some(format!("cnpg.io/cluster={}", self.name.name)),
        }
    }

    /// Returns the verdict of an annotation that stands in the way, if any. The other methods do
    /// the same.
    ///
    /// Phase, counts and pods stay healthy for twenty seconds after PostgreSQL was stopped by such
    /// an annotation.
    fn judge_annotations(&self, database: &Object<'_>) -> Option<Verdict> {
        let name = &self.name;
        let annotations = database.texts("/metadata/annotations");
        let (what, which) = if annotations.get(HIBERNATION) == Some(&"on") {
            (format!("{name} hibernates"), HIBERNATION)
        } else if annotations.get(FENCED).is_some_and(|list| fences(list)) {
            let list = annotations[FENCED];
            let what = format!("{name} fences instances, which stops PostgreSQL there: {list}");
            (what, FENCED)
        } else if annotations.get(RECONCILIATION) == Some(&"disabled") {
            let what = format!(
                "the reconciliation of {name} is disabled: its status is not updated, and there is no failover"
            );
            (what, RECONCILIATION)
        } else {
            return None;
        };
        let hint = format!("take the annotation {which} away");
        Some(Verdict::fail(what).with_hint(hint).terminal())
    }

    fn judge_phase(&self, database: &Object<'_>) -> Option<Verdict> {
        let name = &self.name;
        let phase = database.text("/status/phase");
        let why = database
            .text("/status/phaseReason")
            .map_or_else(String::new, |reason| format!(" ({reason})"));
        Some(match phase {
            Some(HEALTHY) => return None,
            Some(phase) if PASSING.contains(&phase) => {
                Verdict::waiting(format!("{name}: {phase}{why}"))
            }
            Some(phase) if STUCK.contains(&phase) => Verdict::fail(format!("{name}: {phase}{why}"))
                .with_hint("`kubectl cnpg status`, and the logs of the operator")
                .terminal(),
            Some(phase) => Verdict::unknown(format!(
                "{name} is in the phase `{phase}`, which is not known here{why}"
            )),
            None => Verdict::waiting(format!("{name} has no phase yet"))
                .with_hint("is the operator running?"),
        })
    }

    /// Its own counts. The phase lags behind them for a second or two.
    fn judge_counts(&self, database: &Object<'_>) -> Option<Verdict> {
        let name = &self.name;
        let wanted = database.number("/spec/instances").unwrap_or(1);
        if wanted < self.instances {
            let asked = self.instances;
            return Some(
                Verdict::fail(format!("{name} is to have {wanted} instances ({asked} required)"))
                    .with_hint("raise spec.instances")
                    .terminal(),
            );
        }
        let ready = database.number("/status/readyInstances").unwrap_or(0);
        if ready != wanted {
            return Some(Verdict::waiting(format!(
                "{ready} of {wanted} instances of {name} are ready"
            )));
        }
        match database.condition("ConsistentSystemID") {
            Some(state) if state.reason() == Some("Mismatch") => {
                return Some(
                    Verdict::fail(format!(
                        "the instances of {name} are not of one database ({})",
                        state.why()
                    ))
                    .terminal(),
                );
            }
            Some(state) if state.is_false() => {
                return Some(
                    Verdict::waiting(format!(
                        "{name} says healthy, but no instance said which database it is ({})",
                        state.why()
                    ))
                    .with_hint(
                        "the operator looks again when something changes, such as an annotation",
                    ),
                );
            }
            // Operators before it had the condition do not say.
            _ => {}
        }
        let (current, target) =
            (database.text("/status/currentPrimary"), database.text("/status/targetPrimary"));
        if current.is_none() || current != target {
            return Some(Verdict::waiting(format!(
                "the primary of {name} moves from {} to {}",
                current.unwrap_or("nowhere"),
                target.unwrap_or("nowhere")
            )));
        }
        match database.condition("Ready") {
            Some(ready) if ready.is_true() => None,
            Some(ready) => Some(Verdict::waiting(format!("{name} is not ready ({})", ready.why()))),
            None => Some(Verdict::unknown(format!("{name} does not say whether it is ready"))),
        }
    }

    /// The pods themselves: on a dead node they stay `Running`, with ready containers; only the
    /// condition turns.
    fn judge_pods(&self, database: &Object<'_>, good: &[&str], bad: &[&str]) -> Option<Verdict> {
        let name = &self.name;
        let primary = database.text("/status/currentPrimary").unwrap_or_default();
        if !good.contains(&primary) {
            return Some(Verdict::waiting(format!(
                "{name} says healthy, but the pod of its primary {primary} is not ready"
            )));
        }
        let wanted = database.number("/spec/instances").unwrap_or(1);
        if usize::try_from(wanted).is_ok_and(|wanted| good.len() >= wanted) {
            return None;
        }
        let bad = if bad.is_empty() {
            String::new()
        } else {
            format!(" ({} not)", list(bad.iter().copied()))
        };
        Some(Verdict::waiting(format!(
            "{name} says healthy, but {} of {wanted} pods are ready{bad}",
            good.len()
        )))
    }

    /// `ContinuousArchiving` is true as well where nothing is archived anywhere.
    fn judge_archiving(&self, database: &Object<'_>) -> Option<Verdict> {
        let name = &self.name;
        if !self.archiving {
            return None;
        }
        if !has_archive(database) {
            return Some(Verdict::fail(format!("{name} archives no WAL: no place for it is configured"))
                .with_hint("spec.backup.barmanObjectStore, or a plugin with isWALArchiver; the condition ContinuousArchiving is true without either")
                .terminal());
        }
        match database.condition("ContinuousArchiving") {
            Some(state) if state.is_true() => None,
            Some(state) => {
                Some(Verdict::fail(format!("{name} cannot archive its WAL ({})", state.why())))
            }
            None => Some(Verdict::waiting(format!("{name} has archived no WAL yet"))),
        }
    }

    fn verdict(&self, database: &Object<'_>, good: &[&str], bad: &[&str]) -> Verdict {
        let name = &self.name;
        if database.is_going() {
            return Verdict::fail(format!("{name} is being deleted")).terminal();
        }
        self.judge_annotations(database)
            .or_else(|| self.judge_phase(database))
            .or_else(|| self.judge_counts(database))
            .or_else(|| self.judge_pods(database, good, bad))
            .or_else(|| self.judge_archiving(database))
            .unwrap_or_else(|| {
                Verdict::pass(format!(
                    "{name} is healthy: {} instances, the primary is {}",
                    good.len(),
                    database.text("/status/currentPrimary").unwrap_or_default()
                ))
            })
    }
}

impl Judge for CnpgCluster {
    fn reads(&self) -> Vec<Read> {
        vec![self.database(), self.pods()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let (read, pods_read) = (self.database(), self.pods());
        let database = look.object(&read)?;
        let pods = look.list(&pods_read)?;
        let instances: Vec<_> = pods.iter().filter(|pod| is_instance(pod)).collect();
        let (ready, other): (Vec<&Object<'_>>, Vec<_>) =
            instances.iter().copied().partition(|pod| is_ready(pod));
        let good: Vec<&str> = ready.iter().map(|pod| pod.name()).collect();
        let bad: Vec<&str> = other.iter().map(|pod| pod.name()).collect();
        Ok(self
            .verdict(&database, &good, &bad)
            .about(database.subject())
            .about_all(instances.iter().map(|pod| pod.subject()))
            .with_evidence(json!({
                "phase": database.text("/status/phase"),
                "instances": database.number("/spec/instances"),
                "ready_instances": database.number("/status/readyInstances"),
                "primary": database.text("/status/currentPrimary"),
                "target_primary": database.text("/status/targetPrimary"),
                "timeline": database.number("/status/timelineID"),
                "system_identifier": database.text("/status/systemID"),
                "ready_pods": good,
                "archive": has_archive(&database),
            }))
            .against(json!({ "instances": self.instances, "archiving": self.archiving })))
    }
}

/// Returns true if an annotation names anybody. What cannot be read may.
fn fences(list: &str) -> bool {
    serde_json::from_str::<Vec<String>>(list).map_or(true, |names| !names.is_empty())
}

/// Pods of older operators carry no role; jobs say what they are by another label.
fn is_instance(pod: &Object<'_>) -> bool {
    let labels = pod.texts("/metadata/labels");
    labels.get(INSTANCE).is_none_or(|role| *role == "instance")
        && !labels.contains_key("cnpg.io/jobRole")
}

fn is_ready(pod: &Object<'_>) -> bool {
    !pod.is_going() && pod.holds("Ready")
}

/// Returns true if WAL has a place to go.
fn has_archive(database: &Object<'_>) -> bool {
    let plugins = database.items("/spec/plugins").iter();
    let mut archivers = plugins.filter(|plugin| {
        let is = |name: &str| plugin.get(name).and_then(serde_json::Value::as_bool);
        is("isWALArchiver") == Some(true) && is("enabled") != Some(false)
    });
    database.at("/spec/backup/barmanObjectStore").is_some() || archivers.next().is_some()
}
