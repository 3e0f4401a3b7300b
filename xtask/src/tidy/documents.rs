//! The documents: formats are specified, pages are found from the README, links lead somewhere.

use std::collections::BTreeSet;

use super::Finding;
use super::repository::Repository;

const CHANGELOG: &str = "CHANGELOG.md";
const ARCHITECTURE: &str = "docs/architecture.md";
const STARTS: [&str; 2] = ["README.md", "docs/README.md"];

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let checks = [check_formats, check_links, check_reachable, check_changelog, check_crates];
    checks.iter().flat_map(|check| check(repository)).collect()
}

/// Every page of a format names its version, and every version in the sources has a page.
fn check_formats(repository: &Repository) -> Vec<Finding> {
    let pages: Vec<_> = repository.below("docs/formats/", "md").collect();
    let mut findings = Vec::new();
    for (path, text) in &pages {
        if !path.ends_with("/README.md") && !text.split_whitespace().any(has_version) {
            findings.push(Finding::in_file(
                path,
                "a page of a format names its version, such as `journal/1`",
            ));
        }
    }
    for (path, text) in repository.below("crates/", "rs") {
        for (index, line) in text.lines().enumerate() {
            let Some(version) = declared_version(line) else {
                continue;
            };
            if !pages.iter().any(|(_, page)| page.contains(version)) {
                let message = format!("no page in docs/formats/ specifies `{version}`");
                findings.push(Finding::at_line(path, index + 1, message));
            }
        }
    }
    findings
}

/// Returns true if a word of a page is a version, such as `journal/1` or `hubctl.diff.v1`.
fn has_version(word: &str) -> bool {
    let word = word.trim_matches(|character: char| !character.is_ascii_alphanumeric());
    is_version(word) || word.rsplit_once(".v").is_some_and(|(_, number)| is_number(number))
}

fn is_version(text: &str) -> bool {
    let name = |name: &str| name.starts_with(|first: char| first.is_ascii_lowercase());
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'-' || byte == b'.';
    text.split_once('/').is_some_and(|(before, number)| {
        name(before) && before.bytes().all(plain) && is_number(number)
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The version in a line such as `const FORMAT: &str = "journal/1";`.
fn declared_version(line: &str) -> Option<&str> {
    let (declaration, value) = line.split_once(": &str = \"")?;
    let value = value.trim_end().strip_suffix("\";")?;
    (declaration.contains("const ") && is_version(value)).then_some(value)
}

/// Every relative link of every page leads to a file or directory.
fn check_links(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repository.below("", "md") {
        for (line, target) in links(path, text) {
            if !repository.exists(&target) {
                findings.push(Finding::at_line(
                    path,
                    line,
                    format!("a link leads to `{target}`, which is not there"),
                ));
            }
        }
    }
    findings
}

/// Every file in `docs/` is reached from the README over links.
fn check_reachable(repository: &Repository) -> Vec<Finding> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<String> = STARTS.map(str::to_owned).into();
    while let Some(path) = open.pop() {
        let Some(text) = repository.text(&path) else {
            continue;
        };
        let targets = if path.ends_with(".md") { links(&path, text) } else { Vec::new() };
        if reached.insert(path) {
            open.extend(targets.into_iter().map(|(_, target)| target));
        }
    }
    repository
        .files()
        .filter(|(path, _)| path.starts_with("docs/") && !reached.contains(*path))
        .map(|(path, _)| {
            Finding::in_file(path, "no link leads here from README.md or docs/README.md")
        })
        .collect()
}

fn check_changelog(repository: &Repository) -> Vec<Finding> {
    let text = repository.text(CHANGELOG).unwrap_or_default();
    let heading =
        |line: &str| line.trim_end() == "## Unreleased" || line.starts_with("## [Unreleased]");
    if text.lines().any(heading) {
        return Vec::new();
    }
    vec![Finding::in_file(CHANGELOG, "there is no section `## [Unreleased]`")]
}

/// Every crate has a row in the table of the architecture.
fn check_crates(repository: &Repository) -> Vec<Finding> {
    let page = repository.text(ARCHITECTURE).unwrap_or_default();
    repository
        .below("crates/", "toml")
        .filter_map(|(path, _)| path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml"))
        .filter(|name| !page.contains(&format!("\n| `{name}` |")))
        .map(|name| {
            let message = format!("no row of the table of crates is about `{name}`");
            Finding::in_file(ARCHITECTURE, message)
        })
        .collect()
}

/// The relative links of a page that are outside code, as line number and path from the root.
fn links(path: &str, text: &str) -> Vec<(usize, String)> {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut in_code = false;
    let mut links = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second piece between backquotes is code.
        let prose: String = line.split('`').step_by(2).collect();
        for piece in prose.split("](").skip(1) {
            let target = piece.split([')', '#', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains(':') {
                links.push((index + 1, resolve(directory, target)));
            }
        }
    }
    links
}

/// Takes `.` and `..` out of a path that is relative to a directory.
fn resolve(directory: &str, target: &str) -> String {
    let mut parts = Vec::new();
    for part in directory.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: [(&str, &str); 4] = [
        ("README.md", "See [the guide](docs/guide.md#start \"title\"), [us](https://example.org)."),
        ("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n"),
        (
            "docs/guide.md",
            "`[x](gone.md)` and [the journal](formats/../formats/journal.md).\n```\n[y](gone.md)\n```\n",
        ),
        ("docs/formats/journal.md", "# The journal: `journal/1`\n\n[back](../../README.md)"),
    ];

    fn findings_with(changes: &[(&str, &str)]) -> Vec<String> {
        let files = [SOUND.as_slice(), changes].concat();
        check(&Repository::of(&files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn sound_documents_are_accepted() {
        let source = ("crates/gates/src/x.rs", "const FORMAT: &str = \"journal/1\";");
        assert_eq!(findings_with(&[source]), Vec::<String>::new());
    }

    #[test]
    fn each_broken_rule_is_found() {
        let cases = [
            (
                "crates/gates/src/x.rs",
                "pub const FORMAT: &str = \"diary/2\";",
                "specifies `diary/2`",
            ),
            ("docs/formats/journal.md", "# The journal", "names its version"),
            ("docs/alone.md", "Nobody knows me.", "no link leads here"),
            ("crates/gates/README.md", "[gone](../gone.md)", "leads to `crates/gone.md`"),
            ("CHANGELOG.md", "# Changelog\n\n## 0.1.0\n", "Unreleased"),
        ];
        for (path, text, message) in cases {
            let found = findings_with(&[(path, text)]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(path) && found[0].contains(message), "{found:?}");
        }
    }

    #[test]
    fn a_crate_that_the_architecture_does_not_know_is_found() {
        let manifest = ("crates/gates/Cargo.toml", "");
        let linked = ("README.md", "[a](docs/architecture.md) [g](docs/guide.md)");
        let with = |page| findings_with(&[linked, manifest, ("docs/architecture.md", page)]);
        assert_eq!(with("\n| `gates` | questions |"), Vec::<String>::new());
        assert_eq!(with("It says `gates`.").len(), 1);
    }

    #[test]
    fn versions_are_told_from_other_words() {
        assert!(
            ["`journal/1`,", "(backup-sidecar/1)", "hubctl.diff.v12"].into_iter().all(has_version)
        );
        assert!(
            !["journal", "a/b", "/1", "10/20", "serde.version", "a.v"].into_iter().any(has_version)
        );
    }
}
