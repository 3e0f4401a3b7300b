//! Acts on the fence around a database: frozen, thawed.

use serde::{Deserialize, Serialize};

/// The strength of a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// No client gets in.
    Hard,
    /// Readers go on.
    Soft,
}

/// Evidence of a freeze: of its beginning, and of its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// The database by its real name.
    pub database: String,
    /// The strength of the fence.
    pub strength: Strength,
    /// The file that holds the state before the fence.
    pub record: String,
    /// The id of the fence; of its end only, as all that follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fence: Option<String>,
    /// The name of the database behind the fence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
    /// The number of sessions ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    /// Whether the fence stood already, or an earlier run had begun it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<bool>,
}

/// Evidence of taking a fence down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thaw {
    /// The database by its real name.
    pub database: String,
    /// The id of the fence, if one stood.
    pub fence: Option<String>,
    /// The strength of the fence, if one stood.
    pub strength: Option<Strength>,
    /// Parts of the former state that could not be brought back, because their role was dropped.
    pub lost: Vec<String>,
}
