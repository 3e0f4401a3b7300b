//! `storage-class`: new volumes get the replicas they should.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Judge;
use super::kinds::{STORAGE_CLASS, longhorn};
use super::longhorn_setting::{self, NAMESPACE};
use super::look::{Judged, Look};
use super::object::Object;
use super::words::list;
use crate::evidence::Read;
use crate::verdict::Verdict;

const LONGHORN: &str = "driver.longhorn.io";
const DEFAULT: &str = "/metadata/annotations/storageclass.kubernetes.io~1is-default-class";
const REPLICAS: &str = "/parameters/numberOfReplicas";
const REPLICAS_SETTING: &str = "default-replica-count";

/// A StorageClass is there, by name or as the only default, with the provisioner and the replicas
/// that are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StorageClass {
    /// The cluster.
    pub cluster: String,
    /// The class; the default one where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The provisioner it must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioner: Option<String>,
    /// The number of replicas Longhorn must make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i64>,
    /// The fate of a volume whose claim is deleted: `Retain` or `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclaim: Option<String>,
}

impl StorageClass {
    fn classes(&self) -> Read {
        Read::list(&self.cluster, STORAGE_CLASS, None)
    }

    fn setting(&self) -> Read {
        Read::object(&self.cluster, longhorn::SETTING, Some(NAMESPACE), REPLICAS_SETTING)
    }

    fn choose<'a>(&self, classes: &[Object<'a>]) -> Result<Object<'a>, Box<Verdict>> {
        let refuse = |verdict: Verdict| {
            Err(Box::new(verdict.about_all(classes.iter().map(Object::subject))))
        };
        if let Some(name) = &self.name {
            return match classes.iter().find(|class| class.name() == name) {
                Some(class) => Ok(*class),
                None => refuse(
                    Verdict::fail(format!("there is no StorageClass {name}"))
                        .with_hint("`kubectl get storageclass` shows those there are"),
                ),
            };
        }
        let defaults: Vec<_> =
            classes.iter().filter(|class| class.text(DEFAULT) == Some("true")).collect();
        match defaults[..] {
            [class] => Ok(*class),
            [] => refuse(
                Verdict::fail("no StorageClass is the default").with_hint("name one, or make one the default"),
            ),
            // The newest one is taken then, whichever that is.
            _ => refuse(
                Verdict::fail(format!(
                    "several StorageClasses are the default: {}",
                    list(defaults.iter().map(|class| class.name()))
                ))
                .with_hint("take the annotation storageclass.kubernetes.io/is-default-class from all but one; k3s brings local-path"),
            ),
        }
    }

    /// Returns the number of replicas a volume of this class gets.
    fn replicas(&self, look: Look<'_>, class: &Object<'_>) -> Result<i64, Box<Verdict>> {
        if class.text("/parameters/dataLocality") == Some("strict-local") {
            return Ok(1);
        }
        if let Some(text) = class.text(REPLICAS) {
            return text.parse().map_err(|_| {
                Box::new(Verdict::unknown(format!("{} asks for `{text}` replicas", class.name())))
            });
        }
        let read = self.setting();
        let setting = look.object(&read)?;
        let engine = class.text("/parameters/dataEngine").unwrap_or("v1");
        let value = longhorn_setting::value(&setting, engine);
        value.and_then(|value| value.parse().ok()).ok_or_else(|| {
            Box::new(Verdict::unknown(format!(
                "Longhorn's setting {REPLICAS_SETTING} is not a number"
            )))
        })
    }

    fn judge_replicas(
        &self,
        look: Look<'_>,
        class: &Object<'_>,
        wanted: i64,
    ) -> Result<i64, Box<Verdict>> {
        let name = class.name();
        if class.text("/provisioner") != Some(LONGHORN) {
            return Err(Box::new(
                Verdict::fail(format!("{name} is not of Longhorn, so its volumes have one copy"))
                    .with_hint("local-path and hostPath volumes stay on one node"),
            ));
        }
        let replicas = self.replicas(look, class)?;
        if replicas >= wanted {
            return Ok(replicas);
        }
        let why = if class.text("/parameters/dataLocality") == Some("strict-local") {
            " (strict-local)"
        } else {
            ""
        };
        Err(Box::new(
            Verdict::fail(format!(
                "volumes of {name} get {replicas} replicas{why} ({wanted} required)"
            ))
            .with_hint("parameters of a class cannot be changed: make another one"),
        ))
    }

    fn verdict(&self, look: Look<'_>, class: &Object<'_>) -> Judged {
        let name = class.name();
        let differs = |what: &str, found: Option<&str>, wanted: &Option<String>| {
            let wanted = wanted.as_deref()?;
            let found = found.unwrap_or("none");
            (found != wanted).then(|| {
                Box::new(Verdict::fail(format!("the {what} of {name} is {found}, not {wanted}")))
            })
        };
        if let Some(verdict) = differs("provisioner", class.text("/provisioner"), &self.provisioner)
        {
            return Err(verdict);
        }
        // Kubernetes' default.
        let reclaim = class.text("/reclaimPolicy").or(Some("Delete"));
        if let Some(verdict) = differs("reclaim policy", reclaim, &self.reclaim) {
            return Err(verdict);
        }
        Ok(match self.replicas {
            None => Verdict::pass(format!("{name} is there")),
            Some(wanted) => {
                let replicas = self.judge_replicas(look, class, wanted)?;
                Verdict::pass(format!(
                    "volumes of {name} get {replicas} replicas ({wanted} required)"
                ))
            }
        })
    }
}

impl Judge for StorageClass {
    fn reads(&self) -> Vec<Read> {
        let mut reads = vec![self.classes()];
        if self.replicas.is_some() {
            reads.push(self.setting());
        }
        reads
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.classes();
        let classes = look.list(&read)?;
        let class = self.choose(&classes)?;
        let verdict = self.verdict(look, &class).unwrap_or_else(|verdict| *verdict);
        Ok(verdict
            .about(class.subject())
            .with_evidence(json!({
                "class": class.name(),
                "provisioner": class.text("/provisioner"),
                "parameters": class.at("/parameters"),
                "reclaim": class.text("/reclaimPolicy"),
            }))
            .against(json!({
                "provisioner": self.provisioner,
                "replicas": self.replicas,
                "reclaim": self.reclaim,
            })))
    }
}
