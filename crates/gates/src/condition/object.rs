//! An object of Kubernetes as it was read, and how its members are asked for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::evidence::Kind;
use crate::verdict::{ObjectReference, Subject};

/// One object. A member of another type than expected counts as absent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'a> {
    cluster: &'a str,
    kind: &'a Kind,
    value: &'a Value,
}

/// One of `status.conditions`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stated<'a>(&'a Value);

impl<'a> Object<'a> {
    pub(super) fn new(cluster: &'a str, kind: &'a Kind, value: &'a Value) -> Self {
        Self { cluster, kind, value }
    }

    /// All objects of a list in an order of their own, each once: of several versions, the newest.
    pub(super) fn of_list(cluster: &'a str, kind: &'a Kind, items: &'a Value) -> Vec<Self> {
        let items = items.as_array().map_or(&[][..], Vec::as_slice);
        let mut newest: BTreeMap<(&str, &str, &str), Self> = BTreeMap::new();
        for item in items {
            let object = Self::new(cluster, kind, item);
            let key = (
                object.namespace().unwrap_or_default(),
                object.name(),
                object.uid().unwrap_or_default(),
            );
            let known = newest.entry(key).or_insert(object);
            if known.rank() < object.rank() {
                *known = object;
            }
        }
        newest.into_values().collect()
    }

    /// Versions of resources are numbers that grow; the text decides where they are not.
    fn rank(&self) -> (u64, String) {
        let version = self.text("/metadata/resourceVersion").unwrap_or_default();
        (version.parse().unwrap_or_default(), self.value.to_string())
    }

    pub(super) fn at(&self, pointer: &str) -> Option<&'a Value> {
        self.value.pointer(pointer).filter(|value| !value.is_null())
    }

    /// A text that is there and not empty.
    pub(super) fn text(&self, pointer: &str) -> Option<&'a str> {
        self.at(pointer)?.as_str().filter(|text| !text.is_empty())
    }

    pub(super) fn number(&self, pointer: &str) -> Option<i64> {
        self.at(pointer)?.as_i64()
    }

    pub(super) fn is_true(&self, pointer: &str) -> bool {
        self.at(pointer).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(super) fn time(&self, pointer: &str) -> Option<Timestamp> {
        self.text(pointer)?.parse().ok()
    }

    pub(super) fn items(&self, pointer: &str) -> &'a [Value] {
        self.at(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// A map of texts, such as labels.
    pub(super) fn texts(&self, pointer: &str) -> BTreeMap<&'a str, &'a str> {
        let members = self.at(pointer).and_then(Value::as_object);
        let pairs = members.into_iter().flatten();
        pairs.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
    }

    /// One of `status.conditions`, by its type.
    pub(super) fn condition(&self, kind: &str) -> Option<Stated<'a>> {
        let conditions = self.items("/status/conditions");
        conditions
            .iter()
            .find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
            .map(Stated)
    }

    /// Returns true if one of them is there, and true.
    pub(super) fn holds(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(Stated::is_true)
    }

    pub(super) fn name(&self) -> &'a str {
        self.text("/metadata/name").unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> Option<&'a str> {
        self.text("/metadata/namespace")
    }

    pub(super) fn uid(&self) -> Option<&'a str> {
        self.text("/metadata/uid")
    }

    /// Returns true if it was told to go, and is still there.
    pub(super) fn is_going(&self) -> bool {
        self.text("/metadata/deletionTimestamp").is_some()
    }

    /// Returns true if the controller of this object is the one with this UID. A name is not
    /// enough: who was deleted and made anew has other children.
    pub(super) fn is_owned_by(&self, uid: Option<&str>) -> bool {
        let owners = self.items("/metadata/ownerReferences").iter();
        let mut controllers =
            owners.filter(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true));
        uid.is_some() && controllers.any(|owner| owner.get("uid").and_then(Value::as_str) == uid)
    }

    pub(super) fn subject(&self) -> Subject {
        Subject::Object(ObjectReference {
            cluster: self.cluster.to_owned(),
            group: self.kind.group.to_string(),
            kind: self.kind.kind.to_string(),
            namespace: self.namespace().map(ToOwned::to_owned),
            name: self.name().to_owned(),
            uid: self.uid().map(ToOwned::to_owned),
            resource_version: self.text("/metadata/resourceVersion").map(ToOwned::to_owned),
        })
    }
}

impl<'a> Stated<'a> {
    fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    pub(super) fn is_true(self) -> bool {
        self.text("status") == Some("True")
    }

    pub(super) fn is_false(self) -> bool {
        self.text("status") == Some("False")
    }

    pub(super) fn reason(self) -> Option<&'a str> {
        self.text("reason")
    }

    pub(super) fn heartbeat(self) -> Option<Timestamp> {
        self.text("lastHeartbeatTime")?.parse().ok()
    }

    pub(super) fn changed(self) -> Option<Timestamp> {
        self.text("lastTransitionTime")?.parse().ok()
    }

    /// `reason: message`, as far as they are there.
    pub(super) fn why(self) -> String {
        let parts = [self.text("reason"), self.text("message")];
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "no reason is given".to_owned() } else { parts.join(": ") }
    }
}
