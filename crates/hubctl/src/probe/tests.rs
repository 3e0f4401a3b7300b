//! A real server that answers as it is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::*;
use crate::exit::Exit;
use crate::failure::Failure;

/// What the server heard: method, target, headers that matter, body.
#[derive(Debug, Clone)]
struct Heard {
    line: String,
    headers: hyper::HeaderMap,
    body: String,
}

/// A server that gives every request the same answer.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Server {
    async fn answering(status: u16, body: impl Into<Bytes>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let (log, body) = (Arc::clone(&heard), body.into());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, body) = (Arc::clone(&log), body.clone());
                let service = hyper::service::service_fn(move |request| {
                    answer(request, Arc::clone(&log), status, body.clone())
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { address, heard }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn probe(&self, json: &str) -> ProbeTable {
        ProbeTable { http: self.url("/state/identity?full=1"), json: json.to_owned() }
    }

    fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

async fn answer(
    request: Request<Incoming>,
    log: Arc<Mutex<Vec<Heard>>>,
    status: u16,
    body: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let line = format!("{} {}", request.method(), request.uri());
    let headers = request.headers().clone();
    let received = request.into_body().collect().await.unwrap().to_bytes();
    let heard = Heard { line, headers, body: String::from_utf8(received.to_vec()).unwrap() };
    log.lock().unwrap().push(heard);
    let response = Response::builder().status(status).header("location", "http://127.0.0.1:1/");
    Ok(response.body(Full::new(body)).unwrap())
}

fn failure(error: &anyhow::Error) -> (String, Exit) {
    let failure = Failure::of(error);
    (failure.message, failure.exit)
}

#[tokio::test]
async fn the_database_that_answers_is_named_past_every_cache() {
    let server =
        Server::answering(200, r#"{"db": {"id": 7411, "name": "x"}, "a.b": "7412"}"#).await;
    assert_eq!(answering(&server.probe("db.id")).await.unwrap(), "7411");
    assert_eq!(answering(&server.probe("db.name")).await.unwrap(), "x");
    assert_eq!(answering(&server.probe("a.b")).await.unwrap(), "7412");
    let heard = server.heard();
    assert!(heard[0].line.starts_with("GET /state/identity?full=1&nonce="), "{heard:?}");
    assert_ne!(heard[0].line, heard[1].line);
    assert_eq!(heard[0].headers["cache-control"], "no-cache");
}

#[tokio::test]
async fn what_does_not_say_is_no_answer_about_a_database() {
    for (status, body, said) in [
        (200, "{}", "no text or number as member `id`"),
        (200, r#"{"id": null}"#, "no text or number as member `id`"),
        (200, r#"{"id": {"x": 1}}"#, "no text or number as member `id`"),
        (200, "<html>", "is not JSON"),
        (302, r#"{"id": "1"}"#, "answered 302 Found"),
        (404, r#"{"id": "1"}"#, "answered 404 Not Found"),
        (503, r#"{"id": "1"}"#, "answered 503 Service Unavailable"),
    ] {
        let server = Server::answering(status, body).await;
        let (message, exit) = failure(&answering(&server.probe("id")).await.unwrap_err());
        assert!(message.contains(said), "{message}");
        assert_eq!(exit, Exit::CouldNotAsk, "{message}");
        assert_eq!(server.heard().len(), 1, "a redirection was followed");
    }
    let long = format!(r#"{{"id": "1", "more": "{}"}}"#, "x".repeat(100_000));
    let server = Server::answering(200, long).await;
    assert_eq!(failure(&answering(&server.probe("id")).await.unwrap_err()).1, Exit::CouldNotAsk);
}

#[tokio::test]
async fn an_address_without_a_server_could_not_be_asked_and_keeps_its_secrets() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let http = format!("http://{}/id?token=s3cret", listener.local_addr().unwrap());
    drop(listener);
    let probe = ProbeTable { http: http.clone(), json: "id".to_owned() };
    let (message, exit) = failure(&answering(&probe).await.unwrap_err());
    assert_eq!(exit, Exit::CouldNotAsk);
    assert!(message.contains("cannot be reached") && !message.contains("s3cret"), "{message}");
    assert_eq!(failure(&healthy(&http).await.unwrap_err()).1, Exit::CouldNotAsk);
    let (message, exit) = failure(&healthy("http://").await.unwrap_err());
    assert_eq!(exit, Exit::Usage, "{message}");
}

#[tokio::test]
async fn health_is_an_answer_with_success() {
    for (status, exit) in
        [(500, Exit::CouldNotAsk), (429, Exit::CouldNotAsk), (404, Exit::No), (307, Exit::No)]
    {
        let server = Server::answering(status, "").await;
        assert_eq!(failure(&healthy(&server.url("/")).await.unwrap_err()).1, exit, "{status}");
    }
    let server = Server::answering(204, "").await;
    healthy(&server.url("")).await.unwrap();
    assert!(server.heard()[0].line.starts_with("GET /?nonce="));
}

#[tokio::test]
async fn a_write_has_the_same_key_each_time() {
    let server = Server::answering(201, "").await;
    let probe = WriteProbeTable {
        post: server.url("/events"),
        body: r#"{"note": "{nonce}", "again": "{nonce}"}"#.to_owned(),
        sql: "SELECT count(*) FROM e WHERE note = '{nonce}'".to_owned(),
    };
    let nonce = Nonce::of("cutover-2026");
    write(&probe, &nonce).await.unwrap();
    write(&probe, &Nonce::of("cutover-2026")).await.unwrap();
    let heard = server.heard();
    assert_eq!(heard[0].line, "POST /events");
    assert_eq!(heard[0].headers["content-type"], "application/json");
    let word = nonce.as_str();
    for heard in &heard {
        assert_eq!(heard.headers["idempotency-key"], word);
        assert_eq!(heard.body, format!(r#"{{"note": "{word}", "again": "{word}"}}"#));
    }
    assert_eq!(sql(&probe, &nonce), format!("SELECT count(*) FROM e WHERE note = '{word}'"));

    let server = Server::answering(409, "").await;
    let refused = WriteProbeTable { post: server.url("/events"), ..probe };
    let (message, exit) = failure(&write(&refused, &nonce).await.unwrap_err());
    assert_eq!(exit, Exit::No);
    assert!(message.ends_with("/events answered 409 Conflict"), "{message}");
}

#[test]
fn a_nonce_is_letters_and_digits_whatever_the_run_is_called() {
    for run in ["", "r1", "'; DROP TABLE e; --", "\"}"] {
        let nonce = Nonce::of(run);
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        assert!(nonce.as_str().bytes().all(is_plain), "{nonce:?}");
    }
    assert_ne!(Nonce::of("r1"), Nonce::of("r2"));
}
