//! A throw-away PostgreSQL server on this machine.
//!
//! It lives in a temporary directory that only its user can enter, listens on a socket there (and, on
//! request, on loopback with a password), and is gone when its owner is gone: a small shell process
//! waits on a pipe from us, and when the pipe closes, however we ended, stops the server and removes the
//! directory.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};

use crate::database::Database;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::tools::{last_lines, package_directories};

/// How to set up a scratch server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScratchOptions {
    /// The directory with `initdb` and `postgres`. Default: the oldest installed version that is at least
    /// [`ScratchOptions::at_least`].
    pub bin_directory: Option<PathBuf>,
    /// The oldest acceptable major version.
    pub at_least: u32,
    /// Where the temporary directory is made. Default: `/tmp`. Socket paths are short, so keep it short.
    pub parent: PathBuf,
    /// Listen on a free port of 127.0.0.1 as well, with a generated password.
    pub tcp: bool,
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
            fast: true,
            settings: Vec::new(),
        }
    }
}

/// A running scratch server. Dropping it stops the server and removes its files.
#[derive(Debug)]
pub struct ScratchServer {
    directory: PathBuf,
    lifeline: Child,
    port: u16,
    tcp: bool,
    password: SecretString,
    superuser: &'static str,
}

const SUPERUSER: &str = "postgres";
const PREFIX: &str = "pgsnap-scratch-";

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

/// Stops the server and removes its directory when standard input ends. `$1` is the directory,
/// the rest is the server's command.
const LIFELINE: &str = r#"
trap '' INT TERM HUP
directory=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
read -r _ <&3
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf "$directory"
"#;

impl ScratchServer {
    /// Initialises and starts a server: about a second.
    ///
    /// As root, the server runs as user `postgres` or else `nobody`, because PostgreSQL refuses root.
    ///
    /// # Errors
    /// [`Error::Scratch`] with the end of the server's log.
    pub async fn start(options: &ScratchOptions) -> Result<Self> {
        sweep(&options.parent);
        let bin = bin_directory(options)?;
        let user = ServerUser::find()?;
        let directory = private_directory(&options.parent, user)?;
        match Self::start_in(&directory, &bin, user, options).await {
            Ok(server) => Ok(server),
            Err(error) => {
                // The lifeline removes the directory too, if it got that far.
                let _ = fs_err::remove_dir_all(&directory);
                Err(error)
            }
        }
    }

    async fn start_in(
        directory: &Path,
        bin: &Path,
        user: Option<ServerUser>,
        options: &ScratchOptions,
    ) -> Result<Self> {
        let password = SecretString::from(new_password());
        initialise(directory, bin, user, &password).await?;
        let port = if options.tcp { free_port()? } else { 5432 };
        let mut server = Self {
            directory: directory.to_owned(),
            lifeline: start_server(directory, bin, user, port, options)?,
            port,
            tcp: options.tcp,
            password,
            superuser: SUPERUSER,
        };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// A database on this server, reached through its socket as superuser.
    #[must_use]
    pub fn database(&self, name: &str) -> Database {
        let url = format!(
            "host={} port={} user={} dbname=postgres",
            self.directory.display(),
            self.port,
            self.superuser
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
        let url = format!(
            "host=127.0.0.1 port={} user={} dbname=postgres",
            self.port, self.superuser
        );
        let database = Database::from_url(&url)
            .expect("the URL is ours")
            .with_name(name);
        self.tcp
            .then(|| database.with_password(self.password.clone()))
    }

    /// The directory with socket, data and log.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The port: of loopback, and in the name of the socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server at once, as a crash would, and leaves the files until this value is dropped.
    ///
    /// # Errors
    /// [`Error::File`] if the server's process id cannot be read.
    pub fn kill(&self) -> Result<()> {
        let path = self.directory.join("data/postmaster.pid");
        let text = fs_err::read_to_string(&path).map_err(|error| Error::file(&path, error))?;
        let pid = text
            .lines()
            .next()
            .and_then(|line| line.parse().ok())
            .and_then(rustix::process::Pid::from_raw);
        let pid = pid.ok_or_else(|| Error::Scratch {
            reason: "its process id cannot be read".into(),
        })?;
        rustix::process::kill_process(pid, rustix::process::Signal::QUIT)
            .map_err(|error| Error::file(&path, error.into()))
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
                    let log = self
                        .log()
                        .map(|log| last_lines(log.as_bytes()))
                        .unwrap_or_default();
                    return Err(Error::Scratch {
                        reason: format!("{error}; its log ends: {log}"),
                    });
                }
            }
        }
    }

    fn log(&self) -> Option<String> {
        fs_err::read_to_string(self.directory.join("log"))
            .ok()
            .filter(|log| !log.contains("starting up"))
    }
}

impl Drop for ScratchServer {
    fn drop(&mut self) {
        drop(self.lifeline.stdin.take());
        let _ = self.lifeline.wait();
    }
}

