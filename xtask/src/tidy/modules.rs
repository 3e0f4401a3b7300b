//! No forgotten files: the compiler does not look at a file that no `mod` declares, and its tests
//! never run.

use super::Finding;
use super::repository::Repository;

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let sources = repository.below("", "rs").map(|(path, _)| path);
    sources.filter_map(|path| check_file(repository, path)).collect()
}

fn check_file(repository: &Repository, path: &str) -> Option<Finding> {
    let (package, inside) = inside_package(path)?;
    if !inside.starts_with("src/") && !inside.starts_with("tests/") {
        return None;
    }
    if is_root(inside) {
        return check_integration_test(repository, package, path, inside);
    }
    let stem = path.strip_suffix("/mod.rs").or_else(|| path.strip_suffix(".rs"))?;
    let (directory, name) = stem.rsplit_once('/')?;
    let parents = [".rs", "/mod.rs", "/lib.rs", "/main.rs"].map(|end| format!("{directory}{end}"));
    let declared = parents
        .iter()
        .filter_map(|parent| repository.text(parent))
        .any(|text| declares(text, name));
    (!declared).then(|| Finding::in_file(path, format!("forgotten: no `mod {name};` declares it")))
}

/// Splits `crates/NAME/src/x.rs` or `xtask/src/x.rs` into the directory of the package and the
/// rest.
fn inside_package(path: &str) -> Option<(&str, &str)> {
    let start = if path.starts_with("crates/") { "crates/".len() } else { 0 };
    let end = start + path[start..].find('/')?;
    Some((&path[..end], &path[end + 1..]))
}

/// Returns true if cargo, rather than a `mod`, must name this file.
fn is_root(inside: &str) -> bool {
    let parts: Vec<_> = inside.split('/').collect();
    matches!(
        parts[..],
        ["src", "lib.rs" | "main.rs"] | ["src", "bin", _] | ["tests", _] | ["tests", _, "main.rs"]
    )
}

/// A manifest that switches off the search for tests has to name them.
fn check_integration_test(
    repository: &Repository,
    package: &str,
    path: &str,
    inside: &str,
) -> Option<Finding> {
    let manifest = repository.text(&format!("{package}/Cargo.toml"))?;
    let forgotten = inside.starts_with("tests/")
        && manifest.contains("autotests = false")
        && !manifest.contains(&format!("\"{inside}\""));
    forgotten.then(|| {
        Finding::in_file(path, format!("forgotten: {package}/Cargo.toml does not name it"))
    })
}

fn declares(text: &str, name: &str) -> bool {
    let declaration = format!("mod {name};");
    text.lines().any(|line| {
        let line = line.trim();
        line == declaration || line.starts_with("pub") && line.ends_with(&format!(" {declaration}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forgotten(files: &[(&str, &str)]) -> Vec<String> {
        check(&Repository::of(files)).into_iter().map(|finding| finding.path).collect()
    }

    #[test]
    fn declared_files_are_accepted() {
        let files = [
            ("crates/gates/Cargo.toml", "autotests = false\npath = \"tests/it/main.rs\""),
            ("crates/gates/src/lib.rs", "mod error;\npub mod journal;"),
            ("crates/gates/src/error.rs", ""),
            ("crates/gates/src/journal.rs", "mod tail;"),
            ("crates/gates/src/journal/tail.rs", ""),
            ("crates/gates/tests/it/main.rs", "mod damage;\nmod support;"),
            ("crates/gates/tests/it/damage.rs", ""),
            ("crates/gates/tests/it/support/mod.rs", ""),
            ("crates/gates/examples/show.rs", ""),
            ("xtask/src/main.rs", "mod ci;"),
            ("xtask/src/ci.rs", ""),
        ];
        assert_eq!(forgotten(&files), Vec::<String>::new());
    }

    #[test]
    fn forgotten_files_are_found() {
        let files = [
            ("crates/gates/Cargo.toml", "autotests = false\npath = \"tests/it/main.rs\""),
            ("crates/gates/src/lib.rs", "// mod error;\nmod errors;"),
            ("crates/gates/src/error.rs", ""),
            ("crates/gates/tests/alone.rs", ""),
            ("crates/gates/tests/it/damage.rs", ""),
            ("crates/gates/tests/it/main.rs", "mod damaged;"),
        ];
        let expected = [
            "crates/gates/src/error.rs",
            "crates/gates/tests/alone.rs",
            "crates/gates/tests/it/damage.rs",
        ];
        assert_eq!(forgotten(&files), expected);
    }
}
