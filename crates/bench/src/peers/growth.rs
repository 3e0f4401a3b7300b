//! The growth of a backup with the database: one table of more and more rows, and the same rows in
//! many tables.

use super::data::Data;
use super::run::Run;
use super::stage::{SOURCE, Stage};

/// Databases of this many gigabytes, roughly.
const SIZES: [u32; 3] = [1, 3, 10];

/// The rows of the sample are repeated; their table is about a quarter of a gigabyte.
const SEED_SCALE: f64 = 5.0;
const SEEDS_PER_GIGABYTE: u32 = 4;

/// One backup of each size, as a Markdown table.
pub(crate) fn measure() -> String {
    let stage = Stage::prepare(Data::Events, SEED_SCALE);
    let mut text =
        "| database | on disk | backup | per second | memory |\n|---|---|---|---|---|\n".to_owned();
    for gigabytes in SIZES {
        let name = format!("one table, {gigabytes} GB");
        text.push_str(&line(&stage, &name, &[gigabytes * SEEDS_PER_GIGABYTE]));
    }
    let largest = SIZES[SIZES.len() - 1];
    let tables = vec![1; (largest * SEEDS_PER_GIGABYTE) as usize];
    let name = format!("{} tables, {largest} GB", tables.len());
    text.push_str(&line(&stage, &name, &tables));
    text
}

/// Makes a database with one table per entry, which holds the seed so many times, and backs it up.
fn line(stage: &Stage, name: &str, tables: &[u32]) -> String {
    const NAME: &str = "growth";
    eprintln!("making {name}");
    stage.clean(&[NAME]);
    stage.sql("postgres", &format!("CREATE DATABASE {NAME}"));
    let copy = format!("pg_dump --section=pre-data {SOURCE} | psql -X -q {NAME}");
    stage.shell(&copy);
    let seed = format!("pg_dump --data-only -t progress_events {SOURCE} | psql -X -q {NAME}");
    stage.shell(&seed);
    for (index, times) in tables.iter().enumerate() {
        stage.sql(
            NAME,
            &format!(
                "CREATE TABLE rows_{index} AS SELECT e.*, n FROM public.progress_events e, pg_catalog.generate_series(1, {times}) n"
            ),
        );
    }
    stage.sql(NAME, "TRUNCATE public.progress_events CASCADE");
    stage.sql(NAME, "VACUUM ANALYZE");
    stage.sql("postgres", "CHECKPOINT");
    let vault = stage.path("vault");
    let _ = fs_err::remove_dir_all(&vault);
    fs_err::create_dir(&vault).unwrap();
    let run = stage.hubctl(&["backup", &stage.url(NAME)]);
    let bytes: f64 = stage
        .scalar(NAME, "SELECT sum(pg_catalog.pg_table_size(oid)) FROM pg_catalog.pg_class WHERE relname ~ '^rows_'")
        .parse()
        .unwrap();
    let Run { seconds, peak_kib } = run;
    let line = format!(
        "| {name} | {:.1} GB | {seconds:.1} s | {:.0} MB | {} MiB |\n",
        bytes / 1e9,
        bytes / 1e6 / seconds,
        peak_kib / 1024
    );
    eprint!("{line}");
    stage.clean(&[NAME]);
    line
}
