//! Every file operation of a vault fails once, fails for good, and is the last one of its process;
//! and each time the promises hold.
//!
//! A script of seals, verifications, prunings, copies, rekeyings and imports is made by a seed. It
//! runs with a fault at every place that it passes, in this process, and in others that are killed
//! there. What was acknowledged is written down by the script itself, outside of what fails.
//! `cargo xtask campaign vault` runs it with many seeds.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use age::secrecy::ExposeSecret as _;
use jiff::{Timestamp, ToSpan as _};
use secrecy::SecretString;
use testkit::Dice;

use crate::fault::{self, Fault};
use crate::{
    Circumstances, Depth, Entry, Identities, Recipients, Result, Retention, SidecarFacts, State,
    TimeZone, Vault,
};

const STEPS: u64 = 10;
const CHILD: &str = "fault::tests::child";

/// The place of one run. It is on a file system in memory where there is one: what is tested is the
/// order of the operations.
struct Site {
    directory: tempfile::TempDir,
    seed: u64,
}

/// The state of the script.
struct Script<'a> {
    root: &'a Path,
    dice: Dice,
    vault: Vault,
    away: Vault,
    identities: Identities,
    recipients: [Recipients; 2],
    now: Timestamp,
}

impl Site {
    fn new(seed: u64) -> Self {
        let memory = Path::new("/dev/shm");
        let directory =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let site = Self { directory: directory.unwrap(), seed };
        for name in ["vault", "away", "foreign"] {
            fs_err::create_dir(site.root().join(name)).unwrap();
        }
        for name in ["one", "two"] {
            let key = age::x25519::Identity::generate();
            fs_err::write(site.root().join(name), key.to_string().expose_secret()).unwrap();
        }
        site
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }

    fn vault(&self, name: &str) -> Vault {
        Vault::open(self.root().join(name), "hub").unwrap()
    }

    fn identities(&self) -> Identities {
        identities(self.root())
    }
}

fn keys(root: &Path) -> [SecretString; 2] {
    ["one", "two"].map(|name| fs_err::read_to_string(root.join(name)).unwrap().into())
}

fn identities(root: &Path) -> Identities {
    let mut identities = Identities::new();
    for key in keys(root) {
        identities.add_text(&key, "key");
    }
    identities
}

impl<'a> Script<'a> {
    fn new(root: &'a Path, seed: u64) -> Self {
        let recipients = keys(root).map(|key| {
            let key: age::x25519::Identity = key.expose_secret().parse().unwrap();
            let mut recipients = Recipients::new();
            recipients.add(&key.to_public().to_string()).unwrap();
            recipients
        });
        Self {
            root,
            dice: Dice::new(seed),
            vault: Vault::open(root.join("vault"), "hub").unwrap(),
            away: Vault::open(root.join("away"), "hub").unwrap(),
            identities: identities(root),
            recipients,
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
        }
    }

    /// Each step goes on after one that failed, as another run of the program would. Says which
    /// step did what.
    fn run(mut self) -> Vec<(&'static str, Result<()>)> {
        let mut results = Vec::new();
        for step in 0..STEPS {
            // Some backups are of the same second.
            self.now += self.dice.pick(&[0_i64, 1800, 3600]).seconds();
            let chance = if step < 2 { 0 } else { self.dice.below(10) };
            results.push(match chance {
                0..=3 => ("seal", self.seal(step)),
                4 | 5 => ("prune", self.prune()),
                6 => ("push", self.push()),
                7 => ("rekey", self.rekey()),
                8 => ("import", self.import(step)),
                _ => ("clean", self.clean()),
            });
        }
        results
    }

    fn seal(&mut self, step: u64) -> Result<()> {
        let payload = format!("payload of step {step}");
        let lock = self.vault.lock()?;
        let mut sealing = self.vault.begin(&lock, &self.recipients[0], self.now)?;
        sealing.write_all(payload.as_bytes())?;
        let entry = sealing.commit(SidecarFacts::new(self.now))?;
        self.note("has", &payload);
        let entry = self.vault.mark_verified(&entry, self.now)?;
        if self.dice.below(4) == 0 {
            self.vault.mark_drilled(&entry, self.now)?;
        }
        Ok(())
    }

