//! Random databases: whatever a server accepts must come out of an archive as it went in, natively
//! and through `gunzip | psql`.
//!
//! `cargo xtask campaign property` runs many more cases than the tests do. Every case is determined
//! by its seed.

mod generator;
mod value;

use std::time::Instant;

use pgsnap::{CensusOptions, DumpOptions, VerifyOptions, compare};
use testkit::Dice;

use crate::campaign;
use crate::server::{Server, quiet};

#[tokio::test(flavor = "multi_thread")]
async fn random_databases_survive_both_ways_of_restoring() {
    let server = Server::start().await;
    let seed = campaign::seed(1);
    let begun = Instant::now();
    let (mut accepted, mut refused, mut rows) = (0, Vec::new(), 0);
    for seed in seed..seed + campaign::rounds(15) {
        let case = Case::create(&server, seed).await;
        accepted += case.accepted;
        refused.extend_from_slice(&case.refused);
        match case.survives(&server).await {
            Ok(found) => rows += found,
            Err(reason) => panic!(
                "seed {seed}: {reason}\nagain: cargo xtask campaign property --cases 1 --seed {seed}"
            ),
        }
        case.drop(&server).await;
        if seed % 20 == 0 {
            eprintln!("seed {seed}: survived, {rows} rows so far");
        }
    }
    eprintln!(
        "{rows} rows survived; the servers took {accepted} statements and refused {}; {:.0} s",
        refused.len(),
        begun.elapsed().as_secs_f64()
    );
    assert!(rows > 0);
    // A generator whose statements are refused tests nothing.
    assert!(refused.len() * 10 < accepted, "{refused:#?}");
}

/// The archives that random databases make, for the fuzzers to start from.
pub(crate) async fn archive_of_random_database(server: &Server, seed: u64) -> pgsnap::Archive {
    let case = Case::create(server, seed).await;
    let database = server.scratch.database(&case.name);
    server.dump(&database).await.0
}

/// A random database, to be moved in other ways than by an archive.
pub(crate) async fn random_database(server: &Server, seed: u64) -> pgsnap::Database {
    let case = Case::create(server, seed).await;
    server.scratch.database(&case.name)
}

struct Case {
    seed: u64,
    name: String,
    accepted: usize,
    /// The server's reasons, with the statements.
    refused: Vec<String>,
}

impl Case {
    async fn create(server: &Server, seed: u64) -> Self {
        let name = format!("case{seed}");
        server.create(&name).await;
        let client = server.client(&name).await;
        let (mut accepted, mut refused) = (0, Vec::new());
        // pg_dump 15 and newer print SET LOGGED for identity columns of unlogged tables, which 14 does not know.
        let may_be_unlogged = server.major().await >= 15;
        for mut statement in generator::statements(seed) {
            if !may_be_unlogged {
                statement = statement.replacen("CREATE UNLOGGED TABLE", "CREATE TABLE", 1);
            }
            match client.batch_execute(&statement).await {
                Ok(()) => accepted += 1,
                Err(error) => {
                    let reason = error.as_db_error().map(ToString::to_string);
                    refused.push(format!("{}: {statement:.200}", reason.unwrap_or_default()));
                    // What fails inside the server, or takes it away, is no refusal.
                    let code = error.code().expect("the server answered").code();
                    assert!(!code.starts_with("XX"), "{error:?}");
                }
            }
        }
        Self { seed, name, accepted, refused }
    }

    /// Dumps, restores in both ways, and compares everything; returns the number of rows.
    async fn survives(&self, server: &Server) -> Result<u64, String> {
        let source = server.scratch.database(&self.name);
        let (archive, manifest) = server.dump_with(&source, &self.dump_options()).await;
        pgsnap::verify(&archive, &VerifyOptions::default(), &quiet())
            .map_err(|error| format!("the archive does not verify: {error}"))?;
        let live = pgsnap::census(&source, &CensusOptions::default(), &quiet())
            .await
            .map_err(|error| format!("no census: {error}"))?;
        equal("the database and its archive", &live, &manifest.census)?;

        let native = self.copy("native");
        let restored = pgsnap::restore(
            &archive,
            &server.scratch.database(&native),
            &pgsnap::RestoreOptions::default(),
            &quiet(),
        )
        .await
        .map_err(|error| format!("the native restore failed: {error}"))?;
        if !restored.comparison.is_some_and(|found| found.is_equal()) {
            return Err("the native restore proved nothing".into());
        }

        let plain = self.copy("plain");
        let database = server.create(&plain).await;
        let file = server.file(&format!("{}.sql.gz", self.name));
        let output = server.psql_file(&file, &plain, &[]);
        if !output.status.success() {
            return Err(format!("psql: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let copied = pgsnap::census(&database, &CensusOptions::default(), &quiet())
            .await
            .map_err(|error| format!("no census of the copy: {error}"))?;
        equal("what psql restored", &manifest.census, &copied)?;

        // Our own census cannot find what our own reading of the catalogue overlooks; pg_dump can.
        let expected = server.pg_dump(&self.name, &[]);
        for name in [&native, &plain] {
            same_lines(name, &expected, &server.pg_dump(name, &[]))?;
        }
        Ok(manifest.census.rows())
    }

    fn copy(&self, kind: &str) -> String {
        format!("{}_{kind}", self.name)
    }

    fn dump_options(&self) -> DumpOptions {
        let mut dice = Dice::new(self.seed ^ 0x000d_ecaf);
        let mut options = DumpOptions::default();
        options.jobs = 1 + dice.below(3);
        options.block_size = *dice.pick(&[1, 100, 4 << 10, 64 << 10, 2 << 20]);
        options.level = u8::try_from(1 + dice.below(9)).unwrap();
        options
    }

    async fn drop(self, server: &Server) {
        for name in [self.copy("native"), self.copy("plain"), self.name.clone()] {
            pgsnap::execute(
                &server.scratch.database("postgres"),
                &format!("DROP DATABASE {name} WITH (FORCE)"),
            )
            .await
            .unwrap();
        }
        fs_err::remove_file(server.file(&format!("{}.sql.gz", self.name))).unwrap();
    }
}

fn equal(what: &str, a: &pgsnap::Census, b: &pgsnap::Census) -> Result<(), String> {
    let comparison = compare(a, b);
    if comparison.is_equal() {
        return Ok(());
    }
    Err(format!("{what}: {:#?}", comparison.differences))
}

/// Compares lines without their order: sessions that load side by side do not keep that of rows.
/// Names with line breaks keep us from sorting within each COPY; that every row is in its table,
/// the census says.
fn same_lines(what: &str, expected: &str, found: &str) -> Result<(), String> {
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(ToString::to_string).collect();
        lines.sort_unstable();
        lines
    };
    let (expected, found) = (sorted(expected), sorted(found));
    match expected.iter().zip(&found).find(|(a, b)| a != b) {
        Some((a, b)) => Err(format!("{what}: pg_dump prints {b:.300} instead of {a:.300}")),
        None if expected.len() == found.len() => Ok(()),
        None => Err(format!("{what}: pg_dump prints more or less")),
    }
}
