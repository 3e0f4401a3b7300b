//! Servers that answer otherwise than most do: slow ones, endless ones, and those that lack a part
//! of their protocol.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use backup::{Limits, S3, S3Location, Sftp, Target, TargetFailure, WebDav};
use testkit::{Cloud, CloudEffect, Sshd, WebServer, installed};

use crate::scripted::{Asked, Scripted, say};
use crate::support::payload;
use crate::targets::{cloud_target, failure, file_drop, keeps_its_promises, limits, put, webdav};

/// Limits under which a far end that does nothing is given up at once.
fn impatient() -> Limits {
    let mut limits = limits();
    limits.attempts = 1;
    limits.connect = Duration::from_millis(200);
    limits.stall = Duration::from_millis(300);
    limits.answer = Duration::from_millis(300);
    limits
}

/// A server that sends a byte now and then, and takes one.
fn dripping() -> Scripted {
    Scripted::start(|_, stream| {
        let head =
            "HTTP/1.1 206 x\r\ncontent-length: 1000\r\ncontent-range: bytes 0-999/1000\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        loop {
            stream.write_all(b"x")?;
            std::thread::sleep(Duration::from_millis(50));
        }
    })
}

#[test]
fn a_target_that_drips_ends_at_a_total_that_follows_the_size() {
    let server = dripping();
    let target = WebDav::new(&server.url(), None, None, impatient()).unwrap();
    let begun = Instant::now();
    let slow = failure(target.read("a", 0..1000).unwrap_err());
    assert!(matches!(slow, TargetFailure::TooSlow { .. }), "{slow}");
    // It was never silent for as long as `stall`.
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(!slow.is_retryable());
}

#[test]
fn nothing_goes_on_after_the_end_of_everything() {
    let (server, bytes) = (dripping(), payload(8 << 20));
    let mut limits = limits();
    limits.until = Some(Instant::now() + Duration::from_millis(500));
    let target = WebDav::new(&server.url(), None, None, limits).unwrap();
    let begun = Instant::now();
    for _ in 0..20 {
        target.list().unwrap_err();
        put(&target, "a", &bytes, true).unwrap_err();
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_endless_listing_is_an_error_and_not_memory() {
    let server = Scripted::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 207 x\r\n\r\n<d:multistatus xmlns:d=\"DAV:\">")?;
        let entry = "<d:response><d:href>/x</d:href></d:response>".repeat(1000);
        loop {
            stream.write_all(entry.as_bytes())?;
        }
    });
    let target = WebDav::new(&server.url(), None, None, limits()).unwrap();
    let long = failure(target.list().unwrap_err());
    assert!(matches!(long, TargetFailure::TooLong { .. }), "{long}");
    // Whether the machine is on line is not the question.
    let error = target.list().unwrap_err();
    assert!(error.hint().unwrap().contains("the address"));
    assert!(!error.is_retryable());
}

#[test]
fn a_bucket_without_end_is_an_error_as_well() {
    let server = Scripted::start(|_, stream| {
        let page = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><IsTruncated>true</IsTruncated>\
                    <NextContinuationToken>again</NextContinuationToken></ListBucketResult>";
        say(stream, "200 OK", "", page.as_bytes())
    });
    let long = failure(s3(&server, limits()).list().unwrap_err());
    assert!(matches!(long, TargetFailure::TooLong { .. }), "{long}");
}

#[test]
fn a_server_that_refuses_expect_is_asked_without() {
    let cloud = Cloud::start().unwrap();
    for target in [cloud_target(&cloud, impatient()), file_drop(&cloud, impatient())] {
        cloud.inject("PUT", "a.age", CloudEffect::Refuse(417));
        let bytes = payload(200_000);
        put(&*target, "a.age", &bytes, false).unwrap();
        put(&*target, "b.age", &bytes, false).unwrap();
    }
    assert_eq!(cloud.read("backups", "a.age").unwrap(), payload(200_000));
    let puts = cloud.take_requests();
    let puts = puts.iter().filter(|request| request.method == "PUT");
    assert_eq!(puts.count(), 6, "two were refused, once each");
}

