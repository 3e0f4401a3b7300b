//! A throw-away PostgreSQL server on this machine.
//!
//! It lives in a temporary directory that only its user can enter, listens on a socket there (and,
//! on request, on loopback with a password), and is gone when its owner is gone: a small shell
//! process, the lifeline, waits on a pipe from us, and when the pipe closes, however we ended,
//! stops the server and removes the directory. If the lifeline was killed as well, the next server
//! that is started does it.

mod directory;
mod isolation;
mod user;

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use secrecy::SecretString;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::random::random_digits;
use crate::scratch::directory::{Directory, sweep};
use crate::scratch::user::ServerUser;
use crate::session::Session;
use crate::tools::{last_lines, package_directories};

/// Options of a scratch server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScratchOptions {
    /// The directory with `initdb` and `postgres`. Default: the oldest installed version that is at
    /// least [`ScratchOptions::at_least`].
    pub bin_directory: Option<PathBuf>,
    /// The oldest acceptable major version.
    pub at_least: u32,
    /// The parent of the temporary directory. Default: `/tmp`. Socket paths are short, so keep it
    /// short.
    pub parent: PathBuf,
    /// Listen on a free port of 127.0.0.1 as well, with a generated password.
    pub tcp: bool,
    /// Give the server no network, where the kernel allows that to its user: whatever code it is
    /// made to run reaches nobody. Its socket is reachable all the same. Has no effect together
    /// with [`ScratchOptions::tcp`]. Default: no.
    pub offline: bool,
    /// Trade durability for speed, as suits data that exists elsewhere. Default: yes.
    pub fast: bool,
    /// Further `name=value` settings of the server.
    pub settings: Vec<String>,
}

impl Default for ScratchOptions {
    fn default() -> Self {
        Self {
            bin_directory: None,
            at_least: 14,
            parent: PathBuf::from("/tmp"),
            tcp: false,
            offline: false,
            fast: true,
            settings: Vec::new(),
        }
    }
}

/// A running scratch server. Dropping it stops the server and removes its files.
#[derive(Debug)]
pub struct ScratchServer {
    lifeline: Child,
    directory: Directory,
    port: u16,
    tcp: bool,
    is_offline: bool,
    password: SecretString,
}

const SUPERUSER: &str = "postgres";

/// Settings under which nothing is ever flushed. Never for data that exists nowhere else.
const FAST: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=4GB",
    "checkpoint_timeout=1h",
    "autovacuum=off",
    "shared_buffers=256MB",
];

/// Stops the server and removes its directory when standard input ends. `$1` is the directory, the
/// rest is the server's command. Standard output is the lock of the directory, which the server
/// must not inherit; standard error is the log.
const LIFELINE: &str = r#"
trap '' INT TERM HUP
directory=$1; shift
exec 3<&0
"$@" </dev/null >&2 3<&- &
server=$!
read -r _ <&3
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf "$directory/data"
rm -rf "$directory"
"#;

impl ScratchServer {
    /// Initialises and starts a server: about a second.
    ///
    /// As root, the server runs as user `postgres` or else `nobody`, because PostgreSQL refuses
    /// root.
    ///
    /// # Errors
    /// [`Error::Scratch`] with the end of the server's log.
    pub async fn start(options: &ScratchOptions) -> Result<Self> {
        let user = ServerUser::find()?;
        let bin = bin_directory(options)?;
        let parent = options.parent.clone();
        let password = SecretString::from(random_digits()?);
        let secret = password.clone();
        let directory = tokio::task::spawn_blocking(move || {
            sweep(&parent, user);
            Directory::create(&parent, user, &secret)
        })
        .await
        .map_err(|_| Error::WorkerDied { what: "making a directory".into() })??;
        initialise(&directory, &bin, user).await?;
        let port = if options.tcp { free_port()? } else { 5432 };
        let is_offline = options.offline && !options.tcp && isolation::is_possible(user);
        let shell = if is_offline { isolation::without_network("sh") } else { Command::new("sh") };
        let mut server = Self {
            lifeline: start_server(shell, &directory, &bin, user, port, options)?,
            directory,
            port,
            tcp: options.tcp,
            is_offline,
            password,
        };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// A database on this server, reached through its socket as superuser.
    #[must_use]
    pub fn database(&self, name: &str) -> Database {
        let url = format!(
            "host={} port={} user={} dbname=postgres",
            self.directory().display(),
            self.port,
            SUPERUSER
        );
        Database::from_url(&url)
            .expect("the directory is ours and has no odd characters")
            .with_name(name)
    }

    /// A database on this server, reached through loopback with the generated password.
    ///
    /// `None` unless the server was started with [`ScratchOptions::tcp`].
    #[must_use]
    pub fn tcp_database(&self, name: &str) -> Option<Database> {
        let url = format!("host=127.0.0.1 port={} user={} dbname=postgres", self.port, SUPERUSER);
        let database = Database::from_url(&url).expect("the URL is ours").with_name(name);
        self.tcp.then(|| database.with_password(self.password.clone()))
    }

    /// The directory with socket, data and log.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The port: of loopback, and in the name of the socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns true if the server has no network, as [`ScratchOptions::offline`] asks for.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.is_offline
    }

