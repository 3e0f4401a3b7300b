//! The promises of every target, checked with real servers: Apache, nginx, rclone, OpenSSH, moto;
//! and with an emulated Nextcloud.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backup::{
    Content, Credentials, Error, FileDrop, Limits, Receipt, S3, S3Location, Sftp, Target,
    TargetFailure, Upload, WebDav,
};
use testkit::{
    CLOUD_PASSWORD, CLOUD_TOKEN, CLOUD_USER, Cloud, CloudEffect, Sshd, WebServer, installed, skip,
};

use crate::support::payload;

/// Limits for servers on this machine.
pub(crate) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.pause = Duration::from_millis(1);
    limits.attempts = 3;
    limits
}

pub(crate) fn cloud_credentials() -> Credentials {
    Credentials { user: CLOUD_USER.to_owned(), password: CLOUD_PASSWORD.into() }
}

pub(crate) fn cloud_target(cloud: &Cloud, limits: Limits) -> Arc<dyn Target> {
    let folder = cloud.folder("backups");
    let target = WebDav::new(&folder, Some(&cloud_credentials()), None, limits);
    Arc::new(target.unwrap())
}

pub(crate) fn file_drop(cloud: &Cloud, limits: Limits) -> Arc<dyn Target> {
    let target = FileDrop::new(&cloud.url(), &CLOUD_TOKEN.into(), None, None, limits);
    Arc::new(target.unwrap())
}

pub(crate) fn webdav(url: &str) -> Arc<dyn Target> {
    Arc::new(WebDav::new(&format!("{url}/backups"), None, None, limits()).unwrap())
}

