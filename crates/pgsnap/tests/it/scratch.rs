//! Scratch servers leave nothing behind, however their owners end.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pgsnap::{ScratchOptions, ScratchServer};

const PARENT: &str = "PGSNAP_TEST_SCRATCH_PARENT";

/// A parent of its own for each test, with the permissions of `/tmp`.
fn parent() -> tempfile::TempDir {
    let parent = tempfile::Builder::new().prefix("t").tempdir_in("/tmp").unwrap();
    fs_err::set_permissions(parent.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
    parent
}

async fn start(parent: &Path) -> ScratchServer {
    let mut options = ScratchOptions::default();
    options.parent = parent.to_owned();
    options.bin_directory = crate::server::server_programs();
    ScratchServer::start(&options).await.unwrap()
}

/// Not a test of its own: the process that owns a server, until it is killed.
#[test]
#[ignore = "runs as a child of the others"]
fn owner() {
    let Some(parent) = std::env::var_os(PARENT) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(start(Path::new(&parent)));
    eprintln!("directory {}", server.directory().display());
    std::thread::sleep(Duration::from_secs(600));
}

/// Starts a process that owns a server, and returns it with the server's directory.
fn owner_process(parent: &Path) -> (Child, PathBuf) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "scratch::owner", "--ignored", "--nocapture"])
        .env(PARENT, parent)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let directory = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("directory ").map(PathBuf::from))
        .unwrap();
    (child, directory)
}

fn postmaster(directory: &Path) -> u32 {
    let text = fs_err::read_to_string(directory.join("data/postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

fn parent_of(pid: u32) -> u32 {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("PPid:")).unwrap();
    line[5..].trim().parse().unwrap()
}

fn kill_hard(pid: u32) {
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.unwrap().success());
}

/// Returns true if a process is there and not just waiting to be reaped.
fn runs(pid: u32) -> bool {
    fs_err::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| !command.is_empty())
}

fn eventually(what: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !what() {
        if begun.elapsed() > Duration::from_secs(10) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_owner_and_lifeline_were_killed_is_removed_by_the_next() {
    let parent = parent();
    let (mut owner, directory) = owner_process(parent.path());
    let server = postmaster(&directory);
    kill_hard(parent_of(server));
    owner.kill().unwrap();
    owner.wait().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(runs(server) && directory.exists(), "it is an orphan");
    let next = start(parent.path()).await;
    assert!(!runs(server), "the orphan was stopped");
    assert!(!directory.exists(), "its files were removed");
    assert!(next.directory().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_left_alone_while_its_owner_or_its_lifeline_is_there() {
    let parent = parent();
    let first = start(parent.path()).await;
    let (mut owner, directory) = owner_process(parent.path());
    let second = start(parent.path()).await;
    for server in [&first, &second] {
        let answer = pgsnap::query_scalar(&server.database("postgres"), "SELECT 1").await;
        assert_eq!(answer.unwrap().as_deref(), Some("1"));
    }
    // Without its lifeline a server still serves its owner.
    let server = postmaster(first.directory());
    kill_hard(parent_of(server));
    let third = start(parent.path()).await;
    assert!(runs(server));
    let path = first.directory().to_owned();
    drop((first, third));
    assert!(!runs(server) && !path.exists(), "its owner removes it");

    // The lifeline does so by itself when the owner is killed.
    let server = postmaster(&directory);
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(eventually(|| !directory.exists() && !runs(server)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_servers_user_can_enter() {
    let parent = parent();
    let server = start(parent.path()).await;
    let metadata = fs_err::metadata(server.directory()).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o700);
    let names = fs_err::read_dir(server.directory()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.contains(&"password".into()), "{names:?}");
    let path = server.directory().to_owned();
    server.kill().unwrap();
    assert!(eventually(|| server.kill().is_err()), "it is gone");
    drop(server);
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_server_reaches_nobody() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for offline in [false, true] {
        let parent = parent();
        let mut options = ScratchOptions::default();
        options.parent = parent.path().to_owned();
        options.bin_directory = crate::server::server_programs();
        options.offline = offline;
        let server = ScratchServer::start(&options).await.unwrap();
        if offline && !server.is_offline() {
            return testkit::skip("this kernel gives no network namespace to a plain user");
        }
        let knock =
            format!("COPY (SELECT 1) TO PROGRAM 'bash -c \"cat > /dev/tcp/127.0.0.1/{port}\"'");
        let knocked = pgsnap::execute(&server.database("postgres"), &knock).await;
        assert_eq!(knocked.is_ok(), !offline, "{knocked:?}");
    }
}
