//! `hubctl restore`.

use std::time::Instant;

use backup::Identities;
use clap::Args;
use pgsnap::{
    Archive, Database, Extent, ForeignRestored, RestoreOptions, RestorePlan, Restored, TableName,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::act::Act;
use crate::cli::options::{IdentityOptions, JournalOptions, PasswordOptions, VaultOptions};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::human;
use crate::keys;
use crate::ops::blocking;
use crate::ops::phases;
use crate::printer::answer;
use crate::replacement;
use crate::settings::Overrides;
use crate::site::Site;
use crate::store::{self, OpenEntry};

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

/// The result as JSON shows it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    entry: &'a str,
    executed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a RestorePlan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restored: Option<&'a Restored>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plain_dump: Option<Value>,
}

impl<'a> Shown<'a> {
    fn of(entry: &'a str, executed: bool) -> Self {
        Self { entry, executed, plan: None, restored: None, plain_dump: None }
    }
}

pub(crate) async fn run(context: &Context, args: RestoreArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault).identities(&args.identities);
    let settings = context.settings(overrides.passwords(&args.passwords).journal(&args.journal))?;
    let options = options(&args)?;
    let site = Site::resolve(&settings, &args.to).await?;
    let identities = keys::opening(&settings, &context.console())?;
    let (vault, entry) = store::find_good_entry(&settings, &args.entry, &context.printer)?;
    let identities = keys::for_entry(&identities, &entry, &context.printer);
    let id = entry.id().to_owned();
    let target = site.database.with_name(&target_name(&args, &site.database, &id));
    let subject = format!("{}-{id}", vault.service());
    let act = if args.execute {
        let act = Act::begin(&settings, context.console(), "restore", subject)?;
        Some(act.about(entry.path()))
    } else {
        None
    };
    let (opened, archive) = match open(vault, entry, identities).await {
        Ok(opened) => opened,
        Err(error) => {
            return match act {
                Some(act) => act.end(Err(error), |_: &Exit| json!({})),
                None => Err(error),
            };
        }
    };
    let job = Job { context, id: &id, site: &site, target: &target, options: &options };
    match (archive, act) {
        (Some(archive), None) => job.plan(&archive).await,
        (None, None) => job.plan_foreign().await,
        (Some(archive), Some(act)) => job.restore(&archive, act).await,
        (None, Some(act)) => job.restore_foreign(&opened, act).await,
    }
}

fn options(args: &RestoreArgs) -> anyhow::Result<RestoreOptions> {
    let mut options = RestoreOptions::default();
    options.jobs = args.jobs.map_or(options.jobs, usize::from);
    options.foreign_data.clone_from(&args.foreign_data);
    options.schemas = (!args.schemas.is_empty()).then(|| args.schemas.clone());
    options.extent = match (args.schema_only, args.data_only) {
        (true, _) => Extent::SchemaOnly,
        (_, true) => Extent::DataOnly,
        _ => Extent::Everything,
    };
    options.into_existing = args.into_existing;
    (options.owners, options.privileges) = (!args.no_owner, !args.no_acl);
    options.role_map = args.role_map.iter().cloned().collect();
    options.create_roles = args.create_roles;
    options.accept_recomputed = args.accept_recomputed;
    options.tablespaces = !args.no_tablespaces;
    if !args.tables.is_empty() {
        options.tables = Some(
            args.tables.iter().map(|table| table.parse::<TableName>()).collect::<Result<_, _>>()?,
        );
    }
    Ok(options)
}

/// `OLD=NEW` of a role.
/// A part of a backup does not take the place of the whole.
fn target_name(args: &RestoreArgs, database: &Database, id: &str) -> String {
    let part = match args {
        _ if args.data_only || args.into_existing => None,
        _ if !args.tables.is_empty() => Some("tables"),
        _ if args.schema_only || !args.schemas.is_empty() => Some("schema"),
        _ => None,
    };
    match (&args.database, part) {
        (Some(name), _) => name.clone(),
        (None, None) => database.name().to_owned(),
        (None, Some(part)) => format!("{}__{part}_{}", database.name(), id.to_lowercase()),
    }
}

