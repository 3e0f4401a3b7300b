//! Alerts: a real HTTP server as the monitor and the webhook, a script as sendmail, a file for
//! Prometheus.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use crate::support::{Home, block_on, spawn, sql};

/// A server that writes down what it is asked, and answers as it is told, or else with 200.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
}

#[derive(Debug, Clone)]
struct Heard {
    method: String,
    path: String,
    query: String,
    kind: String,
    body: String,
}

impl Server {
    fn start() -> Self {
        let listener = block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            heard: Arc::default(),
            answers: Arc::default(),
        };
        let (heard, answers) = (Arc::clone(&server.heard), Arc::clone(&server.answers));
        spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (heard, answers) = (Arc::clone(&heard), Arc::clone(&answers));
                let service = hyper::service::service_fn(move |request| {
                    answer(Arc::clone(&heard), Arc::clone(&answers), request)
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        server
    }

    fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }

    fn paths(&self) -> Vec<String> {
        self.heard().into_iter().map(|heard| heard.path).collect()
    }

    fn will_answer(&self, statuses: &[u16]) {
        let statuses = statuses.iter().map(|status| StatusCode::from_u16(*status).unwrap());
        *self.answers.lock().unwrap() = statuses.collect();
    }
}

async fn answer(
    heard: Arc<Mutex<Vec<Heard>>>,
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let kind = head.headers.get("content-type").map(|kind| kind.to_str().unwrap());
    heard.lock().unwrap().push(Heard {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        kind: kind.unwrap_or_default().to_owned(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let status = answers.lock().unwrap().pop_front().unwrap_or(StatusCode::OK);
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    if status.is_redirection() {
        let elsewhere = "http://127.0.0.1:9/elsewhere".parse().unwrap();
        response.headers_mut().insert("location", elsewhere);
    }
    Ok(response)
}

/// A home whose backups are watched at `/ping/canary-token`.
fn watched(server: &Server) -> Home {
    let home = Home::new();
    home.secret("ping", &format!("http://{}/ping/canary-token", server.address));
    home.append("[alerts.ping]\nurl_file = \"ping\"\n");
    home
}

#[test]
fn the_monitor_hears_of_a_begin_and_of_a_verified_backup() {
    let server = Server::start();
    let home = watched(&server);
    home.expect(0, &["backup"]);
    let heard = server.heard();
    let paths: Vec<&str> = heard.iter().map(|heard| heard.path.as_str()).collect();
    assert_eq!(paths, ["/ping/canary-token/start", "/ping/canary-token"]);
    assert!(heard.iter().all(|heard| heard.method == "POST"));
    assert_eq!(heard[0].query, heard[1].query);
    assert!(heard[0].query.starts_with("rid=") && heard[0].query.len() == 40);
    // Whoever knows the URL can keep the monitor quiet.
    let journal = fs_err::read_to_string(home.path("journal.jsonl")).unwrap();
    let shown = home.expect(0, &["config", "show"]).stdout;
    assert!(!journal.contains("canary") && !shown.contains("canary"));
}

#[test]
fn the_monitor_hears_of_failures_and_not_of_what_is_not_verified() {
    let server = Server::start();
    let home = watched(&server);
    home.expect(3, &["backup", "postgresql://nobody@127.0.0.1:1/none"]);
    let heard = server.heard();
    assert_eq!(heard[1].path, "/ping/canary-token/fail");
    assert!(!heard[1].body.is_empty(), "{heard:?}");

    let nobody = home.path("nobody.txt");
    fs_err::write(&nobody, "# no key\n").unwrap();
    home.expect(0, &["backup", "--identity", nobody.to_str().unwrap()])
        .says("the monitor of [alerts.ping] was not told of a backup that is not verified");
    assert_eq!(server.paths(), ["/ping/canary-token/start"]);

    home.expect(0, &["backup"]);
    server.heard();
    sql(&home.database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    home.expect(1, &["backup"]);
    let heard = server.heard();
    assert_eq!(heard[1].path, "/ping/canary-token/fail");
    assert!(heard[1].body.starts_with("suspicious: "), "{heard:?}");
}

#[test]
fn a_monitor_that_is_away_or_wrong_fails_no_backup_and_its_url_is_not_shown() {
    let server = Server::start();
    let home = watched(&server);
    // It cannot be reached, answers that it knows nothing, or sends us elsewhere.
    for (statuses, said) in [(&[404, 404][..], "404"), (&[302, 302], "302")] {
        server.will_answer(statuses);
        let run = home.expect(0, &["backup"]);
        run.says("the monitor of [alerts.ping] was not told").says(said);
        assert!(!run.stderr.contains("canary"), "{}", run.stderr);
    }
    home.secret("ping", "http://127.0.0.1:1/ping/canary-token");
    let run = home.expect(0, &["backup", "-v"]);
    run.says("the monitor of [alerts.ping] was not told");
    assert!(!run.stderr.contains("canary"), "{}", run.stderr);
    // A dependency would log the whole request.
    let mut command = home.command(&["backup"]);
    let output = command.env("HUBCTL_LOG", "trace").output().unwrap();
    let logged = String::from_utf8_lossy(&output.stderr);
    assert!(!logged.contains("canary"), "{logged}");
    for (url, said) in [("http://hc.example/canary", "https://"), ("canary", "holds no URL")] {
        home.secret("ping", url);
        let run = home.expect(0, &["backup"]);
        run.says(said);
        assert!(!run.stderr.contains("canary"), "{}", run.stderr);
    }
}

#[test]
fn an_alert_goes_to_everybody_whatever_becomes_of_one() {
    let server = Server::start();
    let home = Home::new();
    home.expect(2, &["alert"]).says("names no channel");
    home.secret("webhook", &format!("http://{}/hook/canary", server.address));
    home.append(
        "[alerts]\ncommand = \"echo $HUBCTL_FAILED_UNIT > told\"\nwebhook = { url_file = \"webhook\" }\n\
         mail = { command = \"cat > mail\", to = \"ops@example.org\" }\n",
    );
    // The server is busy at first.
    server.will_answer(&[503]);
    let told = home.json(0, "hubctl.alerted.v1", &["alert", "hubctl-backup\nBcc: x"]);
    assert_eq!(told["told"].as_array().unwrap().len(), 3);
    let heard = server.heard();
    assert_eq!(heard.len(), 2);
    let message: serde_json::Value = serde_json::from_str(&heard[1].body).unwrap();
    assert_eq!(heard[1].kind, "application/json");
    assert_eq!(message["schema"], "hubctl.alert.v1");
    assert_eq!(message["service"], "state-hub");
    assert!(message["text"].as_str().unwrap().contains("hubctl-backup"));
    let mail = fs_err::read_to_string(home.path("mail")).unwrap();
    let (head, text) = mail.split_once("\n\n").unwrap();
    assert!(
        head.starts_with("To: ops@example.org\nSubject: hubctl: hubctl-backup Bcc: x failed on ")
    );
    assert!(!head.contains("\nBcc") && text.contains("journal"), "{mail}");
    let told = fs_err::read_to_string(home.path("told")).unwrap();
    assert!(told.starts_with("hubctl-backup"), "{told}");

    server.will_answer(&[403]);
    let run = home.expect(3, &["alert"]);
    run.says("not told by webhook: the server answered 403").shows("told by command, mail");
    assert!(!run.stderr.contains("canary"), "{}", run.stderr);
}

#[test]
fn what_is_fresh_is_written_for_prometheus() {
    let home = Home::new();
    home.expect(0, &["backup"]);
    home.append("[targets.disk]\nfolder = \"disk\"\n[freshness]\nmetrics = \"hub.prom\"\n");
    home.expect(1, &["fresh"]);
    let text = fs_err::read_to_string(home.path("hub.prom")).unwrap();
    for line in [
        "# TYPE hubctl_backup_age_seconds gauge\n",
        "hubctl_vault_up{service=\"state-hub\"} 1\n",
        "hubctl_backup_fresh{service=\"state-hub\",part=\"verified\"} 1\n",
        "hubctl_backup_fresh{service=\"state-hub\",part=\"drilled\"} 0\n",
        "hubctl_backup_fresh{service=\"state-hub\",part=\"copy\",target=\"disk\"} 0\n",
        "hubctl_backups{service=\"state-hub\",state=\"verified\"} 1\n",
        "hubctl_last_run_success{service=\"state-hub\",act=\"backup\"} 1\n",
        "hubctl_last_run_duration_seconds{service=\"state-hub\",act=\"backup\"} ",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    // What was never done has no age, and every sample stands under its family.
    assert!(!text.contains("hubctl_backup_age_seconds{service=\"state-hub\",part=\"drilled\"}"));
    let mut family = "";
    for line in text.lines().filter(|line| !line.starts_with("# HELP")) {
        match line.strip_prefix("# TYPE ") {
            Some(begun) => family = begun.split(' ').next().unwrap(),
            None => {
                assert!(line.starts_with(&format!("{family}{{")), "{line}");
                assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
            }
        }
    }
    // Where nobody can be asked there are no answers of before.
    let elsewhere = home.path("other.prom");
    let asked = ["fresh", "--vault", "/nowhere", "--metrics", elsewhere.to_str().unwrap()];
    home.expect(3, &asked);
    let text = fs_err::read_to_string(&elsewhere).unwrap();
    assert!(text.contains("hubctl_vault_up{service=\"state-hub\"} 0\n"), "{text}");
    assert!(!text.contains("hubctl_backup_age_seconds"), "{text}");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&elsewhere.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o644);
}
