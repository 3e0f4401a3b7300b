//! Kubeconfigs that are no files or name none, and programs in them that issue credentials, or do
//! not.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gates::{Access, Answer, Collector};
use serde_json::{Value, json};

use crate::collecting::{class, collector, is_zombie, judge, named, pace};
use crate::fake_api::{FakeApi, Said, UID};

const CANARY: &str = "canary-5d1c";

async fn api() -> FakeApi {
    FakeApi::start(|_, _| Said::list([named(3)], None)).await
}

fn beside(api: &FakeApi, name: &str) -> PathBuf {
    api.kubeconfig().with_file_name(name)
}

fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

/// Lets the user of the context be this.
fn user(api: &FakeApi, user: Value) {
    api.configure(|kubeconfig| kubeconfig["users"][0]["user"] = user);
}

/// The user of the context takes what this script prints.
fn program(api: &FakeApi, script: &str) {
    let path = beside(api, "plugin");
    let text = format!("#!/bin/sh\necho run >> '{}'\n{script}\n", beside(api, "runs").display());
    fs_err::write(&path, text).unwrap();
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let exec = json!({ "apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin" });
    user(api, json!({ "exec": exec }));
}

fn runs(api: &FakeApi) -> usize {
    fs_err::read_to_string(beside(api, "runs")).map_or(0, |text| text.lines().count())
}

fn token(token: &str, until: Option<jiff::Timestamp>) -> String {
    let status = json!({ "token": token, "expirationTimestamp": until });
    format!("echo '{}'", json!({ "kind": "ExecCredential", "status": status }))
}

/// Returns the reason why the cluster cannot be asked, within a time limit.
async fn refusal(api: &FakeApi) -> String {
    let begun = Instant::now();
    let verdict = judge(&class(), &collector(api)).await;
    assert_eq!(verdict.answer, Answer::Unknown, "{verdict:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{verdict:?}");
    assert!(!verdict.reason.contains(CANARY), "{}", verdict.reason);
    verdict.reason
}

#[tokio::test]
async fn a_pipe_instead_of_a_file_is_refused() {
    let kubeconfig = api().await;
    fs_err::remove_file(kubeconfig.kubeconfig()).unwrap();
    pipe(&kubeconfig.kubeconfig());
    assert!(refusal(&kubeconfig).await.contains("a pipe"));

    for (part, member) in [
        ("clusters", "certificate-authority"),
        ("users", "tokenFile"),
        ("users", "client-certificate"),
        ("users", "client-key"),
    ] {
        let api = api().await;
        pipe(&beside(&api, "pipe"));
        api.configure(|kubeconfig| {
            kubeconfig[part][0][part.trim_end_matches('s')][member] = json!("pipe");
        });
        let reason = refusal(&api).await;
        assert!(reason.contains("a pipe"), "{member}: {reason}");
    }
}

#[tokio::test]
async fn a_kubeconfig_that_is_too_large_is_not_read() {
    let api = api().await;
    let file = fs_err::OpenOptions::new().write(true).open(api.kubeconfig());
    file.unwrap().set_len(20 << 20).unwrap();
    let reason = refusal(&api).await;
    assert!(reason.contains("larger than"), "{reason}");
}

#[tokio::test]
async fn a_kubeconfig_that_others_may_change_is_refused() {
    let api = api().await;
    let permissions = std::fs::Permissions::from_mode(0o666);
    fs_err::set_permissions(api.kubeconfig(), permissions).unwrap();
    let reason = refusal(&api).await;
    assert!(reason.contains("may be changed by others"), "{reason}");
}

#[tokio::test]
async fn a_kubeconfig_that_is_none_is_not_quoted() {
    let api = api().await;
    for text in [
        format!("users:\n- name: u\n  user: {{ token: [{CANARY}"),
        format!("users: {CANARY}\n"),
        format!("users:\n- name: u\n  user:\n    token: {{ {CANARY}: 1 }}\n"),
        format!("{CANARY}\n"),
    ] {
        fs_err::write(api.kubeconfig(), &text).unwrap();
        let reason = refusal(&api).await;
        assert!(reason.contains("it is not a kubeconfig"), "{text}: {reason}");
    }
}

#[tokio::test]
async fn a_context_without_its_cluster_is_named() {
    let api = api().await;
    api.configure(|kubeconfig| kubeconfig["contexts"][0]["context"]["cluster"] = json!("gone"));
    let reason = refusal(&api).await;
    assert!(reason.contains("it has no cluster `gone`"), "{reason}");
}

