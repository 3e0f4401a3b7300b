//! Debian packages, installed where something of them is missing.
//!
//! Nothing is installed that is there already. On Debian and Ubuntu the rest comes from apt, as
//! root or with a `sudo` that does not ask; elsewhere the one line to run is printed. No service is
//! started and no database cluster is created.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

const INSTALL: &str = include_str!("install.sh");

/// Packages that are not on this machine and could not be installed.
#[derive(Debug)]
pub struct Missing {
    packages: Vec<&'static str>,
    reason: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packages = self.packages.join(" ");
        writeln!(f, "{}; please run", self.reason)?;
        write!(
            f,
            "  sudo apt-get update && sudo apt-get install --yes --no-install-recommends {packages}"
        )
    }
}

impl std::error::Error for Missing {}

/// Installs the Debian packages of programs that are not found: pairs of a program and its package.
///
/// # Errors
///
/// [`Missing`] where that is not possible.
pub fn ensure_programs(programs: &[(&str, &'static str)]) -> anyhow::Result<()> {
    ensure_packages(|| {
        let directories = program_directories();
        let is_missing =
            |program: &str| !directories.iter().any(|directory| directory.join(program).is_file());
        programs
            .iter()
            .filter(|(program, _)| is_missing(program))
            .map(|(_, package)| *package)
            .collect()
    })
}

/// Installs a Debian package unless a file of it is there.
///
/// # Errors
///
/// [`Missing`] where that is not possible.
pub fn ensure_file(file: &str, package: &'static str) -> anyhow::Result<()> {
    ensure_packages(|| {
        let is_missing = !Path::new(file).exists();
        is_missing.then_some(package).into_iter().collect()
    })
}

/// Installs the packages that `missing` names, and asks it again.
///
/// # Errors
///
/// [`Missing`] where that is not possible.
pub fn ensure_packages(missing: impl Fn() -> Vec<&'static str>) -> anyhow::Result<()> {
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    let Some(apt) = apt_command() else {
        let reason = "some programs are missing, and only root may install them".to_owned();
        return Err(Missing { packages, reason }.into());
    };
    eprintln!("Installing {} …", packages.join(", "));
    let status = install(apt, &packages)?;
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    let reason = format!("apt did not bring every program ({status})");
    Err(Missing { packages, reason }.into())
}

/// Returns the directories of programs: PATH, those of daemons, and Debian's for PostgreSQL.
#[must_use]
pub fn program_directories() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<_> = std::env::split_paths(&path).collect();
    directories.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    if let Ok(versions) = fs_err::read_dir("/usr/lib/postgresql") {
        directories.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    directories
}

/// Says if root runs us.
#[must_use]
pub fn is_root() -> bool {
    // /proc/self belongs to the user of this process.
    fs_err::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// The command that runs a shell with the rights to install, if there is one here.
fn apt_command() -> Option<Command> {
    if !Path::new("/usr/bin/apt-get").is_file() {
        return None;
    }
    if is_root() {
        return Some(Command::new("sh"));
    }
    let mut sudo = Command::new("sudo");
    sudo.arg("-n");
    let may = Command::new("sudo")
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    sudo.arg("sh");
    may.then_some(sudo)
}

fn install(mut shell: Command, packages: &[&str]) -> anyhow::Result<std::process::ExitStatus> {
    shell
        .args(["-c", INSTALL, "install.sh"])
        .args(packages)
        .stdin(Stdio::null())
        .status()
        .context("could not start apt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_run_names_the_packages() {
        let missing = Missing {
            packages: vec!["age", "postgresql"],
            reason: "some programs are missing".to_owned(),
        };
        assert!(missing.to_string().ends_with("--no-install-recommends age postgresql"));
    }
}
