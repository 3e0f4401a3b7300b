//! Forbidden text in sources, and the required first lines of a file.

use super::repository::Repository;
use super::{Finding, LIBRARIES};

/// Tasks that a library leaves to the program that uses it.
const NOT_IN_LIBRARIES: [(&str, &str); 7] = [
    ("std::env", "a library must not read the environment"),
    ("env::var", "a library must not read the environment"),
    ("process::exit", "a library must not end the process"),
    ("process::abort", "a library must not end the process"),
    ("println!", "a library must not print"),
    ("print!(", "a library must not print"),
    ("dbg!(", "a library must not print"),
];

/// Ways to open a file that follow links, wait for pipes and read devices: `regularfile` has the
/// others.
const PLAIN_FILES: [&str; 8] = [
    "fs::read(",
    "fs_err::read(",
    "fs::read_to_string(",
    "fs_err::read_to_string(",
    "fs::write(",
    "fs_err::write(",
    "fs::copy(",
    "fs_err::copy(",
];
/// The same, where a type has them: `File::open`, `OpenOptions::new`.
const PLAIN_OPENERS: [&str; 5] =
    ["File::open(", "File::create(", "File::create_new(", "File::options(", "OpenOptions::new("];
/// The crate that may, those that open nothing for an operator, and a module of tests.
const OPENS: [&str; 7] = [
    "crates/regularfile/",
    "crates/testkit/",
    "crates/testcluster/",
    "crates/provision/",
    "crates/drill/",
    "crates/bench/",
    "crates/hubctl/src/settings/gates/pages.rs",
];

const PROGRAM: &str = "crates/hubctl/src/main.rs";
const PROGRAM_LINES: usize = 30;
// In two pieces, or this file would break the rule.
const BARE_IGNORE: &str = concat!("#[", "ignore]");
/// The notes of a skipped test that nobody sees: the harness hides the output of tests that pass.
const UNHEARD: [&str; 4] = ["\"SKIPPED", "\"NOT TESTED", "\"not run: ", "\"TESTED IN PART"];
/// The places whose notes are seen.
const HEARD: [&str; 2] = ["crates/testkit/src/skip.rs", "xtask/src/"];

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for library in LIBRARIES {
        for (path, text) in repository.below(&format!("crates/{library}/src/"), "rs") {
            findings.extend(check_library_source(path, text));
        }
    }
    for (path, text) in repository.below("", "rs") {
        findings.extend(check_source(path, text));
    }
    for (path, text) in repository.below("crates/", "rs") {
        findings.extend(check_opening(path, text));
    }
    let lines = repository.text(PROGRAM).map_or(0, |text| text.lines().count());
    if PROGRAM_LINES <= lines {
        let message = format!(
            "{lines} lines; the program belongs in the library beside it, this file stays under {PROGRAM_LINES}"
        );
        findings.push(Finding::in_file(PROGRAM, message));
    }
    findings
}

fn check_library_source(path: &str, text: &str) -> Vec<Finding> {
    if path.ends_with("/tests.rs") {
        return Vec::new();
    }
    product_lines(text)
        .filter_map(|(number, line)| {
            let (_, message) = NOT_IN_LIBRARIES.iter().find(|(code, _)| line.contains(code))?;
            Some(Finding::at_line(path, number, *message))
        })
        .collect()
}

/// The product opens files in one way.
fn check_opening(path: &str, text: &str) -> Vec<Finding> {
    let is_product = path.contains("/src/") && !path.ends_with("/tests.rs");
    if !is_product || OPENS.iter().any(|begin| path.starts_with(begin)) {
        return Vec::new();
    }
    let plain = [&PLAIN_FILES[..], &PLAIN_OPENERS[..]].concat();
    product_lines(text)
        .filter(|(_, line)| plain.iter().any(|code| line.contains(code)))
        .map(|(number, _)| {
            Finding::at_line(
                path,
                number,
                "files are opened by `regularfile`, which waits for no pipe",
            )
        })
        .collect()
}

