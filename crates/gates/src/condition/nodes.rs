//! `nodes`: enough nodes that really are there.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Judge;
use super::kinds::{LEASE, NODE};
use super::look::{Judged, Look};
use super::object::{Object, Stated};
use super::words::{ago, list};
use crate::evidence::Read;
use crate::verdict::Verdict;

/// Conditions that are a fault when they are true. Types that are not known here are none:
/// `EtcdIsVoter` of k3s is good when true.
const FAULTS: [&str; 4] = ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];
const ETCD_LABEL: &str = "node-role.kubernetes.io/etcd";

/// At least so many nodes are ready, schedulable, without pressure, and were heard of lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Nodes {
    /// The cluster.
    pub cluster: String,
    /// The number of nodes.
    pub ready: usize,
    /// The number of them that must be voters of k3s' etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd_voters: Option<usize>,
    /// The largest age of a node's last sign of life.
    #[serde(default = "heartbeat", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    pub heartbeat: Duration,
}

/// A kubelet renews its lease every 10 seconds, and the cluster gives a node up after 40 to 50.
fn heartbeat() -> Duration {
    Duration::from_secs(60)
}

impl Nodes {
    fn nodes(&self) -> Read {
        Read::list(&self.cluster, NODE, None)
    }

    fn leases(&self) -> Read {
        Read::list(&self.cluster, LEASE, Some("kube-node-lease"))
    }

    /// Returns the reason why this node does not count, if any.
    fn fault(&self, node: &Object<'_>, silence: Option<SignedDuration>) -> Option<String> {
        if node.is_going() {
            return Some("is being deleted".to_owned());
        }
        let Some(ready) = node.condition("Ready") else {
            return Some("does not say whether it is ready".to_owned());
        };
        if !ready.is_true() {
            return Some(format!("is not ready ({})", ready.why()));
        }
        let limit = SignedDuration::try_from(self.heartbeat).unwrap_or(SignedDuration::MAX);
        match silence {
            None => return Some("never gave a sign of life".to_owned()),
            Some(silence) if silence > limit => {
                return Some(format!("says Ready, but was last heard of {}", ago(silence)));
            }
            Some(_) => {}
        }
        if node.is_true("/spec/unschedulable") {
            return Some("is cordoned".to_owned());
        }
        if let Some(fault) = FAULTS.iter().find(|fault| node.holds(fault)) {
            return Some(format!("reports {fault}"));
        }
        let taints = node.items("/spec/taints").iter();
        let mut keys = taints.filter_map(|taint| taint.get("key")?.as_str());
        let key = keys.find(|key| key.starts_with("node.kubernetes.io/"))?;
        Some(format!("has the taint {key}"))
    }
}

impl Judge for Nodes {
    fn reads(&self) -> Vec<Read> {
        vec![self.nodes(), self.leases()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let (nodes_read, leases_read) = (self.nodes(), self.leases());
        let nodes = look.list(&nodes_read)?;
        let leases = look.list(&leases_read)?;
        let renewed: BTreeMap<_, _> = leases
            .iter()
            .filter_map(|lease| Some((lease.name(), lease.time("/spec/renewTime")?)))
            .collect();
        let (mut good, mut bad, mut voters) = (Vec::new(), BTreeMap::new(), Vec::new());
        for node in &nodes {
            let stated = node.condition("Ready").and_then(Stated::heartbeat);
            let heard = renewed.get(node.name()).copied().max(stated);
            let silence = heard.map(|heard| look.age(&nodes_read, heard));
            match self.fault(node, silence) {
                Some(fault) => {
                    bad.insert(node.name(), fault);
                }
                None => good.push(node.name()),
            }
            if is_voter(node) && good.last() == Some(&node.name()) {
                voters.push(node.name());
            }
        }
        let missing_voters = self.etcd_voters.is_some_and(|wanted| voters.len() < wanted);
        let reason = format!(
            "{} of {} nodes healthy ({} required){}{}",
            good.len(),
            nodes.len(),
            self.ready,
            self.etcd_voters.map_or_else(String::new, |wanted| format!(
                "; {} etcd voters ({wanted} required)",
                voters.len()
            )),
            faults(&bad)
        );
        let verdict = if good.len() >= self.ready && !missing_voters {
            Verdict::pass(reason)
        } else {
            Verdict::fail(reason).with_hint("`kubectl describe node` of the ones that are named")
        };
        Ok(verdict
            .about_all(nodes.iter().map(Object::subject))
            .with_evidence(json!({
                "good": good,
                "not_good": bad.keys().collect::<Vec<_>>(),
                "etcd_voters": voters,
            }))
            .with_measured(json!({ "faults": bad }))
            .against(json!({ "ready": self.ready, "etcd_voters": self.etcd_voters })))
    }
}

/// A voter says so itself: with the label, but without the condition, it may be a learner.
fn is_voter(node: &Object<'_>) -> bool {
    let labelled = node.texts("/metadata/labels").get(ETCD_LABEL) == Some(&"true");
    labelled && node.holds("EtcdIsVoter")
}

fn faults(bad: &BTreeMap<&str, String>) -> String {
    if bad.is_empty() {
        return String::new();
    }
    let faults = bad.iter().map(|(name, fault)| format!("{name} {fault}"));
    format!(" ({})", list(faults))
}
