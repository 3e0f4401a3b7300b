//! An independent client that never stops, and a judge of what it was told.
//!
//! It writes in every way there is: through the [`Front`](crate::Front) with idempotency keys, as
//! clients do, past it to the API of each site, by SQL to the database of each site under its name,
//! and through the relay. It records each acknowledgement with the time of one monotonic clock, and
//! reads the stream of events. What it saw is a [`History`], which is judged against the rows that
//! are there in the end.

mod history;
mod http;
mod judge;
mod stream;
mod write;

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use self::history::{Acknowledgement, History, Leg, Way};
pub use self::judge::{Verdict, Violation};
use self::write::{Target, Writer};
use crate::homes::Homes;

/// The pause of a writer between two writes.
const PAUSE: Duration = Duration::from_millis(40);

/// So that nothing hangs: an acknowledgement comes in a second, and a moved service in some.
const LIMIT: Duration = Duration::from_secs(60);

/// A stream that delivers nothing for so long has nothing more. A client of it that lost its
/// connection comes back in less.
const QUIET: Duration = Duration::from_secs(8);

/// A client that writes until it is told to stop.
#[derive(Debug)]
pub struct Observer {
    homes: Arc<Homes>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    stream: JoinHandle<()>,
    legs: Vec<Leg>,
}

/// What the threads of an observer share.
#[derive(Debug)]
struct Shared {
    began: Instant,
    /// Begins the keys of this observer.
    name: String,
    next: AtomicU64,
    stops: AtomicBool,
    stream_stops: AtomicBool,
    acknowledged: Mutex<Vec<Acknowledgement>>,
    streamed: Mutex<Vec<(u64, String)>>,
}

impl Observer {
    /// Begins to write and to read. The service runs at the site that is named.
    ///
    /// # Errors
    ///
    /// If a thread cannot be started, or nothing is acknowledged for a minute.
    pub fn start(homes: &Arc<Homes>, at: &str) -> io::Result<Self> {
        let shared = Arc::new(Shared::new());
        let mut targets = vec![Target::Front];
        for site in homes.sites() {
            let (api, url) = (homes.api(&site), homes.url(&site));
            targets.push(Target::Api { site: site.clone(), address: api });
            targets.push(Target::Sql { site, url });
        }
        if let Some(relay) = homes.relay() {
            let address = relay.url().trim_start_matches("http://").to_owned();
            let address: SocketAddr = address.parse().map_err(io::Error::other)?;
            targets.push(Target::Relay { address });
        }
        let stream = stream::follow(Arc::clone(homes), Arc::clone(&shared))?;
        let writers = targets
            .into_iter()
            .map(|target| Writer::new(Arc::clone(homes), Arc::clone(&shared), target).start());
        let leg = Leg { from: at.to_owned(), to: at.to_owned(), since: Duration::ZERO };
        let threads = writers.collect::<io::Result<_>>()?;
        let homes = Arc::clone(homes);
        let observer = Self { homes, shared, threads, stream, legs: vec![leg] };
        observer.wait_for(at, Duration::ZERO)?;
        Ok(observer)
    }

    /// Says that from now on the service may move, from one site to another.
    pub fn leg(&mut self, from: &str, to: &str) {
        let since = self.shared.began.elapsed();
        self.legs.push(Leg { from: from.to_owned(), to: to.to_owned(), since });
    }

    /// Says where the service is after the last leg, if that ended elsewhere than it was to.
    pub fn stayed(&mut self) {
        if let Some(leg) = self.legs.last_mut() {
            leg.to.clone_from(&leg.from);
        }
    }

    /// Waits until a write at this site is acknowledged that began after now.
    ///
    /// # Errors
    ///
    /// If none is for a minute.
    pub fn wait_at(&self, site: &str) -> io::Result<()> {
        self.wait_for(site, self.shared.began.elapsed())
    }

    fn wait_for(&self, site: &str, since: Duration) -> io::Result<()> {
        let deadline = Instant::now() + LIMIT;
        let is_here = |ack: &Acknowledgement| {
            ack.way == Way::Front && ack.began >= since && ack.site.as_deref() == Some(site)
        };
        while !lock(&self.shared.acknowledged).iter().any(is_here) {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("{site} acknowledges no write of a client")));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Stops writing, has the relay deliver the rest, waits until the stream has it, and returns
    /// what was seen.
    ///
    /// What does not arrive is for the judge.
    #[must_use]
    pub fn finish(mut self) -> History {
        self.shared.stops.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        if let Some(relay) = self.homes.relay() {
            let _ = relay.replay(&[]);
        }
        let mut acknowledged = std::mem::take(&mut *lock(&self.shared.acknowledged));
        acknowledged.sort_by_key(|ack| ack.answered);
        self.wait_for_stream(&acknowledged);
        self.shared.stream_stops.store(true, Ordering::SeqCst);
        let _ = self.stream.join();
        let streamed = std::mem::take(&mut *lock(&self.shared.streamed));
        History { acknowledged, streamed, legs: self.legs }
    }
}

impl Observer {
    /// Waits until the stream has these writes, or nothing more comes.
    fn wait_for_stream(&self, acknowledged: &[Acknowledgement]) {
        let (mut delivered, mut last) = (0, Instant::now());
        loop {
            let streamed = lock(&self.shared.streamed);
            if streamed.len() > delivered {
                (delivered, last) = (streamed.len(), Instant::now());
            }
            let keys: HashSet<&str> = streamed.iter().map(|(_, key)| key.as_str()).collect();
            let is_complete = acknowledged.iter().all(|ack| keys.contains(ack.key.as_str()));
            drop(streamed);
            if is_complete || last.elapsed() > QUIET {
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Shared {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            began: Instant::now(),
            name: format!("o{}", NEXT.fetch_add(1, Ordering::Relaxed)),
            next: AtomicU64::new(1),
            stops: AtomicBool::new(false),
            stream_stops: AtomicBool::new(false),
            acknowledged: Mutex::default(),
            streamed: Mutex::default(),
        }
    }

    fn stops(&self) -> bool {
        self.stops.load(Ordering::SeqCst)
    }

    /// A key that no other write has.
    fn new_key(&self) -> String {
        format!("{}-{}", self.name, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
