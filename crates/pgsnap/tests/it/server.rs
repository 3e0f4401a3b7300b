//! A scratch server per test, and the steps every test needs.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pgsnap::{
    Archive, CensusOptions, Database, DumpOptions, Manifest, NoProgress, Progress, RestoreOptions,
    Restored, ScratchOptions, ScratchServer,
};
use tokio_postgres::{Client, NoTls};

pub(crate) struct Server {
    pub(crate) scratch: ScratchServer,
    pub(crate) files: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(ScratchOptions::default()).await
    }

    pub(crate) async fn with_tcp() -> Self {
        let mut options = ScratchOptions::default();
        options.tcp = true;
        Self::start_with(options).await
    }

    pub(crate) async fn start_with(mut options: ScratchOptions) -> Self {
        options.bin_directory = options.bin_directory.or_else(server_programs);
        Self {
            scratch: ScratchServer::start(&options).await.unwrap(),
            files: tempfile::tempdir().unwrap(),
        }
    }

    /// The installed server, also where another one is tested.
    pub(crate) async fn start_installed() -> Self {
        Self {
            scratch: ScratchServer::start(&ScratchOptions::default()).await.unwrap(),
            files: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) async fn major(&self) -> u32 {
        let query = "SELECT current_setting('server_version_num')::int / 10000";
        let major = pgsnap::query_scalar(&self.scratch.database("postgres"), query).await;
        major.unwrap().unwrap().parse().unwrap()
    }

    /// An empty database.
    pub(crate) async fn create(&self, name: &str) -> Database {
        pgsnap::execute(
            &self.scratch.database("postgres"),
            &format!("CREATE DATABASE \"{name}\" TEMPLATE template0"),
        )
        .await
        .unwrap();
        self.scratch.database(name)
    }

    /// A database with the result of some statements.
    pub(crate) async fn with_sql(&self, name: &str, sql: &str) -> Database {
        let database = self.create(name).await;
        pgsnap::execute(&database, sql).await.unwrap();
        database
    }

    pub(crate) async fn zoo(&self, name: &str) -> Database {
        let database = self.create(name).await;
        testkit::load_zoo(&self.client(name).await).await.unwrap();
        database
    }

    /// A plain client, as some application would have.
    pub(crate) async fn client(&self, name: &str) -> Client {
        let parameters = format!(
            "host={} port={} user=postgres dbname={name}",
            self.scratch.directory().display(),
            self.scratch.port()
        );
        let (client, connection) = tokio_postgres::connect(&parameters, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Dumps into a file and opens it.
    pub(crate) async fn dump(&self, database: &Database) -> (Archive, Manifest) {
        self.dump_with(database, &small_blocks()).await
    }

    pub(crate) async fn dump_with(
        &self,
        database: &Database,
        options: &DumpOptions,
    ) -> (Archive, Manifest) {
        let path = self.file(&format!("{}.sql.gz", database.name()));
        let file = fs_err::File::create(&path).unwrap();
        let (_, manifest) = pgsnap::dump(database, file, options, &quiet()).await.unwrap();
        (Archive::open(path).unwrap(), manifest)
    }

    /// Restores everything into a database of this name.
    pub(crate) async fn restore(&self, archive: &Archive, name: &str) -> Restored {
        let target = self.scratch.database(name);
        pgsnap::restore(archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap()
    }

    /// `gunzip | psql`, which must succeed.
    pub(crate) fn psql_restores(&self, path: &Path, database: &str) {
        let (gunzip, output) = self.pipe(path, database, &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(gunzip.success(), "gunzip: {gunzip}: {said}");
    }

    /// Requires that a database has the rows of a dump, whoever wrote them there.
    pub(crate) async fn require_census(&self, database: &Database, manifest: &Manifest) {
        let options = CensusOptions::default();
        let census = pgsnap::census(database, &options, &quiet()).await.unwrap();
        let comparison = pgsnap::compare(&manifest.census, &census);
        assert!(comparison.is_equal(), "{:?}", comparison.differences);
    }

    /// Restores as an operator without this tool does: `gunzip | psql`.
    pub(crate) fn psql_file(&self, path: &Path, database: &str, variables: &[&str]) -> Output {
        self.pipe(path, database, variables).1
    }

    fn pipe(&self, path: &Path, database: &str, variables: &[&str]) -> (ExitStatus, Output) {
        let mut gunzip =
            Command::new("gunzip").arg("-c").arg(path).stdout(Stdio::piped()).spawn().unwrap();
        let mut psql = self.libpq("psql", database);
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]);
        for variable in variables {
            psql.args(["-v", variable]);
        }
        let output =
            psql.stdin(gunzip.stdout.take().unwrap()).stdout(Stdio::null()).output().unwrap();
        // The command still holds the pipe; gunzip would wait for a reader that is gone.
        drop(psql);
        (gunzip.wait().unwrap(), output)
    }

    /// The whole database as `pg_dump` prints it, without what changes at every call.
    pub(crate) fn pg_dump(&self, database: &str, arguments: &[&str]) -> String {
        let output = self.libpq("pg_dump", database).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .filter(|line| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict "))
            .flat_map(|line| [line, "\n"])
            .collect()
    }

    pub(crate) fn libpq(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("PGHOST", self.scratch.directory())
            .env("PGPORT", self.scratch.port().to_string());
        command
            .env("PGUSER", "postgres")
            .env("PGDATABASE", database)
            .env("PGOPTIONS", "-c bytea_output=hex -c TimeZone=UTC -c lc_monetary=C");
        command
    }
}

/// The server that `cargo xtask test --pg` wants tested, instead of the installed one. The client
/// programs that go with it come first on the search path.
pub(crate) fn server_programs() -> Option<PathBuf> {
    std::env::var_os("PGSNAP_TEST_SERVER_BIN").map(PathBuf::from)
}

pub(crate) fn quiet() -> Arc<dyn Progress> {
    Arc::new(NoProgress)
}

/// Blocks so small that even the test data makes many members.
pub(crate) fn small_blocks() -> DumpOptions {
    let mut options = DumpOptions::default();
    options.block_size = 64 << 10;
    options
}

/// A writer that takes its time, so that the dump is still under way when something happens.
#[derive(Debug)]
pub(crate) struct Slow<W>(pub(crate) W);

impl<W: Write> Write for Slow<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        std::thread::sleep(Duration::from_millis(10));
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Puts the rows of every COPY block in order: sessions that load side by side do not keep it.
pub(crate) fn with_sorted_rows(dump: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut block: Option<usize> = None;
    for line in dump.lines() {
        out.push(line);
        match block {
            None if line.starts_with("COPY ") && line.ends_with(" FROM stdin;") => {
                block = Some(out.len());
            }
            Some(start) if line == "\\." => {
                let end = out.len() - 1;
                out[start..end].sort_unstable();
                block = None;
            }
            _ => {}
        }
    }
    out.join("\n")
}

/// Fails with the first differing line instead of two megabytes of text.
pub(crate) fn assert_same_text(expected: &str, found: &str) {
    for (number, (a, b)) in expected.lines().zip(found.lines()).enumerate() {
        assert!(a == b, "line {}:\n  expected: {a:.300}\n  found:    {b:.300}", number + 1);
    }
    assert_eq!(expected.lines().count(), found.lines().count(), "one text is longer");
}