fn hash(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn put(
    target: &dyn Target,
    name: &str,
    bytes: &[u8],
    replace: bool,
) -> Result<Receipt, Error> {
    target.put(&Upload {
        name,
        content: Content::Bytes(bytes),
        bytes: bytes.len() as u64,
        sha256: &hash(bytes),
        replace,
    })
}

pub(crate) fn failure(error: Error) -> TargetFailure {
    match error {
        Error::Target { failure, .. } => failure,
        other => panic!("{other}"),
    }
}

fn names(target: &dyn Target) -> Vec<(String, u64)> {
    let files = target.list().unwrap().into_iter();
    let mut names: Vec<_> = files.map(|file| (file.name, file.bytes)).collect();
    names.sort();
    names
}

/// The promises of [`Target`], one after the other, of a place that is empty.
pub(crate) fn keeps_its_promises(target: &dyn Target) {
    assert_eq!(names(target), []);
    let long = payload(7 << 20);
    put(target, "hub-1.age", &long, false).unwrap();
    put(target, "hub-1.json", b"{}", true).unwrap();
    let listed = [("hub-1.age".to_owned(), 7 << 20), ("hub-1.json".to_owned(), 2)];
    assert_eq!(names(target), listed, "nothing but what was sent");

    assert_eq!(target.read("hub-1.age", 0..2000).unwrap(), long[..2000]);
    let end = long.len() as u64;
    assert_eq!(target.read("hub-1.age", end - 70_000..end).unwrap(), long[long.len() - 70_000..]);
    assert_eq!(target.read("hub-1.age", 0..end).unwrap(), long);

    let other = put(target, "hub-1.age", b"something else", false).unwrap_err();
    assert!(matches!(failure(other), TargetFailure::Taken));
    assert_eq!(names(target), listed, "a name that is taken keeps its file");
    put(target, "hub-1.json", b"{\"more\": 1}", true).unwrap();
    assert_eq!(target.read("hub-1.json", 0..11).unwrap(), b"{\"more\": 1}");

    let absent = target.read("hub-2.age", 0..10).unwrap_err();
    assert!(matches!(failure(absent), TargetFailure::NotFound));
    let beyond = target.read("hub-1.json", 5..20).map(|_| ()).unwrap_err();
    assert!(!failure(beyond).is_retryable());
    target.remove("hub-1.json").unwrap();
    target.remove("hub-1.json").unwrap();
    assert_eq!(names(target), [("hub-1.age".to_owned(), 7 << 20)]);
}

#[test]
fn apache_keeps_the_promises() {
    if let Some(server) = installed("Apache", WebServer::apache("")) {
        keeps_its_promises(&*webdav(&server.url()));
    }
}

#[test]
fn nginx_keeps_the_promises() {
    if let Some(server) = installed("nginx", WebServer::nginx("")) {
        keeps_its_promises(&*webdav(&server.url()));
    }
}

#[test]
fn rclone_keeps_the_promises() {
    if let Some(server) = installed("rclone", WebServer::rclone()) {
        keeps_its_promises(&*webdav(&server.url()));
    }
}

#[test]
fn an_emulated_nextcloud_keeps_the_promises() {
    let cloud = Cloud::start().unwrap();
    keeps_its_promises(&*cloud_target(&cloud, limits()));
}

#[test]
fn an_emulated_nextcloud_keeps_them_with_chunks() {
    let cloud = Cloud::start().unwrap();
    let mut limits = limits();
    limits.part = 5 << 20;
    keeps_its_promises(&*cloud_target(&cloud, limits));
    let requests = cloud.take_requests();
    let chunks = requests.iter().filter(|request| {
        request.method == "PUT" && request.path.contains("/uploads/") && request.bytes > 0
    });
    assert_eq!(chunks.count(), 2);
}

#[test]
fn openssh_keeps_the_promises() {
    let Some(server) = installed("sshd", Sshd::start("")) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let target = sftp(&server, directory.path());
    keeps_its_promises(&target);
    let kept = fs_err::metadata(directory.path().join("backups/hub-1.age")).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(kept.permissions().mode() & 0o777, 0o600);
}

fn sftp(server: &Sshd, directory: &Path) -> Sftp {
    let place = format!("node:{}/backups", directory.display());
    let config = server.client_config().display().to_string();
    Sftp::new(&place, vec!["-F".to_owned(), config], limits()).unwrap()
}

#[test]
fn sftp_survives_a_lost_session_and_tells_refusals_apart() {
    let Some(mut server) = installed("sshd", Sshd::start("")) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let target = sftp(&server, directory.path());
    put(&target, "a", b"one", false).unwrap();
    assert!(server.kill_sessions() > 0);
    assert_eq!(target.read("a", 0..3).unwrap(), b"one", "by another session");
    server.stop();
    let gone = target.read("a", 0..3).unwrap_err();
    assert!(gone.is_retryable(), "{gone}");
    server.resume().unwrap();
    assert_eq!(target.read("a", 0..3).unwrap(), b"one");

    fs_err::write(server.known_hosts(), "").unwrap();
    let stranger = sftp(&server, directory.path());
    let error = stranger.list().unwrap_err();
    assert!(matches!(failure(error), TargetFailure::Untrusted { .. }), "a key that nobody trusts");
}

/// moto's server, in the folder of `HUBCTL_TEST_MOTO`; `cargo xtask test` sets it.
fn s3() -> Option<(WebServer, S3Location)> {
    let Some(packages) = std::env::var_os("HUBCTL_TEST_MOTO") else {
        skip("HUBCTL_TEST_MOTO is not set: no S3");
        return None;
    };
    let server = WebServer::moto(Path::new(&packages)).unwrap();
    let location = S3Location {
        endpoint: server.url(),
        bucket: "backups".to_owned(),
        prefix: "hub/".to_owned(),
        region: "us-east-1".to_owned(),
    };
    // A bucket is the operator's to make; moto believes anybody.
    let made = std::process::Command::new("curl")
        .args(["--silent", "--fail", "--output", "/dev/null", "--request", "PUT"])
        .arg(format!("{}/backups", server.url()))
        .status()
        .unwrap();
    assert!(made.success());
    Some((server, location))
}

fn s3_target(location: &S3Location, limits: Limits) -> S3 {
    S3::new(location, "AKIDEXAMPLE", &"secret-canary".into(), None, limits).unwrap()
}

#[test]
fn moto_keeps_the_promises() {
    let Some((_server, location)) = s3() else {
        return;
    };
    keeps_its_promises(&s3_target(&location, limits()));
}

#[test]
fn moto_keeps_them_with_parts() {
    let Some((_server, location)) = s3() else {
        return;
    };
    let mut limits = limits();
    limits.part = 5 << 20;
    let target = s3_target(&location, limits);
    keeps_its_promises(&target);
    assert!(!format!("{target:?}").contains("canary"));
}

#[test]
fn a_file_drop_takes_files_and_shows_none() {
    let cloud = Cloud::start().unwrap();
    let target = file_drop(&cloud, limits());
    assert!(!target.is_readable());
    let receipt = put(&*target, "a.age", b"one", false).unwrap();
    assert_eq!((receipt.answer.as_str(), receipt.is_hash_confirmed), ("201", true));
    for error in [
        target.list().unwrap_err(),
        target.read("a.age", 0..1).unwrap_err(),
        target.remove("a.age").unwrap_err(),
    ] {
        assert!(matches!(failure(error), TargetFailure::WriteOnly));
    }
    assert!(!target.place().contains(CLOUD_TOKEN));
    assert!(!format!("{target:?}").contains("canary"));

    cloud.keep_hashes_to_itself();
    let receipt = put(&*target, "b.age", b"one", false).unwrap();
    assert!(!receipt.is_hash_confirmed);
}

#[test]
fn a_file_drop_gets_long_files_in_parts_that_cat_puts_together() {
    let cloud = Cloud::start().unwrap();
    let mut limits = limits();
    limits.part = 1000;
    let target = file_drop(&cloud, limits);
    let bytes = payload(2500);
    put(&*target, "a.age", &bytes, false).unwrap();
    assert_eq!(cloud.files(""), ["a.age.000", "a.age.001", "a.age.002"]);
    let parts = cloud.files("");
    let together: Vec<u8> = parts.iter().flat_map(|name| cloud.read("", name).unwrap()).collect();
    assert_eq!(together, bytes);
}

#[test]
fn an_answer_that_was_lost_leaves_the_same_bytes_twice_in_a_file_drop() {
    let cloud = Cloud::start().unwrap();
    cloud.inject("PUT", "a.age", CloudEffect::LoseAnswer);
    put(&*file_drop(&cloud, limits()), "a.age", b"one", false).unwrap();
    assert_eq!(cloud.files(""), ["a (2).age", "a.age"]);
    assert_eq!(cloud.read("", "a (2).age"), cloud.read("", "a.age"));
}

#[test]
fn a_wrong_hash_and_a_short_file_are_found_at_once() {
    let cloud = Cloud::start().unwrap();
    for effect in [CloudEffect::WrongHash, CloudEffect::Shorten] {
        for target in [file_drop(&cloud, limits()), cloud_target(&cloud, limits())] {
            cloud.inject("PUT", "a.age", effect.clone());
            let error = put(&*target, "a.age", &payload(1000), false).unwrap_err();
            assert!(matches!(failure(error), TargetFailure::Differs { .. }), "{effect:?}");
        }
    }
    assert_eq!(cloud.files("backups"), [".a.age.partial"], "no name for a wrong file");
}

#[test]
fn every_refusal_is_told_by_what_there_is_to_do() {
    let cloud = Cloud::start().unwrap();
    let target = cloud_target(&cloud, limits());
    put(&*target, "first", b"x", false).unwrap();
    type Is = fn(&TargetFailure) -> bool;
    let cases: [(u16, Is); 7] = [
        (401, |failure| matches!(failure, TargetFailure::Unauthorized)),
        (403, |failure| matches!(failure, TargetFailure::Forbidden { .. })),
        (413, |failure| matches!(failure, TargetFailure::TooLarge)),
        (423, |failure| matches!(failure, TargetFailure::Busy { .. })),
        (500, |failure| matches!(failure, TargetFailure::Server { .. })),
        (507, |failure| matches!(failure, TargetFailure::Full)),
        (302, |failure| matches!(failure, TargetFailure::Redirected { .. })),
    ];
    for (status, is) in cases {
        for _ in 0..3 {
            cloud.inject("PUT", "a.age", CloudEffect::Refuse(status));
        }
        let error = put(&*target, "a.age", &payload(200_000), false).unwrap_err();
        assert!(error.hint().is_some());
        let failure = failure(error);
        assert!(is(&failure), "{status}: {failure}");
        // What is not tried again leaves its faults: take them out by requests that fit.
        while put(&*target, "a.age", b"x", true).is_err() {}
        target.remove("a.age").unwrap();
    }
}

#[test]
fn what_passes_is_tried_again() {
    let cloud = Cloud::start().unwrap();
    let target = cloud_target(&cloud, limits());
    let bytes = payload(300_000);
    for (number, effect) in [
        CloudEffect::Refuse(503),
        CloudEffect::Refuse(423),
        CloudEffect::Lie(500),
        CloudEffect::Cut(0),
        CloudEffect::Cut(100_000),
        CloudEffect::LoseAnswer,
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("{number}.age");
        for method in ["PUT", "PROPFIND", "GET"] {
            cloud.inject(method, &name, effect.clone());
        }
        put(&*target, &name, &bytes, false).unwrap_or_else(|error| panic!("{effect:?}: {error}"));
        assert_eq!(cloud.read("backups", &name).unwrap(), bytes, "{effect:?}");
        assert_eq!(target.read(&name, 0..300_000).unwrap(), bytes, "{effect:?}");
    }
}

#[test]
fn a_move_whose_answer_was_lost_is_not_taken_for_another_file() {
    let cloud = Cloud::start().unwrap();
    let target = cloud_target(&cloud, limits());
    cloud.inject("MOVE", "a.age", CloudEffect::LoseAnswer);
    let error = put(&*target, "a.age", b"one", false).unwrap_err();
    // Whose file it is the caller finds out: `Remote::push` compares it.
    assert!(matches!(failure(error), TargetFailure::Taken));
    assert_eq!(cloud.read("backups", "a.age").unwrap(), b"one");
}

#[test]
fn an_interrupted_upload_in_chunks_goes_on() {
    let cloud = Cloud::start().unwrap();
    let mut limits = limits();
    limits.part = 5 << 20;
    limits.attempts = 1;
    let target = cloud_target(&cloud, limits);
    let bytes = payload(13 << 20);
    cloud.inject("PUT", "/00002", CloudEffect::Cut(1000));
    put(&*target, "a.age", &bytes, false).unwrap_err();
    assert_eq!(cloud.files("backups"), [""; 0]);
    let _ = cloud.take_requests();
    put(&*target, "a.age", &bytes, false).unwrap();
    let sent: Vec<u64> = cloud
        .take_requests()
        .iter()
        .filter(|request| request.method == "PUT")
        .map(|request| request.bytes)
        .collect();
    assert_eq!(sent, [5 << 20, 3 << 20], "the first chunk was there");
    assert_eq!(cloud.read("backups", "a.age").unwrap(), bytes);
}

#[test]
fn a_full_account_and_wrong_passwords_are_told() {
    let cloud = Cloud::start().unwrap();
    cloud.set_quota(1000);
    let target = cloud_target(&cloud, limits());
    let error = put(&*target, "a.age", &payload(2000), false).unwrap_err();
    assert!(matches!(failure(error), TargetFailure::Full));

    let wrong = Credentials { user: CLOUD_USER.to_owned(), password: "wrong-canary".into() };
    let target = WebDav::new(&cloud.folder("backups"), Some(&wrong), None, limits()).unwrap();
    let error = target.list().unwrap_err();
    assert!(!error.to_string().contains("canary"));
    assert!(matches!(failure(error), TargetFailure::Unauthorized));
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    let cloud = Cloud::start().unwrap();
    let mut limits = limits();
    limits.attempts = 1;
    limits.stall = Duration::from_millis(200);
    let target = cloud_target(&cloud, limits);
    cloud.inject("GET", "a", CloudEffect::Wait(Duration::from_secs(30)));
    let error = target.read("a", 0..1).unwrap_err();
    assert!(error.is_retryable());
    assert!(matches!(failure(error), TargetFailure::TimedOut));
}

#[test]
fn limits_of_a_real_server_are_told() {
    let Some(server) = installed("apache", WebServer::apache("LimitRequestBody 1000")) else {
        return;
    };
    let target = webdav(&server.url());
    let error = put(&*target, "a.age", &payload(200_000), false).unwrap_err();
    let failure = failure(error);
    assert!(matches!(failure, TargetFailure::TooLarge), "{failure}");
}

#[test]
fn a_page_for_people_is_not_an_empty_folder() {
    let Some(server) = installed("nginx", WebServer::nginx("return 200 '<html>Log in</html>';"))
    else {
        return;
    };
    let error = webdav(&server.url()).list().unwrap_err();
    assert!(matches!(failure(error), TargetFailure::Unexpected { .. }));
}

#[test]
fn addresses_that_cannot_be_targets_are_refused() {
    for address in [
        "cloud.example",
        "http://cloud.example/dav",
        "https://user:secret@cloud.example/dav",
        "https://cloud.example/dav?x=1",
    ] {
        let error = WebDav::new(address, None, None, limits()).unwrap_err();
        assert!(matches!(error, Error::InvalidTarget { .. }), "{address}");
        assert!(!error.to_string().contains("secret"));
    }
    for place in ["nas", ":/x", "nas:", "-oProxyCommand=x:/y"] {
        assert!(Sftp::new(place, Vec::new(), limits()).is_err(), "{place}");
    }
}
