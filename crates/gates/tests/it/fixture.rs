//! The fixtures: objects named after the lie they hold, with the verdict that follows from them.
//!
//! Times are written as `@-3h`, relative to when the gate is judged, so that the same objects can
//! be created in a real cluster, and `@uid:KIND/NAME` is the UID of another object of the fixture.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gates::{Absence, Answer, Content, Evidence, Gate, Gates, Read, Reading, Rule, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The time at which fixtures are judged.
pub(crate) const NOW: &str = "2026-11-22T12:00:00Z";

/// One file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixture {
    #[serde(skip)]
    pub(crate) path: PathBuf,
    /// Its meaning, for people.
    pub(crate) shows: String,
    pub(crate) gate: Gate,
    #[serde(default)]
    pub(crate) objects: Vec<Value>,
    /// Evidence that cannot be read, by resource or by question.
    #[serde(default)]
    pub(crate) absent: BTreeMap<String, Absence>,
    /// Other answers, by question.
    #[serde(default)]
    answers: Map<String, Value>,
    pub(crate) answer: Answer,
    pub(crate) says: String,
    #[serde(default)]
    pub(crate) terminal: Option<bool>,
}

impl Fixture {
    pub(crate) fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let mut paths = Vec::new();
        for directory in fs_err::read_dir(root).unwrap() {
            let files = fs_err::read_dir(directory.unwrap().path()).unwrap();
            paths.extend(files.map(|file| file.unwrap().path()));
        }
        paths.sort();
        paths.into_iter().map(Self::read).collect()
    }

    fn read(path: PathBuf) -> Self {
        let text = fs_err::read_to_string(&path).unwrap();
        let fixture: Self = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, ..fixture }
    }

    /// `nodes/three-good`.
    pub(crate) fn name(&self) -> String {
        let condition = self.path.parent().and_then(Path::file_name).unwrap();
        let stem = self.path.file_stem().unwrap();
        format!("{}/{}", condition.display(), stem.display())
    }

    pub(crate) fn condition(&self) -> &gates::Condition {
        match &self.gate.rule {
            Rule::Condition(condition) => condition,
            other => panic!("{}: {other:?}", self.name()),
        }
    }

    pub(crate) fn gates(&self) -> Gates {
        Gates::new([("gate".to_owned(), self.gate.clone())].into()).unwrap()
    }

    /// The objects with times around `now`, and with what a server would have added.
    pub(crate) fn objects_at(&self, now: Timestamp) -> Vec<Value> {
        let mut objects = self.objects.clone();
        for (index, object) in objects.iter_mut().enumerate() {
            let metadata = object["metadata"].as_object_mut().unwrap();
            metadata.entry("uid").or_insert_with(|| json!(format!("uid-{index}")));
            metadata.entry("resourceVersion").or_insert_with(|| json!((100 + index).to_string()));
        }
        let uids = uids(&objects);
        for object in &mut objects {
            resolve(object, now, &uids);
        }
        objects
    }

    /// The evidence that reading these objects would give.
    pub(crate) fn evidence(&self, now: Timestamp) -> Evidence {
        let objects = self.objects_at(now);
        let mut evidence = Evidence::new(now);
        for read in self.condition().reads() {
            let content = self.content(&read, &objects, now);
            let reading = Reading::new(read, now, content);
            let skew = self.answers.get("skew").and_then(Value::as_f64);
            evidence.push(match skew {
                Some(skew) => reading.with_skew(skew),
                None => reading,
            });
        }
        evidence
    }

    fn content(&self, read: &Read, objects: &[Value], now: Timestamp) -> Content {
        let asked = asked(read);
        if let Some(absence) = self.absent.get(&asked) {
            return Content::Absent(absence.clone());
        }
        if let Some(answer) = self.answers.get(&asked) {
            let mut answer = answer.clone();
            resolve(&mut answer, now, &BTreeMap::new());
            return Content::Found(answer);
        }
        match read {
            Read::List { .. } => {
                let found = objects.iter().filter(|object| is_of(object, read));
                Content::Found(found.cloned().collect())
            }
            Read::Object { name, .. } => objects
                .iter()
                .filter(|object| is_of(object, read))
                .find(|object| object["metadata"]["name"] == json!(name))
                .map_or(Content::Absent(Absence::NotFound), |object| {
                    Content::Found(object.clone())
                }),
            other => panic!("{}: nothing answers {other:?}", self.name()),
        }
    }

    #[track_caller]
    pub(crate) fn require(&self, verdict: &Verdict) {
        let name = self.name();
        self.require_answer(verdict);
        assert!(
            verdict.reason.contains(&self.says),
            "{name}: `{}` is not in `{}`",
            self.says,
            verdict.reason
        );
    }

    /// The answer alone, where time goes on while the fixture is written.
    #[track_caller]
    pub(crate) fn require_answer(&self, verdict: &Verdict) {
        let name = self.name();
        let (shows, reason) = (&self.shows, &verdict.reason);
        assert_eq!(verdict.answer, self.answer, "{name} ({shows}): {reason}");
        if let Some(terminal) = self.terminal {
            assert_eq!(verdict.terminal, terminal, "{name}: {verdict:?}");
        }
    }
}

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn asked(read: &Read) -> String {
    match read {
        Read::List { kind, .. } | Read::Object { kind, .. } => kind.resource(),
        other => serde_json::to_value(other).unwrap()["ask"].as_str().unwrap().to_owned(),
    }
}

fn is_of(object: &Value, read: &Read) -> bool {
    let (Read::List { kind, namespace, .. } | Read::Object { kind, namespace, .. }) = read else {
        return false;
    };
    let group = if kind.group.is_empty() {
        kind.version.to_string()
    } else {
        format!("{}/{}", kind.group, kind.version)
    };
    let is_there = match namespace {
        Some(namespace) => object["metadata"]["namespace"] == json!(namespace),
        None => true,
    };
    object["apiVersion"] == json!(group) && object["kind"] == json!(kind.kind) && is_there
}

/// The UIDs of the objects by `KIND/NAME`.
pub(crate) fn uids(objects: &[Value]) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    objects
        .iter()
        .map(|object| {
            let key = format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]));
            (key, text(&object["metadata"]["uid"]))
        })
        .collect()
}

/// Replaces what begins with `@`.
pub(crate) fn resolve(value: &mut Value, now: Timestamp, uids: &BTreeMap<String, String>) {
    match value {
        Value::Object(members) => members.values_mut().for_each(|value| resolve(value, now, uids)),
        Value::Array(items) => items.iter_mut().for_each(|value| resolve(value, now, uids)),
        Value::String(text) => {
            let resolved = if let Some(key) = text.strip_prefix("@uid:") {
                uids.get(key).cloned()
            } else if let Some(ahead) = text.strip_prefix("@+") {
                Some(moved(now, ahead, 1))
            } else {
                text.strip_prefix("@-").map(|ago| moved(now, ago, -1))
            };
            if let Some(resolved) = resolved {
                *text = resolved;
            }
        }
        _ => {}
    }
}

fn moved(now: Timestamp, by: &str, sign: i32) -> String {
    let by = SignedDuration::try_from(humantime::parse_duration(by).unwrap()).unwrap();
    let then = now + by.checked_mul(sign).unwrap();
    format!("{then:.0}")
}
