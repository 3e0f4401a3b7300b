//! A gate as a table of the configuration: members of the gate beside those of its condition.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ApprovalRule, Gate, Rule};
use crate::condition::Condition;

/// All members of the table; those that are not of the gate are of its condition, which refuses
/// what it does not know.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Written {
    /// Gates that must all pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    all: Option<Vec<String>>,
    /// Gates of which one must pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    any: Option<Vec<String>>,
    /// A gate that must fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not: Option<String>,
    /// Maximum age of the facts of a pass.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("x-form" = "DURATION")))]
    expires: Option<Duration>,
    /// How long the gate must have passed without a break.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("x-form" = "DURATION")))]
    stable_for: Option<Duration>,
    /// People who must agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approval: Option<ApprovalRule>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    rests_on: BTreeMap<String, Value>,
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    condition: Map<String, Value>,
}

impl TryFrom<Written> for Gate {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let mut rules = Vec::new();
        rules.extend(written.all.map(Rule::All));
        rules.extend(written.any.map(Rule::Any));
        rules.extend(written.not.map(Rule::Not));
        if written.condition.contains_key("condition") {
            rules.push(Rule::Condition(condition(written.condition, written.expires)?));
        } else if let Some(name) = written.condition.keys().next() {
            return Err(format!("`{name}` belongs to a condition, and none is named"));
        }
        let rule = match (rules.len(), &written.approval) {
            (1, _) => rules.remove(0),
            (0, Some(_)) => Rule::Nothing,
            (0, None) => {
                return Err(
                    "it asks nothing: give it `condition`, `all`, `any`, `not` or `approval`"
                        .to_owned(),
                );
            }
            _ => {
                return Err(
                    "only one of `condition`, `all`, `any` and `not` can be asked".to_owned()
                );
            }
        };
        if written.approval.as_ref().is_some_and(|approval| approval.persons == 0) {
            return Err("an approval by 0 persons is none".to_owned());
        }
        Ok(Self {
            rule,
            expires: written.expires,
            stable_for: written.stable_for,
            approval: written.approval,
            rests_on: written.rests_on,
        })
    }
}

fn condition(members: Map<String, Value>, expires: Option<Duration>) -> Result<Condition, String> {
    let mut condition: Condition =
        serde_json::from_value(Value::Object(members)).map_err(|error| error.to_string())?;
    condition.check()?;
    condition.expiring(expires);
    Ok(condition)
}

impl From<Gate> for Written {
    fn from(gate: Gate) -> Self {
        let mut written = Self {
            all: None,
            any: None,
            not: None,
            expires: gate.expires,
            stable_for: gate.stable_for,
            approval: gate.approval,
            rests_on: gate.rests_on,
            condition: Map::new(),
        };
        match gate.rule {
            Rule::All(parts) => written.all = Some(parts),
            Rule::Any(parts) => written.any = Some(parts),
            Rule::Not(part) => written.not = Some(part),
            Rule::Nothing => {}
            Rule::Condition(condition) => {
                if let Ok(Value::Object(members)) = serde_json::to_value(condition) {
                    written.condition = members;
                }
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(table: Value) -> Result<Gate, String> {
        serde_json::from_value(table).map_err(|error| error.to_string())
    }

    #[test]
    fn members_of_gate_and_condition_stand_side_by_side() {
        let table = json!({
            "cluster": "home", "condition": "nodes", "ready": 3, "expires": "1h", "stable_for": "30s",
        });
        let gate = parse(table).unwrap();
        assert_eq!(gate.expires, Some(Duration::from_secs(3600)));
        let Rule::Condition(Condition::Nodes(nodes)) = &gate.rule else {
            panic!("{gate:?}");
        };
        assert_eq!((nodes.ready, nodes.heartbeat), (3, Duration::from_secs(60)));
        let again = parse(serde_json::to_value(&gate).unwrap()).unwrap();
        assert_eq!(again, gate);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (table, said) in [
            (json!({}), "asks nothing"),
            (json!({ "ready": 3 }), "`ready` belongs to a condition"),
            (
                json!({ "condition": "nodes", "cluster": "home", "ready": 3, "redy": 1 }),
                "unknown field `redy`",
            ),
            (json!({ "condition": "nodes", "ready": 3 }), "missing field `cluster`"),
            (json!({ "condition": "nodez" }), "unknown variant `nodez`"),
            (json!({ "all": ["a"], "any": ["b"] }), "only one of"),
            (json!({ "approval": { "signers": "s", "expires": "4h", "persons": 0 } }), "0 persons"),
            (json!({ "condition": "script", "run": ["x"], "scope": " " }), "`scope`"),
            (json!({ "condition": "script", "run": [], "scope": "x" }), "`run`"),
            (json!({ "condition": "http", "url": "https://u:p@h/" }), "password"),
            (json!({ "condition": "tcp", "address": "host" }), "HOST:PORT"),
            (json!({ "condition": "pvc", "cluster": "home", "name": "db" }), "NAMESPACE/NAME"),
            (
                json!({ "condition": "identity", "cluster": "home", "system_identifier": "7" }),
                "`database`",
            ),
            (
                json!({ "condition": "longhorn-setting", "cluster": "home", "name": "x" }),
                "either `one_of` or `at_least`",
            ),
            (
                json!({ "condition": "longhorn-setting", "cluster": "home", "name": "x", "one_of": ["1"], "at_least": 1 }),
                "either `one_of` or `at_least`",
            ),
        ] {
            let error = parse(table.clone()).unwrap_err();
            assert!(error.contains(said), "{table}: {error}");
        }
    }

    #[test]
    fn an_approval_alone_is_a_gate() {
        let gate =
            parse(json!({ "approval": { "signers": "approvers", "expires": "4h" } })).unwrap();
        assert_eq!(gate.rule, Rule::Nothing);
        assert_eq!(gate.approval.map(|approval| approval.persons), Some(1));
    }
}
