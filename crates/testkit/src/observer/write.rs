//! The writers of an observer, each a thread.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use super::{Acknowledgement, PAUSE, Shared, Way, http, lock};
use crate::homes::{AGENT, Homes};

/// So that no statement hangs.
const LIMIT: Duration = Duration::from_secs(5);

/// Where a writer writes to.
#[derive(Debug)]
pub(super) enum Target {
    Front,
    Api { site: String, address: SocketAddr },
    Sql { site: String, url: String },
    Relay { address: SocketAddr },
}

pub(super) struct Writer {
    homes: Arc<Homes>,
    shared: Arc<Shared>,
    target: Target,
}

impl Writer {
    pub(super) fn new(homes: Arc<Homes>, shared: Arc<Shared>, target: Target) -> Self {
        Self { homes, shared, target }
    }

    pub(super) fn start(self) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name(format!("{:?}", self.target)).spawn(move || {
            match &self.target {
                Target::Sql { site, url } => self.write_by_sql(site, url),
                _ => self.write_by_http(),
            }
        })
    }

    /// Sends each event with a key, and again with the same one until it is acknowledged.
    fn write_by_http(&self) {
        while !self.shared.stops() {
            let key = self.shared.new_key();
            let body = format!(r#"{{"agent": "{AGENT}", "kind": "note", "summary": "{key}"}}"#);
            while !self.shared.stops() {
                let began = self.shared.began.elapsed();
                let acknowledged = self.post(&key, &body);
                if let Some(site) = &acknowledged {
                    self.record(&key, site.clone(), began);
                }
                thread::sleep(self.pause());
                if acknowledged.is_some() {
                    break;
                }
            }
        }
    }

    /// A relay accepts faster than it delivers.
    fn pause(&self) -> Duration {
        match self.target {
            Target::Relay { .. } => PAUSE * 6,
            _ => PAUSE,
        }
    }

    /// Posts an event; returns the site that acknowledged it, if that is known.
    fn post(&self, key: &str, body: &str) -> Option<Option<String>> {
        let (address, wanted) = match &self.target {
            Target::Front => (self.homes.front().address(), 201),
            Target::Api { address, .. } => (*address, 201),
            Target::Relay { address } => (*address, 202),
            Target::Sql { .. } => return None,
        };
        let answer = http::post(address, "/events", key, body).ok()?;
        (answer.status == wanted).then(|| match &self.target {
            Target::Front => self.site_behind(answer.port),
            Target::Api { site, .. } => Some(site.clone()),
            Target::Sql { .. } | Target::Relay { .. } => None,
        })
    }

    /// The site that the front led a connection to.
    fn site_behind(&self, port: u16) -> Option<String> {
        let target = self.homes.front().target_of(port)?;
        self.homes.site_at(target).map(str::to_owned)
    }

    /// Inserts events in one session, and in a new one whenever that fails. An event whose commit
    /// was not answered is not repeated: a client without keys cannot.
    fn write_by_sql(&self, site: &str, url: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime of one thread can be made").block_on(async {
            while !self.shared.stops() {
                if let Some(client) = connect(url).await {
                    self.insert_until_it_fails(&client, site).await;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    async fn insert_until_it_fails(&self, client: &Client, site: &str) {
        while !self.shared.stops() {
            let (key, began) = (self.shared.new_key(), self.shared.began.elapsed());
            let statement = format!(
                "INSERT INTO progress_events (kind, agent, summary) VALUES ('note', '{AGENT}', '{key}')"
            );
            match tokio::time::timeout(LIMIT, client.batch_execute(&statement)).await {
                Ok(Ok(())) => self.record(&key, Some(site.to_owned()), began),
                _ => return,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn record(&self, key: &str, site: Option<String>, began: Duration) {
        let way = match &self.target {
            Target::Front => Way::Front,
            Target::Api { .. } => Way::Api,
            Target::Sql { .. } => Way::Sql,
            Target::Relay { .. } => Way::Relay,
        };
        let answered = self.shared.began.elapsed();
        let key = key.to_owned();
        lock(&self.shared.acknowledged).push(Acknowledgement { key, way, site, began, answered });
    }
}

async fn connect(url: &str) -> Option<Client> {
    let connecting = tokio::time::timeout(LIMIT, tokio_postgres::connect(url, NoTls));
    let (client, connection) = connecting.await.ok()?.ok()?;
    tokio::spawn(connection);
    Some(client)
}
