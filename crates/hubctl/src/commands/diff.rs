//! `hubctl diff`.

use std::time::Instant;

use backup::Identities;
use clap::Args;
use gates::{Subject, Verdict};
use pgsnap::{
    Archive, Census, CensusOptions, Comparison, Difference, RowChange, RowDifference, RowSource,
    StatementDifference, TableName,
};
use serde::Serialize;
use serde_json::json;

use crate::cli::options::{IdentityOptions, PasswordOptions, VaultOptions};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::human;
use crate::keys;
use crate::ops::blocking;
use crate::ops::phases;
use crate::printer::answer;
use crate::settings::{Overrides, Settings};
use crate::site::{Site, is_url};
use crate::store::{self, OpenEntry};

/// Compare two databases or backups
///
/// Every row counts: tables are compared by exact counts and content digests, each side at one
/// point in time. Exits with 0 if nothing differs, 1 if something does, 3 if a side could not be
/// asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl diff workstation cluster
  hubctl diff workstation latest --rows 20
  hubctl diff 20261120T161200Z latest --counts")]
pub(crate) struct DiffArgs {
    /// Site, connection URL, or backup (id, path, `latest`)
    #[arg(value_name = "A")]
    a: String,
    /// Site, connection URL, or backup (id, path, `latest`)
    #[arg(value_name = "B")]
    b: String,
    /// Compare row counts only
    #[arg(long, conflicts_with_all = ["content", "rows"])]
    counts: bool,
    /// Compare counts and contents (the default)
    #[arg(long)]
    content: bool,
    /// Also list up to N differing rows of each table, by their key
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::rows)]
    rows: Option<u32>,
    /// Sessions that read rows [default: number of processors]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::jobs)]
    jobs: Option<u16>,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    passwords: PasswordOptions,
}

/// One side, before anything is counted.
enum Side {
    Live(Box<Site>),
    Backup { label: String, archive: Archive },
}

#[derive(Debug, Serialize)]
struct Compared {
    a: String,
    b: String,
    equal: bool,
    /// `counts` or `content`.
    depth: &'static str,
    #[serde(flatten)]
    comparison: Comparison,
    rows_listed: Vec<TableRows>,
    seconds: f64,
}

/// The differing rows of one table.
#[derive(Debug, Serialize)]
struct TableRows {
    table: TableName,
    rows: Vec<RowDifference>,
}

pub(crate) async fn run(context: &Context, args: DiffArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default()
        .vault(&args.vault)
        .identities(&args.identities)
        .passwords(&args.passwords);
    let settings = context.settings(overrides)?;
    let begun = Instant::now();
    let (a, b) = sides(context, &settings, &args.a, &args.b).await?;
    let how = How { counts: args.counts, jobs: args.jobs };
    let (census_a, census_b) = censuses(context, how, &a, &b).await?;
    let comparison = pgsnap::compare(&census_a, &census_b);
    let mut compared = Compared {
        a: a.label(),
        b: b.label(),
        equal: comparison.is_equal(),
        depth: if args.counts { "counts" } else { "content" },
        rows_listed: Vec::new(),
        comparison,
        seconds: 0.0,
    };
    if let Some(limit) = args.rows {
        compared.rows_listed =
            list_rows(&compared.comparison, (&a, &census_a), (&b, &census_b), limit as usize)
                .await?;
    }
    compared.seconds = begun.elapsed().as_secs_f64();
    show(context, &compared)?;
    Ok(answer(compared.equal))
}

/// The answer of a gate: whether two sides hold the same rows.
pub(crate) async fn verdict(
    context: &Context,
    settings: &Settings,
    (a, b): (&str, &str),
    counts: bool,
) -> anyhow::Result<Verdict> {
    let (a, b) = sides(context, settings, a, b).await?;
    if a.is_same(&b).await? {
        let (a, b) = (a.label(), b.label());
        return Ok(Verdict::fail(format!(
            "{a} and {b} are one and the same, so nothing was compared"
        ))
        .about(Subject::named("database", a))
        .about(Subject::named("database", b))
        .with_hint("name two databases, or a database and a backup, in `a` and `b`"));
    }
    let how = How { counts, jobs: None };
    let (census_a, census_b) = censuses(context, how, &a, &b).await?;
    let comparison = pgsnap::compare(&census_a, &census_b);
    let notes: Vec<String> =
        comparison.notes.iter().map(|note| one_line(&note.to_string())).collect();
    let but = match &*notes.join("; ") {
        "" => String::new(),
        notes => format!("; but {notes}"),
    };
    let (tables, rows) = (comparison.tables as u64, comparison.rows);
    let (tables, rows) = (human::plural(tables, "table"), human::plural(rows, "row"));
    let depth = if counts { "row counts" } else { "every row" };
    let (a, b) = (a.label(), b.label());
    let found: Vec<String> =
        comparison.differences.iter().map(|difference| one_line(&difference.to_string())).collect();
    let verdict = match found.first() {
        None if comparison.tables == 0 => {
            Verdict::fail(format!("{a} and {b} hold no tables, so nothing was compared"))
        }
        None => Verdict::pass(format!(
            "{a} and {b} are equal, {tables} with {rows}, compared by {depth}{but}"
        )),
        Some(first) => {
            let count = human::plural(found.len() as u64, "difference");
            Verdict::fail(format!("{count} between {a} and {b}: {first}"))
                .with_hint("`hubctl diff` lists them, with --rows down to their keys")
        }
    };
    Ok(verdict
        .about(Subject::named("database", a))
        .about(Subject::named("database", b))
        .with_evidence(json!({ "equal": found.is_empty(), "differences": found, "notes": notes }))
        .with_measured(json!({ "tables": comparison.tables, "rows": comparison.rows }))
        .against(json!({ "compared_by": depth })))
}

