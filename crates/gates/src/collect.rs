//! Reading: from questions to evidence. Nothing is judged here.

mod disk;
mod http;
mod journal;
mod kube;
mod script;
mod socket;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use serde_json::Value;

use crate::evidence::{Absence, Content, Evidence, Read, Reading};
pub use kube::{Access, Pace};

/// So many questions are asked at a time. The list of a large cluster is a few requests anyway, one
/// after the other.
const AT_A_TIME: usize = 8;

/// Answers questions that this library cannot: those of [`Read::Program`].
pub trait Respondent: Send + Sync {
    /// The answer, as a [`Verdict`](crate::Verdict) in JSON, or why there is none.
    fn answer<'a>(
        &'a self,
        question: &'a str,
        about: &'a Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, Absence>> + Send + 'a>>;
}

/// The sources that are asked.
///
/// A collector may be used again and again; connections are kept.
#[derive(Clone, Default)]
pub struct Collector {
    clusters: BTreeMap<String, Arc<kube::Cluster>>,
    journal: Option<PathBuf>,
    program: Option<Arc<dyn Respondent>>,
    kept: Vec<Reading>,
}

impl Collector {
    /// A collector that can ask this machine only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The collector, reaching a cluster under this name. Nothing is opened before it is asked.
    #[must_use]
    pub fn with_cluster(mut self, name: impl Into<String>, access: Access) -> Self {
        let cluster = Arc::new(kube::Cluster::new(access));
        self.clusters.insert(name.into(), cluster);
        self
    }

    /// The collector, reading this journal.
    #[must_use]
    pub fn with_journal(mut self, path: impl Into<PathBuf>) -> Self {
        self.journal = Some(path.into());
        self
    }

    /// The collector, asking the program itself as well.
    #[must_use]
    pub fn with_program(mut self, program: Arc<dyn Respondent>) -> Self {
        self.program = Some(program);
        self
    }

    /// The collector, with earlier readings of scripts. One that succeeded is taken instead of a
    /// new run, for as long as its gate lets it stand: a script may do harm.
    #[must_use]
    pub fn keeping(mut self, readings: impl IntoIterator<Item = Reading>) -> Self {
        self.kept.extend(readings);
        self
    }

    /// Asks all questions, several at a time, and keeps what was answered. It does not fail: what
    /// has no answer says why.
    pub async fn collect(&self, reads: &[Read]) -> Evidence {
        let mut evidence = Evidence::new(Timestamp::now());
        tracing::info!(questions = reads.len(), "reading");
        // Of one type, so that callers may move the whole future to another thread.
        let mut told: Vec<BoxFuture<'_, Reading>> = Vec::new();
        for read in reads {
            told.push(Box::pin(self.told(read)));
        }
        let readings: Vec<Reading> = stream::iter(told).buffered(AT_A_TIME).collect().await;
        for reading in readings {
            evidence.push(reading);
        }
        evidence
    }

    /// The answer to one question, which is logged without what was found.
    async fn told(&self, read: &Read) -> Reading {
        let begun = Instant::now();
        let reading = self.read(read).await;
        let seconds = begun.elapsed().as_secs_f64();
        match &reading.content {
            Content::Found(_) => tracing::debug!(seconds, "read {read}"),
            Content::Absent(absence) => {
                tracing::info!(seconds, "{read} could not be read: {absence}");
            }
        }
        reading
    }

    async fn read(&self, read: &Read) -> Reading {
        if let Some(name) = read.cluster() {
            return match self.clusters.get(name) {
                Some(cluster) => cluster.read(read).await,
                None => {
                    here(read, Err(Absence::failed(format!("no cluster `{name}` is configured"))))
                }
            };
        }
        match read {
            Read::Script { run, directory, limit_seconds, expires_seconds, .. } => {
                if let Some(kept) = expires_seconds.and_then(|expires| self.standing(read, expires))
                {
                    return kept;
                }
                here(read, script::run(run, directory.as_deref(), *limit_seconds).await)
            }
            Read::Http { url, limit_seconds } => here(read, http::get(url, *limit_seconds).await),
            Read::Tcp { address, limit_seconds } => {
                here(read, socket::connect(address, *limit_seconds).await)
            }
            Read::Port { address } => here(read, socket::listen(address).await),
            Read::Disk { path } => here(read, disk::room(path).await),
            Read::Journal { record } => {
                here(read, journal::records(self.journal.as_deref(), record))
            }
            Read::Program { question, about } => here(read, self.ask(question, about).await),
            Read::List { .. } | Read::Object { .. } | Read::Version { .. } => {
                unreachable!("these name a cluster")
            }
        }
    }

    /// An earlier success of this script that still stands.
    fn standing(&self, read: &Read, expires: u64) -> Option<Reading> {
        let now = Timestamp::now();
        let same = self.kept.iter();
        let same = same.filter(|reading| read.is_same(&reading.read));
        let newest = same.max_by_key(|reading| reading.observed_at)?;
        let age = now.duration_since(newest.observed_at);
        let succeeded = matches!(&newest.content, Content::Found(ended) if ended["exit_code"] == 0);
        let stands = !age.is_negative() && age.unsigned_abs().as_secs() < expires;
        if succeeded && stands {
            tracing::info!(at = %newest.observed_at, "an earlier run of {read} still stands");
        }
        (succeeded && stands).then(|| Reading { read: read.clone(), ..newest.clone() })
    }

    async fn ask(&self, question: &str, about: &str) -> Result<Value, Absence> {
        let nobody = || Absence::failed(format!("unknown question `{question}`"));
        let program = self.program.as_ref().ok_or_else(nobody)?;
        let about = serde_json::from_str(about).map_err(Absence::failed)?;
        program.answer(question, &about).await
    }
}

/// A reading by the clock of this machine.
fn here(read: &Read, answer: Result<Value, Absence>) -> Reading {
    let content = match answer {
        Ok(value) => Content::Found(value),
        Err(absence) => Content::Absent(absence),
    };
    Reading::new(read.clone(), Timestamp::now(), content)
}
