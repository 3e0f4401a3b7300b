//! The kinds of objects that conditions ask for. The group is always named: Longhorn and
//! CloudNativePG both have `backups`.

use crate::evidence::Kind;

pub(super) const NODE: Kind = Kind::new("", "v1", "nodes", "Node");
pub(super) const NAMESPACE: Kind = Kind::new("", "v1", "namespaces", "Namespace");
pub(super) const POD: Kind = Kind::new("", "v1", "pods", "Pod");
pub(super) const PVC: Kind = Kind::new("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim");
pub(super) const LEASE: Kind = Kind::new("coordination.k8s.io", "v1", "leases", "Lease");
pub(super) const DEPLOYMENT: Kind = Kind::new("apps", "v1", "deployments", "Deployment");
pub(super) const STATEFUL_SET: Kind = Kind::new("apps", "v1", "statefulsets", "StatefulSet");
pub(super) const CRON_JOB: Kind = Kind::new("batch", "v1", "cronjobs", "CronJob");
pub(super) const JOB: Kind = Kind::new("batch", "v1", "jobs", "Job");
pub(super) const NETWORK_POLICY: Kind =
    Kind::new("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy");
pub(super) const STORAGE_CLASS: Kind =
    Kind::new("storage.k8s.io", "v1", "storageclasses", "StorageClass");

/// Of Longhorn.
pub(super) mod longhorn {
    use super::Kind;

    const fn kind(plural: &'static str, kind: &'static str) -> Kind {
        Kind::new("longhorn.io", "v1beta2", plural, kind)
    }

    pub(in super::super) const VOLUME: Kind = kind("volumes", "Volume");
    pub(in super::super) const REPLICA: Kind = kind("replicas", "Replica");
    pub(in super::super) const SETTING: Kind = kind("settings", "Setting");
    pub(in super::super) const BACKUP: Kind = kind("backups", "Backup");
    pub(in super::super) const BACKUP_TARGET: Kind = kind("backuptargets", "BackupTarget");
}

/// Of CloudNativePG.
pub(super) mod cnpg {
    use super::Kind;

    pub(in super::super) const CLUSTER: Kind =
        Kind::new("postgresql.cnpg.io", "v1", "clusters", "Cluster");
    pub(in super::super) const BACKUP: Kind =
        Kind::new("postgresql.cnpg.io", "v1", "backups", "Backup");
    /// Of the plugin for Barman Cloud.
    pub(in super::super) const OBJECT_STORE: Kind =
        Kind::new("barmancloud.cnpg.io", "v1", "objectstores", "ObjectStore");
}
