//! A server that all tests share, and a place of its own for each.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use pgsnap::{Database, ScratchOptions, ScratchServer};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A few thousand rows.
const SCALE: &str = "0.02";

/// The shared server. It ends with the process: its lifeline sees our end of a pipe close.
struct Shared {
    runtime: Runtime,
    server: ScratchServer,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let mut options = ScratchOptions::default();
        options.tcp = true;
        let server = runtime.block_on(ScratchServer::start(&options)).unwrap();
        runtime
            .block_on(pgsnap::execute(&server.database("postgres"), "CREATE DATABASE sample"))
            .unwrap();
        let sample = format!("SET demo.scale = '{SCALE}';\n{}", testkit::HUB);
        runtime.block_on(pgsnap::execute(&server.database("sample"), &sample)).unwrap();
        Shared { runtime, server }
    })
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    shared().runtime.block_on(future)
}

pub(crate) fn spawn(
    future: impl Future<Output = ()> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    shared().runtime.spawn(future)
}

/// Runs statements in a database of the shared server.
pub(crate) fn sql(database: &str, statements: &str) {
    block_on(pgsnap::execute(&database_of(database), statements)).unwrap();
}

pub(crate) fn scalar(database: &str, query: &str) -> Option<String> {
    block_on(pgsnap::query_scalar(&database_of(database), query)).unwrap()
}

pub(crate) fn database_of(name: &str) -> Database {
    shared().server.database(name)
}

/// A new copy of the sample; returns its name.
pub(crate) fn new_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("hub_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    // Two copies of one template at a time are refused.
    static TEMPLATE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = TEMPLATE.lock().unwrap();
    sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE sample"));
    name
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn wait_for(database: &str, condition: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while scalar(database, condition).as_deref() != Some("t") {
        assert!(std::time::Instant::now() < deadline, "never: {condition}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// The URL of a database, through the socket.
pub(crate) fn url(name: &str) -> String {
    let server = &shared().server;
    format!(
        "postgresql:///{name}?host={}&port={}&user=postgres",
        server.directory().display(),
        server.port()
    )
}

/// The socket of the shared server.
pub(crate) fn socket() -> std::path::PathBuf {
    let server = &shared().server;
    server.directory().join(format!(".s.PGSQL.{}", server.port()))
}

/// The URL of a database, through loopback, where a password is required.
pub(crate) fn tcp_url(user: &str, name: &str) -> String {
    format!("postgresql://{user}@127.0.0.1:{}/{name}", shared().server.port())
}

/// A run of hubctl that has nothing but a directory.
pub(crate) fn command_in(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("hubctl"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.env("HOME", directory).current_dir(directory).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A home directory with a configuration, two keys, a vault, and a database of its own.
pub(crate) struct Home {
    directory: TempDir,
    pub(crate) database: String,
}

/// The output of a run of hubctl.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::with_database(new_database())
    }

    pub(crate) fn with_database(database: String) -> Self {
        let home = Self { directory: tempfile::tempdir().unwrap(), database };
        let key = home.generate_key("key.txt");
        let escrow = home.generate_key("escrow.txt");
        fs_err::create_dir(home.path("vault")).unwrap();
        home.configure(
            &format!("recipients = [\"{key}\", \"{escrow}\"]\nidentities = [\"key.txt\"]\n"),
            "",
        );
        home
    }

    /// Writes the configuration with these lines of [vault] and these tables behind it.
    pub(crate) fn configure(&self, vault: &str, tables: &str) {
        let mut text =
            String::from("[service]\nname = \"state-hub\"\n[journal]\npath = \"journal.jsonl\"\n");
        let _ = writeln!(text, "[sites.workstation]\ndatabase = \"{}\"", url(&self.database));
        let _ = writeln!(text, "[vault]\npath = \"vault\"\n{vault}{tables}");
        fs_err::write(self.path("hubctl.toml"), text).unwrap();
    }

    pub(crate) fn append(&self, tables: &str) {
        let path = self.path("hubctl.toml");
        let text = fs_err::read_to_string(&path).unwrap();
        fs_err::write(path, format!("{text}{tables}")).unwrap();
    }

    /// Makes an age key; returns the public one.
    pub(crate) fn generate_key(&self, name: &str) -> String {
        use age::secrecy::ExposeSecret as _;
        let key = age::x25519::Identity::generate();
        self.secret(name, key.to_string().expose_secret());
        key.to_public().to_string()
    }

    /// Writes a file that only we may read.
    pub(crate) fn secret(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs_err::write(&path, format!("{text}\n")).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        command_in(self.root(), arguments)
    }

    pub(crate) fn hubctl(&self, arguments: &[&str]) -> Run {
        Run::of(&self.command(arguments).output().unwrap())
    }

    /// Runs hubctl, and requires this exit code.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, arguments: &[&str]) -> Run {
        let run = self.hubctl(arguments);
        assert_eq!(run.code, Some(code), "hubctl {arguments:?}\n{}{}", run.stdout, run.stderr);
        run
    }

    /// Runs hubctl for JSON of this schema.
    #[track_caller]
    pub(crate) fn json(&self, code: i32, schema: &str, arguments: &[&str]) -> Value {
        let run = self.expect(code, &[arguments, &["--format", "json"]].concat());
        let value: Value = serde_json::from_str(&run.stdout).expect(&run.stdout);
        assert_eq!(value["schema"], schema);
        value
    }

    /// Takes a backup; returns the path of its entry.
    #[track_caller]
    pub(crate) fn backup(&self) -> PathBuf {
        PathBuf::from(self.expect(0, &["backup"]).stdout.trim_end())
    }

    /// The journal's records of one kind.
    pub(crate) fn journal(&self, kind: &str) -> Vec<journal::Record> {
        let records =
            journal::Journal::open_existing(self.path("journal.jsonl")).unwrap().read().unwrap();
        records.into_iter().filter(|record| record.kind == kind).collect()
    }

    /// The names of the files in the vault.
    pub(crate) fn vault(&self) -> Vec<String> {
        let entries = fs_err::read_dir(self.path("vault")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Run {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "`{text}` is not in:\n{}", self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn shows(&self, text: &str) -> &Self {
        assert!(self.stdout.contains(text), "`{text}` is not in:\n{}", self.stdout);
        self
    }
}
