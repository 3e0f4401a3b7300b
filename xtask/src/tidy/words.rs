//! Names that must not be in the project: the place where it was written, and the hosts of
//! packages.

use super::Finding;
use super::repository::Repository;

/// In two pieces each, or this file would break the rule.
const FORBIDDEN: [(&str, &str); 5] =
    [("/wo", "rk/"), ("/fa", "rm"), ("crates", ".io"), ("py", "pi."), ("npm", "js")];

/// Cargo writes files of this name, with the address of its registry.
const GENERATED: &str = "Cargo.lock";

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let words = FORBIDDEN.map(|(begin, end)| format!("{begin}{end}"));
    let mut findings = Vec::new();
    for (path, text) in repository.files().filter(|(path, _)| !path.ends_with(GENERATED)) {
        for (index, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            if let Some(word) = words.iter().find(|word| line.contains(word.as_str())) {
                findings.push(Finding::at_line(
                    path,
                    index + 1,
                    format!("`{word}` must not be named here"),
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_word_is_found_but_for_the_lock_file() {
        for (begin, end) in FORBIDDEN {
            let text = format!("first\nsee {begin}{end}").to_uppercase();
            let repository = Repository::of(&[("docs/a.md", &text), (GENERATED, &text)]);
            let found = check(&repository);
            assert_eq!(found.len(), 1);
            assert_eq!((found[0].path.as_str(), found[0].line), ("docs/a.md", Some(2)));
        }
    }

    #[test]
    fn words_that_only_look_alike_are_not() {
        let repository =
            Repository::of(&[("docs/a.md", "network/crates, a framework, files/work")]);
        assert_eq!(check(&repository), []);
    }
}
