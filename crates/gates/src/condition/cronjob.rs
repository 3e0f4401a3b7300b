//! `cronjob`: the last run that counts is the last that succeeded.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::kinds::{CRON_JOB, JOB};
use super::look::{Judged, Look};
use super::object::Object;
use super::words::{after, ago, exceeds, span};
use super::{Judge, NamespacedName};
use crate::evidence::Read;
use crate::verdict::Verdict;

/// Jobs of Longhorn's recurring backups were `Complete` although the backup had failed.
const LONGHORN_LABEL: &str = "recurring-job.longhorn.io";

/// A CronJob is not suspended, has succeeded lately, and its newest finished run is not a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CronJob {
    /// The cluster.
    pub cluster: String,
    /// The CronJob, as `NAMESPACE/NAME`.
    pub name: NamespacedName,
    /// The largest age of the last success.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    pub max_age: Duration,
}

/// The results of a CronJob's jobs.
#[derive(Default)]
struct Runs {
    succeeded: Option<Timestamp>,
    failed: Option<Timestamp>,
    running: usize,
}

impl Runs {
    fn of<'a>(jobs: impl IntoIterator<Item = &'a Object<'a>>) -> Self {
        let mut runs = Self::default();
        for job in jobs {
            let complete = job.condition("Complete").filter(|state| state.is_true());
            let failed = job.condition("Failed").filter(|state| state.is_true());
            if let Some(complete) = complete {
                let at = job.time("/status/completionTime").or(complete.changed());
                runs.succeeded = runs.succeeded.max(at);
            } else if let Some(failed) = failed {
                runs.failed = runs.failed.max(failed.changed());
            } else {
                runs.running += 1;
            }
        }
        runs
    }
}

impl CronJob {
    fn cron_job(&self) -> Read {
        Read::object(&self.cluster, CRON_JOB, Some(&self.name.namespace), &self.name.name)
    }

    fn jobs(&self) -> Read {
        Read::list(&self.cluster, JOB, Some(&self.name.namespace))
    }

    /// Judges the last success alone.
    fn freshness(&self, look: Look<'_>, succeeded: Option<Timestamp>, runs: &Runs) -> Verdict {
        let (name, read) = (&self.name, self.cron_job());
        let Some(succeeded) = succeeded else {
            let never = format!("{name} never succeeded");
            return if runs.running > 0 {
                Verdict::waiting(format!("{never}, and is running now"))
            } else {
                Verdict::fail(never)
                    .with_hint("when it last ran says nothing: look at the logs of its jobs")
            };
        };
        let age = look.age(&read, succeeded);
        if age.is_negative() && age.unsigned_abs() > Duration::from_secs(60) {
            return Verdict::unknown(format!("{name} says that it succeeds {}", ago(age)))
                .with_hint("a clock is wrong: compare those of the nodes");
        }
        let limit = span(self.max_age);
        if !exceeds(age, self.max_age) {
            return Verdict::pass(format!("{name} succeeded {}, {limit} allowed", ago(age)))
                .until(after(succeeded, self.max_age));
        }
        let late = format!("{name} last succeeded {}, {limit} allowed", ago(age));
        if runs.running > 0 {
            Verdict::waiting(format!("{late}, and is running now"))
        } else {
            Verdict::fail(late).with_hint("look at the logs of its newest job")
        }
    }

    fn verdict(
        &self,
        look: Look<'_>,
        cron_job: &Object<'_>,
        succeeded: Option<Timestamp>,
        runs: &Runs,
    ) -> Verdict {
        let name = &self.name;
        if cron_job.texts("/metadata/labels").contains_key(LONGHORN_LABEL) {
            return Verdict::unknown(format!(
                "{name} is of Longhorn, whose jobs succeed also where the backup failed"
            ))
            .with_hint("ask with the condition longhorn-backup")
            .terminal();
        }
        if cron_job.is_going() {
            return Verdict::fail(format!("{name} is being deleted")).terminal();
        }
        if cron_job.is_true("/spec/suspend") {
            return Verdict::fail(format!("{name} is suspended"))
                .with_hint("set spec.suspend to false")
                .terminal();
        }
        let failed_since =
            runs.failed.filter(|failed| succeeded.is_none_or(|succeeded| *failed > succeeded));
        match failed_since {
            Some(failed) if runs.running > 0 => Verdict::waiting(format!(
                "{name} failed {}, and is running again",
                ago(look.age(&self.cron_job(), failed))
            )),
            Some(failed) => Verdict::fail(format!(
                "the newest finished run of {name} failed {}",
                ago(look.age(&self.cron_job(), failed))
            ))
            .with_hint("look at the logs of that job"),
            None => self.freshness(look, succeeded, runs),
        }
    }
}

impl Judge for CronJob {
    fn reads(&self) -> Vec<Read> {
        vec![self.cron_job(), self.jobs()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let (read, jobs_read) = (self.cron_job(), self.jobs());
        let cron_job = look.object(&read)?;
        let jobs = look.list(&jobs_read)?;
        let owned: Vec<_> = jobs.iter().filter(|job| job.is_owned_by(cron_job.uid())).collect();
        let runs = Runs::of(owned.iter().copied());
        // Jobs are cleaned up, and the controller may be behind them.
        let succeeded = cron_job.time("/status/lastSuccessfulTime").max(runs.succeeded);
        Ok(self
            .verdict(look, &cron_job, succeeded, &runs)
            .about(cron_job.subject())
            .about_all(owned.iter().map(|job| job.subject()))
            .with_evidence(json!({
                "suspended": cron_job.is_true("/spec/suspend"),
                "last_success": succeeded,
                "last_failure": runs.failed,
                "running": runs.running,
            }))
            .against(json!({ "max_age_seconds": self.max_age.as_secs() })))
    }
}
