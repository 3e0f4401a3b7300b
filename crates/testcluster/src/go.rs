//! A Go that is new enough: the machine's own, or one that an older Go fetches as the module that
//! its successors are.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use provision::{Cache, Unavailable};

/// The oldest version that etcd accepts.
const OLDEST: (u32, u32) = (1, 26);
const FETCHED: &str = "1.26.8";

/// A Go of at least [`OLDEST`].
#[derive(Debug)]
pub(super) struct Go {
    program: PathBuf,
}

impl Go {
    /// Fails with [`provision::Missing`] where there is no Go at all and none can be installed, and
    /// with [`Unavailable`] where a newer one cannot be fetched.
    pub(super) fn find(cache: &Cache) -> anyhow::Result<Self> {
        if let Some(program) = candidates().find(|program| version(program) >= Some(OLDEST)) {
            return Ok(Self { program });
        }
        if candidates().all(|program| version(&program).is_none()) {
            provision::ensure_programs(&[("go", "golang-go")])?;
        }
        let old = candidates()
            .find(|program| version(program).is_some())
            .context("the Go that was installed does not run")?;
        let tree = cache.ensure("go", FETCHED, |new| fetch(&old, new))?;
        Ok(Self { program: tree.join("bin/go") })
    }

    pub(super) fn command(&self, directory: &Path) -> Command {
        go(&self.program, directory)
    }
}

fn go(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(directory)
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .env_remove("GOROOT");
    command
}

fn candidates() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<_> = std::env::split_paths(&path).collect();
    directories.extend(["/usr/local/go/bin", "/usr/lib/go/bin"].map(PathBuf::from));
    directories
        .into_iter()
        .map(|directory| directory.join("go"))
        .filter(|program| program.is_file())
}

fn version(program: &Path) -> Option<(u32, u32)> {
    let output = go(program, Path::new("/"))
        .args(["env", "GOVERSION"])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// The first two numbers of such as `go1.26.8`.
fn parse(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim().strip_prefix("go")?.split(['.', 'r', 'b']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Every release of Go is also a module, for Go itself: it comes from the same place as all others,
/// with a checksum.
fn fetch(old: &Path, new: &Path) -> anyhow::Result<()> {
    eprintln!("Fetching Go {FETCHED} …");
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let module = format!("golang.org/toolchain@v0.0.1-go{FETCHED}.linux-{architecture}");
    let output = go(old, new)
        .args(["mod", "download", "-json", &module])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("could not run go")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let directory = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("\"Dir\": \""))
        .and_then(|rest| rest.split('"').next())
        .ok_or_else(|| {
            let reason = format!("Go {FETCHED} could not be fetched: {}", said.trim());
            Unavailable::error(reason, "install Go 1.26 or later")
        })?;
    provision::run_quietly(
        Command::new("cp")
            .args(["-r", "--no-preserve=mode"])
            .arg(format!("{directory}/."))
            .arg(new),
    )?;
    // A module has no executable files.
    let programs = [new.join("bin"), new.join("pkg/tool")];
    provision::run_quietly(Command::new("chmod").args(["-R", "a+rx"]).args(programs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(parse("go1.26.8\n"), Some((1, 26)));
        assert_eq!(parse("go1.26rc1"), Some((1, 26)));
        assert!(parse("go1.9") < Some(OLDEST));
        assert_eq!(parse("devel"), None);
    }
}
