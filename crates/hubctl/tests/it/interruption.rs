//! Signals to a program that waits for what never answers.

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use journal::Outcome;
use testkit::{AgePlugin, Signal, signal};

use crate::support::{Home, Run};

/// The program promises two seconds; the rest is for a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);
/// Until the program waits.
const BEGINNING: Duration = Duration::from_secs(60);

/// A server that takes connections and never says a word.
struct Silent {
    port: u16,
    taken: Arc<AtomicUsize>,
}

impl Silent {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        std::thread::spawn(move || {
            let mut kept: Vec<TcpStream> = Vec::new();
            for connection in listener.incoming().flatten() {
                kept.push(connection);
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, taken }
    }

    fn is_asked(&self) -> bool {
        self.taken.load(Ordering::SeqCst) > 0
    }
}

#[track_caller]
fn until(child: &mut Child, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + BEGINNING;
    while !condition() {
        if let Some(status) = child.try_wait().unwrap() {
            let mut said = String::new();
            let stderr = child.stderr.as_mut().unwrap();
            std::io::Read::read_to_string(stderr, &mut said).unwrap();
            panic!("it ended before it waited: {status}\n{said}");
        }
        assert!(Instant::now() < deadline, "it never waited");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends the signal, and requires the end of an interrupted program.
#[track_caller]
fn interrupt(mut child: Child, number: Signal) -> Run {
    signal(child.id(), number);
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PROMPTLY {
            child.kill().unwrap();
            panic!("it is deaf to {number:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let took = begun.elapsed();
    let run = Run::of(&child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(130), "after {took:?}\n{}{}", run.stdout, run.stderr);
    run.says("interrupted; ");
    run
}

fn deaf(home: &Home, silent: &Silent, arguments: &[&str]) {
    for number in [Signal::TERM, Signal::INT, Signal::HUP] {
        silent.taken.store(0, Ordering::SeqCst);
        let mut child = home.command(arguments).spawn().unwrap();
        until(&mut child, || silent.is_asked());
        // Until the question is sent as well.
        std::thread::sleep(Duration::from_millis(200));
        interrupt(child, number);
    }
}

#[test]
fn a_server_that_never_answers_keeps_nobody() {
    let (home, silent) = (Home::new(), Silent::listen());
    let port = silent.port;
    home.backup();
    home.append(&format!(
        "[sites.deaf]\ndatabase = \"postgresql://hub@127.0.0.1:{port}/x?sslmode=disable\"\n\
         [targets.deaf]\nwebdav = \"http://127.0.0.1:{port}/\"\n\
         [gates.deaf]\ncondition = \"http\"\nurl = \"http://127.0.0.1:{port}/\"\nlimit = \"5m\"\n"
    ));
    let cases = [
        &["backup", "deaf"][..],
        &["verify", "deaf:latest"],
        &["push", "deaf"],
        &["gates", "deaf"],
        &["backups", "--target", "deaf"],
        &["fresh"],
    ];
    for arguments in cases {
        deaf(&home, &silent, arguments);
    }
    let interrupted = |kind| {
        let records = home.journal(kind);
        let all = records.iter().filter(|record| record.outcome == Outcome::Interrupted);
        all.count()
    };
    assert_eq!((interrupted("backup"), interrupted("push")), (3, 3));
}

#[test]
fn a_command_for_a_password_that_never_ends_keeps_nobody() {
    let home = Home::new();
    home.append(
        "[sites.deaf]\ndatabase = \"postgresql://hub@127.0.0.1:1/x\"\npassword_command = \"echo > asked; sleep 600; echo x\"\n",
    );
    let mut child = home.command(&["backup", "deaf"]).spawn().unwrap();
    until(&mut child, || home.path("asked").exists());
    interrupt(child, Signal::TERM);
}

#[test]
#[ignore = "is the plugin of the test below"]
fn plugin() {
    AgePlugin::serve().unwrap();
}

#[test]
fn a_plugin_that_never_answers_keeps_nobody() {
    let home = Home::new();
    AgePlugin::install(home.root(), "interruption::plugin").unwrap();
    home.secret("token.txt", &AgePlugin::Hangs.identity());
    let recipient = AgePlugin::Hangs.recipient();
    home.configure(&format!("recipients = [\"{recipient}\"]\nidentities = [\"token.txt\"]\n"), "");
    let path = format!("{}:{}", home.root().display(), std::env::var("PATH").unwrap());
    let command = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env("PATH", &path);
        command
    };
    let mut child = command(&["backup"]).spawn().unwrap();
    until(&mut child, || home.path("hanging").exists());
    interrupt(child, Signal::TERM);
    assert_eq!(home.journal("backup")[0].outcome, Outcome::Interrupted);
    let pid = fs_err::read_to_string(home.path("hanging")).unwrap();
    let _ = pid.trim().parse().map(|pid: u32| signal(pid, Signal::KILL));
}

#[test]
fn a_lock_that_is_never_released_keeps_nobody() {
    let home = Home::new();
    home.backup();
    let cases = [
        ("journal.jsonl", &["journal", "verify"][..]),
        ("vault/.state-hub.catalogue-lock", &["backup"]),
    ];
    for (name, arguments) in cases {
        let lock = fs_err::OpenOptions::new().read(true).write(true).open(home.path(name)).unwrap();
        lock.lock().unwrap();
        let mut child = home.command(arguments).spawn().unwrap();
        let pid = child.id();
        until(&mut child, || is_waiting_for_a_lock(pid));
        interrupt(child, Signal::TERM);
    }
}

/// `/proc/locks` marks who waits: `1: -> FLOCK  ADVISORY  WRITE PID …`.
fn is_waiting_for_a_lock(pid: u32) -> bool {
    let locks = fs_err::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| line.contains("->") && line.contains(&format!(" {pid} ")))
}

/// Runs hubctl below a shell that prepares for it.
fn prepared(home: &Home, preparation: &str, arguments: &[&str]) -> Command {
    let plain = home.command(arguments);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{preparation}; exec \"$0\" \"$@\"")]);
    shell.arg(plain.get_program()).args(plain.get_args());
    shell.env_clear().current_dir(home.root());
    for (name, value) in plain.get_envs() {
        shell.env(name, value.unwrap());
    }
    shell.stdin(std::process::Stdio::null());
    shell.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    shell
}

#[test]
fn what_nohup_started_survives_the_end_of_the_session() {
    let (home, silent) = (Home::new(), Silent::listen());
    home.append(&format!(
        "[sites.deaf]\ndatabase = \"postgresql://hub@127.0.0.1:{}/x\"\n",
        silent.port
    ));
    let mut child = prepared(&home, "trap '' HUP", &["backup", "deaf"]).spawn().unwrap();
    until(&mut child, || silent.is_asked());
    signal(child.id(), Signal::HUP);
    std::thread::sleep(Duration::from_secs(3));
    assert!(child.try_wait().unwrap().is_none());
    interrupt(child, Signal::TERM);
}

#[test]
fn a_file_that_may_not_become_so_large_is_an_error_and_no_death() {
    let home = Home::new();
    let output = prepared(&home, "ulimit -f 8", &["backup"]).output().unwrap();
    assert_eq!(output.status.signal(), None, "{output:?}");
    let run = Run::of(&output);
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    run.says("ulimit -f");
    assert_eq!(home.journal("backup")[0].outcome, Outcome::Failed);
    let left = home.vault();
    assert!(
        !left.iter().any(|name| Path::new(name).extension().is_some_and(|end| end == "partial")),
        "{left:?}"
    );
    home.backup();
}
