//! The largest ages of a service's backups.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The greatest ages of the data of a service's newest backups.
///
/// ```
/// let json = r#"{"max_age": "2h"}"#;
/// let freshness: backup::Freshness = serde_json::from_str(json)?;
/// assert_eq!(freshness.max_age.as_secs(), 2 * 3600);
/// assert_eq!(freshness.drilled, backup::Freshness::default().drilled);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Freshness {
    /// Maximum age of the newest backup, and of the newest verified one.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    pub max_age: Duration,
    /// Maximum age of the newest backup that was restored in a drill.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    pub drilled: Duration,
}

impl Default for Freshness {
    /// A daily backup with two hours to spare, and a weekly drill with a day.
    fn default() -> Self {
        Self { max_age: Duration::from_secs(26 * 3600), drilled: Duration::from_secs(8 * 86_400) }
    }
}
