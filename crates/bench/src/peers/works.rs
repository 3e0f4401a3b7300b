//! The works that are measured, each against its peers.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use pgsnap::{Archive, NoProgress, Progress, RestoreOptions};

use super::data::Data;
use super::report::Row;
use super::run::Run;
use super::stage::{SOURCE, Stage};

/// One who takes part in a round.
struct Entrant<'a> {
    name: &'static str,
    run: Box<dyn Fn() -> Run + 'a>,
}

fn entrant<'a>(name: &'static str, run: impl Fn() -> Run + 'a) -> Entrant<'a> {
    Entrant { name, run: Box::new(run) }
}

/// A row of the table: one of ours against a peer, by the names of the entrants whose times add up
/// to it.
struct Comparison {
    work: &'static str,
    ours: &'static str,
    peer: &'static str,
    theirs: Vec<&'static str>,
    target: f64,
}

struct Works<'a> {
    stage: &'a Stage,
    pairs: usize,
    only: Option<&'a str>,
    rows: Vec<Row>,
}

/// Measures what makes sense on this data.
pub(crate) fn measure(stage: &Stage, pairs: usize, only: Option<&str>) -> Vec<Row> {
    let mut works = Works { stage, pairs, only, rows: Vec::new() };
    works.back_up();
    works.restore();
    if stage.data != Data::Many {
        works.verify();
        works.census();
        works.copy();
    }
    works.rows
}

/// The targets of one work: events, narrow rows, many tables. Zero: there is none, and the row is
/// left out.
fn target(data: Data, targets: [f64; 3]) -> f64 {
    targets[data as usize]
}

impl<'a> Works<'a> {
    /// Rounds of all entrants that somebody asks for, one after the other, again and again.
    fn rounds(&mut self, entrants: &[Entrant<'_>], mut comparisons: Vec<Comparison>) {
        comparisons.retain(|comparison| {
            comparison.target > 0.0 && self.only.is_none_or(|only| comparison.work.contains(only))
        });
        let is_wanted = |entrant: &&Entrant<'_>| {
            comparisons.iter().any(|comparison| {
                comparison.ours == entrant.name || comparison.theirs.contains(&entrant.name)
            })
        };
        let entrants: Vec<&Entrant<'_>> = entrants.iter().filter(is_wanted).collect();
        let mut runs: HashMap<&str, Vec<Run>> = HashMap::new();
        for round in 1..=self.pairs {
            for entrant in &entrants {
                let run = (entrant.run)();
                eprintln!("round {round}: {:>8.2} s  {}", run.seconds, entrant.name);
                runs.entry(entrant.name).or_default().push(run);
            }
        }
        let rows = comparisons.iter().map(|comparison| Row {
            work: comparison.work.to_owned(),
            peer: comparison.peer.to_owned(),
            target: comparison.target,
            pairs: (0..self.pairs)
                .map(|round| {
                    let theirs = comparison.theirs.iter().map(|name| runs[name][round]);
                    let theirs = theirs.reduce(Run::and).expect("a peer has an entrant");
                    (runs[comparison.ours][round], theirs)
                })
                .collect(),
        });
        self.rows.extend(rows);
    }

