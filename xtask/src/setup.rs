//! `cargo xtask setup`: the programs that the demo and the tests run, found or installed.
//!
//! Nothing is installed that is there already. On Debian and Ubuntu the rest comes from apt, as
//! root or with a `sudo` that does not ask; elsewhere the one line to run is printed. No service is
//! started and no database cluster is created.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use provision::{ensure_file, ensure_programs, is_root, program_directories};

const SERVER_PROGRAMS: [&str; 6] =
    ["initdb", "postgres", "pg_dump", "pg_restore", "psql", "pgbench"];

/// The task: installs what is missing and says so when nothing is.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    ensure()?;
    println!("PostgreSQL, age, an SSH server, pgbouncer, ip and iptables are here.");
    ensure_file_servers()?;
    println!("So are Apache, nginx and rclone, for off-site copies.");
    provision::STATE_HUB.ensure()?;
    println!("So are the Python packages of the sample service, in the cache.");
    if is_root() {
        testcluster::ensure_packages()?;
        println!("So are containerd, runc, the CNI plugins, gcc and mmdebstrap, for clusters.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs what is missing; silent when nothing is.
///
/// Fails with [`provision::Missing`] where that is not possible.
pub(crate) fn ensure() -> anyhow::Result<()> {
    provision::ensure_packages(|| missing_packages(&program_directories()))
}

/// Installs the servers that keep files for the tests of off-site copies.
pub(crate) fn ensure_file_servers() -> anyhow::Result<()> {
    ensure_programs(&[
        ("apache2", "apache2-bin"),
        ("curl", "curl"),
        ("nginx", "nginx"),
        ("rclone", "rclone"),
    ])?;
    ensure_file("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so", "libnginx-mod-http-dav-ext")
}

/// The Debian packages of what is not found in `directories`.
fn missing_packages(directories: &[PathBuf]) -> Vec<&'static str> {
    let has = |program: &str| directories.iter().any(|directory| directory.join(program).is_file());
    let mut packages = Vec::new();
    // One installation has to have them all: a wrapper of one version and a server of another do not make a pair.
    let server = directories
        .iter()
        .find(|directory| SERVER_PROGRAMS.iter().all(|program| directory.join(program).is_file()));
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
    // Certificates of kinds that no crate of ours makes.
    if !has("openssl") {
        packages.push("openssl");
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

/// Returns true if the extensions that the tests use (citext, hstore, pgcrypto) are beside the
/// server in `programs`.
fn has_contrib(programs: &Path) -> bool {
    let mut candidates =
        vec![programs.join("../share/extension"), programs.join("../share/postgresql/extension")];
    // Debian keeps the programs in /usr/lib/postgresql/17/bin and the extensions in /usr/share/postgresql/17/extension.
    if let Some(version) = programs.parent().and_then(Path::file_name) {
        candidates.push(Path::new("/usr/share/postgresql").join(version).join("extension"));
    }
    candidates.iter().any(|directory| directory.join("citext.control").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: [&str; 6] = ["age", "sshd", "openssl", "pgbouncer", "ip", "iptables"];

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
            ["postgresql", "age", "openssh-server", "openssl", "pgbouncer", "iproute2", "iptables"]
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
}
