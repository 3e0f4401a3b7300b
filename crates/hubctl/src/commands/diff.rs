//! `hubctl diff`.

use std::time::Instant;

use backup::Identities;
use clap::Args;
use pgsnap::{
    Archive, Census, CensusOptions, Comparison, Difference, RowChange, RowDifference, RowSource,
    TableName,
};
use serde::Serialize;

use crate::cli::options::{IdentityOptions, PasswordOptions, VaultOptions};
use crate::context::{Context, blocking};
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::human;
use crate::keys;
use crate::printer::answer;
use crate::settings::{Overrides, Settings};
use crate::site::{Site, is_url};
use crate::store::{self, OpenEntry};

/// Compare two databases or backups
///
/// Every row counts: tables are compared by exact counts and content digests, each side at one point in time. Exits with
/// 0 if nothing differs, 1 if something does, 3 if a side could not be asked.
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rows: Option<u32>,
    /// Sessions that read rows [default: number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
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
    let identities = keys::opening(&settings, &context.printer)?;
    let a = Side::resolve(context, &settings, &identities, &args.a).await?;
    let b = Side::resolve(context, &settings, &identities, &args.b).await?;
    let (census_a, census_b) = censuses(context, &args, &a, &b).await?;
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
        compared.rows_listed = list_rows(
            &compared.comparison,
            (&a, &census_a),
            (&b, &census_b),
            limit as usize,
        )
        .await?;
    }
    compared.seconds = begun.elapsed().as_secs_f64();
    show(context, &compared)?;
    Ok(answer(compared.equal))
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
            return Site::resolve(settings, word)
                .await
                .map(|site| Self::Live(Box::new(site)));
        }
        let could_be_a_backup = settings.vault.is_some() || std::path::Path::new(word).is_file();
        if !could_be_a_backup {
            // Without a vault the word can only have been meant as a site.
            return Site::resolve(settings, word)
                .await
                .map(|site| Self::Live(Box::new(site)));
        }
        let (vault, entry) = store::find_good_entry(settings, word, &context.printer)?;
        let label = format!("{}-{}", vault.service(), entry.id());
        let identities = keys::for_entry(identities, &entry);
        let archive = blocking(move || -> anyhow::Result<Archive> {
            match OpenEntry::new(&vault, &entry, &identities)?.archive() {
                Err(pgsnap::Error::NotAnArchive { .. }) => Err(Refusal::could_not_ask(
                    "a plain dump has no manifest to compare with",
                )
                .hint("restore it, and compare the databases")
                .into()),
                other => Ok(other?),
            }
        });
        Ok(Self::Backup {
            label,
            archive: archive.await?,
        })
    }

    fn label(&self) -> String {
        match self {
            Self::Live(site) => site.label.clone(),
            Self::Backup { label, .. } => label.clone(),
        }
    }

    fn source(&self) -> RowSource {
        match self {
            Self::Live(site) => RowSource::Database(site.database.clone()),
            Self::Backup { archive, .. } => RowSource::Archive(archive.clone()),
        }
    }

    /// What it holds, with columns in the order of `like`: a digest depends on the order of the fields.
    async fn census(
        &self,
        context: &Context,
        args: &DiffArgs,
        like: Option<&Census>,
    ) -> anyhow::Result<Census> {
        match self {
            Self::Live(site) => {
                let mut options = CensusOptions::default();
                options.jobs = args.jobs.map_or(options.jobs, usize::from);
                options.content = !args.counts;
                options.columns_like = like.cloned();
                let progress = context.progress();
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
    args: &DiffArgs,
    a: &Side,
    b: &Side,
) -> anyhow::Result<(Census, Census)> {
    if matches!((a, b), (Side::Live(_), Side::Backup { .. })) {
        let second = b.census(context, args, None).await?;
        let first = a.census(context, args, Some(&second)).await?;
        return Ok((first, second));
    }
    let first = a.census(context, args, None).await?;
    let second = b.census(context, args, Some(&first)).await?;
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
        let depth = if compared.depth == "counts" {
            "row counts"
        } else {
            "every row"
        };
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
    let mut lines: Vec<String> = compared
        .comparison
        .differences
        .iter()
        .map(|difference| one_line(&difference.to_string()))
        .collect();
    for table in &compared.rows_listed {
        lines.extend(
            table
                .rows
                .iter()
                .map(|row| one_line(&describe(&table.table, row))),
        );
    }
    lines.join("\n")
}

fn describe(table: &TableName, row: &RowDifference) -> String {
    let key = if row.key.is_empty() {
        "a row without key".to_owned()
    } else {
        row.key.join(", ")
    };
    match row.change {
        RowChange::OnlyA => format!("only in A: {table} {key}"),
        RowChange::OnlyB => format!("only in B: {table} {key}"),
        _ if row.columns.is_empty() => format!("changed:   {table} {key}"),
        _ => format!("changed:   {table} {key} ({})", row.columns.join(", ")),
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
