//! Edits, deletions, insertions, swaps: each is found, and named by its line.

use journal::{Damage, Error, Journal};

use crate::support::{journal_of, record};

/// Replaces the lines of a journal of four records by what `edit` makes of them, and verifies it.
fn verify_after(edit: impl FnOnce(&mut Vec<String>)) -> Error {
    let (_directory, journal) = journal_of(4);
    let text = fs_err::read_to_string(journal.path()).unwrap();
    let mut lines: Vec<_> = text.lines().map(|line| format!("{line}\n")).collect();
    edit(&mut lines);
    fs_err::write(journal.path(), lines.concat()).unwrap();
    let error = journal.verify().unwrap_err();
    assert_eq!(
        journal.read().unwrap_err().to_string(),
        error.to_string(),
        "reading is as strict as verifying"
    );
    error
}

fn line_and_damage(error: Error) -> (u64, Damage) {
    match error {
        Error::Damaged { line, damage, .. } => (line, damage),
        other => panic!("{other}"),
    }
}

#[test]
fn every_single_byte_counts() {
    let (_directory, journal) = journal_of(2);
    let sound = fs_err::read(journal.path()).unwrap();
    let mut line = 1;
    for offset in 0..sound.len() {
        for mask in [0x01, 0x20, 0x80] {
            let mut edited = sound.clone();
            edited[offset] ^= mask;
            fs_err::write(journal.path(), &edited).unwrap();
            let found = match journal.verify().unwrap_err() {
                Error::Damaged { line, .. } | Error::UnknownVersion { line, .. } => line,
                other => panic!("byte {offset}: {other}"),
            };
            assert_eq!(found, line, "byte {offset}, mask {mask:#x}");
        }
        line += u64::from(sound[offset] == b'\n');
    }
    fs_err::write(journal.path(), &sound).unwrap();
    assert_eq!(journal.verify().unwrap().records, 2);
}

#[test]
fn an_edited_record_is_told_with_both_hashes() {
    let error = verify_after(|lines| lines[1] = lines[1].replace("entry-2", "entry-9"));
    assert!(error.to_string().contains("damaged at line 2: the record was edited"), "{error}");
    assert!(error.hint().unwrap().contains("evidence"));
    assert!(matches!(line_and_damage(error), (2, Damage::Edited { .. })));
}

#[test]
fn a_deleted_line_is_found() {
    let error = verify_after(|lines| drop(lines.remove(1)));
    let (line, damage) = line_and_damage(error);
    assert_eq!(line, 2);
    assert!(matches!(damage, Damage::OutOfOrder { expected: 2, found: 3, .. }));
}

#[test]
fn a_deleted_first_line_is_found() {
    let error = verify_after(|lines| drop(lines.remove(0)));
    assert!(matches!(line_and_damage(error), (1, Damage::MissingPart { before: 2, .. })));
}

#[test]
fn swapped_lines_are_found() {
    let error = verify_after(|lines| lines.swap(1, 2));
    assert!(matches!(
        line_and_damage(error),
        (2, Damage::OutOfOrder { expected: 2, found: 3, .. })
    ));
}

#[test]
fn a_repeated_line_is_found() {
    let error = verify_after(|lines| lines.insert(3, lines[2].clone()));
    assert!(matches!(
        line_and_damage(error),
        (4, Damage::OutOfOrder { expected: 4, found: 3, .. })
    ));
}

#[test]
fn an_empty_line_is_found() {
    let error = verify_after(|lines| lines.insert(2, "\n".to_owned()));
    assert!(matches!(line_and_damage(error), (3, Damage::Unreadable { .. })));
}

/// The replaced record is sound in itself, as one made by a program would be; only the chain gives
/// it away.
#[test]
fn a_record_of_another_journal_is_found() {
    let (_directory, other) = journal_of(1);
    other.append(record("forged")).unwrap();
    let forged = fs_err::read_to_string(other.path()).unwrap();
    let forged = forged.lines().nth(1).unwrap().to_owned() + "\n";
    let error = verify_after(|lines| lines[1] = forged);
    assert!(matches!(line_and_damage(error), (3, Damage::Unlinked { .. })));
}

#[test]
fn an_unknown_version_is_refused_with_a_hint() {
    let error = verify_after(|lines| lines[2] = lines[2].replace("journal/1", "journal/2"));
    assert!(matches!(error, Error::UnknownVersion { line: 3, .. }), "{error}");
    assert!(error.hint().unwrap().contains("newer version"));
}

#[test]
fn a_cut_end_is_found_only_against_a_known_head() {
    let (_directory, journal) = journal_of(3);
    let head = journal.verify().unwrap().head.unwrap();
    let text = fs_err::read_to_string(journal.path()).unwrap();
    let cut: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    fs_err::write(journal.path(), cut).unwrap();
    assert_eq!(journal.verify().unwrap().records, 2);
    let error = journal.verify_against(&head).unwrap_err();
    assert!(matches!(error, Error::Truncated { records: 2, .. }), "{error}");
}

#[test]
fn nothing_is_appended_to_a_damaged_end() {
    let (_directory, journal) = journal_of(3);
    let text = fs_err::read_to_string(journal.path()).unwrap();
    let damaged = text.replace("entry-3", "entry-4");
    fs_err::write(journal.path(), &damaged).unwrap();
    let error = Journal::open(journal.path()).unwrap().append(record("next")).unwrap_err();
    assert!(matches!(line_and_damage(error), (3, Damage::Edited { .. })));
    assert_eq!(fs_err::read_to_string(journal.path()).unwrap(), damaged);
}
