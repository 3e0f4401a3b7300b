//! The rules of NetworkPolicies, as the API defines them: policies only add up, and a selected pod
//! is closed to all else.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::condition::object::Object;

/// The two halves of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

/// Pods with these labels in a namespace with those.
pub(super) struct Peer<'a> {
    namespace: &'a str,
    namespace_labels: BTreeMap<&'a str, &'a str>,
    labels: BTreeMap<&'a str, &'a str>,
}

/// The judgement of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Allowance {
    /// No policy selects the pods.
    Open,
    /// This policy lets it pass.
    By(String),
    /// These policies select the pods, and none lets it pass.
    Refused(Vec<String>),
    /// It depends on what is not known here.
    Undecided,
}

impl<'a> Peer<'a> {
    pub(super) fn new(namespace: &Object<'a>, labels: &'a BTreeMap<String, String>) -> Self {
        Self {
            namespace: namespace.name(),
            namespace_labels: namespace.texts("/metadata/labels"),
            labels: labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        }
    }
}

impl Allowance {
    pub(super) fn describe(&self) -> Value {
        match self {
            Self::Open => json!("no policy"),
            Self::By(policy) => json!({ "allowed_by": policy }),
            Self::Refused(policies) => json!({ "refused_by": policies }),
            Self::Undecided => json!("undecided"),
        }
    }
}

impl Direction {
    fn rules<'a>(self, policy: &Object<'a>) -> &'a [Value] {
        policy.items(match self {
            Self::Ingress => "/spec/ingress",
            Self::Egress => "/spec/egress",
        })
    }

    fn peers(self) -> &'static str {
        match self {
            Self::Ingress => "from",
            Self::Egress => "to",
        }
    }

    /// Without `policyTypes` a policy is about ingress, and about egress where it has such rules.
    fn concerns(self, policy: &Object<'_>) -> bool {
        let word = match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        };
        match policy.items("/spec/policyTypes") {
            [] => self == Self::Ingress || !self.rules(policy).is_empty(),
            types => types.iter().any(|kind| kind == word),
        }
    }
}

/// Whether the policies of `own`'s namespace let it connect with `other` in this direction. `port`
/// is that of whoever is connected to.
pub(super) fn allows(
    policies: &[Object<'_>],
    direction: Direction,
    own: &Peer<'_>,
    other: &Peer<'_>,
    port: u16,
) -> Allowance {
    let selecting: Vec<_> = policies
        .iter()
        .filter(|policy| direction.concerns(policy))
        .filter(|policy| selects(policy.at("/spec/podSelector"), &own.labels))
        .collect();
    if selecting.is_empty() {
        return Allowance::Open;
    }
    let mut is_undecided = false;
    for policy in &selecting {
        for rule in direction.rules(policy) {
            let peer = peer_matches(rule.get(direction.peers()), own, other);
            match (peer, port_matches(rule.get("ports"), port)) {
                (Some(true), Some(true)) => return Allowance::By(policy.name().to_owned()),
                (Some(false), _) | (_, Some(false)) => {}
                _ => is_undecided = true,
            }
        }
    }
    if is_undecided {
        return Allowance::Undecided;
    }
    Allowance::Refused(selecting.iter().map(|policy| policy.name().to_owned()).collect())
}

/// Nothing for what is not known, such as addresses.
fn peer_matches(peers: Option<&Value>, own: &Peer<'_>, other: &Peer<'_>) -> Option<bool> {
    let peers = peers.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if peers.is_empty() {
        return Some(true);
    }
    let mut answer = Some(false);
    for peer in peers {
        if peer.get("ipBlock").is_some() {
            answer = None;
            continue;
        }
        let namespace = match peer.get("namespaceSelector") {
            Some(selector) => selects(Some(selector), &other.namespace_labels),
            None => own.namespace == other.namespace,
        };
        let pods =
            peer.get("podSelector").is_none_or(|selector| selects(Some(selector), &other.labels));
        if namespace && pods {
            return Some(true);
        }
    }
    answer
}

fn port_matches(ports: Option<&Value>, port: u16) -> Option<bool> {
    let ports = ports.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if ports.is_empty() {
        return Some(true);
    }
    let mut answer = Some(false);
    for entry in ports {
        let protocol = entry.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
        if protocol != "TCP" {
            continue;
        }
        let end = entry.get("endPort").and_then(Value::as_u64);
        match entry.get("port") {
            None => return Some(true),
            Some(Value::Number(first)) => {
                let first = first.as_u64().unwrap_or(u64::MAX);
                if (first..=end.unwrap_or(first)).contains(&u64::from(port)) {
                    return Some(true);
                }
            }
            // The name of a port, which only the pods know.
            Some(_) => answer = None,
        }
    }
    answer
}

/// Returns true if a selector of labels takes these. An empty one takes all; a missing one is
/// empty.
fn selects(selector: Option<&Value>, labels: &BTreeMap<&str, &str>) -> bool {
    let Some(selector) = selector else {
        return true;
    };
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    let matches = wanted
        .into_iter()
        .flatten()
        .all(|(name, value)| labels.get(name.as_str()).copied() == value.as_str());
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    matches && expressions.into_iter().flatten().all(|expression| holds(expression, labels))
}

fn holds(expression: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let text = |name: &str| expression.get(name).and_then(Value::as_str);
    let value = text("key").and_then(|key| labels.get(key).copied());
    let values = expression.get("values").and_then(Value::as_array);
    let is_listed =
        values.into_iter().flatten().any(|listed| value.is_some() && listed.as_str() == value);
    match text("operator") {
        Some("In") => is_listed,
        Some("NotIn") => !is_listed,
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        _ => false,
    }
}
