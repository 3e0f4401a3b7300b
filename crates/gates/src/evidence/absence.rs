//! The reason why a question has no answer.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::redact;

/// The reason why nothing was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Absence {
    /// There is no such thing; this is an answer.
    NotFound,
    /// The cluster does not know this kind of object: its definition is not installed. This is an
    /// answer.
    NoSuchKind,
    /// The user may not ask.
    Forbidden {
        /// The missing verb of RBAC, such as `list`.
        verb: String,
        /// The resource, such as `backups.postgresql.cnpg.io in databases`.
        resource: String,
    },
    /// The credentials are not accepted.
    Unauthorized,
    /// The configuration names another cluster.
    WrongCluster {
        /// The UID that is pinned.
        expected: String,
        /// The UID that was found.
        found: String,
    },
    /// The configuration does not say which cluster is meant.
    NotPinned {
        /// The UID that was found.
        found: String,
    },
    /// Nobody answered.
    Unreachable {
        /// The event.
        detail: String,
    },
    /// The answer did not come in time.
    TimedOut {
        /// After how many seconds.
        seconds: u64,
    },
    /// The server asked to be left alone, for longer than there was time.
    Overloaded {
        /// The status of HTTP.
        status: u16,
    },
    /// The list changed faster than it could be read, each time.
    Gone,
    /// Somebody else answered: a proxy, a login page.
    NotKubernetes {
        /// The status of HTTP.
        status: u16,
        /// The kind of content received.
        content: String,
    },
    /// Anything else.
    Failed {
        /// The event.
        detail: String,
    },
    /// Nobody tried.
    NotCollected,
}

impl Absence {
    /// Anything else that went wrong.
    pub fn failed(detail: impl fmt::Display) -> Self {
        Self::Failed { detail: detail.to_string() }
    }

    /// The same without the passwords of URLs in what happened.
    pub(super) fn without_secrets(self) -> Self {
        match self {
            Self::Unreachable { detail } => Self::Unreachable { detail: redact::text(&detail) },
            Self::Failed { detail } => Self::Failed { detail: redact::text(&detail) },
            other => other,
        }
    }

    /// Returns true if asking again can help soon.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Overloaded { .. } | Self::Gone
        )
    }

    /// Returns the remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Forbidden { verb, resource } => {
                format!("grant the verb `{verb}` on {resource} to the user of this context")
            }
            Self::Unauthorized => "renew the credentials of this context".to_owned(),
            Self::WrongCluster { found, .. } => format!(
                "check kubeconfig and context; if this really is the cluster that is meant, pin uid = \"{found}\""
            ),
            Self::NotPinned { found } => {
                format!("if this is the cluster that is meant, pin it with uid = \"{found}\"")
            }
            Self::Unreachable { .. } | Self::TimedOut { .. } => {
                "is the way there up, such as a tunnel or a VPN?".to_owned()
            }
            Self::NotKubernetes { .. } => {
                "look at what answers at the address of the kubeconfig".to_owned()
            }
            Self::NotFound
            | Self::NoSuchKind
            | Self::Overloaded { .. }
            | Self::Gone
            | Self::Failed { .. }
            | Self::NotCollected => return None,
        })
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("it does not exist"),
            Self::NoSuchKind => f.write_str("the cluster does not know this kind of object"),
            Self::Forbidden { verb, resource } => {
                write!(f, "forbidden: this user may not {verb} {resource}")
            }
            Self::Unauthorized => f.write_str("the credentials are not accepted"),
            Self::WrongCluster { expected, found } => {
                write!(f, "wrong cluster: its uid is {found}, and {expected} is pinned")
            }
            Self::NotPinned { found } => {
                write!(f, "the cluster is not pinned: its uid is {found}")
            }
            Self::Unreachable { detail } => write!(f, "no answer: {detail}"),
            Self::TimedOut { seconds } => write!(f, "no answer within {seconds} s"),
            Self::Overloaded { status } => {
                write!(f, "the server asked to be left alone (HTTP {status})")
            }
            Self::Gone => f.write_str("the list changed faster than it could be read"),
            Self::NotKubernetes { status, content } => {
                write!(f, "what answered is not Kubernetes (HTTP {status}, {content})")
            }
            Self::Failed { detail } => f.write_str(detail),
            Self::NotCollected => f.write_str("not asked"),
        }
    }
}
