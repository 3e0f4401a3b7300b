//! Parts that are closed, and the chain that goes on through them.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use journal::{Damage, Error, Hash, Head, Journal, Outcome};
use serde_json::json;

use crate::concurrency::spawn_appender;
use crate::support::{journal_of, names_in, now, record};

const PATH: &str = "GATES_TEST_ROTATED_JOURNAL";
/// The variable naming the file in which a process keeps the heads of acknowledged records.
const ACKNOWLEDGED: &str = "GATES_TEST_ACKNOWLEDGED";

#[test]
fn a_rotated_journal_is_read_as_one() {
    let (directory, journal) = journal_of(3);
    let before = journal.read().unwrap();
    let content = fs_err::read(journal.path()).unwrap();
    let head = journal.verify().unwrap().head.unwrap();

    let rotated = journal.rotate(now()).unwrap().unwrap();
    assert_eq!(rotated.records, 3);
    assert_eq!(rotated.torn, None);
    assert_eq!(fs_err::read(&rotated.part).unwrap(), content);
    assert_eq!(names_in(directory.path()), ["journal.jsonl", "journal.jsonl.0000000001"]);
    assert_eq!(rotated.record.kind, "journal");
    assert_eq!(rotated.record.outcome, Outcome::Other("rotated".to_owned()));
    assert_eq!(rotated.record.subject, "journal.jsonl.0000000001");
    assert_eq!(rotated.record.evidence, json!({ "records": 3, "sha256": Hash::of(&content) }));
    assert_eq!(rotated.record.prev, before[2].hash);

    assert_eq!(journal.append(record("later")).unwrap().record.seq, 5);
    let after = journal.read().unwrap();
    assert_eq!(after[..3], before);
    assert_eq!(after[3], rotated.record);
    assert_eq!(after.len(), 5);
    let verified = journal.verify_against(&head).unwrap();
    assert_eq!(verified.records, 5);
    assert_eq!(verified.head, Some(after[4].head()));
    assert_eq!(verified.leftovers, Vec::<std::path::PathBuf>::new());
    assert_eq!(journal.head().unwrap(), Some(after[4].head()));
}

#[test]
fn what_is_closed_already_is_not_closed_again() {
    let (directory, journal) = journal_of(0);
    assert_eq!(journal.rotate(now()).unwrap(), None);
    journal.append(record("one")).unwrap();
    assert!(journal.rotate(now()).unwrap().is_some());
    assert_eq!(journal.rotate(now()).unwrap(), None);
    journal.append(record("two")).unwrap();
    let second = journal.rotate(now()).unwrap().unwrap();
    assert_eq!(second.records, 2);
    assert_eq!(
        names_in(directory.path()),
        ["journal.jsonl", "journal.jsonl.0000000001", "journal.jsonl.0000000002"]
    );
    assert_eq!(journal.verify().unwrap().records, 4);
}

#[test]
fn a_part_that_is_missing_edited_or_exchanged_is_found() {
    let (_directory, journal) = journal_of(2);
    let first = journal.rotate(now()).unwrap().unwrap().part;
    journal.append(record("middle")).unwrap();
    let second = journal.rotate(now()).unwrap().unwrap().part;
    let sound = fs_err::read(&first).unwrap();

    let edited = String::from_utf8(sound.clone()).unwrap().replace("entry-2", "entry-9");
    fs_err::write(&first, edited).unwrap();
    let error = journal.verify().unwrap_err();
    assert!(
        matches!(&error, Error::Damaged { path, line: 2, damage: Damage::Edited { .. }, .. } if *path == first),
        "{error}"
    );

    fs_err::remove_file(&first).unwrap();
    let error = journal.verify().unwrap_err();
    assert!(
        matches!(&error, Error::Damaged { path, line: 1, damage: Damage::MissingPart { part, before: 3, .. }, .. } if *path == second && *part == first),
        "{error}"
    );

    // The end of a part is the middle of the chain.
    let cut = sound.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    fs_err::write(&first, &sound[..cut]).unwrap();
    assert!(journal.verify().is_err());

    fs_err::write(&first, &sound).unwrap();
    assert_eq!(journal.verify().unwrap().records, 5);
}