/// The user the server runs as, where we are root.
#[derive(Debug, Clone, Copy)]
struct ServerUser {
    uid: u32,
    gid: u32,
}

impl ServerUser {
    /// `None` if we are an ordinary user: the server then runs as ourselves.
    fn find() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let path = Path::new("/etc/passwd");
        let passwd = fs_err::read_to_string(path).map_err(|error| Error::file(path, error))?;
        let user = ["postgres", "nobody"].iter().find_map(|name| {
            let fields: Vec<&str> = passwd
                .lines()
                .map(|line| line.split(':').collect::<Vec<_>>())
                .find(|fields| fields[0] == *name)?;
            Some(Self {
                uid: fields.get(2)?.parse().ok()?,
                gid: fields.get(3)?.parse().ok()?,
            })
        });
        user.map(Some).ok_or_else(|| Error::Scratch {
            reason: "PostgreSQL refuses to run as root, and there is no user postgres or nobody"
                .into(),
        })
    }

    fn apply(user: Option<Self>, command: &mut Command) {
        if let Some(user) = user {
            command.uid(user.uid).gid(user.gid);
        }
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

/// A directory only the server's user can enter, named after its owner so that left-overs can be told.
fn private_directory(parent: &Path, user: Option<ServerUser>) -> Result<PathBuf> {
    let failed = |error| Error::file(parent, error);
    let directory = tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{}-", std::process::id()))
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .map_err(failed)?
        .keep();
    if let Some(user) = user {
        chown(&directory, Some(user.uid), Some(user.gid)).map_err(failed)?;
    }
    Ok(directory)
}

/// Removes directories of servers whose owner and server are both gone: the lifeline was killed as well.
fn sweep(parent: &Path) {
    let is_alive = |pid: &str| Path::new("/proc").join(pid).exists();
    for entry in fs_err::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(owner) = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next())
        else {
            continue;
        };
        let server = fs_err::read_to_string(entry.path().join("data/postmaster.pid"));
        let server_alive = server
            .ok()
            .and_then(|text| text.lines().next().map(&is_alive))
            .unwrap_or(false);
        if Path::new("/proc/self").exists() && !is_alive(owner) && !server_alive {
            tracing::info!(
                directory = name,
                "removing the left-over of a scratch server"
            );
            let _ = fs_err::remove_dir_all(entry.path());
        }
    }
}

async fn initialise(
    directory: &Path,
    bin: &Path,
    user: Option<ServerUser>,
    password: &SecretString,
) -> Result<()> {
    let password_file = directory.join("password");
    let mut file =
        fs_err::File::create(&password_file).map_err(|error| Error::file(&password_file, error))?;
    file.write_all(password.expose_secret().as_bytes())
        .map_err(|error| Error::file(&password_file, error))?;
    if let Some(user) = user {
        chown(&password_file, Some(user.uid), Some(user.gid))
            .map_err(|error| Error::file(&password_file, error))?;
    }
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
        .args([
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--pwfile",
        ])
        .arg(&password_file);
    command
        .arg("--pgdata")
        .arg(directory.join("data"))
        .current_dir(directory);
    ServerUser::apply(user, &mut command);
    let output = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output())
        .await
        .map_err(|_| Error::WorkerDied {
            what: "running initdb".into(),
        })?
        .map_err(|source| Error::ToolStart {
            tool: "initdb".into(),
            source,
        })?;
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
    directory: &Path,
    bin: &Path,
    user: Option<ServerUser>,
    port: u16,
    options: &ScratchOptions,
) -> Result<Child> {
    let log = directory.join("log");
    let log_file = fs_err::File::create(&log)
        .map_err(|error| Error::file(&log, error))?
        .into_file();
    let log_copy = log_file
        .try_clone()
        .map_err(|error| Error::file(&log, error))?;
    let mut command = Command::new("sh");
    command.args(["-c", LIFELINE, "sh"]).arg(directory);
    command
        .arg(bin.join("postgres"))
        .arg("-D")
        .arg(directory.join("data"));
    command
        .arg("-k")
        .arg(directory)
        .args(["-p", &port.to_string()]);
    let listen = if options.tcp {
        "listen_addresses=127.0.0.1"
    } else {
        "listen_addresses="
    };
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
    command.current_dir(directory).process_group(0);
    ServerUser::apply(user, &mut command);
    command
        .stdin(Stdio::piped())
        .stdout(log_file)
        .stderr(log_copy);
    command.spawn().map_err(|source| Error::ToolStart {
        tool: "postgres".into(),
        source,
    })
}

fn free_port() -> Result<u16> {
    let failed = |error| Error::file("a port of 127.0.0.1", error);
    Ok(TcpListener::bind("127.0.0.1:0")
        .map_err(failed)?
        .local_addr()
        .map_err(failed)?
        .port())
}

fn new_password() -> String {
    use std::hash::{BuildHasher, RandomState};
    (0..4u8)
        .map(|n| format!("{:016x}", RandomState::new().hash_one(n)))
        .collect()
}
