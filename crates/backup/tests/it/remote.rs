//! Backups at a target: sent once, proven, found, opened by ranges, and fetched back.

use std::sync::Arc;

use backup::{Depth, Entry, Error, Limits, Proof, Remote, State, Target, TargetFailure, Vault};
use testkit::{Cloud, CloudEffect};

use crate::support::{Fixture, at, lock, payload, read_all};
use crate::targets::{cloud_target, file_drop, limits};

const NOW: &str = "2026-12-02T00:00:00Z";

struct Fixed {
    fixture: Fixture,
    cloud: Cloud,
    remote: Remote,
}

impl Fixed {
    fn new() -> Self {
        Self::with(|cloud| cloud_target(cloud, limits()))
    }

    fn with(target: impl Fn(&Cloud) -> Arc<dyn Target>) -> Self {
        let cloud = Cloud::start().unwrap();
        let fixture = Fixture::new();
        Self { remote: Remote::new("cloud", target(&cloud), &fixture.vault), fixture, cloud }
    }

    fn verified(&self, taken_at: &str, payload: &[u8]) -> Entry {
        let entry = self.fixture.seal(taken_at, payload);
        let vault = &self.fixture.vault;
        vault.mark_verified(&entry, at("2026-12-01T01:00:00Z")).unwrap()
    }

    fn push(&self, entry: &Entry) -> Result<backup::Pushed, Error> {
        let there = self.remote.listing().unwrap();
        let vault = &self.fixture.vault;
        self.remote.push(vault, entry, &there, at(NOW))
    }

    fn copy(&self, entry: &Entry) -> backup::SentCopy {
        let entry = self.fixture.vault.find(entry.id()).unwrap();
        entry.sidecar().unwrap().copies["cloud"].clone()
    }
}

fn is_differing(error: &Error) -> bool {
    let Error::Target { failure, .. } = error else {
        return false;
    };
    matches!(failure, TargetFailure::Differs { .. })
}

#[test]
fn a_pushed_backup_is_sent_recorded_and_proven_once() {
    let fixed = Fixed::new();
    let entry = fixed.verified("2026-11-21T16:12:00Z", &payload(300_000));
    let pushed = fixed.push(&entry).unwrap();
    assert!(pushed.is_sent);
    let stem = "state-hub-20261121T161200Z";
    assert_eq!(
        fixed.cloud.files("backups"),
        [format!("{stem}.json"), format!("{stem}.sql.gz.age")]
    );
    let copy = fixed.copy(&entry);
    assert_eq!(copy.sha256, entry.sidecar().unwrap().sha256);
    assert_eq!((copy.answer.as_str(), copy.hash_confirmed), ("201", true));
    assert_eq!((copy.proof, copy.proven_at), (Some(Proof::Ends), Some(at(NOW))));

    let _ = fixed.cloud.take_requests();
    let again = fixed.push(&pushed.entry).unwrap();
    assert!(!again.is_sent);
    let methods: Vec<String> = fixed.cloud.take_requests().into_iter().map(|r| r.method).collect();
    assert_eq!(methods, ["PROPFIND"], "a listing is all it takes");
}

#[test]
fn what_is_learnt_later_reaches_the_copy() {
    let fixed = Fixed::new();
    let entry = fixed.verified("2026-11-21T16:12:00Z", b"payload");
    let entry = fixed.push(&entry).unwrap().entry;
    let entry = fixed.fixture.vault.mark_drilled(&entry, at(NOW)).unwrap();
    assert!(!fixed.push(&entry).unwrap().is_sent);
    let there = fixed.remote.find("latest").unwrap();
    assert_eq!(there.state(), State::Drilled);
    assert!(there.sidecar().unwrap().copies.is_empty(), "that is this vault's business");
}