    fn prune(&mut self) -> Result<()> {
        let lock = self.vault.lock()?;
        let retention = Retention { last: 2, ..Retention::default() };
        let circumstances = Circumstances::at(self.now, TimeZone::UTC);
        let plan = self.vault.plan(&retention, &circumstances)?;
        for entry in plan.removals() {
            // Read beside the faults: it is what the test wants to know, not what the vault does.
            let payload = payload(entry, &self.identities);
            self.note("may lose", &payload);
        }
        self.vault.prune(&lock, &plan, self.now)
    }

    fn push(&mut self) -> Result<()> {
        let lock = self.away.lock()?;
        for entry in self.vault.entries()? {
            if entry.is_verified() {
                self.vault.copy_to(&entry, &self.away, &lock)?;
                let payload = payload(&entry, &self.identities);
                self.note("away has", &payload);
            }
        }
        Ok(())
    }

    fn rekey(&mut self) -> Result<()> {
        let lock = self.vault.lock()?;
        let entries = self.vault.entries()?;
        if let Some(entry) = entries.iter().find(|entry| entry.is_verified()) {
            let (identities, recipients) = (&self.identities, &self.recipients[1]);
            self.vault.rekey(&lock, entry, identities, recipients, self.now)?;
        }
        Ok(())
    }

    fn import(&mut self, step: u64) -> Result<()> {
        let payload = format!("payload of foreign file {step}");
        let path = self.root.join("foreign").join(format!("{step}.age"));
        fs_err::write(&path, self.recipients[0].seal(payload.as_bytes())?)?;
        let lock = self.vault.lock()?;
        let facts = SidecarFacts::new(self.now);
        self.vault.import(&lock, &path, &self.identities, self.now, facts)?;
        self.note("has", &payload);
        Ok(())
    }

    fn clean(&mut self) -> Result<()> {
        self.vault.clean_leftovers(&self.vault.lock()?).map(drop)
    }

    /// Writes down what is true from now on.
    fn note(&self, fact: &str, payload: &str) {
        let path = self.root.join("notes");
        let file = fs_err::OpenOptions::new().append(true).create(true).open(path);
        writeln!(file.unwrap(), "{fact}|{payload}").unwrap();
    }
}

/// Returns the contents of an entry, whatever is being injected.
fn payload(entry: &Entry, identities: &Identities) -> String {
    let mut clear = String::new();
    let mut unsealed = crate::open_file(entry.path(), identities).unwrap();
    unsealed.read_to_string(&mut clear).unwrap();
    clear
}

/// The promises, after whatever happened.
fn check(site: &Site) {
    let identities = site.identities();
    let notes = fs_err::read_to_string(site.root().join("notes")).unwrap_or_default();
    let noted = |fact: &str| -> Vec<&str> {
        let lines = notes.lines().filter_map(|line| line.split_once('|'));
        lines.filter(|(is, _)| *is == fact).map(|(_, payload)| payload).collect()
    };
    let may_be_gone = noted("may lose");
    for (name, fact) in [("vault", "has"), ("away", "away has")] {
        let vault = site.vault(name);
        // What is visible before anybody has cleaned opens.
        let before = vault.entries().unwrap();
        let held: Vec<String> = before
            .iter()
            .map(|entry| {
                assert_ne!(entry.state(), State::Foreign, "{entry:?}");
                vault.verify(entry, &identities, Depth::Sealed).unwrap();
                vault.verify(entry, &identities, Depth::Full).unwrap();
                payload(entry, &identities)
            })
            .collect();
        // No acknowledged backup is lost, and nothing goes that no plan named.
        for acknowledged in noted(fact) {
            let kept = held.iter().any(|payload| payload == acknowledged);
            let named = name == "vault" && may_be_gone.contains(&acknowledged);
            assert!(kept || named, "{acknowledged} is lost; {held:?}");
        }
        check_latest(&vault, &identities);
        // Left-overs are found and cleaned, and nothing else is.
        let lock = vault.lock().unwrap();
        let found = vault.leftovers().unwrap();
        assert_eq!(vault.clean_leftovers(&lock).unwrap(), found);
        assert!(vault.leftovers().unwrap().is_empty());
        let after = vault.entries().unwrap();
        assert_eq!(after.len(), before.len());
        check_names(&vault, after.len());
    }
    // The next run works as if nothing had been.
    let mut next = Script::new(site.root(), 0);
    next.now = "2027-01-01T00:00:00Z".parse().unwrap();
    next.seal(1000).unwrap();
    next.prune().unwrap();
    check_latest(&next.vault, &identities);
}