#[tokio::test]
async fn files_that_a_kubeconfig_names_are_found_beside_it() {
    let api = api().await;
    fs_err::write(beside(&api, "token"), format!("{CANARY}\n")).unwrap();
    user(&api, json!({ "tokenFile": "token" }));
    assert_eq!(judge(&class(), &collector(&api)).await.answer, Answer::Pass);
    assert_eq!(api.askers(), [format!("Bearer {CANARY}")]);
}

#[tokio::test]
async fn a_program_issues_credentials_once_for_all_questions() {
    let api = api().await;
    program(&api, &token(CANARY, None));
    let collector = collector(&api);
    for _ in 0..2 {
        assert_eq!(judge(&class(), &collector).await.answer, Answer::Pass);
    }
    assert_eq!(api.askers(), [format!("Bearer {CANARY}")]);
    assert_eq!(runs(&api), 1);
}

#[tokio::test]
async fn credentials_that_end_or_are_refused_are_issued_again() {
    let ending = api().await;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(30);
    program(&ending, &token(CANARY, Some(soon)));
    let once = collector(&ending);
    for _ in 0..2 {
        assert_eq!(judge(&class(), &once).await.answer, Answer::Pass);
    }
    assert_eq!(runs(&ending), 2);

    let refusing = FakeApi::start(|_, count| match count {
        1 => Said::status(401, "Unauthorized"),
        _ => Said::list([named(3)], None),
    })
    .await;
    program(&refusing, &token(CANARY, None));
    let once = collector(&refusing);
    assert_eq!(judge(&class(), &once).await.answer, Answer::Unknown);
    assert_eq!(judge(&class(), &once).await.answer, Answer::Pass);
    assert_eq!(runs(&refusing), 2);
}