#[test]
fn damage_is_not_put_away() {
    let (directory, journal) = journal_of(3);
    let edited = fs_err::read_to_string(journal.path()).unwrap().replace("entry-1", "entry-9");
    fs_err::write(journal.path(), edited).unwrap();
    let error = journal.rotate(now()).unwrap_err();
    assert!(matches!(error, Error::Damaged { line: 1, .. }), "{error}");
    assert_eq!(names_in(directory.path()), ["journal.jsonl"]);
}

#[test]
fn parts_without_their_journal_are_no_new_journal() {
    let (directory, journal) = journal_of(2);
    journal.rotate(now()).unwrap().unwrap();
    fs_err::write(journal.path(), "").unwrap();
    for error in [
        journal.verify().unwrap_err(),
        journal.append(record("another past")).unwrap_err(),
        journal.rotate(now()).unwrap_err(),
        journal.head().unwrap_err(),
    ] {
        assert!(matches!(error, Error::Damaged { damage: Damage::Emptied, .. }), "{error}");
    }
    fs_err::remove_file(journal.path()).unwrap();
    let error = Journal::open(journal.path()).unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error}");
    assert_eq!(names_in(directory.path()), ["journal.jsonl.0000000001"]);
}

#[test]
fn other_files_beside_the_journal_are_no_parts() {
    let (directory, journal) = journal_of(2);
    for name in [
        "journal.jsonl.1",
        "journal.jsonl.000000000x",
        "journal.jsonl.torn-20261121T161200Z",
        "other.jsonl.0000000001",
    ] {
        fs_err::write(directory.path().join(name), "something else\n").unwrap();
    }
    assert_eq!(journal.verify().unwrap().records, 2);
    journal.rotate(now()).unwrap().unwrap();
    assert_eq!(journal.verify().unwrap().records, 3);
}

#[test]
fn a_rotation_that_was_interrupted_left_a_whole_journal() {
    let (directory, journal) = journal_of(3);
    // After the copy, and before the new file.
    let copy = directory.path().join("journal.jsonl.0000000001");
    fs_err::copy(journal.path(), &copy).unwrap();
    let unfinished = directory.path().join("journal.jsonl.unfinished");
    fs_err::write(&unfinished, "{\"format\":\"jou").unwrap();
    journal.append(record("entry-4")).unwrap();

    let verified = journal.verify().unwrap();
    assert_eq!(verified.records, 4);
    assert_eq!(verified.leftovers, [copy.clone(), unfinished]);

    let rotated = journal.rotate(now()).unwrap().unwrap();
    assert_eq!((rotated.records, &rotated.part), (4, &copy));
    let verified = journal.verify().unwrap();
    assert_eq!(verified.records, 5);
    assert_eq!(verified.leftovers, Vec::<std::path::PathBuf>::new());
}

/// Somebody put an old copy of the journal, or of a part, back: the number in a name proves
/// nothing.
#[test]
fn a_part_that_only_looks_like_a_leftover_is_damage() {
    let (_directory, journal) = journal_of(3);
    let old = fs_err::read(journal.path()).unwrap();
    let two = old.len() - old.split(|byte| *byte == b'\n').nth(2).unwrap().len() - 1;
    let first = journal.rotate(now()).unwrap().unwrap().part;
    journal.append(record("middle")).unwrap();
    journal.rotate(now()).unwrap().unwrap();
    let present = fs_err::read(journal.path()).unwrap();

    // The first part has a record more than this copy; the second begins behind its end.
    for end in [two, old.len()] {
        fs_err::write(journal.path(), &old[..end]).unwrap();
        for error in [journal.verify().unwrap_err(), journal.rotate(now()).unwrap_err()] {
            let Error::Damaged { damage, .. } = &error else {
                panic!("{error}");
            };
            assert!(matches!(damage, Damage::Overlapping { .. }), "{error}");
        }
        assert_eq!(fs_err::read(&first).unwrap(), old);
    }
    fs_err::write(journal.path(), present).unwrap();
    assert_eq!(journal.verify().unwrap().records, 6);
}

