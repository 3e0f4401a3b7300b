//! `clock`: the clocks of this machine and of a cluster are the same.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Judge;
use super::look::{Judged, Look};
use crate::evidence::Read;
use crate::verdict::{Subject, Verdict};

/// This clock and that of the API server differ by no more than this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Clock {
    /// The cluster.
    pub cluster: String,
    /// The largest difference between the clocks. Less than 2 seconds cannot be measured: the API
    /// server reports whole seconds.
    #[serde(default = "five_seconds", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    pub max_skew: Duration,
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

impl Clock {
    /// The clock of a cluster, which may be five seconds apart.
    pub fn new(cluster: impl Into<String>) -> Self {
        Self { cluster: cluster.into(), max_skew: five_seconds() }
    }

    fn server(&self) -> Read {
        Read::Version { cluster: self.cluster.clone() }
    }
}

impl Judge for Clock {
    fn check(&self) -> Result<(), String> {
        if self.max_skew < Duration::from_secs(2) {
            return Err("`max_skew` under 2s cannot be told".to_owned());
        }
        Ok(())
    }

    fn reads(&self) -> Vec<Read> {
        vec![self.server()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.server();
        look.found(&read)?;
        let Some(skew) = look.skew(&read) else {
            return Ok(Verdict::unknown("the API server does not say what time it is"));
        };
        let direction = if skew < 0.0 { "behind" } else { "ahead of" };
        let reason =
            format!("the clock of {} is {:.1}s {direction} this one", self.cluster, skew.abs());
        let is_close = skew.abs() <= self.max_skew.as_secs_f64();
        let verdict = if is_close {
            Verdict::pass(reason)
        } else {
            Verdict::fail(reason)
                .with_hint("set up NTP on both; ages are wrong by as much until then")
        };
        Ok(verdict
            .about(Subject::Cluster { name: self.cluster.clone(), uid: None })
            .with_evidence(json!({ "close": is_close }))
            .with_measured(json!({ "skew_seconds": skew }))
            .against(json!({ "max_skew_seconds": self.max_skew.as_secs_f64() })))
    }
}
