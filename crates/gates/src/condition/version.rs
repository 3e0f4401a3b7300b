//! `version`: Kubernetes is of a version that is supported, on all nodes.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Judge;
use super::kinds::NODE;
use super::look::{Judged, Look};
use super::object::Object;
use super::words::list;
use crate::evidence::Read;
use crate::verdict::{Subject, Verdict};

/// A kubelet may be this many minor versions behind the API server, and none ahead.
const KUBELET_BEHIND: u32 = 3;

/// The API server is of this version or newer, and no kubelet is too old for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Version {
    /// The cluster.
    pub cluster: String,
    /// The oldest version that will do.
    pub at_least: Minor,
    /// The first version that is too new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<Minor>,
}

/// A version of Kubernetes without its patch level, such as `1.34`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Minor {
    major: u32,
    minor: u32,
}

impl Minor {
    /// Reads `1.34`, and what servers say: `v1.34.1+k3s1`, `v1.34.0-rc.1`.
    fn of(text: &str) -> Option<Self> {
        let mut numbers = text.strip_prefix('v').unwrap_or(text).split(['.', '+', '-']);
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Self { major, minor })
    }

    /// Returns true if a kubelet of the other version may serve an API server of this one.
    fn takes(self, kubelet: Self) -> bool {
        let oldest = self.minor.saturating_sub(KUBELET_BEHIND);
        self.major == kubelet.major && (oldest..=self.minor).contains(&kubelet.minor)
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl TryFrom<String> for Minor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::of(&text).ok_or_else(|| "expected a version such as \"1.34\"".to_owned())
    }
}

impl From<Minor> for String {
    fn from(minor: Minor) -> Self {
        minor.to_string()
    }
}

impl Version {
    fn server(&self) -> Read {
        Read::Version { cluster: self.cluster.clone() }
    }

    fn nodes(&self) -> Read {
        Read::list(&self.cluster, NODE, None)
    }

    fn verdict(&self, server: Minor, text: &str, kubelets: &[(&str, &str)]) -> Verdict {
        if server < self.at_least {
            return Verdict::fail(format!("Kubernetes is {text}, older than {}", self.at_least))
                .with_hint("upgrade the cluster")
                .terminal();
        }
        if let Some(below) = self.below.filter(|below| server >= *below) {
            return Verdict::fail(format!("Kubernetes is {text}, and {below} is too new"))
                .with_hint("this was not tested there: raise `below` once it was")
                .terminal();
        }
        let unfit: Vec<String> = kubelets
            .iter()
            .filter(|(_, kubelet)| !Minor::of(kubelet).is_some_and(|kubelet| server.takes(kubelet)))
            .map(|(name, kubelet)| format!("{name} has {kubelet}"))
            .collect();
        if !unfit.is_empty() {
            return Verdict::fail(format!("Kubernetes is {text}, but {}", list(unfit)))
                .with_hint(
                    "a kubelet may be three minor versions behind the API server, and none ahead",
                )
                .terminal();
        }
        Verdict::pass(format!("Kubernetes is {text} ({} or newer required)", self.at_least))
    }
}

impl Judge for Version {
    fn reads(&self) -> Vec<Read> {
        vec![self.server(), self.nodes()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let (server_read, nodes_read) = (self.server(), self.nodes());
        let server = look.found(&server_read)?;
        let nodes = look.list(&nodes_read)?;
        let kubelets: Vec<_> = nodes
            .iter()
            .map(|node| {
                let version = node.text("/status/nodeInfo/kubeletVersion");
                (node.name(), version.unwrap_or("no version"))
            })
            .collect();
        let text = server.get("gitVersion").and_then(serde_json::Value::as_str);
        let verdict = match text.and_then(|text| Some((Minor::of(text)?, text))) {
            Some((server, text)) => self.verdict(server, text, &kubelets),
            None => Verdict::unknown("the API server does not say which version it is"),
        };
        Ok(verdict
            .about(Subject::Cluster { name: self.cluster.clone(), uid: None })
            .about_all(nodes.iter().map(Object::subject))
            .with_evidence(json!({ "server": text, "kubelets": kubelets }))
            .against(json!({ "at_least": self.at_least, "below": self.below })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_distributions_are_read() {
        for text in ["1.34", "v1.34.1", "v1.34.1+k3s1", "v1.34.0-rc.1", "1.34+"] {
            assert_eq!(
                Minor::of(text).map(|minor| minor.to_string()).as_deref(),
                Some("1.34"),
                "{text}"
            );
        }
        assert!(Minor::of("1").is_none() && Minor::of("latest").is_none());
        assert!(Minor::of("1.9") < Minor::of("1.34"));
    }
}
