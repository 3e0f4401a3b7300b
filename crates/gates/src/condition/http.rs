//! `http`: an address answers as it should.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Judge;
use super::look::{Judged, Look};
use crate::evidence::{Read, redact};
use crate::verdict::{Subject, Verdict};

/// `GET` is answered with a status and a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Http {
    /// The address, `http` or `https`.
    #[serde(serialize_with = "redact::address")]
    pub url: String,
    /// The status it must have.
    #[serde(default = "ok")]
    pub status: u16,
    /// A text that the answer must contain. Without it, any listener passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// The longest to wait.
    #[serde(default = "ten_seconds", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    pub limit: Duration,
}

fn ok() -> u16 {
    200
}

pub(super) fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

impl Http {
    fn get(&self) -> Read {
        Read::Http { url: self.url.clone(), limit_seconds: self.limit.as_secs().max(1) }
    }
}

impl Judge for Http {
    fn check(&self) -> Result<(), String> {
        let uri: http::Uri = self.url.parse().map_err(|_| "`url` is not an address".to_owned())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err("`url` begins with http:// or https://".to_owned());
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("`url` must not hold a password".to_owned());
        }
        Ok(())
    }

    fn reads(&self) -> Vec<Read> {
        vec![self.get()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.get();
        let answer = look.found(&read)?;
        let status = answer.get("status").and_then(Value::as_u64).unwrap_or_default();
        let body = answer.get("body").and_then(Value::as_str).unwrap_or_default();
        let holds = self.expect.as_deref().is_none_or(|expected| body.contains(expected));
        let (url, wanted) = (redact::url(&self.url), self.status);
        let verdict = if status != u64::from(wanted) {
            Verdict::fail(format!("{url} answers with {status}, not {wanted}"))
        } else if !holds {
            let expected = self.expect.as_deref().unwrap_or_default();
            Verdict::fail(format!("{url} answers with {status}, but without `{expected}`"))
                .with_hint("another service may be listening there")
        } else {
            Verdict::pass(format!("{url} answers with {status}"))
        };
        Ok(verdict
            .about(Subject::named("url", url))
            .with_evidence(json!({ "status": status, "holds": holds }))
            .with_measured(json!({ "milliseconds": answer.get("milliseconds") }))
            .against(json!({ "status": wanted, "expect": self.expect })))
    }
}
