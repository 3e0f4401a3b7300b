//! A request, and as much of the answer as is needed to judge it.

use std::path::Path;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::{Expected, Fault, connect};

/// More of a body than this is not read.
const MOST: usize = 1 << 20;

pub(super) async fn ask(
    socket: &Path,
    path: &str,
    expected: &Expected,
) -> Result<Option<String>, Fault> {
    let stream = TokioIo::new(connect(socket).await?);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(|_| Fault::Closed)?;
    let request = Request::get(path)
        .header("host", "localhost")
        .header("accept", "*/*")
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Fault::Unasked(error.to_string()))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(said)?;
        judge(response, expected).await
    };
    // The connection moves only while it is polled, and ends with the question.
    let mut answer = std::pin::pin!(answer);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        judged = &mut answer => judged,
        _ = &mut connection => answer.await,
    }
}

/// An end without an answer is a refusal; an answer that is no HTTP is somebody else's.
fn said(error: hyper::Error) -> Fault {
    if error.is_parse() { Fault::Wrong("the answer is not HTTP".to_owned()) } else { Fault::Closed }
}

async fn judge(response: Response<Incoming>, expected: &Expected) -> Result<Option<String>, Fault> {
    let status = response.status();
    match expected {
        Expected::Success if is_success(status) => Ok(None),
        Expected::Success => Err(Fault::Wrong(format!("the answer is {status}"))),
        // A server in trouble says so; it does not say who it is.
        _ if status.is_server_error() => Err(Fault::Wrong(format!("the answer is {status}"))),
        Expected::Json { path, equals } => {
            let body = read(response.into_body(), |body| body.len() > MOST).await?;
            let found = serde_json::from_slice::<Value>(&body)
                .ok()
                .and_then(|value| at(&value, path).cloned());
            match found {
                Some(found) if is_success(status) && is_same(&found, equals) => {
                    Ok(Some(text(&found)))
                }
                Some(found) => Err(mismatch(equals, text(&found))),
                None => Err(mismatch(equals, format!("something without {path} ({status})"))),
            }
        }
        Expected::Text(expected) => {
            let holds = |body: &[u8]| String::from_utf8_lossy(body).contains(expected.as_str());
            let body = read(response.into_body(), |body| body.len() > MOST || holds(body)).await?;
            if is_success(status) && holds(&body) {
                Ok(Some(expected.clone()))
            } else {
                let found = format!("something without it ({status})");
                Err(Fault::Mismatch { expected: expected.clone(), found })
            }
        }
    }
}

fn is_success(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

/// Reads a body until it ends or is enough, so that one which never ends is no hindrance.
async fn read(mut body: Incoming, is_enough: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, Fault> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(said)?.into_data() {
            read.extend_from_slice(&data);
        }
        if is_enough(&read) {
            break;
        }
    }
    Ok(read)
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

/// As text, a number of a configuration file is that of JSON.
fn is_same(found: &Value, equals: &Value) -> bool {
    found == equals || text(found) == text(equals)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn mismatch(expected: &Value, found: String) -> Fault {
    let expected = text(expected);
    Fault::Mismatch { expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_found_and_compared_as_people_write_them() {
        let value = json!({ "database": { "id": 7, "name": "hub" } });
        assert_eq!(at(&value, "database.name"), Some(&json!("hub")));
        assert_eq!(at(&value, "database.port"), None);
        assert!(is_same(&json!(7), &json!("7")) && is_same(&json!("a"), &json!("a")));
        assert!(!is_same(&json!(7), &json!(8)));
    }
}
