//! Two durable servers, the service at the first, and its moves to the second.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use age::secrecy::ExposeSecret as _;
use pgsnap::{ScratchOptions, ScratchServer};
use testkit::{Homes, HomesOptions, Observer, Place, Service};
use tokio::runtime::Runtime;

use super::way::Way;

/// The bytes that an event takes with its indexes.
const EVENT: u64 = 560;

/// Changes one event in a hundred, as the table allows it.
const CHANGES: &str = "UPDATE progress_events SET topic_id = (SELECT id FROM topics \
                       WHERE slug = 'topic-1') WHERE sequence % 100 = 0";

/// Prints the number of rows of each table.
const COUNT: &str = "SELECT 'SELECT ''' || c.oid::regclass || ''', count(*) FROM ' || c.oid::regclass \
                     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                     WHERE c.relkind = 'r' AND n.nspname = 'public' ORDER BY c.relname \\gexec";

pub(crate) struct Scene {
    servers: [ScratchServer; 2],
    runtime: Runtime,
    events: u32,
    key: (String, String),
    size: AtomicU32,
}

impl Scene {
    pub(crate) fn prepare(megabytes: u32) -> Self {
        let runtime = Runtime::new().unwrap();
        let mut options = ScratchOptions::default();
        // Durable, with the settings of a new cluster.
        options.fast = false;
        let servers = [(); 2].map(|()| runtime.block_on(ScratchServer::start(&options)).unwrap());
        let key = age::x25519::Identity::generate();
        let key = (key.to_public().to_string(), key.to_string().expose_secret().to_owned());
        let events = u32::try_from(u64::from(megabytes) * 1_000_000 / EVENT).unwrap();
        Self { servers, runtime, events, key, size: AtomicU32::new(0) }
    }

    /// The size of the database that was moved last, in bytes.
    pub(crate) fn size(&self) -> u64 {
        u64::from(self.size.load(Ordering::Relaxed)) * 1000
    }

    /// Moves a new copy of the service; returns how long its clients were away, in seconds.
    pub(crate) fn measure(&self, way: Way) -> f64 {
        let homes = Arc::new(Homes::build(&self.places(), &self.options()).unwrap());
        let kilobytes = homes.size("a").unwrap() / 1000;
        self.size.store(u32::try_from(kilobytes).unwrap(), Ordering::Relaxed);
        self.checkpoint();
        let mut observer = Observer::start(&homes, "a").unwrap();
        observer.leg("a", "b");
        match way.mode() {
            Some(mode) => hubctl(&homes, &["cutover", "--mode", mode, "--execute"]),
            None => self.move_by_script(&homes, way),
        }
        observer.wait_at("b").unwrap();
        let verdict = observer.finish().judge(&homes.observed("b").unwrap());
        assert!(verdict.is_clean(), "{}: {verdict}", way.name());
        let gap = verdict.gaps[0].expect("the service has moved");
        homes.drop_databases().unwrap();
        gap.as_secs_f64()
    }

    /// The freeze is hubctl's, also in this case: a script has none that keeps everybody out.
    fn move_by_script(&self, homes: &Homes, way: Way) {
        psql(&homes.url("a"), CHANGES);
        for service in [Service::Api, Service::Sweep] {
            homes.command("a", service, "stop").unwrap();
        }
        hubctl(homes, &["freeze", "a", "--execute"]);
        let names = homes.databases("a").unwrap();
        let frozen = names.iter().find(|name| *name != homes.database()).unwrap();
        let source = homes.url("a").replace(homes.database(), frozen);
        // Clients never stop: a database with its real name would be written to while it is loaded.
        let (name, loading) = (homes.database(), format!("{}_loading", homes.database()));
        psql(&homes.server("b"), &format!("CREATE DATABASE {loading}"));
        let target = homes.url("b").replace(name, &loading);
        let load = "psql -qX -v ON_ERROR_STOP=1 -d \"$2\"";
        match way {
            Way::Pipe => shell(homes, &format!("pg_dump -d \"$1\" | {load}"), &source, &target),
            _ => shell(
                homes,
                &format!("pg_dump -d \"$1\" -f dump.sql && {load} -f dump.sql"),
                &source,
                &target,
            ),
        };
        let counted = [&source, &target]
            .map(|url| shell(homes, "echo \"$2\" | psql -qXAt -d \"$1\"", url, COUNT));
        assert_eq!(counted[0], counted[1]);
        assert!(counted[0].contains("progress_events"), "{}", counted[0]);
        psql(&homes.server("b"), &format!("ALTER DATABASE {loading} RENAME TO {name}"));
        for service in [Service::Api, Service::Sweep] {
            homes.command("b", service, "start").unwrap();
        }
        let line = format!("API_BASE=http://{}\n", homes.api("b"));
        fs_err::write(homes.path("hub.env"), line).unwrap();
    }

    fn places(&self) -> Vec<Place> {
        let places = ["a", "b"].iter().zip(&self.servers).map(|(name, server)| Place {
            name: (*name).to_owned(),
            socket: server.directory().to_owned(),
            port: server.port(),
            through: None,
        });
        places.collect()
    }

    fn options(&self) -> HomesOptions {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("state_hub_{:04}", NEXT.fetch_add(1, Ordering::Relaxed));
        HomesOptions {
            events: self.events,
            freeze_budget: "30m".to_owned(),
            last_changes: Some(CHANGES.to_owned()),
            ..HomesOptions::new(&name, &self.key.0, &self.key.1)
        }
    }

    /// Writes out what is dirty, so that no way pays for the one before.
    fn checkpoint(&self) {
        for server in &self.servers {
            let postgres = server.database("postgres");
            self.runtime.block_on(pgsnap::execute(&postgres, "CHECKPOINT")).unwrap();
        }
    }
}

fn hubctl(homes: &Homes, arguments: &[&str]) {
    let mut command = Command::new(crate::hubctl());
    command.args(arguments).arg("--quiet").stdout(Stdio::null());
    run(&mut command, homes.directory());
}

fn psql(url: &str, statement: &str) {
    let mut command = Command::new("psql");
    command.args(["-qX", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement]);
    run(&mut command, Path::new("/"));
}

/// Runs a pipeline with two arguments; all of its parts must succeed. Returns its output.
fn shell(homes: &Homes, pipeline: &str, first: &str, second: &str) -> String {
    let mut command = Command::new("bash");
    command.args(["-o", "pipefail", "-c", pipeline, "bash", first, second]);
    run(&mut command, homes.directory())
}

fn run(command: &mut Command, directory: &Path) -> String {
    let output = command.current_dir(directory).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?} failed: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
