//! moto, whose server speaks S3, for the tests of off-site copies: fetched from the Python registry
//! into the cache.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use provision::Cache;

/// The installed package. The packages it needs are the newest of the day.
const PACKAGE: &str = "moto[server,s3]==5.1.22";

/// The variable that names the folder of the packages to the tests.
pub(crate) const VARIABLE: &str = "HUBCTL_TEST_MOTO";

/// The folder with the packages, filled unless that was done before.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    provision::ensure_file("/usr/share/doc/python3-venv", "python3-venv")?;
    Cache::open("python")?.ensure("moto", PACKAGE, |directory| {
        // Debian's own pip may be missing or forbidden; one of a throw-away environment is neither.
        let environment = tempfile::tempdir()?;
        run(Command::new("python3").args(["-m", "venv"]).arg(environment.path()))?;
        run(Command::new(environment.path().join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-compile", "--target"])
            .arg(directory)
            .arg(PACKAGE))
    })
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("Python cannot be run")?;
    ensure!(status.success(), "moto could not be installed: {status}");
    Ok(())
}
