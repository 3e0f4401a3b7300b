//! The ability of this machine to have a cluster: an impossible cluster is told from one that
//! failed.

use std::path::Path;
use std::process::{Command, Stdio};

use provision::Unavailable;

use super::host;

/// Says if a cluster can be made here, whatever is installed and fetched.
///
/// # Errors
///
/// [`Unavailable`] where none can.
pub fn require() -> anyhow::Result<()> {
    super::require_root()?;
    namespaces()?;
    control_groups()
}

fn namespaces() -> anyhow::Result<()> {
    let made = Command::new("unshare")
        .args(["--mount", "--pid", "--net", "--uts", "--ipc", "--fork"])
        .args(["--propagation", "slave", "--", "true"])
        .stdin(Stdio::null())
        .output();
    match made {
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Unavailable::error(
                format!("a cluster needs namespaces, and none can be made here: {}", said.trim()),
                "run this where root may make namespaces, such as on a virtual machine",
            ))
        }
        // A program that is missing can be installed, and is.
        _ => Ok(()),
    }
}

fn control_groups() -> anyhow::Result<()> {
    let parent = host::any_hierarchy();
    let refused = |error: &dyn std::fmt::Display| {
        Unavailable::error(
            format!("a cluster needs control groups, and none can be made here: {error}"),
            "run this where root may make control groups, such as on a virtual machine",
        )
    };
    let parent = parent.map_err(|error| refused(&error))?;
    make_and_remove(&parent).map_err(|error| refused(&error))
}

fn make_and_remove(parent: &Path) -> std::io::Result<()> {
    let group = parent.join(format!("hubctl-ability-{}", std::process::id()));
    fs_err::create_dir(&group)?;
    fs_err::remove_dir(&group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_where_nothing_can_be_made_is_found_out() {
        let place = tempfile::tempdir().unwrap();
        make_and_remove(place.path()).unwrap();
        assert_eq!(fs_err::read_dir(place.path()).unwrap().count(), 0);
        assert!(make_and_remove(&place.path().join("missing")).is_err());
    }

    #[test]
    fn what_is_never_possible_is_unavailable_and_no_failure() {
        let is_root = provision::is_root();
        match require() {
            Ok(()) => assert!(is_root),
            Err(error) => assert!(error.is::<Unavailable>(), "{error:#}"),
        }
    }
}
