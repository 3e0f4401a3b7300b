//! `script`: a command ends with 0, and the operator says what that proves.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Judge;
use super::look::{Judged, Look};
use super::words::span;
use crate::evidence::{Read, redact};
use crate::verdict::{Subject, Verdict};

/// Exit codes of a shell that found no such command, or could not run it.
const NOT_RUN: [i64; 2] = [126, 127];
/// The exit code of `ssh` when it did not reach the host.
const SSH_FAILED: i64 = 255;

/// A command that is run here; over SSH, if `ssh` is what is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Script {
    /// The command and its arguments. No shell is between.
    #[serde(serialize_with = "redact::words")]
    pub run: Vec<String>,
    /// The claim that exit code 0 proves, in the words of the operator.
    #[serde(serialize_with = "redact::sentence")]
    pub scope: String,
    /// The directory it is run in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The longest it may run. Then it is killed, with all that it started.
    #[serde(default = "five_minutes", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    pub limit: Duration,
    /// A text that its output must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// For how long a success stands in for a new run. It is a member of the gate, which hands it
    /// down.
    #[serde(skip)]
    pub(crate) expires: Option<Duration>,
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

impl Script {
    fn command(&self) -> Read {
        Read::Script {
            run: self.run.clone(),
            directory: self.directory.clone(),
            limit_seconds: self.limit.as_secs().max(1),
            expires_seconds: self.expires.map(|expires| expires.as_secs()),
            scope: self.scope.clone(),
        }
    }

    fn is_ssh(&self) -> bool {
        let program = self.run.first().map_or("", String::as_str);
        program.rsplit('/').next() == Some("ssh")
    }

    fn verdict(&self, ended: &Value) -> Verdict {
        let scope = redact::text(&self.scope);
        if let Some(seconds) = ended.get("timed_out_after_seconds").and_then(Value::as_u64) {
            let limit = span(Duration::from_secs(seconds));
            return Verdict::unknown(format!("it did not end within {limit}, and was killed"))
                .with_hint("what it had done by then is not undone; `limit` gives it more time");
        }
        if let Some(signal) = ended.get("signal").and_then(Value::as_i64) {
            return Verdict::unknown(format!("signal {signal} ended it"));
        }
        let Some(code) = ended.get("exit_code").and_then(Value::as_i64) else {
            return Verdict::unknown("its end is unknown");
        };
        let output = ended.get("output").and_then(Value::as_str).unwrap_or_default();
        match (code, &self.expect) {
            (0, Some(expected)) if !output.contains(expected.as_str()) => {
                Verdict::fail(format!("exit code 0, but its output does not hold `{expected}`"))
            }
            (0, _) => Verdict::pass(format!("exit code 0, which proves: {scope}")),
            (code, _) if NOT_RUN.contains(&code) => {
                Verdict::unknown(format!("exit code {code}: it could not be run"))
                    .with_hint("is it there, and executable, also on the other machine?")
            }
            (SSH_FAILED, _) if self.is_ssh() => {
                Verdict::unknown("exit code 255: ssh did not reach the other machine")
                    .with_hint("try the same `ssh` by hand")
            }
            (code, _) => {
                let last = output.lines().rfind(|line| !line.trim().is_empty());
                let last = last.map_or_else(String::new, |line| format!(": {}", shortened(line)));
                Verdict::fail(format!("exit code {code}{last}"))
            }
        }
    }
}

impl Judge for Script {
    fn check(&self) -> Result<(), String> {
        if self.run.first().is_none_or(String::is_empty) {
            return Err("`run` names no command".to_owned());
        }
        if self.scope.trim().is_empty() {
            return Err("`scope` says what exit code 0 proves, and must not be empty".to_owned());
        }
        Ok(())
    }

    fn reads(&self) -> Vec<Read> {
        vec![self.command()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.command();
        let ended = look.found(&read)?;
        let command = redact::without_secrets(&self.run).join(" ");
        let scope = redact::text(&self.scope);
        let member = |name: &str| ended.get(name).cloned().unwrap_or_default();
        Ok(self
            .verdict(ended)
            .about(Subject::named("command", command))
            .with_evidence(json!({ "exit_code": member("exit_code"), "scope": scope }))
            .with_measured(json!({
                "seconds": member("seconds"),
                "output_sha256": member("output_sha256"),
            }))
            .against(json!({ "exit_code": 0, "expect": self.expect })))
    }
}

fn shortened(line: &str) -> String {
    const MOST: usize = 120;
    let short: String = line.trim().chars().take(MOST).collect();
    if short.len() < line.trim().len() { format!("{short}…") } else { short }
}
