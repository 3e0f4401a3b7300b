//! Recipients and identities of age plugins, with a plugin that was made with the `age-plugin`
//! crate.
//!
//! Plugins are found in the `PATH`, which a test cannot change for its own process, so the tests
//! inside run in another one.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backup::{Entry, Error, Identities, Person, Recipients, SecretString};
use testkit::AgePlugin;

use crate::support::{Fixture, lock, read_all, seal};

const TAKEN: &str = "2026-11-21T16:12:00Z";
/// For plugins that answer, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn with_the_plugin_in_the_path() {
    let directory = tempfile::tempdir().unwrap();
    AgePlugin::install(directory.path(), "plugins::plugin").unwrap();
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "plugins::inside"])
        .env("PATH", path)
        .env("PLUGIN_HOME", directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("5 passed"), "{said}");
}

#[test]
#[ignore = "not a test: the plugin that the tests inside run"]
fn plugin() {
    AgePlugin::serve().unwrap();
}

#[test]
fn a_plugin_that_is_not_installed_is_named() {
    let fixture = Fixture::new();
    let mut recipients = fixture.recipients();
    recipients.add(&AgePlugin::Works.recipient()).unwrap();
    let lock = lock(&fixture.vault);
    let error = fixture.vault.begin(&lock, &recipients, TAKEN.parse().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "`age-plugin-testkit` failed: it is not installed");
    assert!(error.hint().unwrap().contains("PATH"));
    drop(lock);
    // What is missing for one identity does not spoil the other, in whatever order they stand.
    let entry = fixture.seal(TAKEN, b"native");
    let mut identities = with(AgePlugin::Works, PATIENCE);
    identities.add_file(fixture.keys_file()).unwrap();
    assert_eq!(read_all(fixture.vault.open_entry(&entry, &identities).unwrap()), b"native");
}

fn with(manner: AgePlugin, limit: Duration) -> Identities {
    let mut identities = Identities::new();
    identities.plugins_take_at_most(limit);
    identities.add_text(&SecretString::from(manner.identity()), "keys.txt");
    assert!(identities.notes().is_empty(), "{identities:?}");
    identities
}

fn sealed_for(fixture: &Fixture, manner: AgePlugin) -> Entry {
    let mut recipients = Recipients::new();
    recipients.add(&manner.recipient()).unwrap();
    seal(&fixture.vault, &recipients, TAKEN, b"by plugin")
}

mod inside {
    use super::*;

    #[test]
    #[ignore = "run by with_the_plugin_in_the_path"]
    fn what_was_sealed_through_a_plugin_opens_through_it() {
        let fixture = Fixture::new();
        let entry = sealed_for(&fixture, AgePlugin::Works);
        let sealed_for = &entry.sidecar().unwrap().recipients[0];
        assert_eq!((sealed_for.kind.as_str(), sealed_for.stanzas.len()), ("plugin", 1));
        let identities = with(AgePlugin::Works, PATIENCE);
        assert_eq!(read_all(fixture.vault.open_entry(&entry, &identities).unwrap()), b"by plugin");
        // It looks at stanzas that are not its own, and has nothing to say about them.
        let other = fixture.seal(TAKEN, b"other");
        let refused = fixture.vault.open_entry(&other, &identities);
        assert!(matches!(refused, Err(Error::NoIdentityMatched { .. })), "{refused:?}");
    }

    #[test]
    #[ignore = "run by with_the_plugin_in_the_path"]
    fn identities_without_a_plugin_go_first() {
        let fixture = Fixture::new();
        let mut recipients = fixture.recipients();
        recipients.add(&AgePlugin::Dies.recipient()).unwrap();
        let entry = seal(&fixture.vault, &recipients, TAKEN, b"both");
        // No file says that a plugin was started, although it stands first.
        let mut identities = with(AgePlugin::Hangs, PATIENCE);
        let asked = Arc::new(AtomicUsize::new(0));
        identities.plugins_ask(Counting(Arc::clone(&asked)));
        identities.add_text(&SecretString::from(AgePlugin::Dies.identity()), "keys.txt");
        identities.add_file(fixture.keys_file()).unwrap();
        assert_eq!(read_all(fixture.vault.open_entry(&entry, &identities).unwrap()), b"both");
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        assert_eq!(identities.len(), 3);
    }

