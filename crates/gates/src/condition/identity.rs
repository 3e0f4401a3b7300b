//! `identity`: this is the cluster, these are its nodes, and this is the database.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::kinds::{NAMESPACE, NODE, cnpg};
use super::look::{Judged, Look};
use super::object::Object;
use super::words::list;
use super::{Judge, NamespacedName};
use crate::evidence::Read;
use crate::verdict::{Subject, Verdict};

/// The identities that are named are the ones that are found. Names lie; UIDs and system
/// identifiers do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Identity {
    /// The cluster. That its UID is the pinned one is asked in any case.
    pub cluster: String,
    /// The names of all its nodes, and of no others.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub nodes: BTreeSet<String>,
    /// A CloudNativePG cluster, as `NAMESPACE/NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<NamespacedName>,
    /// The system identifier that PostgreSQL has there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<String>,
}

impl Identity {
    /// The identity of a cluster alone.
    pub fn new(cluster: impl Into<String>) -> Self {
        let cluster = cluster.into();
        Self { cluster, nodes: BTreeSet::new(), database: None, system_identifier: None }
    }

    fn kube_system(&self) -> Read {
        Read::object(&self.cluster, NAMESPACE, None, "kube-system")
    }

    fn nodes(&self) -> Read {
        Read::list(&self.cluster, NODE, None)
    }

    fn database(&self) -> Option<Read> {
        let name = self.database.as_ref()?;
        Some(Read::object(&self.cluster, cnpg::CLUSTER, Some(&name.namespace), &name.name))
    }

    fn judge_database(
        &self,
        database: &Object<'_>,
        found: &mut Map<String, Value>,
    ) -> Result<(), Box<Verdict>> {
        let (namespace, name) = (database.namespace().unwrap_or_default(), database.name());
        let identifier = database.text("/status/systemID");
        found.insert("system_identifier".to_owned(), json!(identifier));
        let expected = self.system_identifier.as_deref();
        let verdict = match (identifier, expected) {
            (Some(found), Some(expected)) if found == expected => return Ok(()),
            (Some(found), Some(expected)) => Verdict::fail(format!(
                "the database {namespace}/{name} has the system identifier {found}, not {expected}"
            ))
            .with_hint("it is another database of that name: do not go on")
            .terminal(),
            (Some(found), None) => Verdict::fail(format!(
                "no system_identifier is pinned; that of {namespace}/{name} is {found}"
            ))
            .with_hint("if this is the database that is meant, pin that one")
            .terminal(),
            (None, _) => Verdict::unknown(format!(
                "{namespace}/{name} does not state the system identifier of its database"
            ))
            .with_hint("operators before 1.26 do not; its instances must have been up once"),
        };
        Err(Box::new(verdict.about(database.subject())))
    }
}

impl Judge for Identity {
    fn check(&self) -> Result<(), String> {
        // It would be compared with nothing.
        if self.system_identifier.is_some() && self.database.is_none() {
            return Err("`system_identifier` is that of a `database`, and none is named".to_owned());
        }
        Ok(())
    }

    fn reads(&self) -> Vec<Read> {
        let mut reads = vec![self.kube_system()];
        if !self.nodes.is_empty() {
            reads.push(self.nodes());
        }
        reads.extend(self.database());
        reads
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.kube_system();
        let kube_system = look.object(&read)?;
        let mut subjects = vec![Subject::Cluster {
            name: self.cluster.clone(),
            uid: kube_system.uid().map(ToOwned::to_owned),
        }];
        let mut found = Map::new();
        let nodes_read = self.nodes();
        if !self.nodes.is_empty() {
            let nodes = look.list(&nodes_read)?;
            subjects.extend(nodes.iter().map(Object::subject));
            let names: BTreeSet<String> = nodes.iter().map(|node| node.name().to_owned()).collect();
            found.insert("nodes".to_owned(), json!(names));
            if names != self.nodes {
                let missing =
                    self.nodes.difference(&names).map(|name| format!("{name} is missing"));
                let strange =
                    names.difference(&self.nodes).map(|name| format!("{name} is not named"));
                return Ok(Verdict::fail(format!(
                    "the nodes are others: {}",
                    list(missing.chain(strange))
                ))
                .with_hint("is it the right cluster? then correct `nodes`")
                .terminal()
                .about_all(subjects)
                .with_evidence(Value::Object(found)));
            }
        }
        let database_read = self.database();
        if let Some(read) = &database_read {
            let database = look.object(read)?;
            self.judge_database(&database, &mut found)?;
            subjects.push(database.subject());
        }
        let uid = kube_system.uid().unwrap_or_default();
        Ok(Verdict::pass(format!("{} is the cluster {uid}, as pinned", self.cluster))
            .about_all(subjects)
            .with_evidence(Value::Object(found))
            .against(json!({
                "nodes": self.nodes,
                "system_identifier": self.system_identifier,
            })))
    }
}