/// How two sides are read.
#[derive(Clone, Copy)]
struct How {
    counts: bool,
    jobs: Option<u16>,
}

async fn sides(
    context: &Context,
    settings: &Settings,
    a: &str,
    b: &str,
) -> anyhow::Result<(Side, Side)> {
    let identities = keys::opening(settings, &context.console())?;
    let a = Side::resolve(context, settings, &identities, a).await?;
    let b = Side::resolve(context, settings, &identities, b).await?;
    Ok((a, b))
}

impl Side {
    /// A URL, else a site of this name, else a backup.
    async fn resolve(
        context: &Context,
        settings: &Settings,
        identities: &Identities,
        word: &str,
    ) -> anyhow::Result<Self> {
        if settings.sites.contains_key(word) || is_url(word) {
            return Site::resolve(settings, word).await.map(|site| Self::Live(Box::new(site)));
        }
        let could_be_a_backup = settings.vault.is_some() || std::path::Path::new(word).is_file();
        if !could_be_a_backup {
            // Without a vault the word can only have been meant as a site.
            return Site::resolve(settings, word).await.map(|site| Self::Live(Box::new(site)));
        }
        let (vault, entry) = store::find_good_entry(settings, word, &context.printer)?;
        let label = format!("{}-{}", vault.service(), entry.id());
        let identities = keys::for_entry(identities, &entry, &context.printer);
        let archive = blocking(move || -> anyhow::Result<Archive> {
            match OpenEntry::new(&vault, &entry, &identities)?.archive() {
                Err(pgsnap::Error::NotAnArchive { .. }) => {
                    Err(Refusal::could_not_ask("a plain dump has no manifest to compare with")
                        .hint("restore it, and compare the databases")
                        .into())
                }
                other => Ok(other?),
            }
        });
        Ok(Self::Backup { label, archive: archive.await? })
    }

    fn label(&self) -> String {
        match self {
            Self::Live(site) => site.label.clone(),
            Self::Backup { label, .. } => label.clone(),
        }
    }

    /// Whether both lead to the same place. What is compared with itself proves nothing.
    async fn is_same(&self, other: &Self) -> anyhow::Result<bool> {
        Ok(match (self, other) {
            (Self::Live(a), Self::Live(b)) => {
                pgsnap::is_same_database(&a.database, &b.database).await?
            }
            (Self::Backup { label: a, .. }, Self::Backup { label: b, .. }) => a == b,
            _ => false,
        })
    }

    fn source(&self) -> RowSource {
        match self {
            Self::Live(site) => RowSource::Database(site.database.clone()),
            Self::Backup { archive, .. } => RowSource::Archive(archive.clone()),
        }
    }

    /// What it holds, with columns in the order of `like`: a digest depends on the order of the
    /// fields.
    async fn census(
        &self,
        context: &Context,
        how: How,
        like: Option<&Census>,
    ) -> anyhow::Result<Census> {
        match self {
            Self::Live(site) => {
                let mut options = CensusOptions::default();
                options.jobs = how.jobs.map_or(options.jobs, usize::from);
                options.content = !how.counts;
                options.columns_like = like.cloned();
                let progress = context.progress(phases::CENSUS);
                Ok(pgsnap::census(&site.database, &options, &progress).await?)
            }
            Self::Backup { archive, .. } => {
                let archive = archive.clone();
                blocking(move || {
                    let mut census = archive.manifest().census.clone();
                    if let Some(schema) = &mut census.schema {
                        schema.statements = archive.schema_statements()?;
                    }
                    Ok(census)
                })
                .await
            }
        }
    }
}

/// Backups first: their order of columns is given, and a database can follow it.
async fn censuses(
    context: &Context,
    how: How,
    a: &Side,
    b: &Side,
) -> anyhow::Result<(Census, Census)> {
    if matches!((a, b), (Side::Live(_), Side::Backup { .. })) {
        let second = b.census(context, how, None).await?;
        let first = a.census(context, how, Some(&second)).await?;
        return Ok((first, second));
    }
    let first = a.census(context, how, None).await?;
    let second = b.census(context, how, Some(&first)).await?;
    Ok((first, second))
}

async fn list_rows(
    comparison: &Comparison,
    a: (&Side, &Census),
    b: (&Side, &Census),
    limit: usize,
) -> anyhow::Result<Vec<TableRows>> {
    let mut listed = Vec::new();
    for table in tables_with_other_rows(comparison) {
        let (Some(table_a), Some(table_b)) = (a.1.table(&table), b.1.table(&table)) else {
            continue;
        };
        let rows =
            pgsnap::differing_rows((&a.0.source(), table_a), (&b.0.source(), table_b), limit)
                .await?;
        listed.push(TableRows { table, rows });
    }
    Ok(listed)
}

