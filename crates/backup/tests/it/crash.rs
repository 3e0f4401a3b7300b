//! Killed at any moment, a run leaves complete entries and named leftovers, and `latest` opens.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use backup::{
    Circumstances, Depth, Error, Identities, LeftoverKind, Recipients, Retention, SidecarFacts,
    TimeZone, Timestamp, Vault, VaultLock,
};

use crate::support::{Fixture, at, lock, payload};

const RUNS: u64 = 30;

/// This test binary once more, running `child` below in the given role.
pub(crate) struct Child(std::process::Child);

impl Child {
    pub(crate) fn start(fixture: &Fixture, role: &str, round: u64) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--ignored", "--nocapture", "--test-threads=1"])
            .env("BACKUP_TEST_ROLE", role)
            .env("BACKUP_TEST_ROUND", round.to_string())
            .env("BACKUP_TEST_VAULT", fixture.path())
            .env("BACKUP_TEST_RECIPIENT", fixture.key.to_public().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits until the child says that it got to work.
    pub(crate) fn wait_for_line(&mut self) {
        let stdout = self.0.stdout.as_mut().unwrap();
        assert!(BufReader::new(stdout).lines().any(|line| line.unwrap().ends_with("at work")));
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
#[ignore = "not a test: the process that the tests around it kill"]
#[allow(clippy::print_stdout)]
fn child() {
    let Ok(role) = std::env::var("BACKUP_TEST_ROLE") else {
        return;
    };
    let variable = |name: &str| std::env::var(name).unwrap();
    let vault = Vault::open(variable("BACKUP_TEST_VAULT"), "state-hub").unwrap();
    let lock = lock(&vault);
    if role == "hold" {
        println!("at work");
        std::thread::sleep(Duration::from_secs(600));
    }
    let mut recipients = Recipients::new();
    recipients.add(&variable("BACKUP_TEST_RECIPIENT")).unwrap();
    let begin = at("2026-01-01T00:00:00Z").as_second()
        + 86_400 * variable("BACKUP_TEST_ROUND").parse::<i64>().unwrap();
    let bytes = payload(150_000);
    vault.clean_leftovers(&lock).unwrap();
    println!("at work");
    for n in 0.. {
        // Every other one in the same second, so that collisions are killed too.
        let taken_at = Timestamp::from_second(begin + n / 2).unwrap();
        let mut sealing = vault.begin(&lock, &recipients, taken_at).unwrap();
        sealing.write_all(&bytes).unwrap();
        let entry = sealing.commit(SidecarFacts::new(taken_at)).unwrap();
        vault.mark_verified(&entry, taken_at).unwrap();
        keep_last_two(&vault, &lock, taken_at);
    }
}

#[test]
fn killed_at_random_moments() {
    let fixture = Fixture::new();
    let identities = fixture.identities();
    let (mut leftovers, mut entries, mut linked) = (0, 0, 0);
    for round in 0..RUNS {
        let mut child = Child::start(&fixture, "seal", round);
        child.wait_for_line();
        std::thread::sleep(Duration::from_micros(500 + round * 7919 % 40_000));
        child.kill();
        entries += check_all(&fixture, &identities);
        linked += check_latest(&fixture.vault, &identities);
        let lock = lock(&fixture.vault);
        let named = fixture.vault.leftovers().unwrap();
        assert_eq!(fixture.vault.clean_leftovers(&lock).unwrap(), named);
        assert!(
            fixture
                .names()
                .iter()
                .all(|name| !name.ends_with(".partial") && !name.ends_with(".pruning")),
            "{:?}",
            fixture.names()
        );
        leftovers += named.len();
        keep_last_two(&fixture.vault, &lock, at("2027-01-01T00:00:00Z"));
    }
    assert!(
        entries > 0 && leftovers > 0 && linked > 0,
        "{entries} entries, {leftovers} leftovers, {linked} links: the kills came too early or too late"
    );
}

/// Every visible entry opens completely.
fn check_all(fixture: &Fixture, identities: &Identities) -> usize {
    let vault = &fixture.vault;
    let entries = vault.entries().unwrap();
    for entry in &entries {
        assert!(entry.sidecar().is_some(), "{entry:?}");
        vault.verify(entry, identities, Depth::Full).unwrap();
        vault.verify(entry, identities, Depth::Sealed).unwrap();
    }
    entries.len()
}

/// Checks that the target of the link is verified and opens, and that nothing is verified if there
/// is no link. Returns the number of entries.
fn check_latest(vault: &Vault, identities: &Identities) -> usize {
    let is_there = fs_err::symlink_metadata(vault.latest_link()).is_ok();
    match vault.find("latest") {
        Ok(latest) => assert!(latest.is_verified()),
        Err(Error::NothingVerified { .. }) => assert!(!is_there, "`latest` leads nowhere"),
        Err(other) => panic!("{other:?}"),
    }
    if !is_there {
        return 0;
    }
    let target = fs_err::canonicalize(vault.latest_link()).unwrap();
    let linked = vault.find(target.to_str().unwrap()).unwrap();
    assert!(linked.is_verified());
    vault.verify(&linked, identities, Depth::Full).unwrap();
    1
}

/// Keeps the vault small.
fn keep_last_two(vault: &Vault, lock: &VaultLock, now: Timestamp) {
    let mut retention = Retention::default();
    retention.last = 2;
    let circumstances = Circumstances::at(now, TimeZone::UTC);
    let plan = vault.plan(&retention, &circumstances).unwrap();
    vault.prune(lock, &plan, now).unwrap();
}

#[test]
fn each_kind_of_leftover_is_named_and_cleaned() {
    let fixture = Fixture::new();
    let kept = fixture.seal("2026-11-20T00:00:00Z", b"kept");
    let orphan = fixture.seal("2026-11-21T00:00:00Z", b"its file never got its name");
    let away = fixture.seal("2026-11-22T00:00:00Z", b"verified, and moved away for a while");
    fixture.vault.mark_verified(&away, at("2026-12-01T00:00:00Z")).unwrap();
    fs_err::remove_file(orphan.path()).unwrap();
    fs_err::remove_file(away.path()).unwrap();
    for name in [
        ".state-hub-20261123T000000Z.Ab1.partial",
        ".state-hub-20261123T000000Z.json.Ab1.partial",
        ".state-hub-dev-20261123T000000Z.Ab1.partial",
    ] {
        fs_err::write(fixture.path().join(name), b"half").unwrap();
    }
    fs_err::os::unix::fs::symlink("x", fixture.path().join(".state-hub-latest.Ab1.partial"))
        .unwrap();

    let kinds: Vec<_> =
        fixture.vault.leftovers().unwrap().iter().map(|leftover| leftover.kind).collect();
    let expected = [
        LeftoverKind::PartialEntry,
        LeftoverKind::PartialSidecar,
        LeftoverKind::PartialLink,
        LeftoverKind::OrphanSidecar,
    ];
    assert_eq!(kinds, expected);
    let lock = lock(&fixture.vault);
    let sealing =
        fixture.vault.begin(&lock, &fixture.recipients(), at("2026-11-24T00:00:00Z")).unwrap();
    assert_eq!(fixture.vault.clean_leftovers(&lock).unwrap().len(), 4);
    assert!(fixture.vault.leftovers().unwrap().is_empty());
    sealing.commit(SidecarFacts::new(at("2026-11-24T00:00:01Z"))).unwrap();
    assert!(kept.path().exists());
    assert!(fixture.path().join("state-hub-20261122T000000Z.json").exists());
    assert!(fixture.path().join(".state-hub-dev-20261123T000000Z.Ab1.partial").exists());
}