    #[test]
    #[ignore = "run by with_the_plugin_in_the_path"]
    fn a_plugin_that_hangs_is_ended_and_the_next_one_has_its_turn() {
        let fixture = Fixture::new();
        let mut recipients = Recipients::new();
        recipients.add(&AgePlugin::Hangs.recipient()).unwrap();
        recipients.add(&AgePlugin::Works.recipient()).unwrap();
        let entry = seal(&fixture.vault, &recipients, TAKEN, b"by plugin");
        let mut identities = with(AgePlugin::Hangs, Duration::from_secs(3));
        let alone = fixture.vault.open_entry(&entry, &identities);
        assert!(
            matches!(&alone, Err(Error::PluginFailed { problem, .. }) if problem.contains("3 s")),
            "{alone:?}"
        );
        let home = std::env::var("PLUGIN_HOME").unwrap();
        let hanging = std::path::Path::new(&home).join("hanging");
        let process = fs_err::read_to_string(hanging).unwrap();
        assert!(!std::path::Path::new("/proc").join(process).exists(), "it is still there");
        identities.plugins_take_at_most(PATIENCE);
        identities.add_text(&SecretString::from(AgePlugin::Works.identity()), "keys.txt");
        assert_eq!(read_all(fixture.vault.open_entry(&entry, &identities).unwrap()), b"by plugin");
    }

    #[test]
    #[ignore = "run by with_the_plugin_in_the_path"]
    fn a_plugin_that_dies_or_refuses_says_so() {
        let fixture = Fixture::new();
        for (manner, said) in [
            (AgePlugin::Dies, "it ended before it was done"),
            (AgePlugin::Refuses, "the token is not here"),
            // Without a person there is no PIN.
            (AgePlugin::Asks, "no or a wrong PIN"),
        ] {
            let entry = sealed_for(&fixture, manner);
            let error = fixture.vault.open_entry(&entry, &with(manner, PATIENCE)).unwrap_err();
            assert_eq!(error.to_string(), format!("`age-plugin-testkit` failed: {said}"));
        }
    }

    #[test]
    #[ignore = "run by with_the_plugin_in_the_path"]
    fn a_person_is_told_and_asked_and_may_take_longer_than_the_plugin() {
        let fixture = Fixture::new();
        let entry = sealed_for(&fixture, AgePlugin::Asks);
        let told = Arc::new(Mutex::new(Vec::new()));
        let mut identities = Identities::new();
        identities.plugins_take_at_most(Duration::from_secs(5));
        identities.plugins_ask(Slow(Arc::clone(&told)));
        identities.add_text(&SecretString::from(AgePlugin::Asks.identity()), "keys.txt");
        assert_eq!(read_all(fixture.vault.open_entry(&entry, &identities).unwrap()), b"by plugin");
        assert_eq!(
            *told.lock().unwrap(),
            ["testkit: touch the token [2J", "testkit: PIN? (secret: true)"]
        );
    }
}

struct Counting(Arc<AtomicUsize>);

impl Person for Counting {
    fn tell(&self, _: &str, _: &str) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn ask(&self, _: &str, _: &str, _: bool) -> Option<SecretString> {
        self.0.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// Answers right, after more time than the plugin has for itself.
struct Slow(Arc<Mutex<Vec<String>>>);

impl Person for Slow {
    fn tell(&self, plugin: &str, message: &str) {
        self.0.lock().unwrap().push(format!("{plugin}: {message}"));
    }

    fn ask(&self, plugin: &str, question: &str, secret: bool) -> Option<SecretString> {
        std::thread::sleep(Duration::from_secs(6));
        let said = format!("{plugin}: {question} (secret: {secret})");
        self.0.lock().unwrap().push(said);
        Some("123456".into())
    }
}