#[test]
fn digest_authentication_is_named() {
    let server = Scripted::start(|_, stream| {
        let challenge = "www-authenticate: Digest realm=\"a, b\", qop=\"auth\", nonce=\"x\"\r\n";
        say(stream, "401 Unauthorized", challenge, b"")
    });
    let target = WebDav::new(&server.url(), None, None, limits()).unwrap();
    let error = target.list().unwrap_err();
    assert!(error.to_string().contains("only Digest authentication"), "{error}");
    assert!(error.hint().unwrap().contains("Basic"));
}

#[test]
fn apache_with_digest_authentication_is_named() {
    let modules = "/usr/lib/apache2/modules";
    let names = ["authn_core", "authn_file", "authz_user", "auth_digest"];
    let mut directives = String::new();
    for name in names {
        writeln!(directives, "<IfModule !{name}_module>\nLoadModule {name}_module {modules}/mod_{name}.so\n</IfModule>").unwrap();
    }
    directives.push_str("<Location />\nAuthType Digest\nAuthName x\nAuthUserFile /dev/null\nRequire valid-user\n</Location>");
    let Some(server) = installed("Apache", WebServer::apache(&directives)) else {
        return;
    };
    let refused = failure(webdav(&server.url()).list().unwrap_err());
    assert!(
        matches!(&refused, TargetFailure::Authentication { offered } if offered == "Digest"),
        "{refused}"
    );
}

#[test]
fn a_server_without_ranges_is_read_whole() {
    let Some(server) = installed("nginx", WebServer::nginx("max_ranges 0;")) else {
        return;
    };
    keeps_its_promises(&*webdav(&server.url()));
}

fn s3(server: &Scripted, limits: Limits) -> S3 {
    let location = S3Location {
        endpoint: server.url(),
        bucket: "b".to_owned(),
        prefix: String::new(),
        region: "us-east-1".to_owned(),
    };
    S3::new(&location, "AKIDEXAMPLE", &"secret".into(), None, limits).unwrap()
}

fn refuse(stream: &mut TcpStream, status: &str, code: &str) -> std::io::Result<()> {
    let body = format!("<Error><Code>{code}</Code><Message>x</Message></Error>");
    say(stream, status, "", body.as_bytes())
}

#[test]
fn an_error_of_s3_is_told_by_its_code() {
    let server = Scripted::start(|asked, stream| {
        if asked.is("PUT") {
            refuse(stream, "403 x", "RequestTimeTooSkewed")
        } else if asked.is("HEAD") {
            say(stream, "404 x", "", b"")
        } else {
            refuse(stream, "404 x", "NoSuchBucket")
        }
    });
    let target = s3(&server, limits());
    for (error, fact, hint) in [
        (target.list().unwrap_err(), "the bucket does not exist", "create the bucket"),
        (target.read("a", 0..1).unwrap_err(), "the bucket does not exist", "create the bucket"),
        (put(&target, "a", b"x", false).unwrap_err(), "clock", "set the clock"),
    ] {
        assert!(error.to_string().contains(fact), "{error}");
        assert!(error.hint().unwrap().contains(hint));
    }
}

/// A bucket in memory, whose server refuses or ignores what it does not know.
fn old_bucket(ignores: bool) -> Scripted {
    let objects: Mutex<std::collections::BTreeMap<String, Vec<u8>>> = Mutex::default();
    Scripted::start(move |asked: &Asked, stream| {
        let path = asked.line.split([' ', '?']).nth(1).unwrap_or_default();
        let path = path.to_owned();
        let is_new = |name: &str| asked.header(name).is_some();
        let mut objects = objects.lock().unwrap();
        if asked.is("HEAD") {
            return match objects.get(&path) {
                Some(_) => say(stream, "200 OK", "", b""),
                None => say(stream, "404 x", "", b""),
            };
        }
        if !ignores && (is_new("if-none-match") || is_new("x-amz-checksum-sha256")) {
            return refuse(stream, "501 x", "NotImplemented");
        }
        objects.insert(path, asked.body.clone());
        say(stream, "200 OK", "etag: \"x\"\r\n", b"")
    })
}

