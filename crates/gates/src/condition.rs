//! The conditions, one module each: the evidence it needs, and its judgement.

mod clock;
mod cnpg_backup;
mod cnpg_cluster;
mod cronjob;
mod disk;
mod http;
mod identity;
mod journal;
mod kinds;
mod longhorn_backup;
mod longhorn_backup_target;
mod longhorn_setting;
mod longhorn_volume;
mod look;
mod name;
mod network_policy;
mod nodes;
mod object;
mod port;
mod program;
mod pvc;
mod rollout;
mod script;
mod storage_class;
mod tcp;
mod version;
pub(crate) mod words;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::evidence::{Evidence, Kind, Read};
use crate::verdict::Verdict;
pub use clock::Clock;
pub use cnpg_backup::CnpgBackup;
pub use cnpg_cluster::CnpgCluster;
pub use cronjob::CronJob;
pub use disk::Disk;
pub use http::Http;
pub use identity::Identity;
pub use journal::JournalRecord;
pub use longhorn_backup::LonghornBackup;
pub use longhorn_backup_target::LonghornBackupTarget;
pub use longhorn_setting::LonghornSetting;
pub use longhorn_volume::LonghornVolume;
use look::{Judged, Look};
pub use name::NamespacedName;
pub use network_policy::NetworkPolicy;
pub use nodes::Nodes;
pub use port::Port;
pub use program::Program;
pub use pvc::Pvc;
pub use rollout::{Rollout, Workload};
pub use script::Script;
pub use storage_class::StorageClass;
pub use tcp::Tcp;
pub use version::{Minor, Version};

/// The namespace whose UID is the identity of a cluster.
pub(crate) const IDENTITY: (Kind, &str) = (kinds::NAMESPACE, "kube-system");

/// Declares the conditions: each with its name in the configuration, its variant and its type.
macro_rules! conditions {
    ($($(#[$doc:meta])* $name:literal = $variant:ident($of:ty),)+) => {
        /// One question about the world, with its thresholds.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(tag = "condition")]
        #[non_exhaustive]
        pub enum Condition {
            $($(#[$doc])* #[serde(rename = $name)] $variant($of),)+
        }

        impl Condition {
            /// Its name in the configuration, which is also the name of its page in `docs/gates`.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                }
            }

            fn as_judge(&self) -> &dyn Judge {
                match self {
                    $(Self::$variant(condition) => condition,)+
                }
            }
        }
    };
}

conditions! {
    /// Enough nodes are there.
    "nodes" = Nodes(Nodes),
    /// The cluster, its nodes and the database are the ones that are meant.
    "identity" = Identity(Identity),
    /// Kubernetes is of a version that will do.
    "version" = Version(Version),
    /// New volumes get what they should.
    "storage-class" = StorageClass(StorageClass),
    /// A claim is bound.
    "pvc" = Pvc(Pvc),
    /// A Deployment or StatefulSet is rolled out.
    "rollout" = Rollout(Rollout),
    /// A CronJob succeeds.
    "cronjob" = Cronjob(CronJob),
    /// NetworkPolicies let a connection pass.
    "network-policy" = NetworkPolicy(NetworkPolicy),
    /// A volume of Longhorn is on several nodes.
    "longhorn-volume" = LonghornVolume(LonghornVolume),
    /// Longhorn has a new backup of a volume.
    "longhorn-backup" = LonghornBackup(LonghornBackup),
    /// Longhorn reaches its backup target.
    "longhorn-backup-target" = LonghornBackupTarget(LonghornBackupTarget),
    /// A setting of Longhorn is right.
    "longhorn-setting" = LonghornSetting(LonghornSetting),
    /// A CloudNativePG cluster is healthy.
    "cnpg-cluster" = CnpgCluster(CnpgCluster),
    /// A CloudNativePG cluster has a new backup.
    "cnpg-backup" = CnpgBackup(CnpgBackup),
    /// A command ends with 0.
    "script" = Script(Script),
    /// An address answers.
    "http" = Http(Http),
    /// A port accepts connections.
    "tcp" = Tcp(Tcp),
    /// A port is free.
    "port" = Port(Port),
    /// There is room on a disk.
    "disk" = Disk(Disk),
    /// Clocks agree.
    "clock" = Clock(Clock),
    /// Something was done lately.
    "journal" = Journal(JournalRecord),
    /// A question that the program answers itself.
    "program" = Program(Program),
}

/// The interface of every condition. Nothing here reads or waits.
trait Judge {
    /// Checks its thresholds, and returns the fault.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Returns the evidence it needs.
    fn reads(&self) -> Vec<Read>;

    /// Judges the evidence.
    fn judge(&self, look: Look<'_>) -> Judged;
}

impl Condition {
    /// Returns the evidence needed to judge it.
    #[must_use]
    pub fn reads(&self) -> Vec<Read> {
        self.as_judge().reads()
    }

    /// Judges the evidence at the time `now`.
    #[must_use]
    pub fn judge(&self, evidence: &Evidence, now: Timestamp) -> Verdict {
        let look = Look::new(evidence, now);
        let mut verdict = match self.as_judge().judge(look) {
            Ok(verdict) => verdict,
            Err(verdict) => *verdict,
        };
        verdict.observed_at = look.oldest(&self.reads());
        verdict.about_all([])
    }

    /// Checks its thresholds, and returns the fault.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.as_judge().check()
    }

    /// Tells the condition for how long its gate lets evidence stand.
    pub(crate) fn expiring(&mut self, expires: Option<Duration>) {
        if let Self::Script(script) = self {
            script.expires = expires;
        }
    }
}
