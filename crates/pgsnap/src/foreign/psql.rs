//! psql, fed with a plain dump: it succeeds only if it took everything and says so.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::foreign::OpenDump;
use crate::foreign::text::{Guard, Portion, send};
use crate::progress::{Progress, Work};
use crate::session::Session;
use crate::tools::{PgDump, last_lines, libpq_command, start_error};

/// An installed psql that can be kept from running meta-commands.
pub(super) struct Psql {
    program: PathBuf,
}

/// The abilities of the server.
pub(super) struct Abilities {
    has_transaction_timeout: bool,
    /// True if this role may choose the language of messages, so that they can be understood.
    may_set_language: bool,
}

impl Abilities {
    pub(super) async fn read(session: &Session) -> Result<Self> {
        const QUERY: &str = "
            SELECT EXISTS (SELECT FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'),
                   (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user)";
        let row = session.row("asking for the server's settings", QUERY, &[]).await?;
        Ok(Self { has_transaction_timeout: row.get(0), may_set_language: row.get(1) })
    }
}

impl Psql {
    /// The newest installed psql that knows `\restrict`.
    ///
    /// # Errors
    /// [`Error::PsqlTooOld`] if there are only others.
    pub(super) async fn find(directories: &[PathBuf]) -> Result<Self> {
        let best = PgDump::installed(directories)
            .await
            .into_iter()
            .max_by_key(|tool| (knows_restrict(&tool.version), tool.major));
        let program = best.map_or_else(|| PathBuf::from("psql"), |tool| tool.program("psql"));
        let output = Command::new(&program).arg("--version").stdin(Stdio::null()).output().await;
        let output = output.map_err(|source| start_error("psql", source))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
            .unwrap_or_default();
        if knows_restrict(version) {
            Ok(Self { program })
        } else {
            Err(Error::PsqlTooOld { found: version.to_owned() })
        }
    }

    /// Feeds the dump to psql and waits for it to end well. Returns the bytes fed.
    pub(super) async fn feed(
        &self,
        open: Arc<OpenDump>,
        database: &Database,
        abilities: &Abilities,
        progress: &Arc<dyn Progress>,
    ) -> Result<u64> {
        let guard = Guard::new(abilities.has_transaction_timeout)?;
        let mut child = self
            .command(database, abilities)?
            .spawn()
            .map_err(|source| start_error("psql", source))?;
        let stdin = child.stdin.take().expect("stdin is piped");
        let answers = tokio::spawn(end_of(child.stdout.take().expect("stdout is piped")));
        let complaints = tokio::spawn(end_of(child.stderr.take().expect("stderr is piped")));
        let mut running = Running { child, stdin };

        let (sender, received) = mpsc::channel(4);
        let (reader_guard, reader_progress) = (guard.clone(), Arc::clone(progress));
        tokio::task::spawn_blocking(move || {
            send(open.as_ref(), &reader_guard, &reader_progress, &sender);
        });
        let fed = running.write(received, progress).await?;
        let Running { mut child, stdin } = running;
        drop(stdin);
        let status = child.wait().await.map_err(|source| start_error("psql", source))?;
        let complaints = last_lines(&complaints.await.unwrap_or_default());
        let answers = answers.await.unwrap_or_default();
        let refused = |what: String| Err(Error::ForeignDump { what });
        match fed {
            _ if !status.success() && complaints.is_empty() => refused(format!("psql: {status}")),
            _ if !status.success() => refused(complaints),
            None => refused("psql ended before the end of the dump".into()),
            Some(_) if !guard.is_proven_by(&answers) => {
                refused("psql took its end for something else: it was cut or changed".into())
            }
            Some(bytes) => Ok(bytes),
        }
    }

    fn command(&self, database: &Database, abilities: &Abilities) -> Result<Command> {
        let mut command = libpq_command(&self.program, database)?;
        command.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            // DETAIL and CONTEXT hold values of rows, which belong into no error and no log.
            "--set=VERBOSITY=terse",
            "--set=SHOW_CONTEXT=never",
            "--single-transaction",
            "--no-password",
            "--file=-",
        ]);
        if abilities.may_set_language {
            let options = database.options().unwrap_or_default();
            command.env("PGOPTIONS", format!("{options} -c lc_messages=C"));
        }
        command.stdin(Stdio::piped());
        Ok(command)
    }
}

/// A psql and the pipe it reads. They are dropped in this order: a psql that is abandoned is killed
/// before it could take the end of the pipe for the end of the dump, and commit.
struct Running {
    child: Child,
    stdin: ChildStdin,
}

impl Running {
    /// Writes what is received. Returns the bytes, or `None` if psql stopped reading before the
    /// end.
    async fn write(
        &mut self,
        mut received: mpsc::Receiver<Result<Portion>>,
        progress: &Arc<dyn Progress>,
    ) -> Result<Option<u64>> {
        let mut bytes = 0;
        while let Some(portion) = received.recv().await {
            let (text, is_last) = match portion {
                Ok(Portion::Middle(text)) => (text, false),
                Ok(Portion::Last(text)) => (text, true),
                Err(error) => {
                    // It is killed while its input is still open.
                    let _ = self.child.kill().await;
                    return Err(error);
                }
            };
            if self.stdin.write_all(&text).await.is_err() {
                return Ok(None);
            }
            bytes += text.len() as u64;
            progress.advance(Work { bytes: text.len() as u64, rows: 0 });
            if is_last {
                return Ok(Some(bytes));
            }
        }
        let _ = self.child.kill().await;
        Err(Error::WorkerDied { what: "reading the dump".into() })
    }
}

/// Reads a stream to its end and keeps only the last of it: a dump may print one line per large
/// object.
async fn end_of(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    const KEPT: usize = 16 << 10;
    let mut end = Vec::new();
    let mut buffer = vec![0; KEPT];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        end.extend_from_slice(&buffer[..length]);
        end.drain(..end.len().saturating_sub(KEPT));
    }
    end
}

/// Returns true if a psql of this version has `\restrict`.
fn knows_restrict(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| {
        part.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u32>()
    });
    let (Some(Ok(major)), minor) =
        (numbers.next(), numbers.next().and_then(std::result::Result::ok))
    else {
        return false;
    };
    let minor = minor.unwrap_or(0);
    match major {
        13 => minor >= 22,
        14 => minor >= 19,
        15 => minor >= 14,
        16 => minor >= 10,
        17 => minor >= 6,
        _ => major >= 18,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_with_restrict_are_known() {
        for (version, expected) in [
            ("15.18", true),
            ("15.13", false),
            ("16.2", false),
            ("18.0", true),
            ("19beta1", true),
            ("12.9", false),
            ("", false),
        ] {
            assert_eq!(knows_restrict(version), expected, "{version}");
        }
    }

    #[test]
    fn messages_are_short_and_in_english_where_the_role_may_choose() {
        let url = "postgresql://hub@localhost/hub?options=-c%20role%3Dapp";
        let database = Database::from_url(url).unwrap();
        let psql = Psql { program: "psql".into() };
        for (may_set_language, expected) in
            [(true, "-c role=app -c lc_messages=C"), (false, "-c role=app")]
        {
            let abilities = Abilities { has_transaction_timeout: true, may_set_language };
            let command = psql.command(&database, &abilities).unwrap();
            let mut environment = command.as_std().get_envs();
            let options = environment.find(|(name, _)| *name == "PGOPTIONS").unwrap();
            assert_eq!(options.1.unwrap(), expected);
            let arguments: Vec<_> = command.as_std().get_args().collect();
            assert!(arguments.contains(&"--set=VERBOSITY=terse".as_ref()));
        }
    }
}
