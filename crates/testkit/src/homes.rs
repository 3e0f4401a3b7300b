//! Homes for the sample service, and everything that a move between them needs.

mod configuration;
mod script;
mod sql;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use self::script::Script;
use crate::child::finish;
use crate::front::Front;
use crate::port::free_port;
use crate::state_hub::{Python, Relay, StateHub};

/// So that nothing hangs; the service starts in a second or two.
const LIMIT: Duration = Duration::from_secs(60);

/// The file that leads clients, and its line.
const REDIRECT: (&str, &str) = ("hub.env", "API_BASE");

/// The agent of the events that an [`Observer`](crate::Observer) writes.
pub(crate) const AGENT: &str = "observer";

/// A PostgreSQL server that can be a home.
#[derive(Clone, Debug)]
pub struct Place {
    /// Name of the site.
    pub name: String,
    /// Directory of the server's socket.
    pub socket: PathBuf,
    /// Port of the server, which is part of the socket's name.
    pub port: u16,
    /// The address at which hubctl finds the server, if that is not its socket: that of a
    /// [`FaultProxy`](crate::FaultProxy).
    pub through: Option<SocketAddr>,
}

/// Choices for [`Homes::build`].
#[derive(Clone, Debug)]
pub struct HomesOptions {
    /// Name of the database.
    pub database: String,
    /// Events in the database at the beginning.
    pub events: u32,
    /// The age recipient of the vault, and the text of its identity.
    pub key: (String, String),
    /// Directory of the vault, if not one of these homes.
    pub vault: Option<PathBuf>,
    /// Directory of the journal, if not one of these homes.
    pub journal: Option<PathBuf>,
    /// Run a relay with an outbox beside the service.
    pub relay: bool,
    /// Maximum time of a freeze, as hubctl reads it.
    pub freeze_budget: String,
    /// Pin each site to its server.
    pub pinned: bool,
    /// Statements that a writer runs at the first site when it is stopped, before the others are:
    /// what changes between a copy and the freeze.
    pub last_changes: Option<String>,
}

impl HomesOptions {
    /// A small service with a relay, whose vault has this recipient and identity.
    #[must_use]
    pub fn new(database: &str, recipient: &str, identity: &str) -> Self {
        Self {
            database: database.to_owned(),
            events: 3000,
            key: (recipient.to_owned(), identity.to_owned()),
            vault: None,
            journal: None,
            relay: true,
            freeze_budget: "1m".to_owned(),
            pinned: true,
            last_changes: None,
        }
    }
}

/// The sample service, which runs at the first of some places and can be started at each of them,
/// with a configuration of hubctl that moves it: writers with scripts, a redirect, probes, a vault.
///
/// Clients reach it through a [`Front`]. Dropped, all its processes end, and its directory is
/// removed; the databases stay.
#[derive(Debug)]
pub struct Homes {
    sites: Vec<Site>,
    relay: Option<Relay>,
    front: Front,
    database: String,
    directory: TempDir,
}

#[derive(Debug)]
struct Site {
    place: Place,
    api_port: u16,
    api: Script,
    sweep: Script,
    /// The script of the last changes before a freeze.
    changes: Option<PathBuf>,
}

/// A program of the service at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The API.
    Api,
    /// The cron job that writes past the API.
    Sweep,
}

/// A fault of one call of a writer's command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookFault {
    /// It fails, and does nothing.
    Fails,
    /// It does not end.
    Hangs,
    /// It does nothing, and says that all is well.
    Lies,
}