/// The lines with their numbers that are neither comments nor the tests at the end of a file.
pub(super) fn product_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines: Vec<_> = text.lines().collect();
    let end = lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "))
        .unwrap_or(lines.len());
    let numbered = lines.into_iter().enumerate().take(end);
    numbered
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn check_source(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let first = text.lines().find(|line| !line.starts_with("#![") && !line.is_empty());
    if !first.is_some_and(|line| line.starts_with("//!")) {
        findings.push(Finding::in_file(path, "it does not begin with `//!` and what it is for"));
    }
    let is_heard = HEARD.iter().any(|begin| path.starts_with(begin));
    for (index, line) in text.lines().enumerate() {
        if !is_heard && UNHEARD.iter().any(|text| line.contains(text)) {
            findings.push(Finding::at_line(
                path,
                index + 1,
                "a test that is passed over says so by `testkit::skip` or `testkit::not_applicable`",
            ));
        }
        if line.contains(BARE_IGNORE) {
            findings.push(Finding::at_line(path, index + 1, "an ignored test says what it needs"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&Repository::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_library_that_prints_reads_the_environment_or_exits_is_found() {
        for code in
            ["eprintln!(\"x\");", "use std::env;", "env::var_os(\"HOME\")", "std::process::exit(1)"]
        {
            let text = format!("//! A module.\n\nfn f() {{\n    {code}\n}}\n");
            let found = findings("crates/gates/src/lib.rs", &text);
            assert_eq!(found.len(), 1, "{code}");
            assert!(found[0].starts_with("crates/gates/src/lib.rs:4: "), "{}", found[0]);
            assert_eq!(findings("crates/hubctl/src/lib.rs", &text).len(), 0, "{code}");
        }
    }

    #[test]
    fn its_comments_and_tests_may() {
        let text = "//! Does not call println!.\n// std::env\n#[cfg(test)]\nmod tests {\n    println!();\n}\n";
        assert_eq!(findings("crates/gates/src/lib.rs", text), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_is_opened_plainly_is_found() {
        for code in [
            "fs_err::read(path)?",
            "fs::File::open(path)?",
            "std::fs::read_to_string(path)?",
            "fs_err::OpenOptions::new().read(true)",
        ] {
            let text = format!("//! A module.\n\nfn f() {{\n    {code}\n}}\n");
            let count = |path| findings(path, &text).len();
            assert_eq!(count("crates/backup/src/lib.rs"), 1, "{code}");
            assert_eq!(count("crates/hubctl/src/commands/x.rs"), 1, "{code}");
            assert_eq!(count("crates/regularfile/src/lib.rs"), 0, "{code}");
            assert_eq!(count("crates/backup/src/fault/tests.rs"), 0, "{code}");
            assert_eq!(count("crates/backup/tests/it/x.rs"), 0, "{code}");
            assert_eq!(count("xtask/src/x.rs"), 0, "{code}");
        }
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_for_is_found() {
        assert_eq!(findings("xtask/src/x.rs", "#![allow(x)]\n\n//! Here.\n").len(), 0);
        assert_eq!(findings("xtask/src/x.rs", "use std::fmt;\n").len(), 1);
        assert_eq!(findings("xtask/src/x.rs", "").len(), 1);
    }

    #[test]
    fn an_ignored_test_without_a_reason_is_found() {
        let with = "//! Tests.\n#[ignore = \"needs a cluster\"]\n";
        assert_eq!(findings("crates/hubctl/tests/it/x.rs", with).len(), 0);
        let without = format!("//! Tests.\n{BARE_IGNORE}\n");
        assert_eq!(findings("crates/hubctl/tests/it/x.rs", &without).len(), 1);
    }

    #[test]
    fn a_test_that_is_passed_over_unheard_is_found() {
        for words in UNHEARD {
            let text = format!("//! Tests.\nfn f() {{ eprintln!({words} x\"); }}\n");
            let count = |path| findings(path, &text).len();
            assert_eq!(count("crates/tunnel/tests/it/x.rs"), 1, "{words}");
            assert_eq!(count("xtask/tests/it/x.rs"), 1, "{words}");
            assert_eq!(count("crates/testkit/src/skip.rs"), 0, "{words}");
            assert_eq!(count("xtask/src/test.rs"), 0, "{words}");
        }
    }

    #[test]
    fn a_main_that_grew_is_found() {
        let text = "//! The program.\n".repeat(PROGRAM_LINES);
        assert_eq!(findings(PROGRAM, &text).len(), 1);
        assert_eq!(findings("crates/hubctl/src/lib.rs", &text).len(), 0);
    }
}
