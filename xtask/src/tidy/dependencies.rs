//! The libraries stand alone: they depend neither on each other, except for the leaves, nor on what
//! belongs to a program. What is for this project only is never published.

use toml::{Table, Value};

use super::repository::Repository;
use super::{Finding, LEAVES, LIBRARIES};

const PROGRAMS_ONLY: [&str; 7] =
    ["clap", "anyhow", "hubctl", "xtask", "bench", "provision", "testcluster"];
const PROGRAM: &str = "hubctl";
const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let libraries = LIBRARIES.iter().flat_map(|library| check_library(repository, library));
    libraries.chain(check_publication(repository)).collect()
}

/// The libraries and the program are for others, and nothing else is.
fn check_publication(repository: &Repository) -> Vec<Finding> {
    repository
        .below("crates/", "toml")
        .filter_map(|(path, text)| {
            let name = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
            let is_for_others = LIBRARIES.contains(&name) || name == PROGRAM;
            let is_published = !text.lines().any(|line| line == "publish = false");
            let message = match (is_for_others, is_published) {
                (false, true) => {
                    "a crate that is neither a library nor the program says `publish = false`"
                }
                (true, false) => "a library or the program must not say `publish = false`",
                _ => return None,
            };
            Some(Finding::in_file(path, message))
        })
        .collect()
}

fn check_library(repository: &Repository, library: &str) -> Vec<Finding> {
    let path = format!("crates/{library}/Cargo.toml");
    let finding = |message: String| Finding::in_file(&path, message);
    let Some(text) = repository.text(&path) else {
        return vec![finding("this library is missing".to_owned())];
    };
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![finding(error.to_string())],
    };
    let mut findings: Vec<_> = dependencies(&manifest)
        .into_iter()
        .filter(|(kind, name)| !is_allowed(library, kind, name))
        .map(|(kind, name)| finding(format!("a library must not have `{name}` in its {kind}")))
        .collect();
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if lints != Some(&Value::Boolean(true)) {
        findings.push(finding("it does not inherit the lints of the workspace".to_owned()));
    }
    findings
}

fn is_allowed(library: &str, kind: &str, name: &str) -> bool {
    // testkit is built on pgsnap; for tests, cargo allows that circle.
    let testkit = name == "testkit" && kind != "dev-dependencies";
    let sibling = LIBRARIES.contains(&name) && name != library && !LEAVES.contains(&name);
    !testkit && !sibling && !PROGRAMS_ONLY.contains(&name)
}

/// Kind and package name of every dependency, those of single platforms included.
fn dependencies(manifest: &Table) -> Vec<(&'static str, String)> {
    let platforms = manifest.get("target").and_then(Value::as_table);
    let platforms =
        platforms.into_iter().flat_map(|table| table.values().filter_map(Value::as_table));
    std::iter::once(manifest)
        .chain(platforms)
        .flat_map(|table| KINDS.map(|kind| (kind, table.get(kind).and_then(Value::as_table))))
        .filter_map(|(kind, table)| Some((kind, table?)))
        .flat_map(|(kind, table)| table.iter().map(move |(key, value)| (kind, package(key, value))))
        .collect()
}

/// The package behind a dependency, which may have been renamed.
fn package(key: &str, value: &Value) -> String {
    value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_for_gates(manifest: &str) -> Vec<String> {
        findings_for("gates", manifest)
    }

    fn findings_for(library: &str, manifest: &str) -> Vec<String> {
        let manifest = format!("{manifest}\n[lints]\nworkspace = true\n");
        let path = format!("crates/{library}/Cargo.toml");
        let repository = Repository::of(&[(path.as_str(), manifest.as_str())]);
        check_library(&repository, library).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_a_library_needs_is_allowed() {
        let manifest =
            "[dependencies]\nserde = \"1\"\n[dev-dependencies]\ntestkit.workspace = true";
        assert_eq!(findings_for_gates(manifest), Vec::<String>::new());
    }

    #[test]
    fn a_leaf_may_be_used_and_uses_none_but_leaves() {
        let uses = |name: &str| format!("[dependencies]\n{name}.workspace = true");
        for leaf in LEAVES {
            assert_eq!(findings_for_gates(&uses(leaf)), Vec::<String>::new());
            assert_eq!(findings_for("backup", &uses(leaf)), Vec::<String>::new());
            assert_eq!(findings_for(leaf, &uses("gates")).len(), 1);
            assert_eq!(findings_for(leaf, &uses("backup")).len(), 1);
        }
        assert_eq!(findings_for(LEAVES[0], &uses(LEAVES[1])), Vec::<String>::new());
    }

    #[test]
    fn siblings_and_what_belongs_to_programs_are_found() {
        for manifest in [
            "[dependencies]\npgsnap.workspace = true",
            "[dev-dependencies]\nanyhow = \"1\"",
            "[build-dependencies]\nclap = \"4\"",
            "[dependencies]\ntestkit.workspace = true",
            "[dev-dependencies]\ntestcluster.workspace = true",
            "[dependencies]\nsealing = { package = \"backup\", version = \"1\" }",
            "[target.'cfg(unix)'.dependencies]\nhubctl.workspace = true",
        ] {
            assert_eq!(findings_for_gates(manifest).len(), 1, "{manifest}");
        }
    }

    #[test]
    fn a_crate_that_would_be_published_by_mistake_is_found() {
        let found = |name: &str, manifest: &str| {
            let path = format!("crates/{name}/Cargo.toml");
            check_publication(&Repository::of(&[(path.as_str(), manifest)])).len()
        };
        let (with, without) = ("[package]\npublish = false\n", "[package]\n");
        for (name, is_for_others) in [("gates", true), ("hubctl", true), ("testkit", false)] {
            assert_eq!(found(name, with), usize::from(is_for_others), "{name}");
            assert_eq!(found(name, without), usize::from(!is_for_others), "{name}");
        }
    }

    #[test]
    fn lints_of_its_own_are_found() {
        let repository = Repository::of(&[("crates/gates/Cargo.toml", "[dependencies]")]);
        assert_eq!(check_library(&repository, "gates").len(), 1);
    }
}
