//! What humans agreed to: the files beside the journal, or their copies in a bundle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gates::{Approval, ApprovalRequest, Approvals, Approving, Gate, Standing};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sshsig::{AllowedSigners, TimeZone};

use crate::commands::approve;
use crate::settings::Settings;

/// Where approvals are kept: beside the journal, outside of the service that they are about.
pub(crate) fn approvals_directory(settings: &Settings) -> PathBuf {
    settings.journal.value.with_file_name("approvals")
}

/// Approvals in a directory, by the signers of the configuration.
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(super) fn new(settings: &Settings) -> Self {
        let directory = approvals_directory(settings);
        Self { directory }
    }
}

impl Approving for Files {
    fn standing(
        &self,
        request: &ApprovalRequest,
        rule: &Approval,
        now: Timestamp,
    ) -> Result<Standing, gates::Error> {
        let signers = AllowedSigners::load(&rule.signers, &TimeZone::system())?;
        standing(&self.directory, signers, request, rule, now)
    }
}

/// Copies of the files that approvals and their signers are in.
///
/// Whoever makes a bundle chooses them: they show what the verdicts of its maker rested on, and nothing opens by them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Copies {
    /// By the names of the files.
    approvals: BTreeMap<String, String>,
    /// By the paths in the gates.
    signers: BTreeMap<String, String>,
}

impl Copies {
    /// What is there of these gates. What cannot be read is not there.
    pub(super) fn of<'a>(
        settings: &Settings,
        gates: impl IntoIterator<Item = (&'a str, &'a Gate)>,
    ) -> anyhow::Result<Self> {
        let mut copies = Self::default();
        let directory = approvals_directory(settings);
        for (name, gate) in gates {
            let Some(approval) = &gate.approval else {
                continue;
            };
            if let Ok(text) = fs_err::read_to_string(&approval.signers) {
                copies.signers.insert(approval.signers.clone(), text);
            }
            if directory.is_dir() {
                copies.add(&directory, name)?;
            }
        }
        Ok(copies)
    }

    fn add(&mut self, directory: &Path, gate: &str) -> anyhow::Result<()> {
        for item in fs_err::read_dir(directory)? {
            let item = item?;
            let name = item.file_name().into_string().unwrap_or_default();
            if !name.starts_with(&format!("{gate}-")) {
                continue;
            }
            if let Ok(text) = fs_err::read_to_string(item.path()) {
                self.approvals.insert(name, text);
            }
        }
        Ok(())
    }

    /// Puts them where they can be judged.
    pub(super) fn unpack(self) -> anyhow::Result<Unpacked> {
        let directory = tempfile::tempdir()?;
        for (name, text) in &self.approvals {
            // A name out of a bundle is not to lead anywhere else.
            if Path::new(name)
                .file_name()
                .is_some_and(|last| last == &**name)
            {
                fs_err::write(directory.path().join(name), text)?;
            }
        }
        Ok(Unpacked {
            directory,
            signers: self.signers,
        })
    }
}

/// Copies of approvals in a directory of their own, which goes with this value.
pub(super) struct Unpacked {
    directory: tempfile::TempDir,
    signers: BTreeMap<String, String>,
}

impl Approving for Unpacked {
    fn standing(
        &self,
        request: &ApprovalRequest,
        rule: &Approval,
        now: Timestamp,
    ) -> Result<Standing, gates::Error> {
        let text = self.signers.get(&rule.signers).map_or("", String::as_str);
        let signers = AllowedSigners::parse(text, &rule.signers, &TimeZone::system())?;
        standing(self.directory.path(), signers, request, rule, now)
    }
}

fn standing(
    directory: &Path,
    signers: AllowedSigners,
    request: &ApprovalRequest,
    rule: &Approval,
    now: Timestamp,
) -> Result<Standing, gates::Error> {
    let policy = approve::policy(rule, signers);
    // Whoever only asks makes no directory.
    if !directory.is_dir() {
        return Ok(Standing::Missing {
            have: 0,
            need: rule.persons,
        });
    }
    Approvals::open(directory)?.judge(
        &request.gate,
        request.plan_hash(),
        request.evidence_hash,
        now,
        &policy,
    )
}
