//! Acts on backups: taken, proven, copied elsewhere, removed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Phases;

/// Evidence of a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    /// The id of the backup.
    pub id: String,
    /// The state it reached: `sealed` or `verified`.
    pub state: String,
    /// The length of the sealed file.
    pub sealed_bytes: u64,
    /// The SHA-256 of the sealed file.
    pub sha256: String,
    /// The site it was taken of.
    pub site: String,
    /// The public facts of the backup, as its sidecar has them.
    pub payload: Value,
}

/// Evidence of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// The part that was read.
    pub depth: Depth,
    /// The number of tables; null for a plain dump.
    pub tables: Option<u64>,
    /// The number of rows; null for a plain dump.
    pub rows: Option<u64>,
    /// The length of the sealed file.
    pub sealed_bytes: u64,
}

/// The depth of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// The header, the end and the manifest.
    Quick,
    /// Every byte.
    Full,
}

/// Evidence of a drill, passed or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    /// The verdict.
    pub verdict: Verdict,
    /// The server on which it was restored; empty where it did not come to that.
    pub place: String,
    /// The time of the data.
    pub taken_at: Option<String>,
    /// The age of the data when the drill began.
    pub age_seconds: Option<u64>,
    /// The number of tables restored.
    pub tables: u64,
    /// The number of rows restored.
    pub rows: u64,
    /// The configured checks with their answers.
    pub checks: Vec<Check>,
    /// Seconds per phase of the restore; null where it did not come to its end.
    pub phases: Option<Phases>,
    /// The reason why the drill did not reach its checks.
    pub error: Option<String>,
    /// True if that is damage of the sealed file. Absent in records of the first versions.
    #[serde(default)]
    pub damaged: bool,
    /// The page that was written about the drill.
    pub page: Option<String>,
}

/// The verdict of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Restored, equal to the manifest, and every check passed.
    #[serde(rename = "passed")]
    Passed,
    /// The backup or a check was not what it should be.
    #[serde(rename = "failed")]
    Failed,
    /// It could not be carried out, which says nothing about the backup.
    #[serde(rename = "not done")]
    NotDone,
}

impl Verdict {
    /// The word for it in records and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotDone => "not done",
        }
    }
}

/// A configured question to a restored database, with the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The name of the check.
    pub name: String,
    /// The question.
    pub sql: String,
    /// The right answer.
    pub expect: String,
    /// The answer; null where the query returned none.
    pub found: Option<String>,
    /// The error of the query.
    pub error: Option<String>,
    /// True if the answer was right.
    pub passed: bool,
}

/// Evidence of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The files that became backups of the vault.
    pub imported: Vec<Imported>,
    /// The number of files that could not be imported.
    pub failed: u64,
}

/// A file that became a backup of the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The id of the backup.
    pub id: String,
    /// The path of the file.
    pub from: String,
}

/// Evidence of sealing backups for other recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rekey {
    /// The recipients they are sealed for now.
    pub recipients: Vec<String>,
    /// The backups that were sealed for others.
    pub backups: Vec<Rekeyed>,
}

/// A backup that was to be sealed for other recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rekeyed {
    /// The id of the backup.
    pub id: String,
    /// The recipients it was sealed for.
    pub from: Vec<String>,
    /// The id of the new backup.
    pub new_id: Option<String>,
    /// The reason why there is none.
    pub error: Option<String>,
}

/// Evidence of removing backups by the rules of retention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prune {
    /// The vault or the place of the target.
    pub place: String,
    /// The ids of the removed backups.
    pub removed: Vec<String>,
    /// The number of backups that stayed.
    pub kept: u64,
}

/// Evidence of copying backups to a target, to its end or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The place of the target.
    pub place: String,
    /// The ids of the backups that were copied.
    pub copied: Vec<String>,
    /// The sum of their lengths.
    pub bytes: u64,
    /// The number of backups that were there before.
    pub there: u64,
    /// The number of copies that were read back and compared.
    pub proven: u64,
    /// The time of the newest data there.
    pub newest: Option<String>,
    /// The first error.
    pub error: Option<String>,
}

/// Evidence of fetching backups from a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// The name of the target.
    pub target: String,
    /// The ids of the backups that were fetched.
    pub fetched: Vec<String>,
    /// The sum of their lengths.
    pub bytes: u64,
}

/// Evidence of testing the key of a recipient, passed or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowTest {
    /// The recipient.
    pub recipient: String,
}