#[tokio::test]
async fn a_program_that_issues_nothing_is_named_and_not_quoted() {
    let api = api().await;
    for (script, said) in [
        (format!("echo {CANARY}"), "printed no credentials"),
        ("echo '{\"status\":{}}'".to_owned(), "printed no credentials"),
        (
            format!("echo {CANARY}; echo first >&2; echo log in first >&2; exit 3"),
            "ended with exit code 3: log in first",
        ),
        ("kill -9 $$".to_owned(), "was ended by signal 9"),
        ("yes".to_owned(), "printed more than 1 MiB"),
        ("exec sh -c 'while :; do echo x >&2; done'".to_owned(), "did not end within"),
    ] {
        program(&api, &script);
        let reason = refusal(&api).await;
        assert!(reason.contains("./plugin") && reason.contains(said), "{script}: {reason}");
    }
    user(&api, json!({ "exec": { "command": "nowhere-5d1c", "apiVersion": "v1" } }));
    assert!(refusal(&api).await.contains("cannot be started"));
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_with_what_it_started() {
    let api = api().await;
    let pid = beside(&api, "pid");
    program(&api, &format!("sleep 600 & echo $! > '{}'; wait", pid.display()));
    let reason = refusal(&api).await;
    assert!(reason.contains("did not end within 5 s"), "{reason}");
    let pid = fs_err::read_to_string(pid).unwrap();
    let process = Path::new("/proc").join(pid.trim());
    let deadline = Instant::now() + Duration::from_secs(20);
    while process.exists() && !is_zombie(&process) {
        assert!(Instant::now() < deadline, "{} is there", process.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_program_that_wants_a_terminal_is_refused() {
    let api = api().await;
    program(&api, &token(CANARY, None));
    api.configure(|kubeconfig| {
        kubeconfig["users"][0]["user"]["exec"]["interactiveMode"] = json!("Always");
    });
    assert!(refusal(&api).await.contains("wants a terminal"));
    let command = json!({ "cmd-path": "./plugin" });
    user(&api, json!({ "auth-provider": { "name": "gcp", "config": command } }));
    assert!(refusal(&api).await.contains("auth-provider"));
    assert_eq!(runs(&api), 0);
}

/// An API server that answers only who shows a certificate. It is `openssl`, which serves files by
/// their names.
struct Strict {
    directory: tempfile::TempDir,
    certificates: testkit::Certificates,
    address: String,
    server: std::process::Child,
}

impl Strict {
    fn start() -> Self {
        let certificates = testkit::Certificates::new().unwrap();
        certificates.sign("server", "server", &["127.0.0.1"]).unwrap();
        certificates.sign("client", "u", &[]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let list = json!({ "kind": "StorageClassList", "items": [named(3)] });
        let identity = json!({ "kind": "Namespace", "metadata": { "uid": UID } });
        for (path, answer) in [
            ("api/v1/namespaces/kube-system", identity),
            ("apis/storage.k8s.io/v1/storageclasses?limit=2", list),
        ] {
            let path = directory.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, answer.to_string()).unwrap();
        }
        let address = format!("127.0.0.1:{}", testkit::free_port());
        let server = std::process::Command::new("openssl")
            .args(["s_server", "-quiet", "-WWW", "-Verify", "1", "-verify_return_error"])
            .args(["-accept", &address, "-CAfile"])
            .arg(certificates.path("ca.crt"))
            .arg("-cert")
            .arg(certificates.path("server.crt"))
            .arg("-key")
            .arg(certificates.path("server.key"))
            .current_dir(&directory)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("Debian's postgresql needs openssl, so that it is here");
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < deadline, "openssl does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { directory, certificates, address, server }
    }

    async fn answer(&self, user: Value) -> Answer {
        let kubeconfig = json!({
            "clusters": [{ "name": "c", "cluster": {
                "server": format!("https://{}", self.address),
                "certificate-authority": self.certificates.path("ca.crt"),
            } }],
            "users": [{ "name": "u", "user": user }],
            "contexts": [{ "name": "home", "context": { "cluster": "c", "user": "u" } }],
        });
        let path = self.directory.path().join("kubeconfig");
        fs_err::write(&path, kubeconfig.to_string()).unwrap();
        let mut pace = pace();
        pace.request = Duration::from_secs(10);
        pace.question = Duration::from_secs(30);
        let access = Access::new(path, "home", Some(UID.to_owned())).with_pace(pace);
        let verdict = judge(&class(), &Collector::new().with_cluster("home", access)).await;
        verdict.answer
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[tokio::test]
async fn certificates_of_files_and_of_programs_are_shown_to_the_server() {
    let strict = Strict::start();
    let (certificate, key) =
        (strict.certificates.path("client.crt"), strict.certificates.path("client.key"));
    let files = json!({ "client-certificate": certificate, "client-key": key });
    assert_eq!(strict.answer(files).await, Answer::Pass);
    let status = json!({
        "clientCertificateData": fs_err::read_to_string(certificate).unwrap(),
        "clientKeyData": fs_err::read_to_string(key).unwrap(),
    });
    let issued = strict.directory.path().join("issued");
    fs_err::write(&issued, json!({ "status": status }).to_string()).unwrap();
    let exec = json!({ "apiVersion": "v1", "command": "cat", "args": [issued] });
    assert_eq!(strict.answer(json!({ "exec": exec })).await, Answer::Pass);
    assert_eq!(strict.answer(json!({})).await, Answer::Unknown);
}

#[tokio::test]
async fn a_name_stands_for_where_it_leads_and_who_asks() {
    let api = api().await;
    let stands_for = || {
        let access = Access::new(api.kubeconfig(), "home", Some(UID.to_owned()));
        let found = access.leads_to();
        assert!(!found.to_string().contains(CANARY), "{found}");
        found
    };
    let change = |change: fn(&mut Value)| {
        let before = stands_for();
        api.configure(change);
        before != stands_for()
    };
    let first = stands_for();
    assert!(first["server"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{first}");
    assert_eq!(first["user"], "u");
    // Secrets may be replaced.
    assert!(!change(|k| k["users"][0]["user"] = json!({ "token": CANARY })));
    assert!(!change(|k| k["users"][0]["user"] = json!({ "token": format!("{CANARY}-2") })));
    for (what, is_another) in [
        (
            "server",
            change(|k| k["clusters"][0]["cluster"]["server"] = json!("https://u:canary-5d1c@h/")),
        ),
        (
            "authority",
            change(|k| k["clusters"][0]["cluster"]["certificate-authority-data"] = json!("eA==")),
        ),
        (
            "server name",
            change(|k| k["clusters"][0]["cluster"]["tls-server-name"] = json!("other")),
        ),
        (
            "trust",
            change(|k| k["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = json!(true)),
        ),
        ("proxy", change(|k| k["clusters"][0]["cluster"]["proxy-url"] = json!("http://p:3128"))),
        ("user", change(|k| k["contexts"][0]["context"]["user"] = json!("v"))),
        ("no context", change(|k| k["contexts"][0]["name"] = json!("other"))),
    ] {
        assert!(is_another, "{what}");
    }
    api.configure(|k| {
        k["contexts"][0]["name"] = json!("home");
        k["clusters"][0]["cluster"] = json!({ "certificate-authority": "ca" });
    });
    let unread = stands_for();
    assert!(unread["authority_sha256"].as_str().unwrap().starts_with("not read"), "{unread}");
    fs_err::write(beside(&api, "ca"), "one").unwrap();
    let one = stands_for();
    fs_err::write(beside(&api, "ca"), "two").unwrap();
    assert_ne!(one, stands_for());
    let elsewhere = Access::new(beside(&api, "nowhere"), "home", None).leads_to();
    assert!(elsewhere.as_str().unwrap().starts_with("not read"), "{elsewhere}");
}
