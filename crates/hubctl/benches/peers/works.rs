//! The works that are measured, each against its peers.

use std::path::Path;
use std::sync::Arc;

use pgsnap::{Archive, NoProgress, Progress, RestoreOptions};

use crate::data::Data;
use crate::report::Row;
use crate::run::Run;
use crate::stage::{SOURCE, Stage};

/// One side of a work: what it is called, and what runs.
struct Peer<'a> {
    name: &'static str,
    target: f64,
    run: Box<dyn Fn() -> Run + 'a>,
}

fn peer<'a>(name: &'static str, target: f64, run: impl Fn() -> Run + 'a) -> Peer<'a> {
    Peer {
        name,
        target,
        run: Box::new(run),
    }
}

struct Works<'a> {
    stage: &'a Stage,
    pairs: usize,
    only: Option<&'a str>,
    rows: Vec<Row>,
}

/// Measures what makes sense on this data.
pub(crate) fn measure(stage: &Stage, pairs: usize, only: Option<&str>) -> Vec<Row> {
    let mut works = Works {
        stage,
        pairs,
        only,
        rows: Vec::new(),
    };
    works.back_up();
    works.restore();
    if stage.data != Data::Many {
        works.verify();
        works.census();
        works.copy();
        works.drill();
    }
    if stage.data == Data::Events {
        works.one_table();
        works.compare();
    }
    works.rows
}

/// The targets of one work: events, narrow rows, many tables.
fn target(data: Data, targets: [f64; 3]) -> f64 {
    targets[data as usize]
}

impl<'a> Works<'a> {
    /// Rounds of ours and every peer. `only` leaves works out, except for one run that the others need.
    fn rounds(&mut self, work: &str, ours: impl Fn() -> Run, peers: Vec<Peer<'_>>) {
        if self.only.is_some_and(|only| !work.contains(only)) {
            return;
        }
        let mut pairs = vec![Vec::new(); peers.len()];
        for round in 1..=self.pairs {
            let own = ours();
            eprint!("{work}, round {round}: {:.2} s", own.seconds);
            for (peer, pairs) in peers.iter().zip(&mut pairs) {
                let their = (peer.run)();
                eprint!(", {} {:.2} s", peer.name, their.seconds);
                pairs.push((own, their));
            }
            eprintln!();
        }
        let rows = peers.iter().zip(pairs).map(|(peer, pairs)| Row {
            work: work.to_owned(),
            peer: peer.name.to_owned(),
            target: peer.target,
            pairs,
        });
        self.rows.extend(rows);
    }

    fn back_up(&mut self) {
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
        if self.only.is_some_and(|only| !"back up".contains(only)) {
            backup();
            gzip();
            directory();
        }
        let mut peers = vec![peer(
            "`pg_dump | gzip -6 | age`",
            target(stage.data, [3.0, 2.0, 1.3]),
            gzip,
        )];
        if stage.data == Data::Events {
            let pigz = || sealed("pigz", "pigz.sql.gz.age");
            peers.push(peer("`pg_dump | pigz | age`", 1.9, pigz));
        }
        if stage.data != Data::Many {
            // Also the file that `pg_restore -j2` restores from.
            let wanted = if stage.data == Data::Events { 2.2 } else { 1.0 };
            peers.push(peer("`pg_dump -Fd -j2 -Z6`", wanted, directory));
        }
        if stage.data == Data::Narrow {
            let alone = || stage.shell(&format!("pg_dump {SOURCE} > /dev/null"));
            peers.push(peer("`pg_dump > /dev/null`", 1.2, alone));
        }
        self.rounds(
            "back up: dump, compress, encrypt, quick verify",
            backup,
            peers,
        );
    }

    /// The last two rows of a round share their peers.
    fn restore(&mut self) {
        let stage = self.stage;
        let entry = stage.entry();
        let whole = || {
            stage.clean(&["ours"]);
            stage.hubctl(&["restore", &entry, "--execute", "--to", &stage.url("ours")])
        };
        let unproven = || {
            stage.clean(&["ours"]);
            restore_without_proof(stage, &entry)
        };
        let psql = || self_restore(stage, "theirs");
        let pg_restore = || {
            stage.create("theirs");
            stage.shell("pg_restore -j2 -e -d theirs peer.dir")
        };
        let psql_target = target(stage.data, [1.4, 1.7, 1.5]);
        let mut peers = vec![peer("`age -d | gunzip | psql`", psql_target, psql)];
        if stage.data != Data::Many {
            let wanted = target(stage.data, [1.15, 1.3, 1.0]);
            peers.push(peer("`pg_restore -j2`", wanted, pg_restore));
        }
        self.rounds(
            "restore, the same work as the peer (library, census off)",
            unproven,
            peers,
        );
        self.rounds(
            "restore with its proof: every row read again and compared",
            whole,
            vec![peer("`age -d | gunzip | psql`", 1.0, psql)],
        );
        stage.clean(&["ours", "theirs"]);
    }

