//! Measures hubctl against the pipelines it replaces, in one run, in pairs: ours, theirs, ours, theirs.
//!
//! Run by `cargo xtask bench`. It needs a PostgreSQL server and its programs, `age`, `gzip`, `sh`, and
//! several gigabytes of free disk in the temporary directory. Nothing else should run on the machine.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    missing_docs
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use pgsnap::{ScratchOptions, ScratchServer};

#[derive(Parser)]
struct Arguments {
    /// Size of the sample: 1 is about 77 MB of dump text.
    #[arg(long, default_value_t = 14.0)]
    scale: f64,
    /// Pairs per row of the table.
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Replace the table between the markers of this file.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Passed by cargo; means nothing here.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Wall time and peak memory of one run.
#[derive(Clone, Copy)]
struct Run {
    seconds: f64,
    peak_kib: u64,
}

/// One row of the table.
struct Row {
    work: &'static str,
    peer: &'static str,
    target: f64,
    pairs: Vec<(Run, Run)>,
}

struct Bench {
    server: ScratchServer,
    directory: tempfile::TempDir,
    recipient: String,
    pairs: usize,
}

fn main() {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bench = runtime.block_on(Bench::prepare(&arguments));
    let rows = bench.measure();
    let report = bench.report(&arguments, &rows);
    println!("{report}");
    if let Some(path) = arguments.write {
        write_between_markers(&path, &report);
    }
}

impl Bench {
    async fn prepare(arguments: &Arguments) -> Self {
        let mut options = ScratchOptions::default();
        options.fast = false;
        let server = ScratchServer::start(&options).await.unwrap();
        pgsnap::execute(&server.database("postgres"), "CREATE DATABASE hub")
            .await
            .unwrap();
        eprintln!("loading the sample at scale {}", arguments.scale);
        let sample = format!(
            "SET demo.scale = '{}';\n{}",
            arguments.scale,
            include_str!("../src/demo/hub.sql")
        );
        pgsnap::execute(&server.database("hub"), &sample)
            .await
            .unwrap();
        pgsnap::execute(&server.database("hub"), "VACUUM")
            .await
            .unwrap();
        pgsnap::execute(&server.database("hub"), "CHECKPOINT")
            .await
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key.txt");
        assert!(
            Command::new("age-keygen")
                .arg("-o")
                .arg(&key)
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        );
        let text = fs_err::read_to_string(&key).unwrap();
        let recipient = text
            .lines()
            .find_map(|line| line.strip_prefix("# public key: "))
            .unwrap()
            .to_owned();
        Self {
            server,
            directory,
            recipient,
            pairs: arguments.pairs,
        }
    }

    fn measure(&self) -> Vec<Row> {
        let vault = self.directory.path().join("vault");
        let peer_file = self.directory.path().join("peer.sql.gz.age");
        let backup = || {
            let _ = fs_err::remove_dir_all(&vault);
            fs_err::create_dir(&vault).unwrap();
            self.hubctl(&["backup", &self.url("hub")])
        };
        let peer_backup = || {
            self.shell(&format!(
                "pg_dump hub | gzip | age -r {} > {}",
                self.recipient,
                peer_file.display()
            ))
        };
        let dumps = self.row(
            "back up: dump, compress, encrypt, quick verify",
            "`pg_dump \\| gzip \\| age`",
            2.5,
            backup,
            peer_backup,
        );
        let entry = vault.join("hub-latest.sql.gz.age");
        let entry = entry.to_str().unwrap();
        let size = |path: &Path| fs_err::metadata(path).unwrap().len();
        let (ours, theirs) = (size(Path::new(entry)), size(&peer_file));
        println!(
            "file sizes: hubctl {ours} bytes, peer {theirs} bytes ({:.3})\n",
            ours as f64 / theirs as f64
        );

        let verify = || self.hubctl(&["verify", entry, "--full"]);
        let peer_verify = || self.shell(&format!("{} > /dev/null", self.decrypt(&peer_file)));
        let verifications = self.row(
            "verify in full: decrypt, decompress, recount, re-digest",
            "`age -d \\| gunzip > /dev/null`",
            2.0,
            verify,
            peer_verify,
        );
        let restores = self.restores(entry, &peer_file);
        [dumps, verifications].into_iter().chain(restores).collect()
    }