    /// Kills the server at once, as a crash would, and leaves the files until this value is
    /// dropped.
    ///
    /// # Errors
    /// [`Error::Scratch`] if the server does not run.
    pub fn kill(&self) -> Result<()> {
        let failed = |reason: &str| Error::Scratch { reason: reason.to_owned() };
        let pid =
            self.directory.postmaster().ok_or_else(|| failed("its process cannot be found"))?;
        rustix::process::kill_process(pid, rustix::process::Signal::QUIT)
            .map_err(|error| failed(&format!("it cannot be killed: {error}")))
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match Session::open(&self.database("postgres"), "scratch").await {
                Ok(_) => return Ok(()),
                Err(_)
                    if Instant::now() < deadline
                        && self.log().is_none_or(|log| !log.contains("FATAL")) =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => {
                    let log = self.log().map(|log| last_lines(log.as_bytes())).unwrap_or_default();
                    return Err(Error::Scratch { reason: format!("{error}; its log ends: {log}") });
                }
            }
        }
    }

    fn log(&self) -> Option<String> {
        Some(self.directory.log_text()).filter(|log| !log.contains("starting up"))
    }
}

impl Drop for ScratchServer {
    /// The directory is dropped after this: where the lifeline was killed, it does the lifeline's
    /// work.
    fn drop(&mut self) {
        drop(self.lifeline.stdin.take());
        let _ = self.lifeline.wait();
    }
}

fn bin_directory(options: &ScratchOptions) -> Result<PathBuf> {
    if let Some(directory) = &options.bin_directory {
        return Ok(directory.clone());
    }
    package_directories()
        .into_iter()
        .filter(|path| path.join("initdb").exists() && path.join("postgres").exists())
        .find(|path| {
            let major = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).and_then(|name| name.parse::<u32>().ok());
            major.is_some_and(|major| major >= options.at_least)
        })
        .ok_or_else(|| Error::Scratch {
            reason: format!("no PostgreSQL server of version {} or newer is installed (try `apt-get install postgresql`)", options.at_least),
        })
}

async fn initialise(directory: &Directory, bin: &Path, user: Option<ServerUser>) -> Result<()> {
    let password_file = directory.password_file();
    let mut command = Command::new(bin.join("initdb"));
    command.args([
        "--username",
        SUPERUSER,
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    ]);
    command
        .args(["--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile"])
        .arg(&password_file);
    command.arg("--pgdata").arg(directory.data()).current_dir(directory.path());
    ServerUser::apply(user, &mut command);
    let output = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output())
        .await
        .map_err(|_| Error::WorkerDied { what: "running initdb".into() })?
        .map_err(|source| Error::ToolStart { tool: "initdb".into(), source })?;
    let _ = fs_err::remove_file(&password_file);
    if output.status.success() {
        Ok(())
    } else {
        Err(Error::ToolFailed {
            tool: "initdb".into(),
            status: output.status.to_string(),
            stderr: last_lines(&output.stderr),
        })
    }
}

fn start_server(
    mut command: Command,
    directory: &Directory,
    bin: &Path,
    user: Option<ServerUser>,
    port: u16,
    options: &ScratchOptions,
) -> Result<Child> {
    command
        .args(["-c", LIFELINE, "sh"])
        .arg(directory.path())
        .arg(bin.join("postgres"))
        .arg("-D")
        .arg(directory.data())
        .arg("-k")
        .arg(directory.path())
        .args(["-p", &port.to_string()]);
    let listen = if options.tcp { "listen_addresses=127.0.0.1" } else { "listen_addresses=" };
    let fast = if options.fast { FAST } else { &[] };
    let settings = fast
        .iter()
        .copied()
        .chain([listen, "max_locks_per_transaction=1024"])
        .chain(options.settings.iter().map(String::as_str));
    for setting in settings {
        command.args(["-c", setting]);
    }
    // A group of its own: Ctrl-C at the terminal is for us, and we stop the server ourselves.
    command.current_dir(directory.path()).process_group(0);
    ServerUser::apply(user, &mut command);
    command.stdin(Stdio::piped()).stdout(directory.lock_copy()?).stderr(directory.log_copy()?);
    command.spawn().map_err(|source| Error::ToolStart { tool: "postgres".into(), source })
}

fn free_port() -> Result<u16> {
    let failed = |error| Error::file("a port of 127.0.0.1", error);
    Ok(TcpListener::bind("127.0.0.1:0").map_err(failed)?.local_addr().map_err(failed)?.port())
}
