//! The subjects of a verdict: objects of Kubernetes by their UIDs, and others by their names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The subject of a verdict.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Subject {
    /// An object of Kubernetes.
    Object(ObjectReference),
    /// A cluster, by its name in the configuration and the UID of its namespace `kube-system`.
    Cluster {
        /// The name in the configuration.
        name: String,
        /// The UID, where it was read.
        uid: Option<String>,
    },
    /// Anything else, such as a command, an address or a directory.
    Named {
        /// Its kind.
        kind: String,
        /// Which one.
        name: String,
    },
}

/// An object of Kubernetes, as it was when it was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ObjectReference {
    /// The name of the cluster in the configuration.
    pub cluster: String,
    /// The API group, empty for the core.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The namespace, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// The UID: another object of the same name has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The version that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

impl Subject {
    /// Something by its kind and name.
    pub fn named(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self::Named { kind: kind.into(), name: name.into() }
    }

    /// The same, without what changes while it stays the same thing.
    pub(super) fn identity(&self) -> Self {
        match self {
            Self::Object(reference) => {
                Self::Object(ObjectReference { resource_version: None, ..reference.clone() })
            }
            other => other.clone(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(object) => {
                write!(f, "{} ", object.kind)?;
                object.namespace.iter().try_for_each(|namespace| write!(f, "{namespace}/"))?;
                write!(f, "{} in {}", object.name, object.cluster)?;
                object.uid.iter().try_for_each(|uid| write!(f, " ({uid})"))
            }
            Self::Cluster { name, uid } => {
                write!(f, "cluster {name}")?;
                uid.iter().try_for_each(|uid| write!(f, " ({uid})"))
            }
            Self::Named { kind, name } => write!(f, "{kind} {name}"),
        }
    }
}
