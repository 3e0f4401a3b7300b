//! The specification of the format can be followed by a stranger: its programs are run here as they
//! are printed there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use journal::evidence::Evidence;

use crate::fixtures::records_of;
use crate::support::{journal_of, now};

/// The text of `docs/formats/journal.md`; nothing where the crate is tested without its repository.
fn specification() -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if !root.join("Cargo.toml").exists() {
        testkit::not_applicable("the specification is not part of the package");
        return None;
    }
    Some(fs_err::read_to_string(root.join("docs/formats/journal.md")).unwrap())
}

/// The first code block of a language in the specification.
fn code_block(language: &str) -> Option<String> {
    let text = specification()?;
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

/// The section of the specification about a kind, or about failed acts.
fn section<'a>(specification: &'a str, title: &str) -> Option<&'a str> {
    let (_, rest) = specification.split_once(&format!("\n### {title}\n"))?;
    Some(rest.split("\n#").next().unwrap())
}

#[test]
fn the_specification_has_a_section_for_every_kind() {
    let Some(text) = specification() else {
        return;
    };
    let evidence = text.split("\n## ").find(|part| part.starts_with("Evidence\n")).unwrap();
    let titles = evidence.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    let documented: BTreeSet<&str> = titles.collect();
    assert_eq!(documented, Evidence::KINDS.iter().copied().collect());
}

#[test]
fn the_specification_lists_every_member_that_was_written() {
    let Some(text) = specification() else {
        return;
    };
    for record in records_of("acts-of-2026-12-01") {
        let title = match Evidence::of(&record) {
            Evidence::Failed(_) => "An act that failed".to_owned(),
            _ => format!("`{}`", record.kind),
        };
        let section = section(&text, &title).unwrap();
        for member in record.evidence.as_object().unwrap().keys() {
            let is_listed = [format!("`{member}`"), format!("`{member}?`")]
                .iter()
                .any(|name| section.contains(name.as_str()));
            let is_common = ["seconds", "path", "damaged"].contains(&member.as_str());
            assert!(is_listed || is_common, "{title}: {member}");
        }
    }
}
