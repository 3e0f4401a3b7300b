//! `cargo xtask setup`: the programs that the demo and the tests run, found or installed.
//!
//! Nothing is installed that is there already. On Debian and Ubuntu the rest comes from apt, as root or with a `sudo` that
//! does not ask; elsewhere the one line to run is printed. No service is started and no database cluster is created.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;

use crate::cluster;

const INSTALL: &str = include_str!("setup/install.sh");
const SERVER_PROGRAMS: [&str; 6] = [
    "initdb",
    "postgres",
    "pg_dump",
    "pg_restore",
    "psql",
    "pgbench",
];

/// What is not on this machine and could not be installed.
#[derive(Debug)]
pub(crate) struct Missing {
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

/// The task: installs what is missing and says so when nothing is.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    ensure()?;
    println!("PostgreSQL, age, an SSH server, pgbouncer, ip and iptables are here.");
    if is_root() {
        cluster::ensure_packages()?;
        println!("So are containerd, runc, the CNI plugins, gcc and mmdebstrap, for clusters.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs what is missing; silent when nothing is.
///
/// Fails with [`Missing`] where that is not possible.
pub(crate) fn ensure() -> anyhow::Result<()> {
    obtain(|| missing_packages(&program_directories()))
}

/// Installs the Debian packages of programs that are not found: pairs of a program and its package.
pub(crate) fn ensure_programs(programs: &[(&str, &'static str)]) -> anyhow::Result<()> {
    obtain(|| {
        let directories = program_directories();
        let is_missing = |program: &str| {
            !directories
                .iter()
                .any(|directory| directory.join(program).is_file())
        };
        programs
            .iter()
            .filter(|(program, _)| is_missing(program))
            .map(|(_, package)| *package)
            .collect()
    })
}

/// Installs a Debian package unless a file of it is there.
pub(crate) fn ensure_file(file: &str, package: &'static str) -> anyhow::Result<()> {
    obtain(|| {
        let is_missing = !Path::new(file).exists();
        is_missing.then_some(package).into_iter().collect()
    })
}

/// Installs what is missing, and asks again.
fn obtain(missing: impl Fn() -> Vec<&'static str>) -> anyhow::Result<()> {
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

/// The Debian packages of what is not found in `directories`.
fn missing_packages(directories: &[PathBuf]) -> Vec<&'static str> {
    let has = |program: &str| {
        directories
            .iter()
            .any(|directory| directory.join(program).is_file())
    };
    let mut packages = Vec::new();
    // One installation has to have them all: a wrapper of one version and a server of another do not make a pair.
    let server = directories.iter().find(|directory| {
        SERVER_PROGRAMS
            .iter()
            .all(|program| directory.join(program).is_file())
    });
    match server {
        None => packages.push("postgresql"),
        Some(directory) if !has_contrib(directory) => packages.push("postgresql-contrib"),
        Some(_) => {}
    }
    if !has("age") {
        packages.push("age");
    }
    if !has("sshd") {
        packages.push("openssh-server");
    }
    if !has("pgbouncer") {
        packages.push("pgbouncer");
    }
    // Networks that break, for tests of tunnels; only root can make them.
    if !has("ip") {
        packages.push("iproute2");
    }
    if !has("iptables") {
        packages.push("iptables");
    }
    packages
}

/// Whether the extensions that the tests use (citext, hstore, pgcrypto) are beside the server in `programs`.
fn has_contrib(programs: &Path) -> bool {
    let mut candidates = vec![
        programs.join("../share/extension"),
        programs.join("../share/postgresql/extension"),
    ];
    // Debian keeps the programs in /usr/lib/postgresql/17/bin and the extensions in /usr/share/postgresql/17/extension.
    if let Some(version) = programs.parent().and_then(Path::file_name) {
        candidates.push(
            Path::new("/usr/share/postgresql")
                .join(version)
                .join("extension"),
        );
    }
    candidates
        .iter()
        .any(|directory| directory.join("citext.control").is_file())
}

/// Where programs are looked for: PATH, where daemons are, and where Debian keeps PostgreSQL.
fn program_directories() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<_> = std::env::split_paths(&path).collect();
    directories.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    if let Ok(versions) = fs_err::read_dir("/usr/lib/postgresql") {
        directories.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    directories
}

/// Whether root runs us.
pub(crate) fn is_root() -> bool {
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

    const COMMON: [&str; 5] = ["age", "sshd", "pgbouncer", "ip", "iptables"];

    fn installation(programs: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir(directory.path().join("bin")).unwrap();
        for program in programs {
            fs_err::write(directory.path().join("bin").join(program), "").unwrap();
        }
        directory
    }

    #[test]
    fn an_empty_machine_lacks_everything() {
        assert_eq!(
            missing_packages(&[]),
            [
                "postgresql",
                "age",
                "openssh-server",
                "pgbouncer",
                "iproute2",
                "iptables"
            ]
        );
    }

    #[test]
    fn half_a_server_is_no_server() {
        let clients = installation(&[&["psql", "pg_dump", "pg_restore"], &COMMON[..]].concat());
        let rest = installation(&["initdb", "postgres", "pgbench"]);
        let directories = [clients.path().join("bin"), rest.path().join("bin")];
        assert_eq!(missing_packages(&directories), ["postgresql"]);
    }

    #[test]
    fn a_server_without_extensions_lacks_only_them() {
        let machine = installation(&[SERVER_PROGRAMS.as_slice(), &COMMON[..]].concat());
        let directories = [machine.path().join("bin")];
        assert_eq!(missing_packages(&directories), ["postgresql-contrib"]);

        let extensions = machine.path().join("share/extension");
        fs_err::create_dir_all(&extensions).unwrap();
        fs_err::write(extensions.join("citext.control"), "").unwrap();
        assert_eq!(missing_packages(&directories), Vec::<&str>::new());
    }

    #[test]
    fn the_line_to_run_names_the_packages() {
        let missing = Missing {
            packages: vec!["age", "postgresql"],
            reason: "some programs are missing".to_owned(),
        };
        assert!(
            missing
                .to_string()
                .ends_with("--no-install-recommends age postgresql")
        );
    }
}
