//! Copies of approvals, to be judged elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sshsig::AllowedSigners;

use super::files::standing;
use super::{ApprovalRequest, REVOKED, SUFFIX, Standing, document};
use crate::Error;
use crate::gate::{ApprovalRule, Approving, Gate};

/// No approval and no file of signers is larger.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Copies of the files that approvals and their signers are in.
///
/// The maker of a bundle chooses them: they show what the maker's verdicts rested on, and nothing
/// opens by them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalCopies {
    /// The time of the verdicts, which is after all was read.
    pub judged_at: Timestamp,
    /// By the names of the files.
    approvals: BTreeMap<String, String>,
    /// By the paths in the gates. Files that do not count here are left out.
    signers: BTreeMap<String, String>,
}

impl ApprovalCopies {
    /// Copies what a directory has of these gates. It need not exist.
    ///
    /// # Errors
    /// An approval or a revocation that cannot be read: without it the others may be worth more
    /// than they are.
    pub fn of<'a>(
        directory: &Path,
        gates: impl IntoIterator<Item = (&'a str, &'a Gate)>,
        judged_at: Timestamp,
        zone: &TimeZone,
    ) -> Result<Self, Error> {
        let mut copies = Self { judged_at, approvals: BTreeMap::new(), signers: BTreeMap::new() };
        for (name, gate) in gates {
            let Some(rule) = &gate.approval else {
                continue;
            };
            if AllowedSigners::load(&rule.signers, zone).is_ok() {
                let text = regularfile::read_to_string(&rule.signers, LARGEST)?;
                copies.signers.insert(rule.signers.clone(), text);
            }
            if directory.is_dir() {
                copies.add(directory, name)?;
            }
        }
        Ok(copies)
    }

    fn add(&mut self, directory: &Path, gate: &str) -> Result<(), Error> {
        for item in fs::read_dir(directory)? {
            let item = item?;
            let name = item.file_name().into_string().unwrap_or_default();
            if is_of(gate, &name) {
                // A revocation counts also where it is damaged, and so does its damaged copy.
                let bytes = regularfile::Options::read().in_place().to_vec(item.path(), LARGEST)?;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                self.approvals.insert(name, text);
            }
        }
        Ok(())
    }

    /// Puts the copies into a directory of their own, where they can be judged.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn unpack(self, zone: TimeZone) -> Result<UnpackedApprovals, Error> {
        let directory = tempfile::tempdir()?;
        let approvals = directory.path().join("approvals");
        fs::create_dir(&approvals)?;
        for (name, text) in &self.approvals {
            // A name out of a bundle is not to lead anywhere else.
            let file_name = Path::new(name).file_name();
            if file_name.is_some_and(|last| last == &**name) {
                regularfile::create(approvals.join(name), text)?;
            }
        }
        let mut signers = BTreeMap::new();
        for (number, (path, text)) in self.signers.into_iter().enumerate() {
            let copy = directory.path().join(format!("signers-{number}"));
            regularfile::create(&copy, text)?;
            signers.insert(path, copy);
        }
        Ok(UnpackedApprovals { directory, approvals, signers, zone })
    }
}

/// Returns true for the name of an approval of the gate, `GATE-ID.json`, and of its revocation,
/// `GATE-ID.revoked.json`.
fn is_of(gate: &str, name: &str) -> bool {
    let rest = name.strip_prefix(gate).and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| {
        let mut ids = [SUFFIX, REVOKED].iter().filter_map(|suffix| rest.strip_suffix(suffix));
        ids.any(document::is_id)
    })
}

/// Copies of approvals in a directory that is removed with this value.
#[derive(Debug)]
pub struct UnpackedApprovals {
    directory: tempfile::TempDir,
    approvals: PathBuf,
    /// The copies, by the paths in the gates.
    signers: BTreeMap<String, PathBuf>,
    zone: TimeZone,
}

impl Approving for UnpackedApprovals {
    fn standing(
        &self,
        request: &ApprovalRequest,
        rule: &ApprovalRule,
        now: Timestamp,
    ) -> Result<Standing, Error> {
        // Loading a missing file says so: then the answer is unknown, as where the bundle was made.
        let missing = self.directory.path().join("no-signers-in-the-bundle");
        let copy = self.signers.get(&rule.signers).unwrap_or(&missing);
        let signers = AllowedSigners::load(copy, &self.zone)?;
        standing(&self.approvals, signers, request, rule, now)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn copies_are_of_these_gates_only() {
        let directory = tempfile::tempdir().unwrap();
        let names = [format!("a-{ID}.json"), format!("a-{ID}.revoked.json")];
        let others = [format!("ab-{ID}.json"), format!("a-b-{ID}.json"), "a-1.json".to_owned()];
        for name in names.iter().chain(&others) {
            regularfile::create(directory.path().join(name), "x").unwrap();
        }
        let signers = directory.path().join("nobody").display().to_string();
        let gate = json!({ "approval": { "signers": signers, "expires": "1h" } });
        let gate: Gate = serde_json::from_value(gate).unwrap();
        let (gates, now) = ([("a", &gate)], Timestamp::UNIX_EPOCH);
        let copies = ApprovalCopies::of(directory.path(), gates, now, &TimeZone::UTC).unwrap();
        assert!(copies.approvals.keys().eq(&names), "{copies:?}");
        assert!(copies.signers.is_empty());
        let nowhere = directory.path().join("nowhere");
        let none = ApprovalCopies::of(&nowhere, gates, now, &TimeZone::UTC).unwrap();
        assert!(none.approvals.is_empty());
    }

    #[test]
    fn names_out_of_a_bundle_lead_nowhere_else() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("planted").display().to_string();
        let good = format!("a-{ID}.json");
        let copies = json!({
            "judged_at": "2026-12-01T00:00:00Z",
            "approvals": { outside.as_str(): "x", "../planted": "x", good.as_str(): "x" },
            "signers": { "/etc/approvers": "x" },
        });
        let copies: ApprovalCopies = serde_json::from_value(copies).unwrap();
        let unpacked = copies.unpack(TimeZone::UTC).unwrap();
        let files = |path: &Path| fs::read_dir(path).unwrap().count();
        assert_eq!((files(&unpacked.approvals), files(directory.path())), (1, 0));
        assert!(unpacked.approvals.join(good).is_file());
        // The approvals and one file of signers.
        assert_eq!(files(unpacked.directory.path()), 2);
    }
}
