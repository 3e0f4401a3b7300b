//! `[clusters.NAME]` and `[gates.NAME]`: where gates ask, and what.

#[cfg(test)]
mod pages;

use std::collections::BTreeMap;
use std::time::Duration;

use gates::{Access, Gate, Gates};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::file::ClusterTable;
use super::merge::{BaseDirectory, ok};
use super::{Origins, Sourced, wording};
use crate::failure::Refusal;
use crate::site;

/// Subcommands of `hubctl gates`, which no gate can be named after.
const RESERVED: [&str; 2] = ["evaluate", "help"];

/// Members of a gate, beside those of its condition.
const OF_GATE: [&str; 3] = ["expires", "stable_for", "approval"];

/// A condition that hubctl itself answers, since the library of gates knows neither backups nor
/// tunnels. It serialises to the members of [`gates::condition::Program`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "question", content = "about", rename_all = "kebab-case")]
pub(crate) enum ProgramQuestion {
    /// The newest verified backup is new enough.
    BackupFresh(BackupFresh),
    /// A tunnel is up, as its supervisor says.
    TunnelUp(TunnelUp),
    /// Two databases or backups hold the same rows.
    CensusEqual(CensusEqual),
}

/// As `hubctl fresh`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackupFresh {
    /// The greatest age of its data; by default that of `[freshness]`.
    #[serde(default, with = "humantime_serde")]
    #[schemars(with = "Option<String>", extend("x-form" = "DURATION"))]
    pub(crate) max_age: Option<Duration>,
    /// True if it must have been restored as well.
    #[serde(default)]
    pub(crate) drilled: bool,
}

/// As `hubctl tunnel check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TunnelUp {
    /// The tunnel of the configuration.
    pub(crate) tunnel: String,
}

/// As `hubctl diff`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CensusEqual {
    /// Site, or backup: id, `latest`, `TARGET:BACKUP`.
    pub(crate) a: String,
    /// The other.
    pub(crate) b: String,
    /// True if row counts are enough.
    #[serde(default)]
    pub(crate) counts: bool,
}

impl ProgramQuestion {
    /// The names of the conditions in the configuration.
    const NAMES: [&str; 3] = ["backup-fresh", "tunnel-up", "census-equal"];

    /// The question with this name and these members.
    pub(crate) fn of(question: &str, about: &Value) -> serde_json::Result<Self> {
        Self::deserialize(json!({ "question": question, "about": about }))
    }

    fn check(&self) -> Result<(), String> {
        let Self::CensusEqual(asked) = self else {
            return Ok(());
        };
        let has_password = |side: &String| site::refuse_password(side, "").is_err();
        if [&asked.a, &asked.b].into_iter().any(has_password) {
            return Err("`a` and `b` must not hold a password".to_owned());
        }
        Ok(())
    }
}

/// A condition of hubctl's own as the configuration writes it: the type of a [`ProgramQuestion`]
/// for the schema.
#[derive(JsonSchema)]
#[schemars(tag = "condition", rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
enum OwnCondition {
    /// The newest verified backup is new enough.
    BackupFresh(BackupFresh),
    /// A tunnel is up, as its supervisor says.
    TunnelUp(TunnelUp),
    /// Two sites or backups hold the same.
    CensusEqual(CensusEqual),
}

/// The schema of the tables of all gates.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let own = OwnCondition::json_schema(generator);
    let gate = gates::gate_schema(generator, own);
    schemars::json_schema!({ "type": "object", "additionalProperties": gate })
}

pub(super) fn clusters(
    tables: BTreeMap<String, ClusterTable>,
    origins: &Origins,
    problems: &mut Vec<anyhow::Error>,
) -> BTreeMap<String, Sourced<Access>> {
    let mut clusters = BTreeMap::new();
    for (name, table) in tables {
        if let Some(access) = ok(cluster(&name, table), problems) {
            let access = origins.sourced(&format!("clusters.{name}"), access);
            clusters.insert(name, access);
        }
    }
    clusters
}

fn cluster(name: &str, table: ClusterTable) -> anyhow::Result<Access> {
    match (table.kubeconfig, table.context) {
        (Some(kubeconfig), Some(context)) => Ok(Access::new(kubeconfig, context, table.uid)),
        (None, None) => Ok(Access::in_cluster(table.uid)),
        (Some(_), None) => {
            let refusal = Refusal::usage(format!("[clusters.{name}] names no context"));
            let hint = "set context to one of `kubectl config get-contexts`; the current context may change";
            Err(refusal.hint(hint).into())
        }
        (None, Some(_)) => {
            let fact = format!("[clusters.{name}] sets context without kubeconfig");
            Err(Refusal::usage(fact).into())
        }
    }
}

pub(super) fn gates(
    tables: BTreeMap<String, Map<String, Value>>,
    base: &BaseDirectory,
    problems: &mut Vec<anyhow::Error>,
) -> Gates {
    let configured = tables.len();
    let gates: BTreeMap<String, Gate> = tables
        .into_iter()
        .filter_map(|(name, table)| {
            let gate = ok(gate(&name, &table, base), problems)?;
            Some((name, gate))
        })
        .collect();
    // A gate that is left out may be a part of another one.
    if gates.len() < configured {
        return Gates::default();
    }
    ok(Gates::new(gates).map_err(Into::into), problems).unwrap_or_default()
}

