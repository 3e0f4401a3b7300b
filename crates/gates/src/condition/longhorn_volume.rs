//! `longhorn-volume`: the data of a claim is on several nodes now.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::kinds::longhorn;
use super::longhorn_setting::NAMESPACE;
use super::look::{Judged, Look};
use super::object::{Object, Stated};
use super::words::list;
use super::{Judge, NamespacedName};
use crate::evidence::Read;
use crate::verdict::Verdict;

/// The volume of a claim is attached and healthy, with healthy replicas on so many different nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LonghornVolume {
    /// The cluster.
    pub cluster: String,
    /// The claim, as `NAMESPACE/NAME`.
    pub pvc: NamespacedName,
    /// On how many nodes.
    #[serde(default = "two")]
    pub replicas: usize,
}

fn two() -> usize {
    2
}

/// The read of all volumes, among which a claim finds its own.
pub(super) fn volumes(cluster: &str) -> Read {
    Read::list(cluster, longhorn::VOLUME, Some(NAMESPACE))
}

/// The volume of a claim: the one that is bound to it now. A volume whose claim was deleted still
/// names it.
pub(super) fn of_claim<'a>(
    volumes: &[Object<'a>],
    pvc: &NamespacedName,
) -> Result<Object<'a>, Box<Verdict>> {
    let named: Vec<_> = volumes
        .iter()
        .filter(|volume| {
            volume.text("/status/kubernetesStatus/namespace") == Some(&pvc.namespace)
                && volume.text("/status/kubernetesStatus/pvcName") == Some(&pvc.name)
        })
        .collect();
    let bound: Vec<_> = named
        .iter()
        .filter(|volume| volume.text("/status/kubernetesStatus/pvStatus") == Some("Bound"))
        .collect();
    match bound[..] {
        [volume] => Ok(**volume),
        [] if named.is_empty() => Err(Box::new(
            Verdict::fail(format!("no volume of Longhorn belongs to {pvc}"))
                .with_hint("is the claim of another storage class?"),
        )),
        [] => Err(Box::new(
            Verdict::fail(format!("the volume of {pvc} is not bound to it any more"))
                .about_all(named.iter().map(|volume| volume.subject()))
                .with_hint("the claim was deleted, or made anew"),
        )),
        _ => Err(Box::new(
            Verdict::unknown(format!("several volumes of Longhorn say that they belong to {pvc}"))
                .about_all(bound.iter().map(|volume| volume.subject())),
        )),
    }
}

impl LonghornVolume {
    fn replicas(&self) -> Read {
        Read::list(&self.cluster, longhorn::REPLICA, Some(NAMESPACE))
    }

    fn verdict(&self, volume: &Object<'_>, nodes: &BTreeSet<&str>) -> Verdict {
        let (pvc, wanted) = (&self.pvc, self.replicas);
        if volume.text("/spec/dataLayout/type") == Some("sharded") {
            return Verdict::unknown(format!(
                "the volume of {pvc} is sharded, where replicas do not count"
            ));
        }
        match volume.text("/status/state") {
            Some("attached") => {}
            Some("detached") => {
                return Verdict::unknown(format!(
                    "the volume of {pvc} is detached, so the state of its replicas is unknown"
                ))
                .with_hint("start the pod that uses it, and ask again");
            }
            Some(state @ ("attaching" | "creating" | "detaching")) => {
                return Verdict::waiting(format!("the volume of {pvc} is {state}"))
                    .with_hint("if it stays so, the nodes of Longhorn may say Ready nevertheless");
            }
            state => {
                let state = state.unwrap_or("in no state");
                return Verdict::fail(format!("the volume of {pvc} is {state}"));
            }
        }
        match volume.text("/status/robustness") {
            Some("healthy") => {}
            Some("degraded") => {
                return Verdict::waiting(format!(
                    "the volume of {pvc} is degraded: healthy replicas on {}",
                    on(nodes)
                ))
                .with_hint("Longhorn rebuilds it where a node and room are there");
            }
            Some("faulted") => {
                return Verdict::fail(format!("the volume of {pvc} is faulted"))
                    .with_hint("no replica is sound: salvage one, or restore a backup")
                    .terminal();
            }
            other => {
                let other = other.unwrap_or("not stated");
                return Verdict::unknown(format!(
                    "the robustness of the volume of {pvc} is {other}"
                ));
            }
        }
        let spec = volume.number("/spec/numberOfReplicas").unwrap_or(0);
        if usize::try_from(spec).unwrap_or(0) < wanted {
            return Verdict::fail(format!(
                "the volume of {pvc} says healthy, but is to have {spec} replicas only ({wanted} required)"
            ))
            .with_hint("set spec.numberOfReplicas of the volume")
            .terminal();
        }
        if volume.condition("Scheduled").is_some_and(Stated::is_false) {
            return Verdict::waiting(format!(
                "the volume of {pvc} says healthy, but a replica finds no place"
            ))
            .with_hint("add a node or a disk, or make room");
        }
        if nodes.len() < wanted {
            return Verdict::fail(format!(
                "the volume of {pvc} says healthy, but its healthy replicas are on {} ({wanted} nodes required)",
                on(nodes)
            ))
            .with_hint("set replica-soft-anti-affinity to false, and delete the replica that is beside another");
        }
        Verdict::pass(format!(
            "the volume of {pvc} has healthy replicas on {} ({wanted} required)",
            on(nodes)
        ))
    }
}

impl Judge for LonghornVolume {
    fn reads(&self) -> Vec<Read> {
        vec![volumes(&self.cluster), self.replicas()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let (volumes_read, replicas_read) = (volumes(&self.cluster), self.replicas());
        let volumes = look.list(&volumes_read)?;
        let volume = of_claim(&volumes, &self.pvc)?;
        let replicas = look.list(&replicas_read)?;
        let own: Vec<_> = replicas
            .iter()
            .filter(|replica| replica.text("/spec/volumeName") == Some(volume.name()))
            .collect();
        let nodes: BTreeSet<&str> = own
            .iter()
            .filter(|replica| is_healthy(replica))
            .filter_map(|replica| replica.text("/spec/nodeID"))
            .collect();
        Ok(self
            .verdict(&volume, &nodes)
            .about(volume.subject())
            .about_all(own.iter().map(|replica| replica.subject()))
            .with_evidence(json!({
                "state": volume.text("/status/state"),
                "robustness": volume.text("/status/robustness"),
                "number_of_replicas": volume.number("/spec/numberOfReplicas"),
                "healthy_on": nodes,
            }))
            .against(json!({ "replicas": self.replicas })))
    }
}

fn is_healthy(replica: &Object<'_>) -> bool {
    !replica.is_going()
        && replica.text("/spec/healthyAt").is_some()
        && replica.text("/spec/failedAt").is_none()
        && replica.text("/status/currentState") == Some("running")
}

fn on(nodes: &BTreeSet<&str>) -> String {
    if nodes.is_empty() { "no node".to_owned() } else { list(nodes.iter().copied()) }
}
