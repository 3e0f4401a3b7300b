//! The commands of `hubctl`: thin, independent of one another, and without work of their own.
//!
//! A command turns arguments into an order, calls an operation, and prints its report.

use super::Finding;
use super::repository::Repository;
use super::sources::product_lines;

const COMMANDS: &str = "crates/hubctl/src/commands/";
const MOST_LINES: usize = 200;
/// The beginnings of statements, as the project writes them.
const SQL: [&str; 8] =
    ["SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM", "CREATE ", "ALTER ", "DROP ", "WITH "];

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    repository.below(COMMANDS, "rs").flat_map(|(path, text)| check_command(path, text)).collect()
}

fn check_command(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        let message = format!("{lines} lines; a command has at most {MOST_LINES}");
        findings.push(Finding::in_file(path, message));
    }
    let others = ways_to_others(path);
    for (number, line) in product_lines(text) {
        let mut find = |message| findings.push(Finding::at_line(path, number, message));
        if line.contains("json!") {
            find("a command prints the report of an operation, and builds no JSON");
        }
        if SQL.iter().any(|sql| line.contains(sql)) {
            find("SQL belongs in an operation or in `pgsnap`");
        }
        if others.iter().any(|way| line.contains(way)) {
            find("a command uses no other command; both call an operation");
        }
    }
    findings
}

/// The paths by which a file can reach other commands.
fn ways_to_others(path: &str) -> [String; 2] {
    let below = path.trim_start_matches(COMMANDS).matches('/').count();
    ["crate::commands".to_owned(), "super::".repeat(below + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let path = format!("crates/hubctl/src/{path}");
        check(&Repository::of(&[(&path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_command_that_does_an_operations_work_is_found() {
        for code in ["json!({})", "query(\"SELECT 1\")", "let sql = \"DROP DATABASE x\";"] {
            let text = format!("//! A command.\n\nfn f() {{\n    {code}\n}}\n");
            let found = findings("commands/x.rs", &text);
            assert_eq!(found.len(), 1, "{code}");
            assert!(found[0].starts_with("crates/hubctl/src/commands/x.rs:4: "), "{}", found[0]);
            assert_eq!(findings("ops/x.rs", &text), [""; 0], "{code}");
        }
        let comments = "//! Prints no json!.\n// SELECT 1\n/// Drop databases\n";
        assert_eq!(findings("commands/x.rs", comments), [""; 0]);
    }

    #[test]
    fn a_command_that_uses_another_is_found() {
        for (path, code) in [
            ("commands/x.rs", "use crate::commands::y;"),
            ("commands/x.rs", "super::y::run(context)"),
            ("commands/x/part.rs", "use super::super::y;"),
        ] {
            let found = findings(path, &format!("//! A command.\n{code}\n"));
            assert_eq!(found.len(), 1, "{path}: {code}");
        }
        assert_eq!(findings("commands/x/part.rs", "//! A part.\nuse super::Args;\n"), [""; 0]);
        let tests = "//! A command.\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n";
        assert_eq!(findings("commands/x.rs", tests), [""; 0]);
    }

    #[test]
    fn a_command_that_grew_is_found() {
        let text = "//! A command.\n".repeat(MOST_LINES);
        assert_eq!(findings("commands/x.rs", &text), [""; 0]);
        assert_eq!(findings("commands/x.rs", &format!("{text}//! One more.\n")).len(), 1);
        assert_eq!(findings("ops/x.rs", &format!("{text}//! One more.\n")), [""; 0]);
    }
}
