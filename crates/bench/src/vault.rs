//! Sealing and opening against the `age` crate doing the same without a vault, and a prune of many
//! entries. Run by `cargo xtask bench --vault`.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Read, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use backup::{Circumstances, Identities, Recipients, Retention, SidecarFacts, Timestamp, Vault};

const MIB: usize = 1 << 20;
/// The bytes sealed in one round.
const LENGTH: usize = 512 * MIB;
/// The bytes a caller writes at a time.
const PIECE: usize = 256 * 1024;
/// The entries of the prune.
const ENTRIES: i64 = 10_000;

struct Bench {
    directory: tempfile::TempDir,
    key: age::x25519::Identity,
    payload: Vec<u8>,
    pairs: usize,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rounds of each work
    #[arg(long, default_value_t = 7)]
    pairs: usize,
    /// Replace the table between the markers of this file
    #[arg(long)]
    write: Option<PathBuf>,
}

pub(crate) fn run(args: Args) {
    let bench = Bench {
        directory: tempfile::tempdir().unwrap(),
        key: age::x25519::Identity::generate(),
        payload: (0..LENGTH).map(|n| (n >> 3) as u8 ^ n as u8).collect(),
        pairs: args.pairs,
    };
    let text = bench.run();
    println!("{text}");
    if let Some(page) = args.write {
        testkit::write_between_markers(&page, "vault", text.trim_end());
    }
}

impl Bench {
    fn run(&self) -> String {
        let mut sealing = Vec::new();
        let mut bare = Vec::new();
        let mut opening = Vec::new();
        for round in 0..self.pairs {
            println!("round {} of {}", round + 1, self.pairs);
            sealing.push((timed(|| self.seal()), timed(|| self.seal_with_age(true))));
            bare.push((sealing[round].0, timed(|| self.seal_with_age(false))));
            opening.push((timed(|| self.open()), timed(|| self.open_with_age())));
            self.clean();
        }
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        let mut text = format!(
            "{} MiB in each round, {processors} processors, {}. Medians; ratio = theirs / ours, with the lowest and highest of the pairs.\n\n\
             | work | against | pairs | ours | peer | ratio | target |\n|---|---|---|---|---|---|---|\n",
            LENGTH / MIB,
            &Timestamp::now().to_string()[..10]
        );
        line(
            &mut text,
            "seal: encrypt, hash, count, make durable, name",
            "`age` crate and SHA-256 into a file, `fsync`",
            &sealing,
        );
        line(&mut text, "seal", "`age` crate into a file, `fsync`; no hash", &bare);
        line(&mut text, "open and read to the end", "`age` crate from a file", &opening);
        let (planned, pruned) = self.prune();
        let _ = writeln!(
            text,
            "\nA prune of {ENTRIES} entries: listed and planned in {planned:.2} s, with all but {KEPT} removed in {pruned:.2} s more (target: together within a second)."
        );
        text
    }

    fn vault(&self) -> Vault {
        Vault::open(self.directory.path(), "hub").unwrap()
    }

    fn seal(&self) {
        let vault = self.vault();
        let mut recipients = Recipients::new();
        recipients.add(&self.key.to_public().to_string()).unwrap();
        let lock = vault.lock().unwrap();
        let mut sealing = vault.begin(&lock, &recipients, Timestamp::now()).unwrap();
        for piece in self.payload.chunks(PIECE) {
            sealing.write_all(piece).unwrap();
        }
        sealing.commit(SidecarFacts::new(Timestamp::now())).unwrap();
    }

