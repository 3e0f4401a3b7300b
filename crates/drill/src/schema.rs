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
    let major = source.server.version.major.max(copy.server.version.major);
    let source = text(programs, major, source).await?;
    let copy = text(programs, major, copy).await?;
    let differences = differences(&source, &copy);
    if !differences.is_empty() {
        let shown = &differences[..differences.len().min(SHOWN)];
        bail!("{} lines differ\n{}", differences.len(), shown.join("\n"));
    }
    Ok(())
}

async fn text(programs: &Programs, major: u32, place: Place<'_>) -> anyhow::Result<String> {
    let mut command = Command::new(programs.clients(major)?.join("pg_dump"));
    command
        .arg("--schema-only")
        .envs(place.server.environment(place.database));
    programs::run(&mut command).await
}

/// `-` before lines of the source, `+` before those of the copy. The order of lines is left out: it is that of names.
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
    text.lines().filter(is_schema).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_side_are_found() {
        let source = "-- Dumped from 14\n\\restrict abc\nCREATE TABLE a;\nCREATE TABLE b;\n";
        let copy = "-- Dumped from 18\n\\restrict def\nCREATE TABLE b;\nCREATE TABLE c;\n";
        assert_eq!(
            differences(source, copy),
            ["-CREATE TABLE a;", "+CREATE TABLE c;"]
        );
    }

    #[test]
    fn a_line_that_is_there_twice_is_not_there_once() {
        assert_eq!(differences("a\na\n", "a\n"), ["-a"]);
        assert_eq!(differences("a\nb\n", "b\na\n"), Vec::<String>::new());
    }
}
