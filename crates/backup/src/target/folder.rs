//! A folder on a mounted disk. It is a vault, and no [`Target`](super::Target).

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::spec::Table;
use crate::Result;

/// The table of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FolderSpec {
    /// Existing folder on another disk or a mounted share.
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "DIRECTORY")))]
    folder: PathBuf,
    /// Maximum age of the newest copy. Default: that of `[freshness]`.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("x-form" = "DURATION")))]
    max_age: Option<Duration>,
}

impl FolderSpec {
    /// The key that names the kind.
    pub(super) const KIND: &'static str = "folder";

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Table for FolderSpec {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn place(&self) -> String {
        self.folder.display().to_string()
    }

    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.folder]
    }

    fn max_age(&self) -> Option<Duration> {
        self.max_age
    }
}
