//! Python environments in the cache: what a lock file names, with the hash of every wheel.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::{Cache, Unavailable, ensure_packages, run_quietly};

/// The environment of the sample service in `examples/state-hub`.
pub const STATE_HUB: PythonEnvironment = PythonEnvironment {
    name: "state-hub",
    lock: include_str!("../../../examples/state-hub/requirements.lock"),
};

/// Their part of the cache.
const CACHE: &str = "python";

/// Prints what an environment belongs to, and fails for a version that the lock files are not for.
const PYTHON: &str =
    "import sys; print(sys.version, sys.base_prefix); sys.exit(sys.version_info < (3, 11))";

/// A Python environment that is the same everywhere: its packages are pinned by a lock file.
#[derive(Debug, Clone, Copy)]
pub struct PythonEnvironment {
    name: &'static str,
    lock: &'static str,
}

impl PythonEnvironment {
    /// The interpreter of the environment, which is installed unless it is there.
    ///
    /// # Errors
    ///
    /// [`Missing`](crate::Missing) where there is no Python that can make environments, and
    /// [`Unavailable`] where Python is too old or the packages cannot be had.
    pub fn ensure(&self) -> anyhow::Result<PathBuf> {
        ensure_packages(missing_packages)?;
        let origin = self.origin().context("python3 cannot be run")?.ok_or_else(|| {
            let remedy = "Put a newer python3 first in PATH.";
            Unavailable::error("python3 is older than 3.11", remedy)
        })?;
        let tree = Cache::open(CACHE)?.ensure(self.name, &origin, |new| self.fill(new))?;
        Ok(interpreter(&tree))
    }

    /// The interpreter of the environment, if it was installed from this lock file.
    ///
    /// # Errors
    ///
    /// If the cache cannot be read.
    pub fn find(&self) -> anyhow::Result<Option<PathBuf>> {
        let origin = match self.origin() {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            origin => origin.context("python3 cannot be run")?,
        };
        let Some(origin) = origin else {
            return Ok(None);
        };
        let tree = Cache::open(CACHE)?.find(self.name, &origin);
        Ok(tree.map(|tree| interpreter(&tree)))
    }

    /// Returns the inputs of the tree in the cache: the whole lock file, and the Python that it is
    /// for.
    fn origin(&self) -> io::Result<Option<String>> {
        Ok(ask_python(PYTHON)?.map(|python| format!("{python}{}", self.lock)))
    }

    fn fill(&self, new: &Path) -> anyhow::Result<()> {
        eprintln!("Installing the Python packages of {} …", self.name);
        let lock = new.join("requirements.lock");
        fs_err::write(&lock, self.lock)?;
        run_quietly(Command::new("python3").args(["-m", "venv"]).arg(new))?;
        let mut pip = Command::new(interpreter(new));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--require-hashes", "--only-binary=:all:", "--requirement"]).arg(&lock);
        run_quietly(&mut pip).map_err(|error| {
            let reason = format!("the packages of {} could not be installed: {error:#}", self.name);
            Unavailable::error(reason, "pip's configuration names the index that it asks.")
        })
    }
}

/// The environment is moved once it is whole. So its scripts have a wrong first line, and only its
/// interpreter is of use: `python -m NAME`.
fn interpreter(tree: &Path) -> PathBuf {
    tree.join("bin/python")
}

/// Debian has `venv` and what installs pip in a package apart.
fn missing_packages() -> Vec<&'static str> {
    match ask_python("import ensurepip, venv") {
        Ok(Some(_)) => Vec::new(),
        Ok(None) => vec!["python3-venv"],
        Err(_) => vec!["python3", "python3-venv"],
    }
}

/// Runs a line of Python; returns what it printed, or nothing where it failed.
fn ask_python(line: &str) -> io::Result<Option<String>> {
    let output = Command::new("python3").args(["-c", line]).stdin(Stdio::null()).output()?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_of_a_lock_file_has_a_hash() {
        let lines: Vec<_> = STATE_HUB.lock.lines().collect();
        let pins = lines.windows(2).filter(|pair| pair[0].contains("=="));
        let (hashed, bare): (Vec<_>, Vec<_>) =
            pins.partition(|pair| pair[1].trim_start().starts_with("--hash=sha256:"));
        assert!(hashed.len() > 10, "{hashed:?}");
        assert_eq!(bare, Vec::<&[&str]>::new());
    }

    #[test]
    fn python_that_fails_says_nothing() {
        let answered = |line| ask_python(line).unwrap();
        assert_eq!(answered("print(1)").as_deref(), Some("1\n"));
        assert_eq!(answered("print(1); raise SystemExit(1)"), None);
    }
}
