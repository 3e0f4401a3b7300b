//! `network-policy`: the NetworkPolicies let one namespace's pods reach another's.

mod rules;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Judge;
use super::kinds::{NAMESPACE, NETWORK_POLICY};
use super::look::{Judged, Look};
use super::object::Object;
use super::words::list;
use crate::evidence::Read;
use crate::verdict::Verdict;
use rules::{Allowance, Direction, Peer, allows};

/// Pods of one namespace may connect to a port of pods of another one, as far as NetworkPolicies
/// say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NetworkPolicy {
    /// The cluster.
    pub cluster: String,
    /// The namespace that connects, such as that of a restore test.
    pub from: String,
    /// The labels of its pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub from_labels: BTreeMap<String, String>,
    /// The namespace that is connected to.
    pub to: String,
    /// The labels of its pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub to_labels: BTreeMap<String, String>,
    /// The TCP port, by its number.
    pub port: u16,
}

impl NetworkPolicy {
    fn namespace(&self, name: &str) -> Read {
        Read::object(&self.cluster, NAMESPACE, None, name)
    }

    fn policies(&self, namespace: &str) -> Read {
        Read::list(&self.cluster, NETWORK_POLICY, Some(namespace))
    }
}

impl Judge for NetworkPolicy {
    fn reads(&self) -> Vec<Read> {
        vec![
            self.namespace(&self.from),
            self.namespace(&self.to),
            self.policies(&self.from),
            self.policies(&self.to),
        ]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let reads = self.reads();
        let (from, to) = (look.object(&reads[0])?, look.object(&reads[1])?);
        let (leaving, entering) = (look.list(&reads[2])?, look.list(&reads[3])?);
        let source = Peer::new(&from, &self.from_labels);
        let target = Peer::new(&to, &self.to_labels);
        let out = allows(&leaving, Direction::Egress, &source, &target, self.port);
        let into = allows(&entering, Direction::Ingress, &target, &source, self.port);
        let way = format!("{} to port {} of {}", self.from, self.port, self.to);
        let verdict = match [("egress", &out), ("ingress", &into)] {
            [(_, Allowance::Open | Allowance::By(_)), (_, Allowance::Open | Allowance::By(_))] => {
                Verdict::pass(format!("NetworkPolicies let {way}"))
            }
            ways => {
                let refused = ways.iter().filter_map(|(word, allowance)| match allowance {
                    Allowance::Refused(policies) => {
                        Some(format!("{word} by {}", list(policies.clone())))
                    }
                    _ => None,
                });
                let refused: Vec<String> = refused.collect();
                if refused.is_empty() {
                    Verdict::unknown(format!(
                        "whether NetworkPolicies let {way} depends on addresses or names of ports"
                    ))
                    .with_hint("name the namespaces and the number of the port in the policy, or try a connection")
                } else {
                    Verdict::fail(format!("NetworkPolicies do not let {way}: {}", list(refused)))
                        .with_hint("many charts want an opt-in label on the namespace that connects: `kubectl label namespace`")
                        .terminal()
                }
            }
        };
        Ok(verdict
            .about(from.subject())
            .about(to.subject())
            .about_all(leaving.iter().chain(&entering).map(Object::subject))
            .with_evidence(json!({ "egress": out.describe(), "ingress": into.describe() }))
            .against(json!({ "from": self.from, "to": self.to, "port": self.port })))
    }
}
