//! The databases that are measured.

use clap::ValueEnum;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Data {
    /// JSON and text events, as of the demo: scale 14 is about 1.1 GB of dump text
    Events,
    /// Rows of pgbench: scale 75 is about 0.7 GB of dump text
    Narrow,
    /// Small tables, each with a key, an index and 20 rows: scale 1 is 10 000 tables
    Many,
}

impl Data {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Narrow => "narrow",
            Self::Many => "many",
        }
    }

    pub(crate) fn default_scale(self) -> f64 {
        match self {
            Self::Events => 14.0,
            Self::Narrow => 75.0,
            Self::Many => 1.0,
        }
    }

    /// One table that is worth taking out alone.
    pub(crate) fn small_table(self) -> &'static str {
        match self {
            Self::Events => "public.topics",
            Self::Narrow => "public.pgbench_branches",
            Self::Many => "public.tenant_5000",
        }
    }

    /// The statements that make it.
    pub(crate) fn sql(self, scale: f64) -> Vec<String> {
        match self {
            Self::Events => vec![format!("SET demo.scale = '{scale}';\n{}", testkit::HUB)],
            Self::Narrow => narrow(scale),
            Self::Many => many(scale),
        }
    }
}

/// The statements of `pgbench -i`, so that pgbench itself is not needed.
fn narrow(scale: f64) -> Vec<String> {
    let branches = scale as u64;
    let text = format!(
        "CREATE TABLE pgbench_branches (bid int NOT NULL, bbalance int, filler char(88));
         CREATE TABLE pgbench_tellers (tid int NOT NULL, bid int, tbalance int, filler char(84));
         CREATE TABLE pgbench_accounts (aid int NOT NULL, bid int, abalance int, filler char(84));
         INSERT INTO pgbench_branches SELECT i, 0, '' FROM generate_series(1, {branches}) i;
         INSERT INTO pgbench_tellers SELECT i, (i - 1) / 10 + 1, 0, '' FROM generate_series(1, {branches} * 10) i;
         INSERT INTO pgbench_accounts SELECT i, (i - 1) / 100000 + 1, 0, '' FROM generate_series(1, {branches} * 100000) i;
         ALTER TABLE pgbench_branches ADD PRIMARY KEY (bid);
         ALTER TABLE pgbench_tellers ADD PRIMARY KEY (tid);
         ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid)"
    );
    vec![text]
}

fn many(scale: f64) -> Vec<String> {
    const BATCH: u64 = 500;
    let tables = (scale * 10_000.0) as u64;
    (0..tables.div_ceil(BATCH))
        .map(|batch| {
            format!(
                "DO $$ BEGIN FOR t IN {} .. {} LOOP
                   EXECUTE format('CREATE TABLE tenant_%s (id bigint PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL DEFAULT now(), note text)', t);
                   EXECUTE format('INSERT INTO tenant_%s SELECT i, ''name '' || i, now(), md5((i * %s)::text) FROM generate_series(1, 20) i', t, t);
                   EXECUTE format('CREATE INDEX ON tenant_%s (at)', t);
                 END LOOP; END $$",
                batch * BATCH + 1,
                ((batch + 1) * BATCH).min(tables),
            )
        })
        .collect()
}
