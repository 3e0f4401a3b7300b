//! What humans agreed to: the files beside the journal, or their copies in a bundle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gates::{Approval, ApprovalRequest, Approvals, Approving, Gate, Standing};
use jiff::Timestamp;
use journal::Journal;
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
    journal: PathBuf,
}

impl Files {
    pub(super) fn new(settings: &Settings) -> Self {
        let directory = approvals_directory(settings);
        let journal = settings.journal.value.clone();
        Self { directory, journal }
    }
}

impl Approving for Files {
    fn standing(
        &self,
        request: &ApprovalRequest,
        rule: &Approval,
        now: Timestamp,
    ) -> Result<Standing, gates::Error> {
        require_clock(&self.journal, now)?;
        let signers = AllowedSigners::load(&rule.signers, &TimeZone::system())?;
        standing(&self.directory, signers, request, rule, now)
    }
}

/// A clock behind the newest record was set back, and would revive what has expired.
fn require_clock(journal: &Path, now: Timestamp) -> Result<(), gates::Error> {
    let Some(journal) = Journal::find(journal)? else {
        return Ok(());
    };
    let records = journal.read()?;
    let times = records.iter().filter_map(|record| Timestamp::try_from(record.at).ok());
    // Somebody may have recorded something since it was asked for.
    let now = now.max(Timestamp::now());
    match times.max() {
        Some(newest) if newest > now => Err(gates::Error::clock_set_back(now, newest)),
        _ => Ok(()),
    }
}

/// What the names of approvals and revocations end with, behind their gate and id.
const SUFFIXES: [&str; 2] = [".json", ".revoked.json"];

/// No approval and no file of signers is larger.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Copies of the files that approvals and their signers are in.
///
/// Whoever makes a bundle chooses them: they show what the verdicts of its maker rested on, and
/// nothing opens by them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Copies {
    /// When the verdicts were made, which is after all was read.
    pub(super) judged_at: Timestamp,
    /// By the names of the files.
    approvals: BTreeMap<String, String>,
    /// By the paths in the gates. Files that do not count here are left out.
    signers: BTreeMap<String, String>,
}

impl Copies {
    /// What is there of these gates.
    ///
    /// # Errors
    /// Where an approval or a revocation cannot be read: without it the others may be worth more
    /// than they are.
    pub(super) fn of<'a>(
        settings: &Settings,
        judged_at: Timestamp,
        gates: impl IntoIterator<Item = (&'a str, &'a Gate)>,
    ) -> anyhow::Result<Self> {
        let mut copies = Self { judged_at, approvals: BTreeMap::new(), signers: BTreeMap::new() };
        let directory = approvals_directory(settings);
        for (name, gate) in gates {
            let Some(approval) = &gate.approval else {
                continue;
            };
            if AllowedSigners::load(&approval.signers, &TimeZone::system()).is_ok() {
                let text = regularfile::read_to_string(&approval.signers, LARGEST)?;
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
            if is_of(gate, &name) {
                // A revocation counts also where it is damaged, and so does its damaged copy.
                let bytes = regularfile::Options::read().in_place().to_vec(item.path(), LARGEST)?;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                self.approvals.insert(name, text);
            }
        }
        Ok(())
    }

    /// Puts them where they can be judged.
    pub(super) fn unpack(self) -> anyhow::Result<Unpacked> {
        let directory = tempfile::tempdir()?;
        let approvals = directory.path().join("approvals");
        fs_err::create_dir(&approvals)?;
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
        Ok(Unpacked { directory, approvals, signers })
    }
}

/// Whether this is the name of an approval of the gate, or of its revocation: `GATE-ID.json`,
/// `GATE-ID.revoked.json`.
fn is_of(gate: &str, name: &str) -> bool {
    let is_id = |id: &str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let rest = name.strip_prefix(gate).and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| {
        let mut ids = SUFFIXES.iter().filter_map(|suffix| rest.strip_suffix(suffix));
        ids.any(is_id)
    })
}

/// Copies of approvals in a directory of their own, which goes with this value.
pub(super) struct Unpacked {
    directory: tempfile::TempDir,
    approvals: PathBuf,
    /// The copies, by the paths in the gates.
    signers: BTreeMap<String, PathBuf>,
}

impl Approving for Unpacked {
    fn standing(
        &self,
        request: &ApprovalRequest,
        rule: &Approval,
        now: Timestamp,
    ) -> Result<Standing, gates::Error> {
        // Loading what is not there says so: then nobody knows, as where the bundle was made.
        let missing = self.directory.path().join("no-signers-in-the-bundle");
        let copy = self.signers.get(&rule.signers).unwrap_or(&missing);
        let signers = AllowedSigners::load(copy, &TimeZone::system())?;
        standing(&self.approvals, signers, request, rule, now)
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
        return Ok(Standing::Missing { have: 0, need: rule.persons });
    }
    Approvals::open(directory)?.judge(
        &request.gate,
        request.plan_hash(),
        request.evidence_hash,
        now,
        &policy,
    )
}