    fn seal_with_age(&self, hash: bool) {
        use sha2::Digest as _;
        let recipient = self.key.to_public();
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as _)).unwrap();
        let file = fs_err::File::create(self.directory.path().join("peer.age")).unwrap();
        let hashing = Hashing {
            inner: BufWriter::with_capacity(PIECE, file),
            hash: hash.then(sha2::Sha256::new),
        };
        let mut writer = encryptor.wrap_output(hashing).unwrap();
        for piece in self.payload.chunks(PIECE) {
            writer.write_all(piece).unwrap();
        }
        let hashing = writer.finish().unwrap();
        hashing.inner.into_inner().unwrap().sync_all().unwrap();
    }

    fn open(&self) {
        let vault = self.vault();
        let mut identities = Identities::new();
        identities.add_text(&self.key.to_string(), "the bench");
        let entry = vault.entries().unwrap().remove(0);
        assert_eq!(drained(vault.open_entry(&entry, &identities).unwrap()), LENGTH);
    }

    fn open_with_age(&self) {
        let file = fs_err::File::open(self.directory.path().join("peer.age")).unwrap();
        let reader = io::BufReader::with_capacity(PIECE, file);
        let decryptor = age::Decryptor::new_buffered(reader).unwrap();
        let identity = std::iter::once(&self.key as _);
        assert_eq!(drained(decryptor.decrypt(identity).unwrap()), LENGTH);
    }

    fn clean(&self) {
        for entry in self.vault().entries().unwrap() {
            fs_err::remove_file(entry.path()).unwrap();
            fs_err::remove_file(entry.path().with_file_name(format!("hub-{}.json", entry.id())))
                .unwrap();
        }
    }

    /// Seconds of planning and of removing. The entries are copies of one, with the sidecars that
    /// theirs would be.
    fn prune(&self) -> (f64, f64) {
        let directory = tempfile::tempdir().unwrap();
        let vault = Vault::open(directory.path(), "hub").unwrap();
        let mut recipients = Recipients::new();
        recipients.add(&self.key.to_public().to_string()).unwrap();
        let lock = vault.lock().unwrap();
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for hour in 0..ENTRIES {
            let taken = begin - jiff::SignedDuration::from_hours(hour);
            let mut sealing = vault.begin(&lock, &recipients, taken).unwrap();
            sealing.write_all(b"payload").unwrap();
            let entry = sealing.commit(SidecarFacts::new(taken)).unwrap();
            let sidecar = directory.path().join(format!("hub-{}.json", entry.id()));
            let text = fs_err::read_to_string(&sidecar).unwrap();
            let verified = format!("\"state\": \"verified\",\n  \"verified_at\": \"{taken}\"");
            fs_err::write(&sidecar, text.replace("\"state\": \"sealed\"", &verified)).unwrap();
        }
        let mut retention = Retention::default();
        retention.last = KEPT;
        let circumstances = Circumstances::now();
        let mut plan = None;
        let planned = timed(|| plan = Some(vault.plan(&retention, &circumstances).unwrap()));
        let plan = plan.unwrap();
        let pruned = timed(|| vault.prune(&lock, &plan, Timestamp::now()).unwrap());
        assert_eq!(vault.entries().unwrap().len(), KEPT as usize);
        (planned, pruned)
    }
}

/// The number of backups that the prune keeps.
const KEPT: u32 = 100;

struct Hashing<W> {
    inner: W,
    hash: Option<sha2::Sha256>,
}

impl<W: io::Write> io::Write for Hashing<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        use sha2::Digest as _;
        let n = self.inner.write(buf)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&buf[..n]);
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn drained(mut reader: impl Read) -> usize {
    let mut buffer = vec![0; PIECE];
    let mut length = 0;
    loop {
        match reader.read(&mut buffer).unwrap() {
            0 => return length,
            n => length += n,
        }
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64()
}

fn line(text: &mut String, work: &str, peer: &str, pairs: &[(f64, f64)]) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let mut ratios: Vec<f64> = pairs.iter().map(|(ours, theirs)| theirs / ours).collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    let verdict = if ratio >= 0.9 { "met" } else { "**missed**" };
    let _ = writeln!(
        text,
        "| {work} | {peer} | {} | {:.2} s | {:.2} s | {ratio:.2}× ({:.2}–{:.2}) | 0.9× {verdict} |",
        pairs.len(),
        median(pairs.iter().map(|pair| pair.0).collect()),
        median(pairs.iter().map(|pair| pair.1).collect()),
        ratios[0],
        ratios[ratios.len() - 1],
    );
}