impl Homes {
    /// Makes the database at the first place, and starts the service there.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if the service's packages are not installed, and otherwise what
    /// failed.
    pub fn build(places: &[Place], options: &HomesOptions) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("homes").tempdir()?;
        let front = Front::start(&directory.path().join(REDIRECT.0), REDIRECT.1)?;
        let sites = places.iter().map(|place| Site::build(place, options, directory.path()));
        let mut sites = sites.collect::<io::Result<Vec<Site>>>()?;
        let first = sites.first().ok_or(io::ErrorKind::InvalidInput)?;
        sql::create(&first.place, &options.database, options.events, |url| {
            StateHub::alembic(url, &["upgrade", "head"]).map(drop)
        })?;
        if let Some(statements) = &options.last_changes {
            let url = first.place.url(&options.database);
            let path = directory.path().join("changes");
            sites[0].changes = Some(script::changes(&path, &url, statements)?);
        }
        let relay = options.relay.then(|| Relay::start(&front.url())).transpose()?;
        if let Some(relay) = &relay {
            script::outbox(&directory.path().join("outbox.sh"), &relay.words())?;
        }
        let database = options.database.clone();
        let homes = Self { sites, relay, front, database, directory };
        homes.configure(options)?;
        homes.start()?;
        Ok(homes)
    }

    /// Leads clients to the first place, and starts the service there.
    fn start(&self) -> io::Result<()> {
        let first = &self.sites[0];
        let line = format!("{}={}\n", REDIRECT.1, first.api_url());
        fs_err::write(self.path(REDIRECT.0), line)?;
        for script in [&first.api, &first.sweep] {
            call(script, "start")?;
        }
        let deadline = Instant::now() + LIMIT;
        while TcpStream::connect(first.address()).is_err() {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("no API listens:\n{}", first.api.log())));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The address of the service's clients.
    #[must_use]
    pub fn front(&self) -> &Front {
        &self.front
    }

    /// The directory with `hubctl.toml`, keys, journal and vault.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns a path in that directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The name of the database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The names of the sites, in their order.
    #[must_use]
    pub fn sites(&self) -> Vec<String> {
        self.sites.iter().map(|site| site.place.name.clone()).collect()
    }

    /// The URL of the database at a site, through its socket.
    ///
    /// # Panics
    ///
    /// If there is no such site.
    #[must_use]
    pub fn url(&self, site: &str) -> String {
        self.site(site).place.url(&self.database)
    }

    /// The URL of the maintenance database at a site.
    ///
    /// # Panics
    ///
    /// If there is no such site.
    #[must_use]
    pub fn server(&self, site: &str) -> String {
        self.site(site).place.url("postgres")
    }

    /// The address of the API at a site.
    ///
    /// # Panics
    ///
    /// If there is no such site.
    #[must_use]
    pub fn api(&self, site: &str) -> SocketAddr {
        self.site(site).address()
    }

    /// The relay that accepts events while the service is away.
    #[must_use]
    pub fn relay(&self) -> Option<&Relay> {
        self.relay.as_ref()
    }

    /// The site whose API has this address.
    #[must_use]
    pub fn site_at(&self, api: SocketAddr) -> Option<&str> {
        let site = self.sites.iter().find(|site| site.address() == api)?;
        Some(&site.place.name)
    }

    /// Prepares a fault for the next call of one command (`stop`, `start` or `stopped`).
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn prepare(
        &self,
        site: &str,
        service: Service,
        action: &str,
        fault: HookFault,
    ) -> io::Result<()> {
        let fault = match fault {
            HookFault::Fails => "fail",
            HookFault::Hangs => "hang",
            HookFault::Lies => "lie",
        };
        self.script(site, service).prepare(action, fault)
    }

    /// Forgets every fault that was prepared and not met.
    pub fn forget_faults(&self) {
        for site in &self.sites {
            site.api.forget();
            site.sweep.forget();
        }
    }

    /// Runs a writer's command, as an operator does.
    ///
    /// # Errors
    ///
    /// If it fails.
    pub fn command(&self, site: &str, service: Service, action: &str) -> io::Result<()> {
        call(self.script(site, service), action)
    }

    /// The output of a program at a site so far.
    #[must_use]
    pub fn log(&self, site: &str, service: Service) -> String {
        self.script(site, service).log()
    }

    /// Returns the events of the observer at a site, by their key, with their numbers.
    ///
    /// # Errors
    ///
    /// If the database cannot be read by its name.
    pub fn observed(&self, site: &str) -> io::Result<BTreeMap<String, u64>> {
        sql::count(&self.url(site), AGENT)
    }

    /// Returns the size of the database at a site in bytes.
    ///
    /// # Errors
    ///
    /// If the database cannot be read by its name.
    pub fn size(&self, site: &str) -> io::Result<u64> {
        let query = "SELECT pg_database_size(current_database())";
        sql::scalar(&self.url(site), query)?.parse().map_err(io::Error::other)
    }

    /// Returns the names of the databases at a site's server that begin with the service's.
    ///
    /// # Errors
    ///
    /// If the server cannot be asked.
    pub fn databases(&self, site: &str) -> io::Result<Vec<String>> {
        let query = format!(
            "SELECT datname FROM pg_database WHERE starts_with(datname, '{}') ORDER BY 1",
            self.database
        );
        let rows = sql::rows(&self.server(site), &query)?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Drops the databases that [`Homes::databases`] returns, at all sites.
    ///
    /// # Errors
    ///
    /// If one cannot be dropped.
    pub fn drop_databases(&self) -> io::Result<()> {
        for site in self.sites() {
            for name in self.databases(&site)? {
                sql::execute(
                    &self.server(&site),
                    &format!("DROP DATABASE \"{name}\" WITH (FORCE)"),
                )?;
            }
        }
        Ok(())
    }

    /// Returns the sites whose database accepts a write by its name.
    #[must_use]
    pub fn writable(&self) -> Vec<String> {
        let sites = self.sites().into_iter();
        sites.filter(|site| sql::try_write(&self.url(site)).is_ok()).collect()
    }

    fn script(&self, site: &str, service: Service) -> &Script {
        let site = self.site(site);
        match service {
            Service::Api => &site.api,
            Service::Sweep => &site.sweep,
        }
    }

    fn site(&self, name: &str) -> &Site {
        let site = self.sites.iter().find(|site| site.place.name == name);
        site.unwrap_or_else(|| panic!("there is no site `{name}`"))
    }
}

