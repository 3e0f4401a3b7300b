//! `pvc`: a claim has its volume.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::kinds::PVC;
use super::look::{Judged, Look};
use super::{Judge, NamespacedName};
use crate::evidence::Read;
use crate::verdict::Verdict;

/// A PersistentVolumeClaim is bound, and is going to stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Pvc {
    /// The cluster.
    pub cluster: String,
    /// The claim, as `NAMESPACE/NAME`.
    pub name: NamespacedName,
    /// The storage class it must have, where that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
}

impl Pvc {
    fn claim(&self) -> Read {
        Read::object(&self.cluster, PVC, Some(&self.name.namespace), &self.name.name)
    }
}

impl Judge for Pvc {
    fn reads(&self) -> Vec<Read> {
        vec![self.claim()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.claim();
        let claim = look.object(&read)?;
        let phase = claim.text("/status/phase");
        let class = claim.text("/spec/storageClassName");
        let name = &self.name;
        let verdict = match phase {
            // A claim that was told to go stays bound as long as a pod uses it.
            _ if claim.is_going() => Verdict::fail(format!("{name} is being deleted"))
                .with_hint("it goes when the last pod stops using it: back it up, and make another claim")
                .terminal(),
            Some("Lost") => Verdict::fail(format!("{name} has lost its volume"))
                .with_hint("the PersistentVolume that it was bound to is gone")
                .terminal(),
            Some("Pending") => Verdict::waiting(format!("{name} has no volume yet"))
                .with_hint("`kubectl describe pvc` says what it waits for; a class with WaitForFirstConsumer waits for a pod"),
            Some("Bound") if self.storage_class.as_deref().is_some_and(|wanted| class != Some(wanted)) => {
                let (found, wanted) = (class.unwrap_or("none"), self.storage_class.as_deref());
                Verdict::fail(format!(
                    "{name} is of the storage class {found}, not {}",
                    wanted.unwrap_or_default()
                ))
                .with_hint("the class of a claim cannot be changed: restore into a new claim")
                .terminal()
            }
            Some("Bound") => Verdict::pass(format!(
                "{name} is bound to {}",
                claim.text("/spec/volumeName").unwrap_or("a volume")
            )),
            Some(other) => Verdict::unknown(format!("{name} is in the phase {other}")),
            None => Verdict::unknown(format!("{name} does not say in which phase it is")),
        };
        Ok(verdict
            .about(claim.subject())
            .with_evidence(json!({
                "phase": phase,
                "deleting": claim.is_going(),
                "volume": claim.text("/spec/volumeName"),
                "storage_class": class,
            }))
            .against(json!({ "phase": "Bound", "storage_class": self.storage_class })))
    }
}
