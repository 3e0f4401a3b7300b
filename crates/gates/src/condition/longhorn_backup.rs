//! `longhorn-backup`: there is a completed backup of a claim's volume, of a snapshot that is new
//! enough.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::kinds::longhorn;
use super::longhorn_setting::NAMESPACE;
use super::longhorn_volume::{of_claim, volumes};
use super::look::{Judged, Look};
use super::object::Object;
use super::words::{after, ago, exceeds, span};
use super::{Judge, NamespacedName};
use crate::evidence::Read;
use crate::verdict::Verdict;

/// The newest completed backup holds data of this age at most. What recurring jobs say is not
/// asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LonghornBackup {
    /// The cluster.
    pub cluster: String,
    /// The claim, as `NAMESPACE/NAME`.
    pub pvc: NamespacedName,
    /// The largest age of the data.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    pub max_age: Duration,
}

impl LonghornBackup {
    fn backups(&self) -> Read {
        Read::list(&self.cluster, longhorn::BACKUP, Some(NAMESPACE))
    }

    fn verdict(&self, look: Look<'_>, own: &[&Object<'_>], newest: Option<Timestamp>) -> Verdict {
        let pvc = &self.pvc;
        let age = newest.map(|newest| (newest, look.age(&self.backups(), newest)));
        if let Some((newest, age)) = age.filter(|(_, age)| !exceeds(*age, self.max_age)) {
            return Verdict::pass(format!(
                "the newest completed backup of {pvc} holds its data of {}, {} allowed",
                ago(age),
                span(self.max_age)
            ))
            .until(after(newest, self.max_age));
        }
        let found = age.map_or_else(
            || format!("no backup of {pvc} was ever completed"),
            |(_, age)| {
                format!("the newest completed backup of {pvc} holds its data of {}", ago(age))
            },
        );
        let is = |states: &[&str]| {
            let mut own = own.iter();
            own.any(|backup| {
                backup.text("/status/state").is_some_and(|state| states.contains(&state))
            })
        };
        if is(&["Pending", "InProgress"]) {
            return Verdict::waiting(format!("{found}; one is being made"));
        }
        let failed = if is(&["Error"]) { "; others failed" } else { "" };
        Verdict::fail(format!("{found}, {} allowed{failed}", span(self.max_age))).with_hint(
            "look at status.error of its backups; that a recurring job is Complete proves nothing",
        )
    }
}

impl Judge for LonghornBackup {
    fn reads(&self) -> Vec<Read> {
        vec![volumes(&self.cluster), self.backups()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let (volumes_read, backups_read) = (volumes(&self.cluster), self.backups());
        let volumes = look.list(&volumes_read)?;
        let volume = of_claim(&volumes, &self.pvc)?;
        let backups = look.list(&backups_read)?;
        let own: Vec<_> = backups
            .iter()
            .filter(|backup| {
                backup.text("/status/volumeName") == Some(volume.name()) && !backup.is_going()
            })
            .collect();
        let newest = own
            .iter()
            .filter(|backup| backup.text("/status/state") == Some("Completed"))
            .filter_map(|backup| Some((backup.time("/status/snapshotCreatedAt")?, *backup)))
            .max_by_key(|(taken, _)| *taken);
        let verdict = self.verdict(look, &own, newest.map(|(taken, _)| taken));
        Ok(verdict
            .about(volume.subject())
            .about_all(newest.iter().map(|(_, backup)| backup.subject()))
            .with_evidence(json!({
                "backup": newest.map(|(_, backup)| backup.name()),
                "data_of": newest.map(|(taken, _)| taken),
            }))
            .against(json!({ "max_age_seconds": self.max_age.as_secs() })))
    }
}
