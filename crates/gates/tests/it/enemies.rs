//! Answers without end, answers that come drop by drop, lists that lead nowhere, and programs that
//! hold on.

use std::time::{Duration, Instant};

use gates::{Absence, Access, Answer, Collector, Content};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::collecting::{absence, class, collector, gate, is_zombie, judge, named, pace, script};
use crate::fake_api::{FakeApi, Said, UID};

/// A collector that has time for long answers.
fn patient(api: &FakeApi) -> Collector {
    let mut pace = pace();
    pace.request = Duration::from_secs(60);
    pace.question = Duration::from_secs(120);
    let access = Access::new(api.kubeconfig(), "home", Some(UID.to_owned())).with_pace(pace);
    Collector::new().with_cluster("home", access)
}

/// A server that says its head, and then what `body` writes; returns its address.
async fn serve<F: Future<Output = ()> + Send>(
    body: impl Fn(TcpStream) -> F + Send + Sync + Clone + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let body = body.clone();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
                let _ = stream.write_all(head.as_bytes()).await;
                body(stream).await;
            });
        }
    });
    address
}

async fn drip(mut stream: TcpStream) {
    while stream.write_all(b" ").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn flood(mut stream: TcpStream) {
    while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_asked_for_again() {
    let api = FakeApi::start(|_, _| Said::new(200, " ".repeat((64 << 20) + 1))).await;
    assert_eq!(
        absence(&class(), &patient(&api)).await,
        Absence::failed("the answer is longer than 64 MiB")
    );
    assert_eq!(api.asked().len(), 1);
}

#[tokio::test]
async fn an_answer_that_would_fill_the_memory_is_not_parsed() {
    // 4 MB of text, and a hundred times as much once it is parsed.
    let items = "{\"\":0},".repeat(500_000);
    let api = FakeApi::start(move |_, _| Said::new(200, format!("{{\"items\":[{items}0]}}"))).await;
    let absence = absence(&class(), &patient(&api)).await.to_string();
    assert!(absence.contains("256 MiB of memory"), "{absence}");
    assert_eq!(api.asked().len(), 1);
}

#[tokio::test]
async fn a_list_that_leads_in_a_circle_is_unknown() {
    let api = FakeApi::start(|path, _| match path {
        path if path.ends_with("continue=b") => Said::list([named(1)], Some("a")),
        path if path.ends_with("continue=a") => Said::list([named(1)], Some("b")),
        _ => Said::list([named(1)], Some("a")),
    })
    .await;
    let verdict = judge(&class(), &collector(&api)).await;
    assert_eq!(verdict.answer, Answer::Unknown);
    assert!(verdict.reason.contains("circle"), "{verdict:?}");
    assert_eq!(api.asked().len(), 3);
}

#[tokio::test]
async fn a_continue_that_fits_into_no_address_is_unknown() {
    for length in [9 << 10, 70 << 10] {
        let api = FakeApi::start(move |_, _| Said::list([named(1)], Some(&"x".repeat(length))));
        let absence = absence(&class(), &collector(&api.await)).await.to_string();
        assert!(absence.contains("too long"), "{absence}");
    }
}

#[tokio::test]
async fn a_cluster_that_drips_is_given_up_in_time() {
    let address = serve(drip).await;
    let api = FakeApi::start(|_, _| Said::list([], None)).await;
    api.configure(|kubeconfig| {
        kubeconfig["clusters"][0]["cluster"]["server"] = json!(format!("http://{address}"));
    });
    let begun = Instant::now();
    let absence = absence(&class(), &collector(&api)).await;
    assert!(matches!(absence, Absence::TimedOut { .. }), "{absence:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn an_address_that_drips_is_given_up_in_time() {
    let url = format!("http://{}/", serve(drip).await);
    let begun = Instant::now();
    let gates = gate(json!({ "condition": "http", "url": url, "limit": "1s" }));
    let verdict = judge(&gates, &Collector::new()).await;
    assert_eq!(verdict.answer, Answer::Unknown, "{verdict:?}");
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn an_answer_without_end_is_read_as_far_as_it_is_kept() {
    let url = format!("http://{}/", serve(flood).await);
    let gates = gate(json!({ "condition": "http", "url": url, "limit": "30s" }));
    let evidence = Collector::new().collect(&gates.reads(&["gate"])).await;
    let Content::Found(found) = &evidence.readings()[0].content else {
        panic!("{evidence:?}");
    };
    assert_eq!(found["status"], 200);
    assert_eq!(found["body"].as_str().map(str::len), Some(16 << 10));
}

#[tokio::test]
async fn a_head_without_end_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await;
            flood(stream).await;
        }
    });
    let gates = gate(json!({ "condition": "http", "url": url, "limit": "30s" }));
    let verdict = judge(&gates, &Collector::new()).await;
    assert_eq!(verdict.answer, Answer::Unknown, "{verdict:?}");
}

/// A child that left the group of its script, and keeps its output open.
const ESCAPED: &str = "setsid sleep 600 & echo $! > PID; ";

async fn ran(text: &str) -> (Value, Duration) {
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    let text = format!("{ESCAPED}{text}").replace("PID", &pid.display().to_string());
    let gates = script(&["sh", "-c", &text], None);
    let begun = Instant::now();
    let evidence = Collector::new().collect(&gates.reads(&["gate"])).await;
    let took = begun.elapsed();
    let pid = fs_err::read_to_string(pid).unwrap();
    let process = std::path::Path::new("/proc").join(pid.trim());
    assert!(process.exists() && !is_zombie(&process), "it has not escaped");
    let killed = std::process::Command::new("kill").arg(pid.trim()).status();
    assert!(killed.unwrap().success());
    match &evidence.readings()[0].content {
        Content::Found(found) => (found.clone(), took),
        absent @ Content::Absent(_) => panic!("{absent:?}"),
    }
}

#[tokio::test]
async fn a_child_that_keeps_the_output_open_keeps_nobody() {
    let (ended, took) = ran("echo done").await;
    assert_eq!(ended["exit_code"], 0, "{ended}");
    assert_eq!(ended["output"], "done\n", "{ended}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    let (ended, took) = ran("sleep 600").await;
    assert_eq!(ended["timed_out_after_seconds"], 1, "{ended}");
    assert!(took < Duration::from_secs(15), "{took:?}");
}
