//! `longhorn-setting`: a setting of Longhorn has the value that it should, in its old and in its
//! new form.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Judge;
use super::kinds::longhorn;
use super::look::{Judged, Look};
use super::object::Object;
use crate::evidence::Read;
use crate::verdict::Verdict;

/// The namespace that Longhorn is installed into, and that it names in its own manifests.
pub(super) const NAMESPACE: &str = "longhorn-system";

/// A setting has one of these values, or is a number that is large enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LonghornSetting {
    /// The cluster.
    pub cluster: String,
    /// The setting, such as `node-down-pod-deletion-policy`.
    pub name: String,
    /// The values that are right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// The least number that is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<i64>,
    /// The data engine, for settings that have a value for each since Longhorn 1.10.
    #[serde(default = "v1")]
    pub engine: String,
}

fn v1() -> String {
    "v1".to_owned()
}

/// The value of a setting: plain text up to Longhorn 1.9, an object with one text for each data
/// engine since.
pub(super) fn value(setting: &Object<'_>, engine: &str) -> Option<String> {
    let text = setting.text("/value")?;
    match serde_json::from_str(text) {
        Ok(Value::Object(engines)) => engines.get(engine)?.as_str().map(ToOwned::to_owned),
        _ => Some(text.to_owned()),
    }
}

impl LonghornSetting {
    fn setting(&self) -> Read {
        Read::object(&self.cluster, longhorn::SETTING, Some(NAMESPACE), &self.name)
    }

    fn verdict(&self, setting: &Object<'_>, value: Option<&str>) -> Verdict {
        let name = &self.name;
        let Some(value) = value else {
            return Verdict::unknown(format!("{name} has no value for the engine {}", self.engine))
                .with_hint("an empty value means the default of this version of Longhorn: set it");
        };
        // A setting that waits for volumes to detach has its new value already.
        if setting.at("/status/applied") == Some(&Value::Bool(false)) {
            return Verdict::waiting(format!("{name} is {value}, but not applied yet"))
                .with_hint("some settings wait until all volumes are detached");
        }
        let number = value.parse::<i64>().ok();
        let is_right = match self.at_least {
            Some(least) => number.is_some_and(|number| number >= least),
            None => self.one_of.iter().any(|right| right == value),
        };
        if is_right {
            return Verdict::pass(format!("{name} is {value}"));
        }
        let wanted = self
            .at_least
            .map_or_else(|| self.one_of.join(" or "), |least| format!("{least} or more"));
        Verdict::fail(format!("{name} is {value}, not {wanted}"))
            .with_hint(format!("`kubectl -n {NAMESPACE} edit settings.longhorn.io {name}`"))
            .terminal()
    }
}

impl Judge for LonghornSetting {
    fn check(&self) -> Result<(), String> {
        if self.one_of.is_empty() == self.at_least.is_none() {
            return Err("give it either `one_of` or `at_least`".to_owned());
        }
        Ok(())
    }

    fn reads(&self) -> Vec<Read> {
        vec![self.setting()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.setting();
        let setting = look.object(&read)?;
        let value = value(&setting, &self.engine);
        Ok(self
            .verdict(&setting, value.as_deref())
            .about(setting.subject())
            .with_evidence(json!({ "value": value, "applied": setting.at("/status/applied") }))
            .against(
                json!({ "one_of": self.one_of, "at_least": self.at_least, "engine": self.engine }),
            ))
    }
}
