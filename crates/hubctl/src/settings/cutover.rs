//! `[cutover]`, and what a move has to know of a site: who writes there, and what leads clients to
//! it.

mod check;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::assignment::Assignment;
use super::program::ProgramCommand;
pub(super) use check::problems;

/// The longest time that a command may take by default.
const WITHIN: Duration = Duration::from_secs(60);

/// The move of the service from one site to another.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CutoverTable {
    /// Site that is left.
    pub(crate) from: Option<String>,
    /// Site that takes over.
    pub(crate) to: Option<String>,
    /// How the rows get there. Default: offline.
    pub(crate) mode: CutoverMode,
    /// Gates that must pass before the freeze.
    pub(crate) gates: Vec<String>,
    /// Maximum time between the freeze and the handover. After it, everything is undone. Default:
    /// 2m.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String", extend("x-form" = "DURATION"))]
    pub(crate) freeze_budget: Duration,
    /// Asks for the identity of the database at the address that clients use.
    pub(crate) probe: Option<ProbeTable>,
    /// Writes at the address that clients use, and looks for the row in the new primary.
    pub(crate) write_probe: Option<WriteProbeTable>,
}

impl Default for CutoverTable {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            mode: CutoverMode::default(),
            gates: Vec::new(),
            freeze_budget: Duration::from_secs(120),
            probe: None,
            write_probe: None,
        }
    }
}

/// How the rows of a move get to their new home.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum CutoverMode {
    /// Freeze, back up, restore, compare.
    #[default]
    Offline,
    /// Copy before the freeze; in the freeze, ship only the rows that differ.
    Delta,
}

impl fmt::Display for CutoverMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offline => "offline",
            Self::Delta => "delta",
        })
    }
}

/// A question over HTTP whose answer names the database behind the service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProbeTable {
    /// URL, as clients reach it.
    #[schemars(extend("x-form" = "URL"))]
    #[serde(serialize_with = "shown")]
    pub(crate) http: String,
    /// Member of the answer that must be the system identifier of the new primary.
    pub(crate) json: String,
}

/// A write over HTTP that must arrive in the new primary.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteProbeTable {
    /// URL that accepts a POST of JSON, as clients reach it.
    #[schemars(extend("x-form" = "URL"))]
    #[serde(serialize_with = "shown")]
    pub(crate) post: String,
    /// Body; `{nonce}` is replaced by a random word.
    pub(crate) body: String,
    /// Query that counts the row in the new primary; `{nonce}` is replaced by the same word.
    pub(crate) sql: String,
}

/// The server and the database that a site is, as `hubctl site pin` wrote them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityTable {
    /// System identifier of the server.
    pub(crate) system_identifier: String,
    /// OID of the database; it changes when the database is moved or restored.
    pub(crate) database_oid: Option<u32>,
}

/// A program that writes to the database of a site, or holds writes back in an outbox.
///
/// `stop`, `start` and `stopped` come together, and so do `pending` and `replay`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriterTable {
    /// Name of the writer.
    pub(crate) name: String,
    /// Program and arguments that stop it.
    pub(crate) stop: Option<ProgramCommand>,
    /// Program and arguments that start it. A daemon must not keep the output of this program.
    pub(crate) start: Option<ProgramCommand>,
    /// Program and arguments that exit with 0 if it is stopped, and with 1 if it runs.
    pub(crate) stopped: Option<ProgramCommand>,
    /// Program and arguments that print the number of writes in the outbox, alone or as member
    /// `pending` of JSON.
    pub(crate) pending: Option<ProgramCommand>,
    /// Program and arguments that deliver the writes in the outbox.
    pub(crate) replay: Option<ProgramCommand>,
    /// Maximum time for each of these commands. Default: 1m.
    #[serde(default = "within", with = "humantime_serde")]
    #[schemars(with = "String", extend("x-form" = "DURATION"))]
    pub(crate) within: Duration,
}

fn within() -> Duration {
    WITHIN
}

/// A change that leads clients to a site: a line of a file, or a command.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedirectTable {
    /// File of KEY=VALUE lines.
    #[schemars(extend("x-form" = "FILE"))]
    pub(crate) file: Option<PathBuf>,
    /// The line, as KEY=VALUE. It replaces every line of this key.
    pub(crate) set: Option<Assignment>,
    /// Program and arguments that lead clients to the site.
    pub(crate) command: Option<ProgramCommand>,
    /// Program and arguments that exit with 0 if clients are led to the site, and with 1 if not.
    pub(crate) check: Option<ProgramCommand>,
    /// Maximum time for each of the two commands. Default: 1m.
    #[serde(default = "within", with = "humantime_serde")]
    #[schemars(with = "String", extend("x-form" = "DURATION"))]
    pub(crate) within: Duration,
}

/// A URL without what may be a secret in it: nothing writes a configuration.
pub(super) fn shown<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&gates::shown_url(url))
}
