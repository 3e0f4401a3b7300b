//! `hubctl restore`.

use clap::Args;
use pgsnap::{Extent, RestoreOptions, TableName};

use crate::cli::options::{IdentityOptions, JournalOptions, PasswordOptions, VaultOptions};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{
    self, PlannedArchive, PlannedRestore, RestoreOrder, RestorePlanReport, RestoreReport,
};
use crate::printer::{Present, Printer, answer};
use crate::replacement;
use crate::settings::Overrides;

/// Restore a backup into a database
///
/// Without --execute nothing is changed: the plan is shown, and the exit code says whether
/// something is in the way. The backup is loaded into a new database, compared with its manifest
/// row by row, and only then renamed into place; a database that was there before is kept under
/// another name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl restore --to cluster
  hubctl restore --to cluster --execute
  hubctl restore 20261121T161200Z --to workstation --database state_hub_copy --execute
  hubctl restore --to workstation --table topics --table audit.log --execute
  hubctl restore --to workstation --schema app --execute
  hubctl restore --to cluster --role-map hub=app --create-roles --execute
  hubctl restore --to cluster --no-owner --no-acl --into-existing --execute
  hubctl restore --to workstation --database empty_copy --schema-only --execute")]
pub(crate) struct RestoreArgs {
    /// Id, path or `latest`
    #[arg(value_name = "ENTRY", default_value = "latest")]
    entry: String,
    /// Site or connection URL to restore to
    #[arg(long, value_name = "SITE|URL")]
    to: String,
    /// Name of the restored database [default: the one of the site or URL]
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Restore only this table, into a separate database (can be repeated)
    #[arg(long = "table", value_name = "T")]
    tables: Vec<String>,
    /// Restore only this schema, into a separate database (can be repeated)
    #[arg(long = "schema", value_name = "NAME", conflicts_with = "tables")]
    schemas: Vec<String>,
    /// Restore everything except rows, large objects and sequence values, into a separate database
    #[arg(long)]
    schema_only: bool,
    /// Load only rows, large objects and sequence values into existing, empty tables, in one
    /// transaction
    #[arg(long, conflicts_with_all = ["schema_only", "into_existing", "no_owner", "no_acl", "role_map", "create_roles", "no_tablespaces"])]
    data_only: bool,
    /// Also write the rows of this foreign server's tables INTO THE SERVER THAT THE BACKUP'S
    /// DEFINITION NAMES, if they are empty there (can be repeated) [default: skip them]
    #[arg(long = "include-foreign-data", value_name = "SERVER", conflicts_with = "schema_only")]
    foreign_data: Vec<String>,
    /// Restore into the existing, empty database [default: only where the role may not create
    /// databases]
    #[arg(long, conflicts_with_all = ["tables", "schema_only"])]
    into_existing: bool,
    /// Skip ownership: the restoring role owns everything
    #[arg(long)]
    no_owner: bool,
    /// Skip privileges
    #[arg(long)]
    no_acl: bool,
    /// Rename a role of the backup (can be repeated)
    #[arg(long, value_name = "OLD=NEW", value_parser = values::role_pair)]
    role_map: Vec<(String, String)>,
    /// Create missing roles with their memberships, without login or password
    #[arg(long)]
    create_roles: bool,
    /// Put everything into the default tablespace
    #[arg(long)]
    no_tablespaces: bool,
    /// Accept generated columns whose recomputed values differ from the source
    #[arg(long)]
    accept_recomputed: bool,
    /// Sessions that load rows and build indexes [default: number of processors]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::jobs)]
    jobs: Option<u16>,
    /// Restore; without this, only show the plan
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    passwords: PasswordOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

pub(crate) async fn run(context: &Context, args: RestoreArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault).identities(&args.identities);
    let ops = context.ops(overrides.passwords(&args.passwords).journal(&args.journal))?;
    let execute = args.execute;
    let order = args.order()?;
    if execute {
        ops::restore(&ops, order).await?.present(&context.printer)
    } else {
        ops::plan_restore(&ops, order).await?.present(&context.printer)
    }
}

impl Present for RestoreReport {
    fn present(&self, printer: &Printer) -> anyhow::Result<Exit> {
        printer.report(self, |restored| restored.database().to_owned())?;
        Ok(Exit::Yes)
    }
}

impl Present for RestorePlanReport {
    fn present(&self, printer: &Printer) -> anyhow::Result<Exit> {
        printer.report(self, text)?;
        match &self.planned {
            PlannedRestore::Plan(planned) => {
                replacement::qualify(&planned.plan, printer);
                if self.is_clear() {
                    printer.say("dry run: nothing changed; add --execute to restore");
                }
            }
            PlannedRestore::PlainDump(_) => printer
                .warn("a plain dump has no manifest: that no row is missing cannot be proven"),
        }
        Ok(answer(self.is_clear()))
    }
}

impl RestoreArgs {
    fn order(self) -> anyhow::Result<RestoreOrder> {
        let mut options = RestoreOptions::default();
        options.jobs = self.jobs.map_or(options.jobs, usize::from);
        options.foreign_data = self.foreign_data;
        options.schemas = (!self.schemas.is_empty()).then_some(self.schemas);
        options.extent = match (self.schema_only, self.data_only) {
            (true, _) => Extent::SchemaOnly,
            (_, true) => Extent::DataOnly,
            _ => Extent::Everything,
        };
        options.into_existing = self.into_existing;
        (options.owners, options.privileges) = (!self.no_owner, !self.no_acl);
        options.role_map = self.role_map.into_iter().collect();
        options.create_roles = self.create_roles;
        options.accept_recomputed = self.accept_recomputed;
        options.tablespaces = !self.no_tablespaces;
        if !self.tables.is_empty() {
            let tables = self.tables.iter().map(|table| table.parse::<TableName>());
            options.tables = Some(tables.collect::<Result<_, _>>()?);
        }
        Ok(RestoreOrder { entry: self.entry, to: self.to, database: self.database, options })
    }
}

fn text(report: &RestorePlanReport) -> String {
    match &report.planned {
        PlannedRestore::Plan(planned) => archive(&report.entry, planned),
        PlannedRestore::PlainDump(planned) => format!(
            "restore   {} (a plain dump, by psql in one transaction)\nto        database {}",
            report.entry, planned.target
        ),
    }
}

fn archive(entry: &str, planned: &PlannedArchive) -> String {
    let PlannedArchive { plan, source, taken_at, tables, rows } = planned;
    let taken_at = human::time(taken_at);
    let (tables, rows) = (human::plural(*tables, "table"), human::plural(*rows, "row"));
    let mut lines = vec![
        format!("restore   {entry} (snapshot of {source} at {taken_at})"),
        format!("contents  {tables}, {rows}"),
    ];
    lines.extend(replacement::describe(plan));
    lines.join("\n")
}
