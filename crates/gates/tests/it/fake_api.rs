//! A FAKE API server: no Kubernetes, but a script of answers, for what a real one says too seldom.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// The UID that its namespace `kube-system` has.
pub(crate) const UID: &str = "11111111-1111-1111-1111-111111111111";

/// Its answer to one request.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    delay: Duration,
}

impl Said {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.into(),
            delay: Duration::ZERO,
        }
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::new(200, value.to_string())
    }

    /// A `Status`, as Kubernetes says no.
    pub(crate) fn status(code: u16, reason: &str) -> Self {
        let status = json!({ "kind": "Status", "status": "Failure", "reason": reason, "message": reason, "code": code });
        Self::new(code, status.to_string())
    }

    pub(crate) fn html(status: u16) -> Self {
        Self::new(status, "<html>please log in</html>").with("content-type", "text/html")
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(crate) fn list(items: impl IntoIterator<Item = Value>, next: Option<&str>) -> Self {
        let items: Vec<Value> = items.into_iter().collect();
        Self::json(
            &json!({ "kind": "NodeList", "metadata": { "continue": next.unwrap_or("") }, "items": items }),
        )
    }
}

/// The different `authorization` headers so far, in their order.
type Askers = Arc<Mutex<Vec<String>>>;

/// The server, as long as it lives.
pub(crate) struct FakeApi {
    directory: TempDir,
    asked: Arc<Mutex<Vec<String>>>,
    askers: Askers,
    serving: tokio::task::JoinHandle<()>,
}

impl FakeApi {
    /// Answers `script(path, n)` to the nth request for a path, counted from 1. The identity is
    /// answered by itself.
    pub(crate) async fn start(
        script: impl Fn(&str, usize) -> Said + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "elsewhere",
            "clusters": [{ "name": "c", "cluster": { "server": format!("http://{address}") } }],
            "users": [{ "name": "u", "user": {} }],
            "contexts": [{ "name": "home", "context": { "cluster": "c", "user": "u" } }],
        });
        fs_err::write(directory.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let askers = Askers::default();
        let script = Arc::new(script);
        let (log, who) = (Arc::clone(&asked), Arc::clone(&askers));
        let serving = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                let who = Arc::clone(&who);
                tokio::spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        note(&who, &request);
                        answer(request, Arc::clone(&script), Arc::clone(&log))
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { directory, asked, askers, serving }
    }

    /// Changes the kubeconfig.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut Value)) {
        let path = self.kubeconfig();
        let text = fs_err::read_to_string(&path).unwrap();
        let mut value = serde_json::from_str(&text).unwrap();
        change(&mut value);
        fs_err::write(path, value.to_string()).unwrap();
    }

    /// Returns the users who sent requests so far, each once.
    pub(crate) fn askers(&self) -> Vec<String> {
        self.askers.lock().unwrap().clone()
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// Returns the requests so far, except for the identity.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn note(who: &Askers, request: &Request<Incoming>) {
    let asker = request.headers().get("authorization");
    let asker = asker.map_or("", |asker| asker.to_str().unwrap());
    let mut known = who.lock().unwrap();
    if !known.iter().any(|known| known == asker) {
        known.push(asker.to_owned());
    }
}

async fn answer(
    request: Request<Incoming>,
    script: Arc<impl Fn(&str, usize) -> Said>,
    log: Arc<Mutex<Vec<String>>>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let target = request.uri().path_and_query().unwrap().to_string();
    let said = if target == "/api/v1/namespaces/kube-system" {
        let identity =
            json!({ "kind": "Namespace", "metadata": { "name": "kube-system", "uid": UID } });
        Said::json(&identity)
    } else {
        let count = {
            let mut log = log.lock().unwrap();
            log.push(target.clone());
            log.iter().filter(|known| **known == target).count()
        };
        script(&target, count)
    };
    tokio::time::sleep(said.delay).await;
    let mut response = Response::builder().status(said.status);
    for (name, value) in &said.headers {
        response = response.header(*name, value);
    }
    Ok(response.body(Full::new(Bytes::from(said.body))).unwrap())
}
