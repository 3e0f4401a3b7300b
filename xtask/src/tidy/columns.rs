//! Doc comments end at column 100, as code does: the documents' width and rustfmt's agree.

use super::Finding;
use super::repository::Repository;

const COLUMNS: usize = 100;

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    ["crates/", "xtask/"]
        .into_iter()
        .flat_map(|directory| repository.below(directory, "rs"))
        .flat_map(|(path, text)| check_source(path, text))
        .collect()
}

fn check_source(path: &str, text: &str) -> Vec<Finding> {
    let too_long = |line: &str| is_doc(line) && COLUMNS < line.chars().count();
    text.lines()
        .enumerate()
        .filter(|(_, line)| too_long(line) && can_be_wrapped(line))
        .map(|(index, line)| {
            let columns = line.chars().count();
            let message = format!("a doc comment of {columns} columns; it ends at {COLUMNS}");
            Finding::at_line(path, index + 1, message)
        })
        .collect()
}

fn is_doc(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("//!") || line.starts_with("///") && !line.starts_with("////")
}

/// Tables and definitions of links have one line each.
fn can_be_wrapped(line: &str) -> bool {
    let text = line.trim_start().trim_start_matches(['/', '!']).trim();
    let is_link = text.starts_with('[') && text.contains("]: ");
    !text.starts_with('|') && !is_link && text.contains(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let findings = check(&Repository::of(&[(path, text)]));
        findings.iter().filter_map(|finding| finding.line).collect()
    }

    #[test]
    fn a_long_doc_comment_is_found() {
        // Columns are characters, not bytes.
        let sound = format!("    /// {}", "é ".repeat(46));
        let long = format!("    /// {}x", "é ".repeat(46));
        let text = format!("//! A module.\n{sound}\n{long}\n");
        assert_eq!(lines("xtask/src/x.rs", &text), [3]);
        assert_eq!(lines("crates/sshsig/src/x.rs", &text), [3]);
    }

    #[test]
    fn what_has_to_stay_on_one_line_may() {
        let filler = "x ".repeat(60);
        let link = format!("/// [page]: https://example.org/{filler}");
        for line in [
            format!("// {filler}"),
            format!("/// | {filler} |"),
            link,
            format!("/// {}", "x".repeat(120)),
        ] {
            assert_eq!(lines("xtask/src/x.rs", &line), Vec::<usize>::new(), "{line}");
        }
    }
}