impl Place {
    /// The URL of a database, through the server's socket.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let Self { socket, port, .. } = self;
        format!("postgresql:///{database}?host={}&port={port}&user=postgres", socket.display())
    }

    /// The URL of a database, as hubctl reaches it.
    fn reached(&self, database: &str) -> String {
        match self.through {
            Some(address) => format!("postgresql://postgres@{address}/{database}?sslmode=disable"),
            None => self.url(database),
        }
    }
}

impl Site {
    fn build(place: &Place, options: &HomesOptions, directory: &Path) -> io::Result<Self> {
        let url = place.url(&options.database);
        let python = Python::find(&url, &[])?;
        let api_port = free_port();
        let port = api_port.to_string();
        let variables = [
            ("DATABASE_URL", url.as_str()),
            ("STATE_HUB_POLL_SECONDS", "0.1"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("PYTHONUNBUFFERED", "1"),
        ];
        let api = ["uvicorn", "state_hub.app:app", "--host", "127.0.0.1", "--port", &port];
        let api = [&api[..], &["--timeout-graceful-shutdown", "1"]].concat();
        let sweep = ["state_hub.sweep", "--interval", "0.5"];
        let script = |name: &str, module: &[&str]| {
            let state = directory.join(format!("{name}-{}", place.name));
            Script::write(state, &python, module, &variables)
        };
        Ok(Self {
            place: place.clone(),
            api_port,
            api: script("api", &api)?,
            sweep: script("sweep", &sweep)?,
            changes: None,
        })
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.api_port).into()
    }

    fn api_url(&self) -> String {
        format!("http://{}", self.address())
    }
}

fn call(script: &Script, action: &str) -> io::Result<()> {
    let done = finish(Command::new("sh").arg(&script.path).arg(action))?;
    if done.status.success() {
        return Ok(());
    }
    let log = script.log();
    Err(io::Error::other(format!("{action}: {}\n{}{log}", done.status, done.stderr)))
}
