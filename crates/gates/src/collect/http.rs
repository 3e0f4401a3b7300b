//! `GET`, and the beginning of the answer.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::evidence::{Absence, redact};

/// So much of the body is kept.
const KEPT: usize = 16 << 10;

/// Asks once; redirections are answers.
pub(super) async fn get(url: &str, limit_seconds: u64) -> Result<Value, Absence> {
    let limit = Duration::from_secs(limit_seconds);
    let answered = tokio::time::timeout(limit, exchange(url)).await;
    answered.unwrap_or(Err(Absence::TimedOut { seconds: limit_seconds }))
}

async fn exchange(url: &str) -> Result<Value, Absence> {
    let begun = Instant::now();
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
        .map_err(Absence::failed)?
        .https_or_http()
        .enable_http1()
        .build();
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let request = Request::get(url)
        .header("accept", "*/*")
        .body(Empty::<Bytes>::new())
        .map_err(Absence::failed)?;
    let unreachable =
        |error: &dyn std::error::Error| Absence::Unreachable { detail: super::kube::chain(error) };
    let response = client.request(request).await.map_err(|error| unreachable(&error))?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let mut stream = response.into_body();
    while body.len() < KEPT {
        match stream.frame().await {
            None => break,
            Some(Err(error)) => return Err(unreachable(&error)),
            Some(Ok(frame)) => body.extend(frame.into_data().unwrap_or_default()),
        }
    }
    body.truncate(KEPT);
    Ok(json!({
        "status": status,
        "body": redact::without_echo(&String::from_utf8_lossy(&body), url),
        "milliseconds": u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }))
}
