//! Schemas compared as text, by one `pg_dump` for both sides.

use std::collections::BTreeMap;

use anyhow::bail;
use tokio::process::Command;

use crate::programs::{self, Programs};
use crate::server::Server;

/// Of the lines that differ.
const SHOWN: usize = 10;

/// A database of a server.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) server: &'a Server,
    pub(crate) database: &'a str,
}

/// Fails with the lines that only one side has.
pub(crate) async fn compare(
    programs: &Programs,
    source: Place<'_>,
    copy: Place<'_>,
) -> anyhow::Result<()> {
    let majors = [source, copy].map(|place| place.server.version.major);
    let major = majors[0].max(majors[1]);
    let mut texts = Vec::new();
    for place in [source, copy] {
        let text = text(programs, major, place).await?;
        texts.push(across(&text, majors));
    }
    let differences = differences(&texts[0], &texts[1]);
    if !differences.is_empty() {
        let shown = &differences[..differences.len().min(SHOWN)];
        bail!("{} lines differ\n{}", differences.len(), shown.join("\n"));
    }
    Ok(())
}

async fn text(programs: &Programs, major: u32, place: Place<'_>) -> anyhow::Result<String> {
    let mut command = Command::new(programs.clients(major)?.join("pg_dump"));
    command.arg("--schema-only").envs(place.server.environment(place.database));
    programs::run(&mut command).await
}

/// The text without what one version prints of the same object and the other cannot.
fn across(text: &str, [from, to]: [u32; 2]) -> String {
    /// The meaning of `ALL` before 17, which added `MAINTAIN`.
    const OLD_ALL: &str = "SELECT,INSERT,REFERENCES,DELETE,TRIGGER,TRUNCATE,UPDATE";
    let added = |version: u32| from < version && version <= to;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if added(16) {
        unqualify_queries(&mut lines);
    }
    if added(17) {
        for line in &mut lines {
            *line = line.replace(OLD_ALL, "ALL");
        }
    }
    if added(18) {
        // NOT NULL became a constraint with a name.
        for line in &mut lines {
            *line = without_name(line);
        }
    }
    lines.join("\n")
}

/// Takes the names of tables and schemas from before those of columns, in views and rules: a query
/// of one table is printed without since 16.
fn unqualify_queries(lines: &mut [String]) {
    const QUERIES: [&str; 3] = ["CREATE VIEW ", "CREATE MATERIALIZED VIEW ", "CREATE RULE "];
    let mut inside = false;
    for line in lines {
        inside |= QUERIES.iter().any(|start| line.starts_with(start));
        if inside {
            inside = !line.ends_with(';');
            *line = unqualified(line);
        }
    }
}

/// `"a b".c + d.e` as `c + e`.
fn unqualified(line: &str) -> String {
    let mut result = String::new();
    let mut start_of_name = 0;
    let (mut quoted, mut in_name) = (false, false);
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        let is_name = quoted || c == '"' || c == '_' || c == '$' || c.is_alphanumeric();
        if c == '"' {
            quoted = !quoted;
        }
        if is_name && !in_name {
            start_of_name = result.len();
        }
        let mut is_before_name = || {
            let next = characters.peek();
            next.is_some_and(|&c| c == '"' || c == '_' || c.is_alphabetic())
        };
        if c == '.' && in_name && is_before_name() {
            result.truncate(start_of_name);
        } else {
            result.push(c);
        }
        in_name = is_name;
    }
    result
}

/// `a integer CONSTRAINT b NOT NULL` without the name.
fn without_name(line: &str) -> String {
    let named = line
        .rsplit_once(" CONSTRAINT ")
        .and_then(|(column, rest)| Some((column, rest.split_once(" NOT NULL")?.1)));
    match named {
        Some((column, rest)) if line.starts_with("    ") => format!("{column} NOT NULL{rest}"),
        _ => line.to_owned(),
    }
}

/// `-` before lines of the source, `+` before those of the copy. The order of lines is left out: it
/// is that of names.
fn differences(source: &str, copy: &str) -> Vec<String> {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for line in lines(source) {
        *counts.entry(line).or_default() -= 1;
    }
    for line in lines(copy) {
        *counts.entry(line).or_default() += 1;
    }
    let sign = |count: i64| if count < 0 { '-' } else { '+' };
    counts
        .into_iter()
        .filter(|(_, count)| *count != 0)
        .map(|(line, count)| format!("{}{line}", sign(count)))
        .collect()
}

/// The lines that say something about the schema.
fn lines(text: &str) -> impl Iterator<Item = String> {
    let is_schema = |line: &&str| {
        let is_noise = ["-- Dumped", "\\restrict ", "\\unrestrict "]
            .iter()
            .any(|start| line.starts_with(start));
        !is_noise && !line.is_empty()
    };
    // Which line of a list is the last, and so has no comma, may depend on the collation.
    text.lines().filter(is_schema).map(|line| line.trim_end_matches(',').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_side_are_found() {
        let source = "-- Dumped from 14\n\\restrict abc\nCREATE TABLE a;\nCREATE TABLE b;\n";
        let copy = "-- Dumped from 18\n\\restrict def\nCREATE TABLE b;\nCREATE TABLE c;\n";
        assert_eq!(differences(source, copy), ["-CREATE TABLE a;", "+CREATE TABLE c;"]);
    }

    #[test]
    fn names_of_not_null_are_left_out_on_the_way_to_18() {
        let new = "    a integer CONSTRAINT b_a_not_null NOT NULL,\n    d text";
        assert_eq!(across(new, [17, 18]), "    a integer NOT NULL,\n    d text");
        assert_eq!(across(new, [18, 18]), new);
    }

    #[test]
    fn tables_are_left_out_in_queries_on_the_way_to_16() {
        assert_eq!(
            unqualified(r#" SELECT "A ""b"" 'c'".x, max(t.y) + 1.5"#),
            " SELECT x, max(y) + 1.5"
        );
        let old = "CREATE VIEW s.v AS\n SELECT t.a\n   FROM s.t;\nALTER TABLE s.t;";
        let new = "CREATE VIEW s.v AS\n SELECT a\n   FROM s.t;\nALTER TABLE s.t;";
        assert_eq!(across(old, [15, 16]), across(new, [15, 16]));
        assert!(across(old, [15, 16]).ends_with("ALTER TABLE s.t;"));
        assert_ne!(across(old, [16, 17]), across(new, [16, 17]));
    }

    #[test]
    fn all_privileges_are_more_since_17() {
        let old =
            "REVOKE SELECT,INSERT,REFERENCES,DELETE,TRIGGER,TRUNCATE,UPDATE ON TABLE a FROM b;";
        assert_eq!(across(old, [16, 17]), "REVOKE ALL ON TABLE a FROM b;");
        assert_eq!(across(old, [17, 18]), old);
    }

    #[test]
    fn a_line_that_is_there_twice_is_not_there_once() {
        assert_eq!(differences("a\na\n", "a\n"), ["-a"]);
        assert_eq!(differences("a\nb\n", "b\na\n"), Vec::<String>::new());
    }
}