    /// Both rows share their peer: a plain dump has no way to one table but the whole restore.
    fn restores(&self, entry: &str, peer_file: &Path) -> [Row; 3] {
        const PEER: &str = "`age -d \\| gunzip \\| psql`";
        let (mut table, mut same, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        for pair in 1..=self.pairs {
            for name in ["one_table", "unproven", "ours", "theirs"] {
                self.sql(&format!("DROP DATABASE IF EXISTS {name}"));
            }
            let restore = ["restore", entry, "--execute", "--to"];
            let one = self.hubctl(
                &[
                    &restore[..],
                    &[
                        &self.url("one_table"),
                        "--database",
                        "one_table",
                        "--table",
                        "public.topics",
                    ],
                ]
                .concat(),
            );
            self.sql("CHECKPOINT");
            let loaded = self.restore_without_proof(entry);
            self.sql("CHECKPOINT");
            let all = self.hubctl(&[&restore[..], &[&self.url("ours")]].concat());
            self.sql("CREATE DATABASE theirs TEMPLATE template0");
            self.sql("CHECKPOINT");
            let psql = format!(
                "{} | psql -X -q -v ON_ERROR_STOP=1 theirs > /dev/null",
                self.decrypt(peer_file)
            );
            let theirs = self.shell(&psql);
            eprintln!(
                "restore: pair {pair}: table {:.2} s, all {:.2} s, psql {:.2} s",
                one.seconds, all.seconds, theirs.seconds
            );
            eprintln!(
                "restore: pair {pair}: without the proof {:.2} s",
                loaded.seconds
            );
            table.push((one, theirs));
            same.push((loaded, theirs));
            whole.push((all, theirs));
        }
        let row = |work, target, pairs| Row {
            work,
            peer: PEER,
            target,
            pairs,
        };
        [
            row("one small table out of the archive", 50.0, table),
            row(
                "restore, the same work as the peer (library, census off)",
                1.3,
                same,
            ),
            row(
                "restore with its proof: every row read again and compared",
                1.0,
                whole,
            ),
        ]
    }

    /// What the peer does and no more. `hubctl` itself never leaves the proof out, the library may.
    fn restore_without_proof(&self, entry: &str) -> Run {
        let mut identities = backup::Identities::new();
        identities
            .add_file(self.directory.path().join("key.txt"))
            .unwrap();
        let unsealed = backup::open_file(Path::new(entry), &identities).unwrap();
        let open = move || -> std::io::Result<Box<dyn pgsnap::ReadSeek>> {
            Ok(Box::new(unsealed.reopen().unwrap()))
        };
        let target = self.server.database("unproven");
        let mut options = pgsnap::RestoreOptions::default();
        options.census = false;
        let progress: std::sync::Arc<dyn pgsnap::Progress> =
            std::sync::Arc::new(pgsnap::NoProgress);
        let start = Instant::now();
        let archive = pgsnap::Archive::open(open).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime
            .block_on(pgsnap::restore(&archive, &target, &options, &progress))
            .unwrap();
        Run {
            seconds: start.elapsed().as_secs_f64(),
            peak_kib: 0,
        }
    }

    fn row(
        &self,
        work: &'static str,
        peer: &'static str,
        target: f64,
        ours: impl Fn() -> Run,
        theirs: impl Fn() -> Run,
    ) -> Row {
        let mut pairs = Vec::new();
        for pair in 1..=self.pairs {
            let both = (ours(), theirs());
            eprintln!(
                "{work}: pair {pair}: {:.2} s against {:.2} s",
                both.0.seconds, both.1.seconds
            );
            pairs.push(both);
        }
        Row {
            work,
            peer,
            target,
            pairs,
        }
    }

    fn hubctl(&self, arguments: &[&str]) -> Run {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_hubctl")));
        command.args(arguments).arg("--quiet");
        run(command)
    }

    fn shell(&self, pipeline: &str) -> Run {
        let mut command = self.command(Path::new("bash"));
        command.args(["-o", "pipefail", "-c", pipeline]);
        run(command)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("PGHOST", self.server.directory())
            .env("PGPORT", self.server.port().to_string())
            .env("PGUSER", "postgres");
        command
            .env("HUBCTL_CONFIG", self.config())
            .env("HOME", self.directory.path());
        command
            .current_dir(self.directory.path())
            .stdout(Stdio::null());
        command
    }

    /// A configuration with the vault and the key, so that both sides are one short command.
    fn config(&self) -> PathBuf {
        let path = self.directory.path().join("hubctl.toml");
        let directory = self.directory.path().display();
        let text = format!(
            "[service]\nname = \"hub\"\n[vault]\npath = \"{directory}/vault\"\nrecipients = [\"{}\"]\nidentities = [\"{directory}/key.txt\"]\n[journal]\npath = \"{directory}/journal.jsonl\"\n",
            self.recipient
        );
        fs_err::write(&path, text).unwrap();
        path
    }

    fn url(&self, database: &str) -> String {
        format!(
            "postgresql://postgres@/{database}?host={}&port={}",
            self.server.directory().display(),
            self.server.port()
        )
    }

    fn decrypt(&self, file: &Path) -> String {
        format!(
            "age -d -i {}/key.txt {} | gunzip",
            self.directory.path().display(),
            file.display()
        )
    }

    fn sql(&self, statement: &str) {
        let mut command = self.command(Path::new("psql"));
        assert!(
            command
                .args(["-X", "-q", "-c", statement, "postgres"])
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        );
    }

    fn report(&self, arguments: &Arguments, rows: &[Row]) -> String {
        let mut text = format!(
            "Scale {}, {} pairs per row, {} processors, {}. Medians; ratio = theirs / ours, with the lowest and highest of the pairs. Memory is the peak of the hubctl process.\n\n",
            arguments.scale,
            arguments.pairs,
            std::thread::available_parallelism().unwrap(),
            jiff::Zoned::now().strftime("%Y-%m-%d"),
        );
        text.push_str("| work | against | hubctl | peer | ratio | target | memory |\n|---|---|---|---|---|---|---|\n");
        for row in rows {
            let ours = median(row.pairs.iter().map(|pair| pair.0.seconds));
            let theirs = median(row.pairs.iter().map(|pair| pair.1.seconds));
            let mut ratios: Vec<f64> = row
                .pairs
                .iter()
                .map(|pair| pair.1.seconds / pair.0.seconds)
                .collect();
            ratios.sort_by(f64::total_cmp);
            let peak = row.pairs.iter().map(|pair| pair.0.peak_kib).max();
            // The library runs inside the bench, whose memory is not its own.
            let memory = match peak {
                Some(kib) if kib > 0 => format!("{} MiB", kib / 1024),
                _ => "not measured".to_owned(),
            };
            text.push_str(&format!(
                "| {} | {} | {ours:.2} s | {theirs:.2} s | {:.2}× ({:.2}–{:.2}) | {}× | {memory} |\n",
                row.work,
                row.peer,
                median(ratios.iter().copied()),
                ratios[0],
                ratios[ratios.len() - 1],
                row.target,
            ));
        }
        text
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs a command to its end and watches its memory.
fn run(mut command: Command) -> Run {
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(high_water_mark(&child));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let seconds = start.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?} failed: {status}");
    Run { seconds, peak_kib }
}

fn high_water_mark(child: &Child) -> u64 {
    let status = fs_err::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn write_between_markers(path: &Path, report: &str) {
    const BEGIN: &str = "<!-- bench: begin -->\n";
    const END: &str = "<!-- bench: end -->";
    let text = fs_err::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the file has a begin marker");
    let (_, after) = rest.split_once(END).expect("the file has an end marker");
    fs_err::write(path, format!("{before}{BEGIN}\n{report}\n{END}{after}")).unwrap();
}