/// Tables whose rows can be told apart one by one: those with the same columns.
fn tables_with_other_rows(comparison: &Comparison) -> Vec<TableName> {
    let of_columns: Vec<&TableName> = comparison
        .differences
        .iter()
        .filter_map(|difference| match difference {
            Difference::Columns { table, .. } => Some(table),
            _ => None,
        })
        .collect();
    comparison
        .differences
        .iter()
        .filter_map(|difference| match difference {
            Difference::Rows { table, .. } | Difference::Content { table, .. }
                if !of_columns.contains(&table) =>
            {
                Some(table.clone())
            }
            _ => None,
        })
        .collect()
}

fn show(context: &Context, compared: &Compared) -> anyhow::Result<()> {
    let printer = &context.printer;
    for note in &compared.comparison.notes {
        printer.warn(note);
    }
    printer.result("hubctl.diff.v1", compared, || text(compared))?;
    let (tables, rows) = (compared.comparison.tables as u64, compared.comparison.rows);
    let (tables, rows) = (human::plural(tables, "table"), human::plural(rows, "row"));
    if compared.equal {
        let depth = if compared.depth == "counts" { "row counts" } else { "every row" };
        printer.say(format_args!(
            "equal: {} and {}, {tables}, {rows}, compared by {depth}",
            compared.a, compared.b
        ));
    } else {
        let count = human::plural(compared.comparison.differences.len() as u64, "difference");
        printer.say(format_args!(
            "{count} between A = {} and B = {} ({tables}, {rows} in A)",
            compared.a, compared.b
        ));
    }
    Ok(())
}

fn text(compared: &Compared) -> String {
    let mut lines = Vec::new();
    for difference in &compared.comparison.differences {
        lines.push(one_line(&difference.to_string()));
        if let Difference::Schema { statements, .. } = difference {
            lines.extend(changed_statements(statements));
        }
    }
    for table in &compared.rows_listed {
        lines.extend(table.rows.iter().map(|row| one_line(&describe(&table.table, row))));
    }
    lines.join("\n")
}

fn describe(table: &TableName, row: &RowDifference) -> String {
    let key = if row.key.is_empty() { "a row without key".to_owned() } else { row.key.join(", ") };
    match row.change {
        RowChange::OnlyA => format!("only in A: {table} {key}"),
        RowChange::OnlyB => format!("only in B: {table} {key}"),
        _ if row.columns.is_empty() => format!("changed:   {table} {key}"),
        _ => format!("changed:   {table} {key} ({})", row.columns.join(", ")),
    }
}

/// Both texts of each object that the sides define differently, as far as a terminal is the place
/// for them.
fn changed_statements(statements: &[StatementDifference]) -> Vec<String> {
    const SHOWN: usize = 20;
    let changed = statements.iter().filter_map(|one| Some((one.a.as_deref()?, one.b.as_deref()?)));
    let count = changed.clone().count();
    let mut lines: Vec<String> = changed
        .take(SHOWN)
        .flat_map(|(a, b)| {
            let [a, b] = excerpts(a, b);
            [format!("  A: {a}"), format!("  B: {b}")]
        })
        .collect();
    if count > SHOWN {
        let more = human::plural((count - SHOWN) as u64, "changed statement");
        lines.push(format!("  {more} more; --format json lists all of them"));
    }
    lines
}

/// Two texts on one line each; of long ones the part in which they begin to differ.
fn excerpts(a: &str, b: &str) -> [String; 2] {
    const LONGEST: usize = 600;
    const BEFORE: usize = 100;
    let [a, b] = [a, b].map(|text| -> Vec<char> {
        let words: Vec<&str> = text.split_whitespace().collect();
        one_line(&words.join(" ")).chars().collect()
    });
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let is_long = a.len().max(b.len()) > LONGEST;
    let from = if is_long { same.saturating_sub(BEFORE) } else { 0 };
    [a, b].map(|text| {
        let shown: String = text.iter().skip(from).take(LONGEST).collect();
        let before = if from > 0 { "…" } else { "" };
        let after = if text.len() > from + LONGEST { "…" } else { "" };
        format!("{before}{shown}{after}")
    })
}

/// Text of a server for a terminal: on one line, and without control characters.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_statements_are_shown_where_they_begin_to_differ() {
        let view = |word: &str| format!("CREATE VIEW v AS\n SELECT {} {word}", "x, ".repeat(400));
        let [a, b] = excerpts(&view("one"), &view("two"));
        assert!(a.starts_with('…') && a.ends_with("x, one"), "{a}");
        assert!(b.ends_with("x, two") && b.chars().count() < 200, "{b}");
        let [a, b] = excerpts("CHECK\n  (a)", "CHECK (\u{1b}[2Jb)");
        assert_eq!((&*a, &*b), ("CHECK (a)", "CHECK (\\u{1b}[2Jb)"));
    }
}
