//! The questions.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::redact;

/// One question, to a cluster or to anything else. Equal questions are asked once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Read {
    /// All objects of one kind.
    List {
        /// The name of the cluster in the configuration.
        cluster: String,
        /// The kind.
        kind: Kind,
        /// Those of one namespace only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        /// Those with these labels only, as `kubectl get -l` takes them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        labels: Option<String>,
    },
    /// One object.
    Object {
        /// The name of the cluster in the configuration.
        cluster: String,
        /// The kind.
        kind: Kind,
        /// Its namespace, where it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
    /// The version of Kubernetes.
    Version {
        /// The name of the cluster in the configuration.
        cluster: String,
    },
    /// The end and the output of a command.
    Script {
        /// The command and its arguments.
        #[serde(serialize_with = "redact::words")]
        run: Vec<String>,
        /// The directory it is run in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        directory: Option<String>,
        /// The longest it may run, in seconds.
        limit_seconds: u64,
        /// For how many seconds an earlier success may stand in for a new run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_seconds: Option<u64>,
        /// The claim that exit code 0 proves, in the words of the operator.
        #[serde(serialize_with = "redact::sentence")]
        scope: String,
    },
    /// The answer of an HTTP server to `GET`.
    Http {
        /// The address.
        #[serde(serialize_with = "redact::address")]
        url: String,
        /// The longest to wait, in seconds.
        limit_seconds: u64,
    },
    /// A TCP connection.
    Tcp {
        /// `HOST:PORT`.
        address: String,
        /// The longest to wait, in seconds.
        limit_seconds: u64,
    },
    /// The room in the file system of a directory.
    Disk {
        /// The directory.
        path: String,
    },
    /// A port to listen on.
    Port {
        /// `ADDRESS:PORT`.
        address: String,
    },
    /// The records of one kind in the journal.
    Journal {
        /// The kind of the records.
        record: String,
    },
    /// A question that the program answers which uses this library.
    Program {
        /// Which question.
        question: String,
        /// Its parameters, as text of JSON with sorted members.
        about: String,
    },
}

/// A kind of objects of Kubernetes, with the version that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Kind {
    /// The API group, empty for the core.
    pub group: Cow<'static, str>,
    /// The version of the group.
    pub version: Cow<'static, str>,
    /// Its name in paths.
    pub plural: Cow<'static, str>,
    /// Its name in objects.
    pub kind: Cow<'static, str>,
}

impl Kind {
    pub(crate) const fn new(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        kind: &'static str,
    ) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            plural: Cow::Borrowed(plural),
            kind: Cow::Borrowed(kind),
        }
    }

    /// `backups.postgresql.cnpg.io`: names of kinds alone are ambiguous.
    #[must_use]
    pub fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_string()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The path of the API below which its objects are.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let (version, plural) = (&self.version, &self.plural);
        let root = if self.group.is_empty() {
            format!("/api/{version}")
        } else {
            format!("/apis/{}/{version}", self.group)
        };
        match namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
            None => format!("{root}/{plural}"),
        }
    }
}

impl Read {
    /// The same question as it is kept: without the passwords and tokens in a command or an
    /// address.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut kept = self.clone();
        match &mut kept {
            Self::Script { run, scope, .. } => {
                *run = redact::without_secrets(run);
                *scope = redact::text(scope);
            }
            Self::Http { url, .. } => *url = redact::url(url),
            _ => {}
        }
        kept
    }

    /// Returns true if this is the other question, of which one may have been kept.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let may_hold_secrets = matches!(self, Self::Script { .. } | Self::Http { .. });
        self == other || (may_hold_secrets && self.without_secrets() == other.without_secrets())
    }

    /// The cluster that is asked, if one is.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        match self {
            Self::List { cluster, .. }
            | Self::Object { cluster, .. }
            | Self::Version { cluster } => Some(cluster),
            _ => None,
        }
    }

    /// All objects of a kind, in one namespace or in all of them.
    pub(crate) fn list(cluster: &str, kind: Kind, namespace: Option<&str>) -> Self {
        Self::List {
            cluster: cluster.to_owned(),
            kind,
            namespace: namespace.map(ToOwned::to_owned),
            labels: None,
        }
    }

    /// One object.
    pub(crate) fn object(cluster: &str, kind: Kind, namespace: Option<&str>, name: &str) -> Self {
        Self::Object {
            cluster: cluster.to_owned(),
            kind,
            namespace: namespace.map(ToOwned::to_owned),
            name: name.to_owned(),
        }
    }

    /// A question to the program; equal parameters make equal questions.
    pub(crate) fn program(question: &str, about: &Value) -> Self {
        Self::Program {
            question: question.to_owned(),
            about: crate::verdict::canonical_text(about),
        }
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List { kind, namespace, .. } => {
                write!(f, "the list of {}", kind.resource())?;
                namespace.iter().try_for_each(|namespace| write!(f, " in {namespace}"))
            }
            Self::Object { kind, namespace, name, .. } => {
                write!(f, "{} ", kind.kind)?;
                namespace.iter().try_for_each(|namespace| write!(f, "{namespace}/"))?;
                f.write_str(name)
            }
            Self::Version { .. } => f.write_str("the version of Kubernetes"),
            Self::Script { run, .. } => write!(f, "`{}`", redact::without_secrets(run).join(" ")),
            Self::Http { url, .. } => f.write_str(&redact::url(url)),
            Self::Tcp { address, .. } | Self::Port { address } => f.write_str(address),
            Self::Disk { path } => f.write_str(path),
            Self::Journal { record } => write!(f, "the records `{record}` of the journal"),
            Self::Program { question, .. } => f.write_str(question),
        }
    }
}