/// Opens the entry; an archive where it is one, nothing for a plain dump.
pub(crate) async fn open(
    vault: backup::Vault,
    entry: backup::Entry,
    identities: Identities,
) -> anyhow::Result<(OpenEntry, Option<Archive>)> {
    blocking(move || {
        let opened = OpenEntry::new(&vault, &entry, &identities)?;
        match opened.archive() {
            Ok(archive) => Ok((opened, Some(archive))),
            Err(pgsnap::Error::NotAnArchive { .. }) => Ok((opened, None)),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

/// One restore.
struct Job<'a> {
    context: &'a Context,
    id: &'a str,
    site: &'a Site,
    target: &'a Database,
    options: &'a RestoreOptions,
}

impl Job<'_> {
    async fn plan(&self, archive: &Archive) -> anyhow::Result<Exit> {
        let plan = pgsnap::plan_restore(archive, self.target, self.options).await?;
        let printer = &self.context.printer;
        let shown = Shown { plan: Some(&plan), ..Shown::of(self.id, false) };
        printer.result("hubctl.restore.v1", &shown, || self.describe(archive, &plan))?;
        let clear = replacement::is_clear(&plan, printer);
        if clear {
            printer.say("dry run: nothing changed; add --execute to restore");
        }
        Ok(answer(clear))
    }

    fn describe(&self, archive: &Archive, plan: &RestorePlan) -> String {
        let manifest = archive.manifest();
        let (wanted, schemas) = (&self.options.tables, &self.options.schemas);
        let chosen = manifest.census.tables.iter().filter(|table| {
            wanted.as_ref().is_none_or(|names| names.contains(&table.name))
                && schemas.as_ref().is_none_or(|schemas| schemas.contains(&table.name.schema))
        });
        let foreign = &self.options.foreign_data;
        let chosen = chosen.filter(|table| {
            let server = table.foreign_server.as_ref();
            server.is_none_or(|server| foreign.contains(server))
        });
        let has_rows = self.options.extent != Extent::SchemaOnly;
        let (tables, rows) = chosen.fold((0, 0), |(tables, rows), table| {
            (tables + 1, rows + if has_rows { table.rows } else { 0 })
        });
        let mut lines = vec![
            format!(
                "restore   {} (snapshot of {} at {})",
                self.id,
                manifest.source.database,
                human::time(&manifest.taken_at)
            ),
            format!("contents  {}, {}", human::plural(tables, "table"), human::plural(rows, "row")),
        ];
        lines.extend(replacement::describe(plan));
        lines.join("\n")
    }

    async fn restore(&self, archive: &Archive, act: Act) -> anyhow::Result<Exit> {
        let begun = Instant::now();
        let progress = self.context.progress(phases::RESTORE);
        self.context.unfinished.begin(self.target);
        let result = pgsnap::restore(archive, self.target, self.options, &progress).await;
        self.context.unfinished.end();
        drop(progress);
        let restored = act.end(result.map_err(Into::into), |restored| {
            json!({ "site": self.site.label, "database": restored.database, "kept": restored.kept, "tables": restored.tables,
                    "rows": restored.rows, "phases": replacement::phases(restored) })
        })?;
        let printer = &self.context.printer;
        let (tables, rows) =
            (human::plural(restored.tables as u64, "table"), human::plural(restored.rows, "row"));
        printer.say(format_args!(
            "{tables}, {rows} restored and found equal to the manifest in {}",
            human::duration(begun.elapsed())
        ));
        replacement::tell(&restored, printer);
        let shown = Shown { restored: Some(&restored), ..Shown::of(self.id, true) };
        printer.result("hubctl.restore.v1", &shown, || restored.database.clone())?;
        Ok(Exit::Yes)
    }

    /// psql takes a plain dump as it is.
    fn refuse_options(&self) -> anyhow::Result<()> {
        let options = self.options;
        let is_part = options.tables.is_some()
            || options.schemas.is_some()
            || options.extent != Extent::Everything;
        let is_changed = !options.owners
            || !options.privileges
            || !options.role_map.is_empty()
            || !options.tablespaces
            || !options.foreign_data.is_empty()
            || options.into_existing;
        let (problem, remedy) = match (is_part, is_changed) {
            (true, _) => (
                "a part cannot be taken out of a plain dump",
                "restore all of it under another name",
            ),
            (_, true) => (
                "a plain dump can only be restored as it is, into a database of its own",
                "leave --no-owner, --no-acl, --role-map, --no-tablespaces, --include-foreign-data and --into-existing out",
            ),
            _ => return Ok(()),
        };
        Err(Refusal::usage(problem).hint(remedy).into())
    }

    async fn plan_foreign(&self) -> anyhow::Result<Exit> {
        self.refuse_options()?;
        // The server is asked, so that "could not ask" shows up in the plan and not only when it matters.
        pgsnap::query_scalar(&self.target.with_name("postgres"), "SELECT 1").await?;
        let shown = Shown {
            plain_dump: Some(json!({ "database": self.target.name() })),
            ..Shown::of(self.id, false)
        };
        self.context.printer.result("hubctl.restore.v1", &shown, || {
            format!(
                "restore   {} (a plain dump, by psql in one transaction)\nto        database {}",
                self.id, self.target
            )
        })?;
        self.context
            .printer
            .warn("a plain dump has no manifest: that no row is missing cannot be proven");
        Ok(Exit::Yes)
    }

    async fn restore_foreign(&self, opened: &OpenEntry, act: Act) -> anyhow::Result<Exit> {
        let progress = self.context.progress(phases::RESTORE);
        let result = match self.refuse_options() {
            Ok(()) => {
                self.context.unfinished.begin(self.target);
                pgsnap::restore_foreign(opened.dump(), self.target, self.options, &progress)
                    .await
                    .map_err(Into::into)
            }
            Err(refusal) => Err(refusal),
        };
        self.context.unfinished.end();
        drop(progress);
        let restored = act.end(result, foreign)?;
        let printer = &self.context.printer;
        let rows = human::plural(restored.census.rows(), "row");
        printer.say(format_args!("restored; {rows} were counted afterwards"));
        for unproven in &restored.unproven {
            printer.warn(format_args!("not proven: {unproven}"));
        }
        let shown = Shown { plain_dump: Some(foreign(&restored)), ..Shown::of(self.id, true) };
        printer.result("hubctl.restore.v1", &shown, || restored.database.clone())?;
        Ok(Exit::Yes)
    }
}

fn foreign(restored: &ForeignRestored) -> Value {
    json!({ "database": restored.database, "kept": restored.kept, "bytes": restored.bytes,
            "tables": restored.census.tables.len(), "rows": restored.census.rows(), "unproven": restored.unproven })
}