#[test]
fn a_remote_backup_opens_by_two_ranges_and_reads_a_part_without_the_rest() {
    let fixed = Fixed::new();
    let clear = payload(20 << 20);
    let entry = fixed.verified("2026-11-21T16:12:00Z", &clear);
    fixed.push(&entry).unwrap();
    let there = fixed.remote.find("latest").unwrap();
    assert!(there.is_remote());
    let (vault, identities) = (&fixed.fixture.vault, fixed.fixture.identities());
    let _ = fixed.cloud.take_requests();
    vault.verify(&there, &identities, Depth::Quick).unwrap();
    let requests = fixed.cloud.take_requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(requests.iter().all(|request| request.range.is_some()));

    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut open = vault.open_entry(&there, &identities).unwrap();
    open.seek(SeekFrom::Start(10 << 20)).unwrap();
    let mut part = vec![0; 1000];
    open.read_exact(&mut part).unwrap();
    assert_eq!(part, clear[10 << 20..][..1000]);
    let fetched: u64 = fixed
        .cloud
        .take_requests()
        .iter()
        .filter_map(|request| {
            let (from, to) = request.range.as_ref()?.strip_prefix("bytes=")?.split_once('-')?;
            Some(to.parse::<u64>().ok()? - from.parse::<u64>().ok()? + 1)
        })
        .sum();
    assert!(fetched < 2 << 20, "{fetched} bytes for 1000");

    assert_eq!(read_all(open.reopen().unwrap()), clear);
    vault.verify(&there, &identities, Depth::Full).unwrap();
    vault.verify(&there, &identities, Depth::Sealed).unwrap();
    let foreign = vault.mark_verified(&there, at(NOW)).unwrap_err();
    assert!(matches!(foreign, Error::ForeignEntry { .. }));
}

#[test]
fn a_backup_comes_back_into_an_empty_vault() {
    let fixed = Fixed::new();
    let clear = payload(5 << 20);
    let entry = fixed.verified("2026-11-21T16:12:00Z", &clear);
    fixed.push(&entry).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let vault = Vault::open(elsewhere.path(), "state-hub").unwrap();
    let lock = lock(&vault);
    let there = fixed.remote.find("20261121").unwrap();
    // The line breaks in the middle, and one answer has another bit.
    fixed.cloud.inject("GET", ".age", CloudEffect::LoseAnswer);
    let pulled = fixed.remote.pull(&there, &vault, &lock).unwrap();
    assert!(pulled.is_verified());
    assert_eq!(fs_err::read(pulled.path()).unwrap(), fs_err::read(entry.path()).unwrap());
    let again = fixed.remote.pull(&there, &vault, &lock).unwrap();
    assert_eq!(again.path(), pulled.path(), "what is there is not fetched again");
}

#[test]
fn a_flipped_bit_on_the_way_back_gets_no_name() {
    let fixed = Fixed::new();
    let entry = fixed.verified("2026-11-21T16:12:00Z", b"payload");
    fixed.push(&entry).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let vault = Vault::open(elsewhere.path(), "state-hub").unwrap();
    let there = fixed.remote.find("latest").unwrap();
    fixed.cloud.inject("GET", ".age", CloudEffect::Flip);
    let lock = lock(&vault);
    let error = fixed.remote.pull(&there, &vault, &lock).unwrap_err();
    assert!(matches!(error, Error::HashDiffers { .. }), "{error}");
    assert!(vault.entries().unwrap().is_empty());
}

