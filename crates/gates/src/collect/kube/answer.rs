//! The meaning of an HTTP response: an object, a refusal, or the wrong server.

use std::time::Duration;

use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde_json::Value;

use super::path::Asking;
use crate::evidence::Absence;

/// An answer with its times.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) value: Value,
    /// By the clock of the server.
    pub(super) date: Option<Timestamp>,
    /// By the clock of this machine.
    pub(super) received_at: Timestamp,
}

/// The reason why there is no answer, and whether another attempt may bring one.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) absence: Absence,
    pub(super) retry: Retry,
}

/// The next step after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// It stays like that.
    No,
    /// It may pass; wait as one likes.
    Soon,
    /// The server says how long to wait.
    After(Duration),
}

impl Refused {
    fn finally(absence: Absence) -> Self {
        Self { absence, retry: Retry::No }
    }
}

/// Understands an answer.
pub(super) fn understand(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    asking: &Asking,
) -> Result<Answered, Refused> {
    let received_at = Timestamp::now();
    match serde_json::from_slice::<Value>(body).ok() {
        Some(value @ Value::Object(_)) if status.is_success() => {
            Ok(Answered { value, date: header(headers, DATE.as_str()).and_then(date), received_at })
        }
        value => Err(refused(status, headers, value.as_ref(), body, asking)),
    }
}

fn refused(
    status: StatusCode,
    headers: &HeaderMap,
    value: Option<&Value>,
    body: &[u8],
    asking: &Asking,
) -> Refused {
    let text =
        |pointer: &str| value.and_then(|value| value.pointer(pointer)).and_then(Value::as_str);
    let is_status = text("/kind") == Some("Status");
    let absence = match status {
        StatusCode::UNAUTHORIZED => Absence::Unauthorized,
        // A login page may be forbidden as well, but says nothing of RBAC.
        StatusCode::FORBIDDEN if is_status => {
            Absence::Forbidden { verb: asking.verb.to_owned(), resource: asking.resource.clone() }
        }
        // A path that nobody serves is answered in plain text, an object that is not there by its name.
        StatusCode::NOT_FOUND if is_status && text("/details/name").is_some() => Absence::NotFound,
        StatusCode::NOT_FOUND if is_status || is_plain_not_found(body) => Absence::NoSuchKind,
        StatusCode::GONE => Absence::Gone,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT
        | StatusCode::BAD_GATEWAY => {
            let retry = retry_after(headers).map_or(Retry::Soon, Retry::After);
            let absence = Absence::Overloaded { status: status.as_u16() };
            return Refused { absence, retry };
        }
        _ if is_status => Absence::failed(text("/message").unwrap_or("the server gives no reason")),
        _ => Absence::NotKubernetes {
            status: status.as_u16(),
            content: header(headers, CONTENT_TYPE.as_str()).unwrap_or("no content type").to_owned(),
        },
    };
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        return Refused { absence, retry: Retry::Soon };
    }
    Refused::finally(absence)
}

fn is_plain_not_found(body: &[u8]) -> bool {
    body.trim_ascii() == b"404 page not found"
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn date(text: &str) -> Option<Timestamp> {
    let zoned = rfc2822::DateTimeParser::new().parse_zoned(text).ok()?;
    Some(zoned.timestamp())
}

/// Seconds only: the API server sends no dates here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = header(headers, RETRY_AFTER.as_str())?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask(status: u16, headers: &[(&'static str, &str)], body: &str) -> Result<Answered, Refused> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let asking = Asking { verb: "list", resource: "backups.longhorn.io".to_owned() };
        understand(StatusCode::from_u16(status).unwrap(), &map, body.as_bytes(), &asking)
    }

    fn absence(status: u16, body: &str) -> Absence {
        ask(status, &[("content-type", "text/html")], body).unwrap_err().absence
    }

    #[test]
    fn the_date_is_that_of_the_server() {
        let answered = ask(200, &[("date", "Sun, 22 Nov 2026 12:00:00 GMT")], "{}").unwrap();
        assert_eq!(answered.date.unwrap().to_string(), "2026-11-22T12:00:00Z");
    }

    #[test]
    fn the_ways_to_say_no_are_told_apart() {
        let status = |details: Value| {
            json!({ "kind": "Status", "message": "m", "details": details }).to_string()
        };
        assert_eq!(absence(404, &status(json!({ "name": "db" }))), Absence::NotFound);
        assert_eq!(absence(404, &status(json!({}))), Absence::NoSuchKind);
        assert_eq!(absence(404, "404 page not found\n"), Absence::NoSuchKind);
        let forbidden = Absence::Forbidden {
            verb: "list".to_owned(),
            resource: "backups.longhorn.io".to_owned(),
        };
        assert_eq!(absence(403, &status(json!({}))), forbidden);
        assert_eq!(absence(401, ""), Absence::Unauthorized);
        assert_eq!(absence(410, &status(json!({}))), Absence::Gone);
        assert_eq!(absence(422, &status(json!({}))), Absence::failed("m"));
    }

    #[test]
    fn a_page_is_not_kubernetes_whatever_its_status() {
        for status in [200, 302, 403, 404] {
            let absence = absence(status, "<html>please log in</html>");
            assert!(matches!(absence, Absence::NotKubernetes { .. }), "{status}: {absence:?}");
        }
    }

    #[test]
    fn a_busy_server_says_when_to_come_back() {
        let refused = ask(429, &[("retry-after", "7")], "").unwrap_err();
        assert_eq!(refused.retry, Retry::After(Duration::from_secs(7)));
        assert_eq!(ask(503, &[], "").unwrap_err().retry, Retry::Soon);
        assert_eq!(ask(401, &[], "").unwrap_err().retry, Retry::No);
    }
}
