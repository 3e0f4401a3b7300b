//! Finding and running PostgreSQL's own programs.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::database::{Database, FOREIGN_LIBPQ_VARIABLES};
use crate::error::{Error, Result};

/// Directories in which packages put PostgreSQL's programs, one subdirectory per major version.
const PACKAGE_ROOTS: &[&str] = &["/usr/lib/postgresql", "/usr/local/lib/postgresql"];

/// `pg_dump` and `pg_restore` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgDump {
    /// The directory with both, or empty for those on the search path.
    pub directory: PathBuf,
    /// The version as the program prints it, such as `16.4`.
    pub version: String,
    /// The major version.
    pub major: u32,
}

impl PgDump {
    /// The oldest installed `pg_dump` that can read a server of this major version.
    ///
    /// Looks in `directories` first, then where packages install, then on the search path.
    /// The oldest, because a newer one prints DDL that an older target may not know.
    ///
    /// # Errors
    /// [`Error::PgDumpMissing`] names what was found.
    pub async fn find(server_major: u32, directories: &[PathBuf]) -> Result<Self> {
        let installed = Self::installed(directories).await;
        let found =
            installed.iter().map(|tool| format!("{} in {}", tool.version, tool.place())).collect();
        installed
            .into_iter()
            .filter(|tool| tool.major >= server_major)
            .min_by_key(|tool| tool.major)
            .ok_or(Error::PgDumpMissing { server_major, found })
    }

    /// Every installed `pg_dump`.
    pub async fn installed(directories: &[PathBuf]) -> Vec<Self> {
        let mut candidates: Vec<PathBuf> = directories.to_vec();
        candidates.extend(package_directories());
        candidates.push(PathBuf::new());
        let mut found: Vec<Self> = Vec::new();
        for directory in candidates {
            if let Some(tool) = Self::at(directory).await
                && !found.iter().any(|known| known.version == tool.version)
            {
                found.push(tool);
            }
        }
        found
    }

    async fn at(directory: PathBuf) -> Option<Self> {
        let output = Command::new(program(&directory, "pg_dump"))
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .await
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let version = text
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?
            .to_owned();
        let major = version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        Some(Self { directory, version, major })
    }

    fn place(&self) -> String {
        if self.directory.as_os_str().is_empty() {
            "the search path".into()
        } else {
            self.directory.display().to_string()
        }
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        program(&self.directory, name)
    }
}

fn program(directory: &Path, name: &str) -> PathBuf {
    if directory.as_os_str().is_empty() { PathBuf::from(name) } else { directory.join(name) }
}

/// The `bin` directories of installed packages, in ascending order of version.
pub(crate) fn package_directories() -> Vec<PathBuf> {
    let mut directories: Vec<(u32, PathBuf)> = PACKAGE_ROOTS
        .iter()
        .filter_map(|root| fs_err::read_dir(root).ok())
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, path)| path.is_dir())
        .collect();
    directories.sort();
    directories.into_iter().map(|(_, path)| path).collect()
}

/// A libpq program that reaches `database`; it is killed when its future is dropped.
///
/// # Errors
/// [`Error::Certificate`] where the files of certificates that it needs cannot be named.
pub(crate) fn libpq_command(program: &Path, database: &Database) -> Result<Command> {
    let mut command = Command::new(program);
    for variable in FOREIGN_LIBPQ_VARIABLES {
        command.env_remove(variable);
    }
    command.envs(database.libpq_environment()?).env("PGAPPNAME", "pgsnap").env("LC_MESSAGES", "C");
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// The definitions of a hundred thousand tables take a quarter of it.
const LONGEST_OUTPUT: u64 = 1 << 30;
const LONGEST_COMPLAINT: u64 = 16 << 20;

/// Runs a program to its end, feeding `input`, and returns its stdout. All of it stays in memory.
pub(crate) async fn output(mut command: Command, input: &[u8]) -> Result<Vec<u8>> {
    let tool = tool_name(&command);
    command.kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().map_err(|source| Error::ToolStart { tool: tool.clone(), source })?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let mut stdout = child.stdout.take().expect("stdout is piped");
    let mut stderr = child.stderr.take().expect("stderr is piped");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let feed = async {
        // A program that stops reading early reports why by its exit status.
        let _ = stdin.write_all(input).await;
        drop(stdin);
    };
    // A program whose output nobody reads any more ends by that.
    let read = async {
        let read = (&mut stdout).take(LONGEST_OUTPUT).read_to_end(&mut out).await;
        drop(stdout);
        read
    };
    let read_err = async {
        let read = (&mut stderr).take(LONGEST_COMPLAINT).read_to_end(&mut err).await;
        drop(stderr);
        read
    };
    let (_, read, read_err, status) = tokio::join!(feed, read, read_err, child.wait());
    if out.len() as u64 == LONGEST_OUTPUT {
        return Err(Error::TooLarge { what: format!("the output of {tool}") });
    }
    let status = read
        .and(read_err)
        .and(status)
        .map_err(|source| Error::ToolStart { tool: tool.clone(), source })?;
    if status.success() { Ok(out) } else { Err(failure(tool, status, &err)) }
}

/// A standby ends whoever reads what its primary changes: that is no failure of the program, and
/// may pass.
fn failure(tool: String, status: std::process::ExitStatus, stderr: &[u8]) -> Error {
    /// The code for a session whose work was undone so that others could go on.
    const SERIALIZATION_FAILURE: &str = "40001";
    let text = String::from_utf8_lossy(stderr);
    match text.lines().find(|line| line.contains("conflict with recovery")) {
        Some(line) => Error::Server {
            context: tool,
            message: line.trim().to_owned(),
            code: SERIALIZATION_FAILURE.to_owned(),
            detail: None,
            server_hint: None,
        },
        None => Error::ToolFailed { tool, status: status.to_string(), stderr: last_lines(stderr) },
    }
}

pub(crate) fn start_error(tool: &str, source: std::io::Error) -> Error {
    Error::ToolStart { tool: tool.to_owned(), source }
}

pub(crate) fn tool_name(command: &Command) -> String {
    Path::new(command.as_std().get_program())
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The last few lines of a program's complaints, on one line.
pub(crate) fn last_lines(stderr: &[u8]) -> String {
    const LINES: usize = 6;
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failing_program_is_reported_with_what_it_said() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one >&2; echo two >&2; exit 3"]);
        let error = output(command, b"").await.unwrap_err();
        assert_eq!(error.to_string(), "sh failed (exit status: 3): one / two");
    }

    #[tokio::test]
    async fn no_suitable_pg_dump_names_what_was_found() {
        let error = PgDump::find(99, &[]).await.unwrap_err();
        assert!(error.hint().unwrap().contains("postgresql-client-99"), "{error}");
    }

    #[test]
    fn nothing_of_the_callers_environment_changes_how_a_program_connects() {
        let database = Database::from_url("postgresql://hub@localhost/hub").unwrap();
        let command = libpq_command(Path::new("psql"), &database).unwrap();
        let environment: Vec<_> = command.as_std().get_envs().collect();
        for variable in ["PGSSLROOTCERT", "PGREQUIREPEER", "PGSYSCONFDIR", "PGOPTIONS"] {
            assert!(environment.contains(&(variable.as_ref(), None)), "{variable}");
        }
        assert!(environment.contains(&("PGSSLMODE".as_ref(), Some("disable".as_ref()))));
        assert!(environment.contains(&("PGREQUIREAUTH".as_ref(), Some("!password".as_ref()))));
    }
}