fn gate(name: &str, table: &Map<String, Value>, base: &BaseDirectory) -> anyhow::Result<Gate> {
    let refused = |reason: &str| {
        let file =
            base.file.as_deref().map_or_else(String::new, |path| format!("{}: ", path.display()));
        Refusal::usage(format!("{file}[gates.{name}] is invalid: {reason}"))
            .hint("docs/gates has a page for each condition")
    };
    if RESERVED.contains(&name) {
        return Err(refused("its name is a command of `hubctl gates`").into());
    }
    if table.contains_key("rests_on") {
        return Err(refused("`rests_on` is computed by hubctl and cannot be set").into());
    }
    understood(table.clone(), base).map_err(|reason| {
        let key = misfit(table, &reason, base);
        let key = key.map_or_else(String::new, |key| format!("`{key}`: "));
        refused(&format!("{key}{}", wording::plain(&reason, None))).into()
    })
}

fn understood(table: Map<String, Value>, base: &BaseDirectory) -> Result<Gate, String> {
    let table = with_paths(own(table)?, base);
    serde_json::from_value(Value::Object(table)).map_err(|error| error.to_string())
}

/// The member whose value does not fit: without it, the reason is another.
fn misfit<'a>(
    table: &'a Map<String, Value>,
    reason: &str,
    base: &BaseDirectory,
) -> Option<&'a str> {
    if !reason.starts_with("invalid ") {
        return None;
    }
    if reason.ends_with("variant identifier") {
        return Some("condition");
    }
    let mut names = table.keys().filter(|name| *name != "condition");
    let name = names.find(|name| {
        let mut others = table.clone();
        others.remove(*name);
        understood(others, base).err().as_deref() != Some(reason)
    });
    name.map(String::as_str)
}

/// Writes a condition of hubctl's own as a question of the library's, after its members were
/// checked.
fn own(mut table: Map<String, Value>) -> Result<Map<String, Value>, String> {
    let condition = table.get("condition").and_then(Value::as_str);
    if condition == Some("program") {
        return Err(
            "`program` is not a condition: name the question itself, such as `backup-fresh`"
                .to_owned(),
        );
    }
    let Some(name) =
        condition.filter(|name| ProgramQuestion::NAMES.contains(name)).map(str::to_owned)
    else {
        return Ok(table);
    };
    table.remove("condition");
    let is_of_gate = |name: &str| OF_GATE.contains(&name);
    let (mut gate, about): (Map<_, _>, Map<_, _>) =
        table.into_iter().partition(|(name, _)| is_of_gate(name));
    let question =
        ProgramQuestion::of(&name, &Value::Object(about)).map_err(|error| error.to_string())?;
    question.check()?;
    let Ok(Value::Object(program)) = serde_json::to_value(question) else {
        unreachable!("a question serialises to its two members");
    };
    gate.extend(program);
    gate.insert("condition".to_owned(), json!("program"));
    Ok(gate)
}

/// Paths in it begin beside the file, as all others do; and so do scripts, wherever hubctl is
/// called from.
fn with_paths(mut table: Map<String, Value>, base: &BaseDirectory) -> Map<String, Value> {
    let beside = |value: &mut Value| {
        if let Some(path) = value.as_str().map(|path| base.path(path)) {
            *value = json!(path.display().to_string());
        }
    };
    match table.get("condition").and_then(Value::as_str) {
        Some("script") => beside(table.entry("directory").or_insert_with(|| json!("."))),
        Some("disk") => table.get_mut("path").into_iter().for_each(beside),
        _ => {}
    }
    let approval = table.get_mut("approval");
    let signers = approval.and_then(|approval| approval.get_mut("signers"));
    signers.into_iter().for_each(beside);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Gates, String> {
        let tables = toml::from_str(text).unwrap();
        let mut problems = Vec::new();
        let gates = gates(tables, &BaseDirectory::default(), &mut problems);
        problems.first().map_or(Ok(gates), |problem| Err(problem.to_string()))
    }

    #[test]
    fn the_example_of_the_guide_is_understood() {
        let gates = parse(
            r#"
            three-nodes = { cluster = "home", condition = "nodes", ready = 3 }
            fresh = { condition = "backup-fresh", max_age = "26h", expires = "1h" }
            T05 = { all = ["three-nodes", "fresh"], approval = { signers = "approvers", expires = "4h" } }
            "#,
        )
        .unwrap();
        assert_eq!(gates.reads(&["T05"]).len(), 3);
    }

    #[test]
    fn a_mistake_is_named_with_its_gate() {
        let mistakes = [
            "a = { condition = \"nodes\", cluster = \"home\", ready = 3, readdy = 3 }",
            "a = { condition = \"backup-fresh\", max_agee = \"1h\" }",
            "a = { all = [\"b\"] }",
            "evaluate = { condition = \"disk\", path = \"/\", free = \"1GB\" }",
            "a = { condition = \"program\", question = \"tunnel-up\" }",
            "a = { condition = \"census-equal\", a = \"x\", b = \"postgresql://hub:hunter2@h/d\" }",
        ];
        let said: Vec<String> = mistakes.iter().map(|text| parse(text).unwrap_err()).collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        [gates.a] is invalid: unknown key `readdy`, expected one of `cluster`, `ready`, `etcd_voters`, `heartbeat`
        [gates.a] is invalid: unknown key `max_agee`, expected `max_age` or `drilled`
        the gate `a` is invalid: there is no gate `b`
        [gates.evaluate] is invalid: its name is a command of `hubctl gates`
        [gates.a] is invalid: `program` is not a condition: name the question itself, such as `backup-fresh`
        [gates.a] is invalid: `a` and `b` must not hold a password
        ");
    }

    #[test]
    fn a_question_of_our_own_comes_back_as_it_was() {
        let own = ProgramQuestion::TunnelUp(TunnelUp { tunnel: "hub".to_owned() });
        assert_eq!(ProgramQuestion::of("tunnel-up", &json!({ "tunnel": "hub" })).unwrap(), own);
        assert!(ProgramQuestion::of("tunnel-up", &json!({ "tunel": "hub" })).is_err());
        assert!(ProgramQuestion::of("else", &json!({})).is_err());
    }
}
