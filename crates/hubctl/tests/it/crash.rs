//! SIGKILL at random moments of backup and restore: `latest` is always good, no half database is
//! ever in place, and the next run cleans up.

use std::collections::BTreeSet;
use std::process::Child;
use std::time::{Duration, Instant};

use backup::{Depth, Identities, Vault};
use pgsnap::{Archive, Database, NoProgress, ReadSeek, ScratchOptions, ScratchServer};

use crate::support::{Home, Run, block_on};

/// Overrides the number of kills.
const RUNS: &str = "HUBCTL_CRASH_RUNS";
/// Backups and restores, of a hundred runs.
const BACKUPS: (u32, u32) = (60, 100);
const SCALE: &str = "0.03";
/// The sessions of a killed client are gone within this time.
const PATIENCE: Duration = Duration::from_secs(20);

/// The moments of the kills, told by their leftovers.
#[derive(Debug, Default)]
struct Hits {
    before: u32,
    during: u32,
    /// The result was in place, and the run had not ended yet.
    published: u32,
    after: u32,
}

/// SplitMix64: the same kills every time.
struct Seeded(u64);

impl Seeded {
    /// A part of the whole, from 0 to 1.
    fn part(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap()) / f64::from(u32::MAX)
    }

    /// A moment of a run that takes so long, or a little later. Every fourth is near the end, where
    /// names change.
    fn moment(&mut self, number: u32, run: Duration) -> Duration {
        let part = self.part();
        run.mul_f64(if number.is_multiple_of(4) { 0.85 + part * 0.2 } else { part * 1.3 })
    }
}

/// A server with the sample as database `hub`, and a home for it.
struct Stage {
    server: ScratchServer,
    home: Home,
    url: String,
    rows: String,
}

impl Stage {
    fn set() -> Self {
        let server = block_on(ScratchServer::start(&ScratchOptions::default())).unwrap();
        let home = Home::with_database("hub".to_owned());
        let url = format!(
            "postgresql:///hub?host={}&port={}&user=postgres",
            server.directory().display(),
            server.port()
        );
        let mut stage = Self { server, home, url, rows: String::new() };
        stage.execute("postgres", "CREATE DATABASE hub");
        stage.execute("hub", &format!("SET demo.scale = '{SCALE}';\n{}", testkit::HUB));
        stage.rows = stage.ask("hub", PROGRESS_EVENTS);
        stage
    }

    fn database(&self, name: &str) -> Database {
        self.server.database(name)
    }

    fn execute(&self, database: &str, sql: &str) {
        block_on(pgsnap::execute(&self.database(database), sql)).unwrap();
    }

    fn ask(&self, database: &str, sql: &str) -> String {
        block_on(pgsnap::query_scalar(&self.database(database), sql)).unwrap().unwrap_or_default()
    }