#[test]
fn a_bucket_without_conditions_or_checksums_still_overwrites_nothing() {
    for ignores in [true, false] {
        let server = old_bucket(ignores);
        let target = s3(&server, limits());
        let receipt = put(&target, "a", b"one", false).unwrap();
        assert!(!receipt.is_hash_confirmed);
        let taken = failure(put(&target, "a", b"two", false).unwrap_err());
        assert!(matches!(taken, TargetFailure::Taken), "{taken}");
        put(&target, "b", b"two", false).unwrap();
        let refused = server.asked();
        let refused = refused
            .iter()
            .filter(|asked| asked.is("PUT") && asked.header("if-none-match").is_some());
        assert_eq!(refused.count(), if ignores { 2 } else { 1 }, "it is asked once");
    }
}

#[test]
fn what_the_ssh_config_does_for_people_does_not_disturb_sftp() {
    let Some(server) = installed("sshd", Sshd::start("")) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let (marker, master) = (directory.path().join("marker"), directory.path().join("master"));
    let config = directory.path().join("config");
    // One forward would fail, and the others would be seen.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [testkit::free_port(), testkit::free_port()];
    let text = format!(
        "Host *\nRemoteCommand echo hello\nRequestTTY force\nPermitLocalCommand yes\nLocalCommand touch {}\n\
         LocalForward 127.0.0.1:{} 127.0.0.1:9\nRemoteForward 127.0.0.1:{} 127.0.0.1:9\nDynamicForward 127.0.0.1:{}\n\
         Tunnel yes\nForwardAgent yes\nForwardX11 yes\nExitOnForwardFailure yes\nControlMaster auto\nControlPath {}\n\
         ControlPersist yes\nSessionType none\nStdinNull yes\nForkAfterAuthentication yes\nBatchMode no\nInclude {}\n",
        marker.display(),
        taken.local_addr().unwrap().port(),
        ports[0],
        ports[1],
        master.display(),
        server.client_config().display()
    );
    fs_err::write(&config, text).unwrap();
    let options = vec!["-F".to_owned(), config.display().to_string()];
    // An address with a port: that of the configuration would be another.
    let place = format!("sftp://node:{}{}/backups", server.port(), directory.path().display());
    let target = Sftp::new(&place, options, limits()).unwrap();
    put(&target, "a", b"one", false).unwrap();
    assert_eq!(target.read("a", 0..3).unwrap(), b"one");
    assert!(!marker.exists(), "LocalCommand was run");
    assert!(!master.exists(), "a master is left");
    for port in ports {
        let opened = std::net::TcpStream::connect(("127.0.0.1", port));
        assert!(opened.is_err(), "port {port} was opened");
    }
}

#[test]
fn a_shell_that_prints_text_is_named() {
    let talking = "ForceCommand echo Welcome to the NAS; exec /usr/lib/openssh/sftp-server";
    let Some(server) = installed("sshd", Sshd::start(talking)) else {
        return;
    };
    let config = server.client_config().display().to_string();
    let target = Sftp::new("node:x", vec!["-F".to_owned(), config], limits()).unwrap();
    let error = target.list().unwrap_err();
    assert!(error.to_string().contains("prints text (`Welc…`)"), "{error}");
    assert!(!error.is_retryable());
}

#[test]
fn a_server_that_freezes_is_given_up_by_sftp() {
    let Some(server) = installed("sshd", Sshd::start("")) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let config = server.client_config().display().to_string();
    let place = format!("node:{}", directory.path().display());
    let mut limits = impatient();
    limits.connect = Duration::from_secs(5);
    limits.stall = Duration::from_secs(1);
    limits.until = Some(Instant::now() + Duration::from_secs(6));
    let target = Sftp::new(&place, vec!["-F".to_owned(), config], limits).unwrap();
    put(&target, "a", b"one", false).unwrap();
    assert!(server.freeze_sessions() > 0);
    let slow = failure(target.read("a", 0..3).unwrap_err());
    server.thaw_sessions();
    assert!(matches!(slow, TargetFailure::TooSlow { .. }), "{slow}");
}
