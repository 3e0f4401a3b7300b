//! A cluster: one connection, whose identity is asked before it is believed.

mod answer;
mod connection;
mod credentials;
mod kubeconfig;
mod list;
mod path;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::condition::IDENTITY;
use crate::evidence::{Absence, Content, Read, Reading};
use answer::Answered;
use connection::Connection;
pub(super) use connection::chain;
use kubeconfig::Chosen;

/// The access to a cluster, and the identity it must have.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Access {
    /// The kubeconfig; nothing for the service account of the pod that this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it. The current one is not taken, since it changes behind one's back.
    pub context: Option<String>,
    /// The UID of the namespace `kube-system`. Without it nothing is believed.
    pub uid: Option<String>,
    /// Time limits and attempts.
    pub pace: Pace,
}

/// Time limits for a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pace {
    /// For one request.
    pub request: Duration,
    /// For one question with all its pages and repetitions.
    pub question: Duration,
    /// The number of objects per request.
    pub page: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { request: Duration::from_secs(10), question: Duration::from_secs(30), page: 500 }
    }
}

impl Access {
    /// A context of a kubeconfig, and the UID of the cluster it must lead to.
    pub fn new(
        kubeconfig: impl Into<PathBuf>,
        context: impl Into<String>,
        uid: Option<String>,
    ) -> Self {
        Self {
            kubeconfig: Some(kubeconfig.into()),
            context: Some(context.into()),
            uid,
            pace: Pace::default(),
        }
    }

    /// The cluster that this program runs in.
    #[must_use]
    pub fn in_cluster(uid: Option<String>) -> Self {
        Self { kubeconfig: None, context: None, uid, pace: Pace::default() }
    }

    /// Returns the meaning of this cluster's name, without secrets: the address, the trusted
    /// certificate, and the user.
    ///
    /// It is read from the kubeconfig now; where that cannot be read, it says why.
    #[must_use]
    pub fn leads_to(&self) -> Value {
        match &self.kubeconfig {
            None => json!({ "in_cluster": true }),
            Some(path) => Chosen::read(path, self.context.as_deref().unwrap_or_default())
                .map_or_else(|error| json!(format!("not read: {error}")), |chosen| chosen.shown()),
        }
    }

    /// The same, waiting otherwise.
    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }
}

/// A cluster that was perhaps connected to already.
pub(super) struct Cluster {
    access: Access,
    connection: Mutex<Option<Arc<Connection>>>,
}

impl Cluster {
    pub(super) fn new(access: Access) -> Self {
        Self { access, connection: Mutex::default() }
    }

    /// The answer to one question, within the time that one question may take.
    pub(super) async fn read(&self, read: &Read) -> Reading {
        let limit = self.access.pace.question;
        let answered = tokio::time::timeout(limit, self.answer(read)).await;
        let answered = answered.unwrap_or(Err(Absence::TimedOut { seconds: limit.as_secs() }));
        match answered {
            Ok(answered) => {
                let at = answered.date.unwrap_or(answered.received_at);
                let reading = Reading::new(read.clone(), at, Content::Found(answered.value));
                match answered.date {
                    Some(date) => reading.with_skew(skew(date, answered.received_at)),
                    None => reading,
                }
            }
            Err(absence) => {
                if absence == Absence::Unauthorized {
                    // Other credentials may be there the next time.
                    *self.connection.lock().await = None;
                }
                Reading::new(read.clone(), Timestamp::now(), Content::Absent(absence))
            }
        }
    }

    /// The connection, made anew where its credentials end.
    async fn connection(&self) -> Result<Arc<Connection>, Absence> {
        let mut known = self.connection.lock().await;
        if let Some(connection) = known.as_ref()
            && !connection.is_ending(Timestamp::now())
        {
            return Ok(Arc::clone(connection));
        }
        let made = Arc::new(Connection::open(&self.access).await?);
        *known = Some(Arc::clone(&made));
        Ok(made)
    }

    async fn answer(&self, read: &Read) -> Result<Answered, Absence> {
        let connection = &*self.connection().await?;
        // Each time: the same name may lead elsewhere by now, and a pass must not rest on an earlier look.
        let identity = self.identity(connection).await?;
        match read {
            Read::Object { kind, namespace, name, .. }
                if (kind.clone(), name.as_str()) == IDENTITY && namespace.is_none() =>
            {
                Ok(identity)
            }
            Read::Object { kind, namespace, name, .. } => {
                let path = path::object(kind, namespace.as_deref(), name)?;
                connection.get(&path, &path::asking("get", kind, namespace.as_deref())).await
            }
            Read::List { kind, namespace, labels, .. } => {
                list::all(connection, kind, namespace.as_deref(), labels.as_deref()).await
            }
            Read::Version { .. } => connection.get("/version", &path::Asking::version()).await,
            other => unreachable!("{other} is no question to a cluster"),
        }
    }

    /// The namespace `kube-system`, if its UID is the pinned one.
    async fn identity(&self, connection: &Connection) -> Result<Answered, Absence> {
        let (kind, name) = IDENTITY;
        let path = path::object(&kind, None, name)?;
        let answered = connection.get(&path, &path::asking("get", &kind, None)).await?;
        let uid = answered.value.pointer("/metadata/uid").and_then(Value::as_str);
        let found = uid.unwrap_or_default().to_owned();
        match &self.access.uid {
            Some(expected) if *expected == found => Ok(answered),
            Some(expected) => Err(Absence::WrongCluster { expected: expected.clone(), found }),
            None => Err(Absence::NotPinned { found }),
        }
    }
}

/// Returns the lead of the other clock in seconds. The header has truncated whole seconds.
fn skew(date: Timestamp, received_at: Timestamp) -> f64 {
    let skew = date.duration_since(received_at).as_secs_f64() + 0.5;
    (skew * 10.0).round() / 10.0
}
