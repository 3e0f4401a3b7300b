//! Two homes of the sample service, hubctl with the configuration of a move, and an observer.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use pgsnap::{ScratchOptions, ScratchServer};
use serde_json::Value;
use testkit::{Homes, HomesOptions, Observer, Place, Verdict, installed};

use crate::support::{Run, block_on, command_in};

/// The service at the site `a`, which may move to `b`.
pub(super) struct Scene {
    observer: Option<Observer>,
    pub(super) homes: Arc<Homes>,
    servers: Vec<ScratchServer>,
}

impl Scene {
    /// Two servers and the service. Without the service, says that the test was skipped.
    pub(super) fn build() -> Option<Self> {
        let servers: Vec<ScratchServer> = [(); 2].map(|()| server()).into_iter().collect();
        let places = ["a", "b"].iter().zip(&servers).map(|(name, server)| place(name, server));
        let mut scene = Self::at(&places.collect::<Vec<_>>(), &options())?;
        scene.servers = servers;
        Some(scene)
    }

    /// The service at the first of some places.
    pub(super) fn at(places: &[Place], options: &HomesOptions) -> Option<Self> {
        let homes = Arc::new(installed("the sample service", Homes::build(places, options))?);
        let observer = Observer::start(&homes, &places[0].name).unwrap();
        Some(Self { observer: Some(observer), homes, servers: Vec::new() })
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        command_in(self.homes.directory(), arguments)
    }

    /// Runs hubctl, and requires this exit code.
    #[track_caller]
    pub(super) fn expect(&self, code: i32, arguments: &[&str]) -> Run {
        let run = Run::of(&self.command(arguments).output().unwrap());
        assert_eq!(run.code, Some(code), "hubctl {arguments:?}\n{}{}", run.stdout, run.stderr);
        run
    }

    /// Runs hubctl for JSON of this schema.
    #[track_caller]
    pub(super) fn json(&self, code: i32, schema: &str, arguments: &[&str]) -> Value {
        let run = self.expect(code, &[arguments, &["--format", "json"]].concat());
        let value: Value = serde_json::from_str(&run.stdout).expect(&run.stdout);
        assert_eq!(value["schema"], schema);
        value
    }

    pub(super) fn observer(&self) -> &Observer {
        self.observer.as_ref().unwrap()
    }

    /// Says that a move begins.
    pub(super) fn leg(&mut self, from: &str, to: &str) {
        self.observer.as_mut().unwrap().leg(from, to);
    }

    /// Leads clients to a site, as an operator does by hand.
    pub(super) fn redirect(&self, site: &str) {
        let line = format!("API_BASE=http://{}\n", self.homes.api(site));
        fs_err::write(self.homes.path("hub.env"), line).unwrap();
    }

    /// Ends the observer, and judges it by the rows of the primary.
    pub(super) fn judge(&mut self, primary: &str) -> Verdict {
        let history = self.observer.take().unwrap().finish();
        history.judge(&self.homes.observed(primary).unwrap())
    }
}

/// A server whose acknowledged writes survive a crash.
pub(super) fn server() -> ScratchServer {
    let mut options = ScratchOptions::default();
    options.settings = ["synchronous_commit=on", "full_page_writes=on"].map(str::to_owned).into();
    block_on(ScratchServer::start(&options)).unwrap()
}

pub(super) fn place(name: &str, server: &ScratchServer) -> Place {
    Place {
        name: name.to_owned(),
        socket: server.directory().to_owned(),
        port: server.port(),
        through: None,
    }
}

/// The options of a small service with a database and a key of its own.
pub(super) fn options() -> HomesOptions {
    use age::secrecy::ExposeSecret as _;
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let key = age::x25519::Identity::generate();
    let database = format!("state_hub_{:04}", NEXT.fetch_add(1, Ordering::Relaxed));
    let (public, secret) = (key.to_public().to_string(), key.to_string());
    HomesOptions::new(&database, &public, secret.expose_secret())
}