fn check_latest(vault: &Vault, identities: &Identities) {
    let Ok(target) = fs_err::canonicalize(vault.latest_link()) else {
        // There is none yet, or it leads to a file that is gone, which no plan may name.
        assert!(vault.latest_link().symlink_metadata().is_err(), "`latest` leads nowhere");
        return;
    };
    let entry = vault.find(target.to_str().unwrap()).unwrap();
    assert!(entry.is_verified(), "{entry:?}");
    vault.verify(&entry, identities, Depth::Full).unwrap();
}

/// Two files for each entry, the link, and the locks.
fn check_names(vault: &Vault, entries: usize) {
    let names = fs_err::read_dir(vault.directory()).unwrap();
    let names: Vec<String> = names
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("lock") && !name.contains("-latest."))
        .collect();
    assert_eq!(names.len(), 2 * entries, "{names:?}");
}

/// Returns the number of places that the script of a seed passes if nothing fails, and adds what it
/// did and noted there.
fn places(seed: u64, done: &mut BTreeSet<String>) -> u64 {
    let site = Site::new(seed);
    fault::inject(None);
    let results = Script::new(site.root(), seed).run();
    let places = fault::count();
    for (step, result) in results {
        assert!(result.is_ok(), "seed {seed}: {step}: {result:?}");
        done.insert(step.to_owned());
    }
    let notes = fs_err::read_to_string(site.root().join("notes")).unwrap();
    let facts = notes.lines().filter_map(|line| line.split_once('|'));
    done.extend(facts.map(|(fact, _)| fact.to_owned()));
    check(&site);
    places
}

/// Else the promises would hold because nothing was done.
fn require_everything(done: &BTreeSet<String>) {
    for what in ["seal", "prune", "push", "rekey", "import", "clean", "has", "may lose", "away has"]
    {
        assert!(done.contains(what), "{what} is not among {done:?}");
    }
}

fn crash(seed: u64, at: u64, fault: Fault) {
    let site = Site::new(seed);
    if fault == Fault::Kill {
        kill(&site, at);
    } else {
        fault::inject(Some((at, fault)));
        Script::new(site.root(), seed).run();
        fault::inject(None);
    }
    let checked = std::panic::catch_unwind(|| check(&site));
    assert!(checked.is_ok(), "seed {seed}, place {at}, {fault:?}");
}

/// Runs the script in another process, which is killed at a place.
fn kill(site: &Site, at: u64) {
    use std::os::unix::process::ExitStatusExt as _;
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--ignored", "--test-threads=1"])
        .env("CAMPAIGN_SITE", site.root())
        .env("CAMPAIGN_CHILD_SEED", site.seed.to_string())
        .env("CAMPAIGN_PLACE", at.to_string())
        .output()
        .unwrap()
        .status;
    assert_eq!(status.signal(), Some(9), "{status}: the place was not passed");
}

#[test]
#[ignore = "not a test: the process that the campaign kills"]
fn child() {
    let Ok(root) = std::env::var("CAMPAIGN_SITE") else {
        return;
    };
    let number = |name: &str| -> u64 { std::env::var(name).unwrap().parse().unwrap() };
    let root = PathBuf::from(root);
    fault::inject(Some((number("CAMPAIGN_PLACE"), Fault::Kill)));
    Script::new(&root, number("CAMPAIGN_CHILD_SEED")).run();
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// In a test every seventh place of two scripts, and a few deaths; in a campaign all of as many as
/// asked for.
#[test]
#[allow(clippy::print_stderr)]
fn the_promises_hold_wherever_it_stops() {
    let (wanted, first) = (number("CAMPAIGN_ROUNDS"), number("CAMPAIGN_SEED").unwrap_or(1));
    let (mut errors, mut deaths, mut seed) = (0, 0, first);
    let mut done = BTreeSet::new();
    while wanted.map_or(seed < first + 2, |wanted| errors + deaths < wanted) {
        let places = places(seed, &mut done);
        assert!(places > 50, "seed {seed} does nothing");
        let step = if wanted.is_some() { 1 } else { 7 };
        for at in (1..=places).step_by(step) {
            crash(seed, at, Fault::Once);
            crash(seed, at, Fault::FromThereOn);
            errors += 2;
            if wanted.is_some() || at % 5 == 1 {
                crash(seed, at, Fault::Kill);
                deaths += 1;
            }
        }
        seed += 1;
    }
    // The two scripts of the test do everything between them; those of a short campaign need not.
    if wanted.is_none() {
        require_everything(&done);
    }
    eprintln!("{errors} errors and {deaths} deaths in {} scripts", seed - first);
}