#[test]
fn a_copy_that_changed_over_there_is_found() {
    let fixed = Fixed::new();
    let entry = fixed.verified("2026-11-21T16:12:00Z", &payload(1 << 20));
    let entry = fixed.push(&entry).unwrap().entry;
    let name = entry.sidecar().unwrap().file.clone();
    let whole = fixed.cloud.read("backups", &name).unwrap();

    let mut middle = whole.clone();
    middle[500_000] ^= 1;
    fixed.cloud.write("backups", &name, middle);
    let vault = &fixed.fixture.vault;
    fixed.remote.prove(vault, &entry, Proof::Ends, at(NOW)).unwrap();
    let error = fixed.remote.prove(vault, &entry, Proof::Whole, at(NOW)).unwrap_err();
    assert!(is_differing(&error), "{error}");

    let mut end = whole.clone();
    *end.last_mut().unwrap() ^= 1;
    fixed.cloud.write("backups", &name, end);
    let error = fixed.remote.prove(vault, &entry, Proof::Ends, at(NOW)).unwrap_err();
    assert!(is_differing(&error), "{error}");

    fixed.cloud.write("backups", &name, whole[..1000].to_vec());
    let error = fixed.push(&entry).unwrap_err();
    assert!(is_differing(&error), "{error}");
    assert_eq!(fixed.cloud.read("backups", &name).unwrap().len(), 1000, "nothing is overwritten");
}

#[test]
fn a_copy_that_nobody_recorded_is_read_before_it_counts() {
    let fixed = Fixed::new();
    let entry = fixed.verified("2026-11-21T16:12:00Z", &payload(100_000));
    let name = entry.sidecar().unwrap().file.clone();
    let mut other = fs_err::read(entry.path()).unwrap();
    fixed.push(&fixed.verified("2026-11-20T16:12:00Z", b"so that the folder is there")).unwrap();
    other[50_000] ^= 1;
    fixed.cloud.write("backups", &name, other.clone());
    assert!(is_differing(&fixed.push(&entry).unwrap_err()));
    other[50_000] ^= 1;
    fixed.cloud.write("backups", &name, other);
    let pushed = fixed.push(&entry).unwrap();
    assert!(!pushed.is_sent);
    assert_eq!(fixed.copy(&entry).answer, "found");
}

