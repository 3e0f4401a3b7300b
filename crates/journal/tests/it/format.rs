//! The specification of the format can be followed by a stranger: its programs are run here as they
//! are printed there.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{journal_of, now};

/// The code blocks of a language in `docs/formats/journal.md`; nothing where the crate is tested
/// without its repository.
fn code_block(language: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if !root.join("Cargo.toml").exists() {
        testkit::not_applicable("the specification is not part of the package");
        return None;
    }
    let text = fs_err::read_to_string(root.join("docs/formats/journal.md")).unwrap();
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    Some(block.to_owned())
}

/// Runs a program of the specification with these files as its arguments; nothing where the
/// interpreter is not installed.
fn run(interpreter: &str, language: &str, files: &[&Path]) -> Option<Output> {
    let program = code_block(language)?;
    let output = Command::new(interpreter)
        .args(["-c", &program])
        .args((interpreter == "bash").then_some("bash"))
        .args(files)
        .stdin(Stdio::null())
        .output();
    testkit::installed(interpreter, output)
}

fn accepts_sound_and_refuses_damaged(interpreter: &str, language: &str) {
    let (_directory, journal) = journal_of(3);
    let head = journal.verify().unwrap().head.unwrap().to_string();
    let Some(output) = run(interpreter, language, &[journal.path()]) else {
        return;
    };
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.contains(&head), "{stdout}");

    let sound = fs_err::read_to_string(journal.path()).unwrap();
    let lines: Vec<_> = sound.lines().collect();
    let damaged = [
        sound.replace("entry-2", "entry-9"),
        format!("{}\n{}\n", lines[0], lines[2]),
        format!("{}\n{}\n{}\n", lines[0], lines[2], lines[1]),
        sound.trim_end().to_owned(),
        sound.replacen("journal/1", "journal/2", 1),
    ];
    for text in damaged {
        fs_err::write(journal.path(), &text).unwrap();
        let output = run(interpreter, language, &[journal.path()]).unwrap();
        assert!(!output.status.success(), "accepted: {text}");
    }
    fs_err::write(journal.path(), &sound).unwrap();

    let part = journal.rotate(now()).unwrap().unwrap().part;
    let head = journal.verify().unwrap().head.unwrap().to_string();
    let output = run(interpreter, language, &[&part, journal.path()]).unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.contains(&head), "{stdout}");
    let output = run(interpreter, language, &[journal.path()]).unwrap();
    assert!(!output.status.success(), "accepted without its part");
    fs_err::write(journal.path(), "").unwrap();
    let output = run(interpreter, language, &[&part, journal.path()]).unwrap();
    assert!(!output.status.success(), "accepted emptied");
}

#[test]
fn the_python_verifier_of_the_specification_works() {
    accepts_sound_and_refuses_damaged("python3", "python");
}

#[test]
fn the_shell_verifier_of_the_specification_works() {
    accepts_sound_and_refuses_damaged("bash", "bash");
}

#[test]
fn the_line_of_the_specification_is_a_journal() {
    let Some(line) = code_block("json") else {
        return;
    };
    let (_directory, journal) = journal_of(0);
    fs_err::write(journal.path(), line).unwrap();
    assert_eq!(journal.verify().unwrap().records, 1);
}
