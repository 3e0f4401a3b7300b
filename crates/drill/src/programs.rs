//! The programs that the drill runs: `hubctl`, and PostgreSQL's own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::{Child, Command};

use crate::Unavailable;
use crate::arguments::SearchPath;

const PACKAGES: &str = "/usr/lib/postgresql";
const TIMEOUT: Duration = Duration::from_secs(900);
/// Of what a program said when it failed.
const LINES: usize = 12;

/// The directories of the programs.
pub(crate) struct Programs {
    pub(crate) hubctl: PathBuf,
    /// Directories with `pg_dump` and `psql`, by major version.
    clients: BTreeMap<u32, PathBuf>,
}

impl Programs {
    /// Looks in these directories, where packages install, and on the search path.
    pub(crate) async fn find(clients: &SearchPath) -> anyhow::Result<Self> {
        let me = std::env::current_exe()?;
        // cargo puts both into one directory.
        let hubctl = me.with_file_name("hubctl");
        if !hubctl.is_file() {
            return Err(Unavailable(format!(
                "{} is not there\n  start this with `cargo xtask drill`, which builds it",
                hubctl.display()
            ))
            .into());
        }
        let mut directories = clients.0.clone();
        directories.extend(
            fs_err::read_dir(PACKAGES)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path().join("bin")),
        );
        directories.extend(std::env::split_paths(&search_path()));
        let mut found = BTreeMap::new();
        for directory in directories {
            if let Some(major) = major(&directory).await {
                found.entry(major).or_insert(directory);
            }
        }
        Ok(Self { hubctl, clients: found })
    }

    /// The lowest version that knows a server of this one: a newer one writes what an older server
    /// may not understand.
    pub(crate) fn clients(&self, major: u32) -> anyhow::Result<&Path> {
        let fitting = self.clients.range(major..).next();
        fitting
            .map(|(_, directory)| directory.as_path())
            .ok_or_else(|| {
                Unavailable(format!(
                    "no pg_dump of PostgreSQL {major} or newer is here\n  start this with `cargo xtask drill`, which fetches one"
                ))
                .into()
            })
    }

    /// A search path that begins with the programs for a server.
    pub(crate) fn search_path(&self, major: u32) -> anyhow::Result<OsString> {
        let rest = search_path();
        let path =
            std::iter::once(self.clients(major)?.to_owned()).chain(std::env::split_paths(&rest));
        Ok(std::env::join_paths(path)?)
    }
}

fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

async fn major(directory: &Path) -> Option<u32> {
    let mut command = Command::new(directory.join("pg_dump"));
    let output = command.arg("--version").output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number = text.split(' ').nth(2)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Runs a program to its end; returns what it printed. Fails with the last lines it said.
pub(crate) async fn run(command: &mut Command) -> anyhow::Result<String> {
    run_for_answer(command, &[0]).await
}

/// As [`run`], for a program that answers with its exit code: these are answers, others are
/// failures.
pub(crate) async fn run_for_answer(
    command: &mut Command,
    answers: &[i32],
) -> anyhow::Result<String> {
    let name = name(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let running = command.spawn().with_context(|| format!("could not start {name}"))?;
    output(running, &name, answers).await
}

/// Runs programs of which each reads what the one before prints, to the end of all.
pub(crate) async fn run_pipeline<const N: usize>(mut commands: [Command; N]) -> anyhow::Result<()> {
    let mut children: Vec<(String, Child)> = Vec::new();
    for command in &mut commands {
        let name = name(command);
        let input = match children.last_mut() {
            Some((_, before)) => {
                let output = before.stdout.take().context("its output is a pipe")?;
                TryInto::<Stdio>::try_into(output)?
            }
            None => Stdio::null(),
        };
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("could not start {name}"))?;
        children.push((name, child));
    }
    // The last first: where it fails, the others say no more than that nobody listens.
    let mut results = Vec::new();
    while let Some((name, child)) = children.pop() {
        results.push(output(child, &name, &[0]).await);
    }
    results.into_iter().find_map(Result::err).map_or(Ok(()), Err)
}

fn name(command: &Command) -> String {
    let program = Path::new(command.as_std().get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    name.display().to_string()
}

async fn output(child: Child, name: &str, answers: &[i32]) -> anyhow::Result<String> {
    let output = tokio::time::timeout(TIMEOUT, child.wait_with_output())
        .await
        .with_context(|| format!("{name} did not end in {} minutes", TIMEOUT.as_secs() / 60))??;
    if output.status.code().is_some_and(|code| answers.contains(&code)) {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(anyhow::anyhow!("{name}: {}\n{}", output.status, last_words(&output)))
}

fn last_words(output: &Output) -> String {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    let lines: Vec<_> = text.iter().flat_map(|text| text.lines()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_failure_says_what_the_program_said() {
        let error = run(&mut sh("echo out; echo why >&2; exit 3")).await.unwrap_err();
        assert_eq!(error.to_string(), "sh: exit status: 3\nout\nwhy");
        assert_eq!(run(&mut sh("echo out")).await.unwrap(), "out\n");
    }

    #[tokio::test]
    async fn every_part_of_a_pipeline_must_succeed() {
        run_pipeline([sh("echo a"), sh("grep -q a")]).await.unwrap();
        run_pipeline([sh("echo a; exit 1"), sh("cat >/dev/null")]).await.unwrap_err();
        run_pipeline([sh("echo a"), sh("cat >/dev/null; exit 1")]).await.unwrap_err();
    }
}