#[test]
fn a_journal_behind_a_link_is_rotated_where_it_is() {
    let (directory, journal) = journal_of(2);
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link.jsonl");
    fs_err::os::unix::fs::symlink(journal.path(), &link).unwrap();
    let linked = Journal::open(&link).unwrap();
    linked.rotate(now()).unwrap().unwrap();
    journal.append(record("by its own name")).unwrap();
    assert_eq!(linked.append(record("by the link")).unwrap().record.seq, 5);
    assert_eq!(journal.verify().unwrap().records, 5);
    assert_eq!(names_in(elsewhere.path()), ["link.jsonl"]);
    assert_eq!(names_in(directory.path()).len(), 2);
}

#[test]
fn what_somebody_put_in_the_way_is_not_written_through() {
    let (directory, journal) = journal_of(2);
    let precious = directory.path().join("precious");
    fs_err::write(&precious, "of somebody else").unwrap();
    let unfinished = directory.path().join("journal.jsonl.unfinished");
    fs_err::os::unix::fs::symlink(&precious, &unfinished).unwrap();
    let rotated = journal.rotate(now()).unwrap().unwrap();
    assert_eq!(fs_err::read_to_string(&precious).unwrap(), "of somebody else");
    for file in [journal.path(), &*rotated.part] {
        let metadata = fs_err::symlink_metadata(file).unwrap();
        assert!(metadata.is_file());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_torn_line_is_moved_aside_before_the_part_is_closed() {
    let (_directory, journal) = journal_of(1);
    let mut content = fs_err::read(journal.path()).unwrap();
    content.extend_from_slice(b"torn");
    fs_err::write(journal.path(), &content).unwrap();
    let rotated = journal.rotate(now()).unwrap().unwrap();
    assert_eq!(rotated.torn.unwrap().bytes, 4);
    assert_eq!(rotated.records, 2);
    assert_eq!(journal.verify().unwrap().records, 3);
}

#[test]
fn no_record_of_eight_processes_is_lost_while_the_journal_is_rotated() {
    let (_directory, journal) = journal_of(1);
    let mut children: Vec<_> = (0..8).map(|_| spawn_appender(journal.path(), 25)).collect();
    let mut rotations = 0;
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        rotations += u64::from(journal.rotate(now()).unwrap().is_some());
        journal.verify().unwrap();
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let (own, appended): (Vec<_>, Vec<_>) =
        journal.read().unwrap().into_iter().partition(|record| record.kind == "journal");
    assert_eq!(appended.len(), 1 + 8 * 25);
    assert_eq!(own.len() as u64, rotations);
    assert!(rotations > 1, "{rotations}");
}

/// The body of the processes that are killed below; by itself it tests one rotation.
#[test]
fn rotator() {
    let (_directory, own) = journal_of(1);
    let Some(path) = std::env::var_os(PATH) else {
        assert!(own.rotate(now()).unwrap().is_some());
        return;
    };
    let journal = Journal::open(path).unwrap();
    let mut acknowledged = fs_err::OpenOptions::new()
        .append(true)
        .create(true)
        .open(std::env::var_os(ACKNOWLEDGED).unwrap())
        .unwrap();
    // In one write, which a kill does not tear.
    let mut acknowledge = |head: Head| {
        let line = format!("{head}\n");
        acknowledged.write_all(line.as_bytes()).unwrap();
    };
    loop {
        acknowledge(journal.append(record("between")).unwrap().record.head());
        acknowledge(journal.rotate(now()).unwrap().unwrap().record.head());
    }
}

#[test]
fn rotations_that_are_killed_lose_nothing() {
    let (directory, journal) = journal_of(1);
    let acknowledged = directory.path().join("acknowledged");
    let heads = || -> Vec<Head> {
        let text = fs_err::read_to_string(&acknowledged).unwrap_or_default();
        // The last line may still be on its way.
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| line.trim().parse().unwrap()).collect()
    };
    for round in 0..25 {
        let before = heads().len();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "rotation::rotator"])
            .env(PATH, journal.path())
            .env(ACKNOWLEDGED, &acknowledged)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while heads().len() < before + 2 {
            assert_eq!(child.try_wait().unwrap(), None, "the child ended by itself");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(370 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        journal.recover(now()).unwrap();
        for head in &heads()[before..] {
            journal.verify_against(head).unwrap();
        }
    }
    journal.append(record("last")).unwrap();
    journal.rotate(now()).unwrap().unwrap();
    assert_eq!(journal.verify().unwrap().leftovers, Vec::<std::path::PathBuf>::new());
}