#[test]
fn a_damaged_backup_is_not_sent() {
    let fixed = Fixed::new();
    let entry = fixed.verified("2026-11-21T16:12:00Z", b"payload");
    let mut bytes = fs_err::read(entry.path()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(entry.path(), bytes).unwrap();
    let error = fixed.push(&entry).unwrap_err();
    assert!(matches!(error, Error::HashDiffers { .. }), "{error}");
    assert!(fixed.cloud.files("backups").is_empty());
}

#[test]
fn a_file_drop_is_sent_to_once_and_remembered_here() {
    let fixed = Fixed::with(|cloud| file_drop(cloud, limits()));
    let entry = fixed.verified("2026-11-21T16:12:00Z", b"payload");
    let entry = fixed.push(&entry).unwrap().entry;
    assert_eq!(fixed.cloud.files("").len(), 2);
    let copy = fixed.copy(&entry);
    assert!(copy.hash_confirmed);
    assert_eq!(copy.proof, None, "it shows nothing");
    assert!(!fixed.push(&entry).unwrap().is_sent);
    assert_eq!(fixed.cloud.files("").len(), 2, "no (2)");
}

#[test]
fn files_of_others_at_a_target_are_not_seen() {
    let fixed = Fixed::new();
    let entry = fixed.verified("2026-11-21T16:12:00Z", b"payload");
    fixed.push(&entry).unwrap();
    for name in [
        "state-hub-dev-20261122T161200Z.sql.gz.age",
        ".state-hub-dev-20261122T161200Z.sql.gz.age.partial",
        "holiday.jpg",
    ] {
        fixed.cloud.write("backups", name, b"x".to_vec());
    }
    fixed.cloud.write("backups", ".state-hub-20261120T161200Z.sql.gz.age.partial", Vec::new());
    let orphan = "state-hub-20261119T161200Z.json";
    fixed.cloud.write("backups", orphan, b"{}".to_vec());
    let listing = fixed.remote.listing().unwrap();
    assert_eq!(listing.ids(), ["20261121T161200Z"]);
    let removed = fixed.remote.clean(&listing).unwrap();
    assert_eq!(removed, [".state-hub-20261120T161200Z.sql.gz.age.partial", orphan]);
    assert_eq!(fixed.cloud.files("backups").len(), 5);
}

#[test]
fn pruning_a_target_removes_what_the_plan_names_and_nothing_that_changed() {
    let fixed = Fixed::new();
    for day in 1..=4 {
        let entry = fixed.verified(&format!("2026-11-{day:02}T16:12:00Z"), b"payload");
        fixed.push(&entry).unwrap();
    }
    fixed.cloud.write("backups", "holiday.jpg", b"x".to_vec());
    let mut retention = backup::Retention::default();
    retention.last = 2;
    let mut circumstances = backup::Circumstances::now();
    circumstances.now = at(NOW);
    let plan = fixed.remote.plan(&retention, &circumstances).unwrap();
    let newest = fixed.remote.find("latest").unwrap();
    let name = newest.sidecar().unwrap().file.clone();
    let bytes = fixed.cloud.read("backups", &name).unwrap();

    fixed.cloud.write("backups", &name, bytes[..100].to_vec());
    let error = fixed.remote.prune(&plan).unwrap_err();
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    assert_eq!(fixed.cloud.files("backups").len(), 9, "nothing was removed");

    fixed.cloud.write("backups", &name, bytes);
    fixed.cloud.inject("DELETE", ".json", CloudEffect::LoseAnswer);
    fixed.remote.prune(&plan).unwrap();
    let left = fixed.remote.listing().unwrap().ids();
    assert_eq!(left, ["20261103T161200Z", "20261104T161200Z"]);
    assert_eq!(fixed.cloud.files("backups").len(), 5, "the others' file is there");
}

/// Makes one attempt: pushes two entries, of which one was drilled meanwhile, and prunes the old
/// ones.
fn push_and_prune(fixed: &Fixed, vault: &Vault) -> Result<(), Error> {
    let there = fixed.remote.listing()?;
    fixed.remote.clean(&there)?;
    for entry in vault.entries()? {
        fixed.remote.push(vault, &entry, &there, at(NOW))?;
    }
    let mut retention = backup::Retention::default();
    retention.last = 2;
    let mut circumstances = backup::Circumstances::now();
    circumstances.now = at(NOW);
    let plan = fixed.remote.plan(&retention, &circumstances)?;
    fixed.remote.prune(&plan)
}

/// Every request of the script goes wrong in every way, one at a time; the next attempt makes it
/// right. A process that is killed there sees no more of it than one whose connection breaks.
#[test]
fn whatever_request_breaks_the_next_attempt_makes_it_right() {
    let effects = [
        CloudEffect::Refuse(500),
        CloudEffect::Refuse(507),
        CloudEffect::Lie(500),
        CloudEffect::Cut(0),
        CloudEffect::Cut(1000),
        CloudEffect::LoseAnswer,
        CloudEffect::Shorten,
        CloudEffect::WrongHash,
        CloudEffect::Flip,
    ];
    let mut points = 0;
    for effect in &effects {
        for number in 1.. {
            let mut once: Limits = limits();
            once.attempts = 1;
            let mut fixed = Fixed::with(|cloud| cloud_target(cloud, once.clone()));
            let vault = &fixed.fixture.vault.clone();
            fixed.verified("2026-10-01T16:12:00Z", b"what goes");
            let old = fixed.verified("2026-11-01T16:12:00Z", &payload(3000));
            fixed.push(&old).unwrap();
            vault.mark_drilled(&old, at(NOW)).unwrap();
            let first = fixed.verified("2026-11-20T16:12:00Z", &payload(100_000));
            let second = fixed.verified("2026-11-21T16:12:00Z", &payload(70_000));
            fixed.cloud.inject_at(number, effect.clone());
            let broken = push_and_prune(&fixed, vault);
            let requests = fixed.cloud.count();
            // What was acknowledged is there, whole, whatever went wrong on the way.
            for entry in vault.entries().unwrap() {
                let sidecar = entry.sidecar().unwrap();
                let proven = sidecar.copies.get("cloud").and_then(|copy| copy.proof);
                if proven.is_some() {
                    let sealed = fs_err::read(entry.path()).unwrap();
                    let there = fixed.cloud.read("backups", &sidecar.file);
                    // The oldest is what the plan names.
                    let is_gone = there.is_none() && entry.id().starts_with("20261001");
                    let is_right = there == Some(sealed) || is_gone;
                    assert!(is_right, "{effect:?} at request {number}: {}", entry.id());
                }
            }
            if let Err(error) = &broken {
                // A file that another server spoilt keeps its name until somebody looks: nothing is overwritten.
                for entry in [&first, &second] {
                    let name = &entry.sidecar().unwrap().file;
                    let there = fixed.cloud.read("backups", name);
                    let sealed = fs_err::read(entry.path()).unwrap();
                    if there.is_some_and(|there| there != sealed) {
                        panic!("{effect:?} at request {number} left another file: {error}");
                    }
                }
            }
            // Another process, which knows nothing of a connection that broke.
            let target = cloud_target(&fixed.cloud, limits());
            fixed.remote = Remote::new("cloud", target, vault);
            push_and_prune(&fixed, vault)
                .unwrap_or_else(|error| panic!("{effect:?} at request {number}: {error}"));
            let names = fixed.cloud.files("backups");
            assert_eq!(names.len(), 6, "{effect:?} at request {number}: {names:?}");
            let drilled = fixed.remote.find(old.id()).unwrap();
            assert_eq!(drilled.state(), State::Drilled);
            points += 1;
            if number > requests {
                break;
            }
        }
    }
    eprintln!("{points} places at which a request broke");
    assert!(points > 100, "{points}");
}

#[test]
fn a_sidecar_that_may_not_be_read_is_named_and_keeps_nobody_from_the_others() {
    let fixed = Fixed::new();
    for day in ["2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"] {
        fixed.push(&fixed.verified(day, b"x")).unwrap();
    }
    let refuse = |id: &str| {
        let path = format!("state-hub-{id}.json");
        fixed.cloud.inject("GET", &path, CloudEffect::Refuse(403));
    };
    refuse("20261121T000000Z");
    let entries = fixed.remote.entries().unwrap();
    let states: Vec<State> = entries.iter().map(Entry::state).collect();
    assert_eq!(states, [State::Verified, State::Foreign]);
    let error = entries[1].sidecar_error().unwrap();
    assert!(matches!(error, Error::SidecarUnreadable { .. }), "{error:?}");
    assert!(error.to_string().contains("20261121T000000Z"), "{error}");

    refuse("20261121T000000Z");
    let latest = fixed.remote.find("latest").unwrap();
    assert_eq!(latest.id(), "20261120T000000Z");
    // Where no other answers the question, it was not answered.
    refuse("20261121T000000Z");
    refuse("20261120T000000Z");
    let unknown = fixed.remote.find("latest").unwrap_err();
    assert!(matches!(unknown, Error::SidecarUnreadable { .. }), "{unknown:?}");
}

#[test]
fn the_newest_is_found_without_the_sidecars_of_all() {
    let fixed = Fixed::new();
    for day in 10..20 {
        let entry = fixed.verified(&format!("2026-11-{day}T00:00:00Z"), b"x");
        fixed.push(&entry).unwrap();
    }
    let _ = fixed.cloud.take_requests();
    let newest = fixed.remote.newest(|entry| entry.id() < "20261118");
    assert_eq!(newest.unwrap().unwrap().id(), "20261117T000000Z");
    assert_eq!(fixed.cloud.take_requests().len(), 4, "a listing and three sidecars");
    assert!(fixed.remote.newest(|_| false).unwrap().is_none());
}