    fn databases(&self, like: &str) -> BTreeSet<String> {
        let sql =
            format!("SELECT string_agg(datname, ',') FROM pg_database WHERE datname LIKE '{like}'");
        let names = self.ask("postgres", &sql);
        names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// Waits until every session but the one that asks is gone.
    fn settle(&self) {
        let deadline = Instant::now() + PATIENCE;
        let others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        while self.ask("postgres", others) != "0" {
            assert!(Instant::now() < deadline, "the sessions of a killed run stay");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn arguments(&self, command: &str) -> Vec<&str> {
        match command {
            "backup" => vec!["backup", &self.url],
            _ => vec!["restore", "--to", &self.url, "--database", "copy", "--execute"],
        }
    }

    /// Runs to the end; tells how long that takes.
    #[track_caller]
    fn run(&self, command: &str) -> (Run, Duration) {
        self.settle();
        let begun = Instant::now();
        let run = self.home.expect(0, &self.arguments(command));
        (run, begun.elapsed())
    }

    /// Runs, and kills at the moment; true if the run had ended by itself before.
    fn run_and_kill(&self, command: &str, moment: Duration) -> bool {
        self.settle();
        let begun = Instant::now();
        let mut child: Child = self.home.command(&self.arguments(command)).spawn().unwrap();
        std::thread::sleep(moment.saturating_sub(begun.elapsed()));
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        let run = Run::of(&child.wait_with_output().unwrap());
        assert!(ended.is_none_or(|status| status.success()), "{command} failed by itself: {run:?}");
        ended.is_some()
    }
}

const PROGRESS_EVENTS: &str = "SELECT count(*) FROM public.progress_events";

/// The invariants of a vault at every moment.
struct Watch {
    vault: Vault,
    identities: Identities,
    checks: u32,
}

impl Watch {
    fn of(home: &Home) -> Self {
        Self {
            vault: Vault::open(home.path("vault"), "state-hub").unwrap(),
            identities: Identities::load(home.path("key.txt")).unwrap(),
            checks: 0,
        }
    }

    fn check(&mut self) {
        self.checks += 1;
        for entry in self.vault.entries().unwrap() {
            if entry.is_verified() {
                self.vault.verify(&entry, &self.identities, Depth::Quick).unwrap();
            }
        }
        let link = self.vault.latest_link();
        assert!(link.is_file(), "`latest` leads nowhere");
        let latest = self.vault.find("latest").unwrap();
        // A kill between sidecar and link leaves the link one behind; it still leads to a verified entry.
        let linked =
            self.vault.find(fs_err::canonicalize(link).unwrap().to_str().unwrap()).unwrap();
        assert!(linked.is_verified(), "`latest` leads to {}", linked.id());
        for entry in [&latest, &linked] {
            let archive = self.open(entry);
            assert!(archive.manifest().census.rows() > 0);
        }
        if self.checks.is_multiple_of(10) {
            let progress: std::sync::Arc<dyn pgsnap::Progress> = std::sync::Arc::new(NoProgress);
            pgsnap::verify(&self.open(&latest), &Default::default(), &progress).unwrap();
        }
    }

    fn open(&self, entry: &backup::Entry) -> Archive {
        let first = std::sync::Mutex::new(self.vault.open_entry(entry, &self.identities).unwrap());
        Archive::open(move || {
            let reader = first.lock().unwrap().reopen().map_err(std::io::Error::other)?;
            Ok(Box::new(reader) as Box<dyn ReadSeek>)
        })
        .unwrap()
    }

    fn leftovers(&self) -> usize {
        self.vault.leftovers().unwrap().len()
    }
}

#[test]
fn killed_anywhere_a_run_leaves_the_last_good_state() {
    let runs = std::env::var(RUNS).map_or(BACKUPS.1, |runs| runs.parse().unwrap());
    let stage = Stage::set();
    let mut seeded = Seeded(20_261_121);
    let backups = runs * BACKUPS.0 / BACKUPS.1;
    let begun = Instant::now();
    let killed = kill_backups(&stage, &mut seeded, backups);
    eprintln!("SIGKILL of {backups} backups: {killed:?} in {:.1?}", begun.elapsed());
    assert!(killed.during > 0, "no kill hit a backup");
    let begun = Instant::now();
    let killed = kill_restores(&stage, &mut seeded, runs - backups);
    eprintln!("SIGKILL of {} restores: {killed:?} in {:.1?}", runs - backups, begun.elapsed());
    assert!(killed.during > 0, "no kill hit a restore");
    stage.home.expect(0, &["journal", "verify"]);
}

fn kill_backups(stage: &Stage, seeded: &mut Seeded, runs: u32) -> Hits {
    let (_, normal) = stage.run("backup");
    let mut watch = Watch::of(&stage.home);
    let mut hits = Hits::default();
    for number in 0..runs {
        let entries = watch.vault.entries().unwrap().len();
        let moment = seeded.moment(number, normal);
        let ended = stage.run_and_kill("backup", moment);
        let published = watch.vault.entries().unwrap().len() > entries;
        match (ended, published, watch.leftovers() > 0) {
            (true, ..) => hits.after += 1,
            (false, true, _) => hits.published += 1,
            (false, false, true) => hits.during += 1,
            (false, false, false) => hits.before += 1,
        }
        assert!(!ended || published, "a run ended after {moment:?} and took no backup");
        watch.check();
    }
    let left = watch.leftovers();
    let (run, _) = stage.run("backup");
    if left > 0 {
        run.says("removed a leftover of an interrupted run");
    }
    assert_eq!(watch.leftovers(), 0);
    let names = stage.home.vault();
    assert!(!names.iter().any(|name| name.ends_with(".partial")), "{names:?}");
    watch.check();
    hits
}

fn kill_restores(stage: &Stage, seeded: &mut Seeded, runs: u32) -> Hits {
    stage.run("restore");
    // The second one keeps a database, as all that follow.
    let (_, normal) = stage.run("restore");
    drop_kept(stage);
    let mut hits = Hits::default();
    for number in 0..runs {
        // A table that the backup does not have tells the old database from the new one.
        stage.execute("copy", "CREATE TABLE IF NOT EXISTS public.only_in_the_old_one ()");
        let ended = stage.run_and_kill("restore", seeded.moment(number, normal));
        stage.settle();
        let old = stage.ask("copy", "SELECT to_regclass('public.only_in_the_old_one') IS NOT NULL");
        let swapped = old == "f";
        let begun = !stage.databases(r"copy\_\_restoring\_%").is_empty();
        match (ended, swapped, begun) {
            (true, ..) => hits.after += 1,
            (false, true, _) => hits.published += 1,
            (false, false, true) => hits.during += 1,
            (false, false, false) => hits.before += 1,
        }
        assert!(!ended || swapped, "a run ended, and the old database is in place");
        assert_eq!(stage.ask("copy", testkit::HUB_CHECK), "t");
        assert_eq!(stage.ask("copy", PROGRESS_EVENTS), stage.rows);
        let kept = stage.databases(r"copy\_\_before\_%");
        assert_eq!(kept.len(), usize::from(swapped), "{kept:?}");
        drop_kept(stage);
    }
    let left = stage.databases(r"copy\_\_restoring\_%");
    let (run, _) = stage.run("restore");
    for name in &left {
        run.says(&format!("dropped a leftover of an interrupted run: {name}"));
    }
    assert_eq!(stage.databases(r"copy\_\_restoring\_%"), BTreeSet::new());
    assert_eq!(stage.ask("copy", testkit::HUB_CHECK), "t");
    assert_eq!(stage.ask("copy", PROGRESS_EVENTS), stage.rows);
    hits
}

fn drop_kept(stage: &Stage) {
    for name in stage.databases(r"copy\_\_before\_%") {
        stage.execute("postgres", &format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
    }
}
