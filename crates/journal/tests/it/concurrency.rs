//! Several threads and several processes append at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use journal::Journal;

use crate::support::{journal_of, record};

const PATH: &str = "GATES_TEST_JOURNAL";
const COUNT: &str = "GATES_TEST_COUNT";

/// Starts a process that appends `count` records: this test binary, running only [`appender`].
pub(crate) fn spawn_appender(journal: &Path, count: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "concurrency::appender"])
        .env(PATH, journal)
        .env(COUNT, count.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The body of the processes that [`spawn_appender`] starts; by itself it tests one process.
#[test]
fn appender() {
    let count = std::env::var(COUNT).map_or(3_u32, |count| count.parse().unwrap());
    let (_directory, own) = journal_of(0);
    let journal = match std::env::var_os(PATH) {
        Some(path) => Journal::open(path).unwrap(),
        None => own,
    };
    let name = std::process::id().to_string();
    let mut last = 0;
    for _ in 0..count {
        let seq = journal.append(record(&name)).unwrap().record.seq;
        assert!(last < seq);
        last = seq;
    }
    assert!(last <= journal.verify().unwrap().records);
}

#[test]
fn eight_processes_append_at_once() {
    let (_directory, journal) = journal_of(0);
    let children: Vec<_> = (0..8).map(|_| spawn_appender(journal.path(), 25)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let mut by_process = BTreeMap::new();
    for record in journal.read().unwrap() {
        *by_process.entry(record.subject).or_insert(0) += 1;
    }
    assert_eq!(by_process.into_values().collect::<Vec<_>>(), [25; 8]);
}

#[test]
fn eight_threads_append_and_read_at_once() {
    let (_directory, journal) = journal_of(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let journal = &journal;
            scope.spawn(move || {
                for _ in 0..10 {
                    journal.append(record(&thread.to_string())).unwrap();
                    assert!(!journal.read().unwrap().is_empty());
                }
            });
        }
    });
    assert_eq!(journal.verify().unwrap().records, 80);
}