    fn verify(&mut self) {
        let stage = self.stage;
        let entry = stage.entry();
        let line = format!("{} > /dev/null", stage.decrypt("peer.sql.gz.age"));
        self.rounds(
            "verify in full: decrypt, decompress, recount, re-digest",
            || stage.hubctl(&["verify", &entry, "--full"]),
            vec![peer("`age -d | gunzip > /dev/null`", 4.0, || {
                stage.shell(&line)
            })],
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
        self.rounds(
            "census with content, whole database (library)",
            census,
            vec![peer(
                "`SELECT count(*), sum(hashtext(t::text))` of each table",
                2.5,
                || hash_in_the_server(stage, SOURCE),
            )],
        );
    }

    fn copy(&mut self) {
        let stage = self.stage;
        let ours = || {
            stage.clean(&["ours"]);
            let (from, to) = (stage.url(SOURCE), stage.url("ours"));
            stage.hubctl(&["copy", &from, "--to", &to, "--execute"])
        };
        let pipe = || {
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
        self.rounds(
            "copy from server to server, with its proof",
            ours,
            vec![
                peer("`pg_dump | psql`", 1.4, pipe),
                peer(
                    "`pgcopydb clone --table-jobs 2 --index-jobs 2`",
                    1.0,
                    pgcopydb,
                ),
            ],
        );
        stage.clean(&["ours", "theirs"]);
    }

    fn drill(&mut self) {
        let stage = self.stage;
        let entry = stage.entry();
        let psql = || {
            let restored = self_restore(stage, "theirs");
            restored.and(count_in_the_server(stage, "theirs"))
        };
        self.rounds(
            "drill: a scratch server, restore, every row compared",
            || stage.hubctl(&["drill", &entry]),
            vec![peer(
                "`age -d | gunzip | psql` into a default server, `count(*)` of each table",
                1.5,
                psql,
            )],
        );
        stage.clean(&["theirs"]);
    }

    fn one_table(&mut self) {
        let stage = self.stage;
        let entry = stage.entry();
        let ours = || {
            stage.clean(&["one_table"]);
            let to = stage.url("one_table");
            let table = stage.data.small_table();
            let into = ["--to", &to, "--database", "one_table", "--table", table];
            stage.hubctl(&[&["restore", &entry, "--execute"][..], &into].concat())
        };
        self.rounds(
            "one small table out of the archive",
            ours,
            vec![peer("`age -d | gunzip | psql`", 100.0, || {
                self_restore(stage, "theirs")
            })],
        );
        stage.clean(&["one_table", "theirs"]);
    }

    fn compare(&mut self) {
        let stage = self.stage;
        let entry = stage.entry();
        let both = || {
            let one = || self_restore(stage, "theirs").and(hash_in_the_server(stage, "theirs"));
            one().and(one())
        };
        self.rounds(
            "compare two archives",
            || stage.hubctl(&["diff", &entry, &entry]),
            vec![peer("restore both and hash every row", 100.0, both)],
        );
        stage.clean(&["theirs"]);
    }
}

fn self_restore(stage: &Stage, database: &str) -> Run {
    stage.create(database);
    let decrypt = stage.decrypt("peer.sql.gz.age");
    stage.shell(&format!(
        "{decrypt} | psql -X -q -v ON_ERROR_STOP=1 {database} > /dev/null"
    ))
}

/// What an operator would run: one query per table.
fn hash_in_the_server(stage: &Stage, database: &str) -> Run {
    per_table(stage, database, "count(*), sum(hashtext(t::text))")
}

fn count_in_the_server(stage: &Stage, database: &str) -> Run {
    per_table(stage, database, "count(*)")
}

fn per_table(stage: &Stage, database: &str, columns: &str) -> Run {
    let list = format!(
        "SELECT format('SELECT {columns} FROM ONLY %s t;', oid::regclass) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    );
    stage.shell(&format!(
        "psql -X -A -t -c \"{list}\" {database} | psql -X -q -v ON_ERROR_STOP=1 {database} > /dev/null"
    ))
}

/// What the peer does and no more. `hubctl` itself never leaves the proof out, the library may.
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
    Run::here(|| {
        let archive = Archive::open(open).unwrap();
        stage
            .block_on(pgsnap::restore(&archive, &target, &options, &quiet()))
            .unwrap();
    })
}

fn quiet() -> Arc<dyn Progress> {
    Arc::new(NoProgress)
}
