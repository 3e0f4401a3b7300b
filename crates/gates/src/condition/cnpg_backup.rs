//! `cnpg-backup`: a CloudNativePG cluster has a backup that was completed lately.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kinds::cnpg;
use super::look::{Judged, Look};
use super::object::{Object, Stated};
use super::words::{after, ago, exceeds, span};
use super::{Judge, NamespacedName};
use crate::evidence::Read;
use crate::verdict::{Subject, Verdict};

const PLUGIN: &str = "barman-cloud.cloudnative-pg.io";
const UNFINISHED: [&str; 4] = ["pending", "started", "running", "finalizing"];

/// The newest completed Backup, or the last success that the plugin's object store knows of, is new
/// enough.
///
/// The last run of a ScheduledBackup is not read, since it says nothing of success; nor is
/// `lastSuccessfulBackup` of the cluster, which is not set where a plugin takes the backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CnpgBackup {
    /// The cluster of Kubernetes.
    pub cluster: String,
    /// The cluster of CloudNativePG, as `NAMESPACE/NAME`.
    pub name: NamespacedName,
    /// The largest age of its completion.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    pub max_age: Duration,
}

/// A success, and who tells of it.
struct Success {
    at: Timestamp,
    told_by: Subject,
    name: String,
}

impl CnpgBackup {
    fn namespaced(&self, kind: crate::evidence::Kind) -> Read {
        Read::list(&self.cluster, kind, Some(&self.name.namespace))
    }

    fn database(&self) -> Read {
        Read::object(&self.cluster, cnpg::CLUSTER, Some(&self.name.namespace), &self.name.name)
    }

    /// Returns the status of this cluster in the plugin's object store.
    fn of_store(&self, database: &Object<'_>, stores: &[Object<'_>]) -> Option<Success> {
        let plugins = database.items("/spec/plugins").iter();
        let plugin = plugins
            .filter(|plugin| plugin.get("enabled") != Some(&Value::Bool(false)))
            .find(|plugin| plugin.get("name").and_then(Value::as_str) == Some(PLUGIN))?;
        let parameter = |name: &str| plugin.get("parameters")?.get(name)?.as_str();
        let store =
            stores.iter().find(|store| Some(store.name()) == parameter("barmanObjectName"))?;
        let server = parameter("serverName").unwrap_or(&self.name.name);
        let windows = store.at("/status/serverRecoveryWindow")?;
        let at = windows.get(server)?.get("lastSuccessfulBackupTime")?.as_str()?;
        Some(Success {
            at: at.parse().ok()?,
            told_by: store.subject(),
            name: store.name().to_owned(),
        })
    }

    fn verdict(
        &self,
        look: Look<'_>,
        newest: Option<&Success>,
        own: &[&Object<'_>],
        archiving: Option<Stated<'_>>,
    ) -> Verdict {
        let name = &self.name;
        let age = newest.map(|newest| (newest.at, look.age(&self.database(), newest.at)));
        let limit = span(self.max_age);
        if let Some((at, age)) = age.filter(|(_, age)| !exceeds(*age, self.max_age)) {
            return Verdict::pass(format!(
                "a backup of {name} was completed {}, {limit} allowed",
                ago(age)
            ))
            .until(after(at, self.max_age));
        }
        let found = age.map_or_else(
            || format!("no backup of {name} was ever completed"),
            |(_, age)| format!("the last backup of {name} was completed {}", ago(age)),
        );
        let phase =
            |backup: &&&Object<'_>| backup.text("/status/phase").unwrap_or("pending").to_owned();
        if own.iter().map(|backup| phase(&backup)).any(|phase| UNFINISHED.contains(&phase.as_str()))
        {
            return match archiving.filter(|state| state.is_false()) {
                // It stays `running`, without an end.
                Some(state) => Verdict::waiting(format!(
                    "{found}; one is being made, but the WAL cannot be archived ({})",
                    state.why()
                )),
                None => Verdict::waiting(format!("{found}; one is being made")),
            };
        }
        let failed =
            own.iter().filter(|backup| !matches!(backup.text("/status/phase"), Some("completed")));
        let newest_failed = failed.max_by_key(|backup| backup.time("/metadata/creationTimestamp"));
        let failed = newest_failed.map_or_else(String::new, |backup| {
            let why = backup.text("/status/error").unwrap_or("no reason is given");
            format!("; {} is {} ({why})", backup.name(), phase(&backup))
        });
        Verdict::fail(format!("{found}, {limit} allowed{failed}")).with_hint(
            "`kubectl get backups.postgresql.cnpg.io`; that a ScheduledBackup ran proves nothing",
        )
    }
}

impl Judge for CnpgBackup {
    fn reads(&self) -> Vec<Read> {
        vec![self.database(), self.namespaced(cnpg::BACKUP), self.namespaced(cnpg::OBJECT_STORE)]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.database();
        let (backups_read, stores_read) =
            (self.namespaced(cnpg::BACKUP), self.namespaced(cnpg::OBJECT_STORE));
        let database = look.object(&read)?;
        let backups = look.list(&backups_read)?;
        let stores = look.list_if_any(&stores_read)?;
        let own: Vec<_> = backups
            .iter()
            .filter(|backup| backup.text("/spec/cluster/name") == Some(&self.name.name))
            // A cluster that was made anew has nothing of the backups of the one before it.
            .filter(|backup| {
                backup.time("/metadata/creationTimestamp")
                    >= database.time("/metadata/creationTimestamp")
            })
            .collect();
        let completed = own
            .iter()
            .filter(|backup| backup.text("/status/phase") == Some("completed"))
            .filter_map(|backup| {
                Some(Success {
                    at: backup.time("/status/stoppedAt")?,
                    told_by: backup.subject(),
                    name: backup.name().to_owned(),
                })
            });
        let newest =
            completed.chain(self.of_store(&database, &stores)).max_by_key(|success| success.at);
        Ok(self
            .verdict(look, newest.as_ref(), &own, database.condition("ContinuousArchiving"))
            .about(database.subject())
            .about_all(newest.iter().map(|success| success.told_by.clone()))
            .with_evidence(json!({
                "told_by": newest.as_ref().map(|success| &success.name),
                "completed_at": newest.as_ref().map(|success| success.at),
            }))
            .against(json!({ "max_age_seconds": self.max_age.as_secs() })))
    }
}
