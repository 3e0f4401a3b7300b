//! `longhorn-backup-target`: Longhorn has a place for backups, and reached it lately.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Judge;
use super::kinds::longhorn;
use super::longhorn_setting::NAMESPACE;
use super::look::{Judged, Look};
use super::object::Object;
use super::words::{ago, exceeds, span};
use crate::evidence::Read;
use crate::verdict::Verdict;

/// A backup target has an address, is available, and was synchronised with lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LonghornBackupTarget {
    /// The cluster.
    pub cluster: String,
    /// The target.
    #[serde(default = "default_target")]
    pub name: String,
    /// The largest age of Longhorn's last contact with it. By default it tries every 5 minutes.
    #[serde(default = "an_hour", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    pub max_age: Duration,
}

fn default_target() -> String {
    "default".to_owned()
}

fn an_hour() -> Duration {
    Duration::from_secs(3600)
}

impl LonghornBackupTarget {
    fn target(&self) -> Read {
        Read::object(&self.cluster, longhorn::BACKUP_TARGET, Some(NAMESPACE), &self.name)
    }

    fn verdict(&self, look: Look<'_>, target: &Object<'_>) -> Verdict {
        let name = &self.name;
        if target.text("/spec/backupTargetURL").is_none() {
            return Verdict::fail(format!("the backup target {name} has no address"))
                .with_hint("set spec.backupTargetURL and spec.credentialSecret")
                .terminal();
        }
        match target.at("/status/available") {
            Some(Value::Bool(true)) => {}
            Some(_) => {
                let why = target
                    .condition("Unavailable")
                    .map_or_else(String::new, |state| format!(" ({})", state.why()));
                return Verdict::fail(format!("the backup target {name} is not available{why}"))
                    .with_hint("check its address, its credentials, and the way there");
            }
            None => {
                return Verdict::waiting(format!("the backup target {name} was not tried yet"));
            }
        }
        let Some(synced) = target.time("/status/lastSyncedAt") else {
            return Verdict::unknown(format!(
                "the backup target {name} says available, but was never synchronised with"
            ))
            .with_hint("a pollInterval of 0 switches that off");
        };
        let age = look.age(&self.target(), synced);
        if exceeds(age, self.max_age) {
            return Verdict::unknown(format!(
                "the backup target {name} says available, but was last synchronised with {}, {} allowed",
                ago(age),
                span(self.max_age)
            ))
            .with_hint("is the manager of Longhorn running?");
        }
        Verdict::pass(format!("the backup target {name} was reached {}", ago(age)))
    }
}

impl Judge for LonghornBackupTarget {
    fn reads(&self) -> Vec<Read> {
        vec![self.target()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.target();
        let target = look.object(&read)?;
        Ok(self
            .verdict(look, &target)
            .about(target.subject())
            .with_evidence(json!({
                "url": target.text("/spec/backupTargetURL"),
                "available": target.at("/status/available"),
            }))
            .with_measured(json!({ "last_synced_at": target.text("/status/lastSyncedAt") }))
            .against(json!({ "max_age_seconds": self.max_age.as_secs() })))
    }
}