    /// Rounds of one of ours and its peers.
    fn pair(&mut self, work: &'static str, ours: Entrant<'_>, peers: Vec<(Entrant<'_>, f64)>) {
        let comparisons = peers
            .iter()
            .map(|(peer, target)| Comparison {
                work,
                ours: ours.name,
                peer: peer.name,
                theirs: vec![peer.name],
                target: *target,
            })
            .collect();
        let peers = peers.into_iter().map(|(peer, _)| peer);
        let entrants: Vec<Entrant<'_>> = std::iter::once(ours).chain(peers).collect();
        self.rounds(&entrants, comparisons);
    }

    fn back_up(&mut self) {
        const WORK: &str = "back up: dump, compress, encrypt, quick verify";
        let stage = self.stage;
        let backup = || {
            let vault = stage.path("vault");
            let _ = fs_err::remove_dir_all(&vault);
            fs_err::create_dir(&vault).unwrap();
            stage.hubctl(&["backup", &stage.url(SOURCE)])
        };
        let sealed = |compressor: &str, file: &str| {
            let recipient = &stage.recipient;
            let line = format!("pg_dump {SOURCE} | {compressor} | age -r {recipient} > {file}");
            stage.shell(&line)
        };
        let directory = || {
            let _ = fs_err::remove_dir_all(stage.path("peer.dir"));
            stage.shell(&format!("pg_dump -Fd -j2 -Z6 -f peer.dir {SOURCE}"))
        };
        let gzip = || sealed("gzip -6", "peer.sql.gz.age");
        // The works below need the files of both sides.
        if self.only.is_some_and(|only| !WORK.contains(only)) {
            backup();
            gzip();
            directory();
        }
        let mut peers =
            vec![(entrant("`pg_dump | gzip -6 | age`", gzip), target(stage.data, [3.0, 2.0, 1.3]))];
        if stage.data == Data::Events {
            let pigz = || sealed("pigz", "pigz.sql.gz.age");
            peers.push((entrant("`pg_dump | pigz | age`", pigz), 1.9));
        }
        if stage.data != Data::Many {
            // Also the file that `pg_restore -j2` restores from.
            let wanted = if stage.data == Data::Events { 2.2 } else { 1.0 };
            peers.push((entrant("`pg_dump -Fd -j2 -Z6`", directory), wanted));
        }
        if stage.data == Data::Narrow {
            let alone = || stage.shell(&format!("pg_dump {SOURCE} > /dev/null"));
            peers.push((entrant("`pg_dump > /dev/null`", alone), 1.2));
        }
        self.pair(WORK, entrant("hubctl backup", backup), peers);
    }

    /// Everything that begins with a whole restore, in the same rounds: the peers are the same.
    fn restore(&mut self) {
        let stage = self.stage;
        let entry = stage.entry();
        let to_ours = stage.url("ours");
        let clean = || stage.clean(&["ours", "theirs"]);
        let entrants = [
            entrant("restore without proof", || {
                clean();
                restore_without_proof(stage, &entry)
            }),
            entrant("hubctl restore", || {
                clean();
                stage.hubctl(&["restore", &entry, "--execute", "--to", &to_ours])
            }),
            entrant("hubctl drill", || {
                clean();
                stage.hubctl(&["drill", &entry])
            }),
            entrant("hubctl restore --table", || {
                clean();
                let table = stage.data.small_table();
                let into = ["--to", &to_ours, "--database", "ours", "--table", table];
                stage.hubctl(&[&["restore", &entry, "--execute"][..], &into].concat())
            }),
            entrant("hubctl diff", || stage.hubctl(&["diff", &entry, &entry])),
            entrant("pg_restore", || {
                clean();
                stage.create("theirs");
                stage.shell("pg_restore -j2 -e -d theirs peer.dir")
            }),
            entrant("psql", || {
                clean();
                stage.create("theirs");
                let decrypt = stage.decrypt("peer.sql.gz.age");
                stage
                    .shell(&format!("{decrypt} | psql -X -q -v ON_ERROR_STOP=1 theirs > /dev/null"))
            }),
            // The database is the one that psql has just restored.
            entrant("count", || per_table(stage, "theirs", "count(*)")),
            entrant("hash", || hash_in_the_server(stage, "theirs")),
        ];
        self.rounds(&entrants, of_restores(stage.data));
        clean();
    }

    fn verify(&mut self) {
        let stage = self.stage;
        let entry = stage.entry();
        let line = format!("{} > /dev/null", stage.decrypt("peer.sql.gz.age"));
        self.pair(
            "verify in full: decrypt, decompress, recount, re-digest",
            entrant("hubctl verify --full", || stage.hubctl(&["verify", &entry, "--full"])),
            vec![(entrant("`age -d | gunzip > /dev/null`", || stage.shell(&line)), 4.0)],
        );
    }

    fn census(&mut self) {
        let stage = self.stage;
        let census = || {
            Run::here(|| {
                let mut options = pgsnap::CensusOptions::default();
                options.schema = false;
                let source = stage.server.database(SOURCE);
                let census = stage.block_on(pgsnap::census(&source, &options, &quiet()));
                assert!(census.unwrap().rows() > 0);
            })
        };
        self.pair(
            "census with content, whole database (library)",
            entrant("census", census),
            vec![
                (
                    entrant("`SELECT count(*), sum(hashtext(t::text))` of each table", || {
                        hash_in_the_server(stage, SOURCE)
                    }),
                    2.5,
                ),
                (
                    entrant("the same without parallel query", || {
                        hash_in_one_process(stage, SOURCE)
                    }),
                    2.5,
                ),
            ],
        );
    }

    fn copy(&mut self) {
        let stage = self.stage;
        let ours = || {
            stage.clean(&["ours", "theirs"]);
            let (from, to) = (stage.url(SOURCE), stage.url("ours"));
            stage.hubctl(&["copy", &from, "--to", &to, "--execute"])
        };
        let pipe = || {
            stage.clean(&["ours"]);
            stage.create("theirs");
            stage.shell(&format!(
                "pg_dump {SOURCE} | psql -X -q -v ON_ERROR_STOP=1 theirs > /dev/null"
            ))
        };
        let pgcopydb = || {
            stage.create("theirs");
            let _ = fs_err::remove_dir_all(stage.path("pgcopydb"));
            let (from, to) = (stage.url(SOURCE), stage.url("theirs"));
            stage.shell(&format!(
                "pgcopydb clone --dir pgcopydb --table-jobs 2 --index-jobs 2 --source '{from}' --target '{to}'"
            ))
        };
        self.pair(
            "copy from server to server, with its proof",
            entrant("hubctl copy", ours),
            vec![
                (entrant("`pg_dump | psql`", pipe), 1.4),
                (entrant("`pgcopydb clone --table-jobs 2 --index-jobs 2`", pgcopydb), 1.0),
            ],
        );
        stage.clean(&["ours", "theirs"]);
    }
}

fn of_restores(data: Data) -> Vec<Comparison> {
    const PSQL: &str = "`age -d | gunzip | psql`";
    let comparison = |work, ours, peer, theirs: &[&'static str], targets| Comparison {
        work,
        ours,
        peer,
        theirs: theirs.to_vec(),
        target: target(data, targets),
    };
    let same = "restore, the same work as the peer (library, no proof, no statistics)";
    vec![
        comparison(same, "restore without proof", PSQL, &["psql"], [1.4, 1.7, 1.5]),
        comparison(
            same,
            "restore without proof",
            "`pg_restore -j2`",
            &["pg_restore"],
            [1.15, 1.3, 0.0],
        ),
        comparison(
            "restore with its proof: every row read again and compared",
            "hubctl restore",
            PSQL,
            &["psql"],
            [1.0, 1.0, 1.0],
        ),
        comparison(
            "drill: a scratch server, restore, every row compared",
            "hubctl drill",
            "`age -d | gunzip | psql` into a default server, `count(*)` of each table",
            &["psql", "count"],
            [1.5, 1.5, 0.0],
        ),
        comparison(
            "one small table out of the archive",
            "hubctl restore --table",
            PSQL,
            &["psql"],
            [100.0, 0.0, 0.0],
        ),
        comparison(
            "compare two archives",
            "hubctl diff",
            "restore both and hash every row (one was measured, and counted twice)",
            &["psql", "hash", "psql", "hash"],
            [100.0, 0.0, 0.0],
        ),
    ]
}

/// The way of an operator: one query per table.
fn hash_in_the_server(stage: &Stage, database: &str) -> Run {
    per_table(stage, database, "count(*), sum(hashtext(t::text))")
}

/// The same on one processor.
fn hash_in_one_process(stage: &Stage, database: &str) -> Run {
    let alone = "ALTER ROLE postgres SET max_parallel_workers_per_gather = 0";
    stage.sql("postgres", alone);
    let run = hash_in_the_server(stage, database);
    let again = "ALTER ROLE postgres RESET max_parallel_workers_per_gather";
    stage.sql("postgres", again);
    run
}

fn per_table(stage: &Stage, database: &str, columns: &str) -> Run {
    let list = format!(
        "SELECT format('SELECT {columns} FROM ONLY %s t;', oid::regclass) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    );
    stage.shell(&format!(
        "psql -X -A -t -c \"{list}\" {database} | psql -X -q -v ON_ERROR_STOP=1 {database} > /dev/null"
    ))
}

/// Restores as the peer does and no more. `hubctl` itself never leaves the proof out; the library
/// may.
fn restore_without_proof(stage: &Stage, entry: &str) -> Run {
    let mut identities = backup::Identities::new();
    identities.add_file(stage.path("key.txt")).unwrap();
    let unsealed = backup::open_file(Path::new(entry), &identities).unwrap();
    let open = move || -> std::io::Result<Box<dyn pgsnap::ReadSeek>> {
        Ok(Box::new(unsealed.reopen().unwrap()))
    };
    let target = stage.server.database("ours");
    let mut options = RestoreOptions::default();
    options.census = false;
    options.statistics = false;
    Run::here(|| {
        let archive = Archive::open(open).unwrap();
        stage.block_on(pgsnap::restore(&archive, &target, &options, &quiet())).unwrap();
    })
}

fn quiet() -> Arc<dyn Progress> {
    Arc::new(NoProgress)
}
