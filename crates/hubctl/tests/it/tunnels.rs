//! `hubctl tunnel`, through a real `sshd`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Signal, Sshd, free_port, signal};

use crate::support::{Home, Run, scalar, socket};

const PATIENCE: Duration = Duration::from_secs(30);

/// A home with one tunnel in its configuration, to a service that tells who it is.
struct Tunnelled {
    home: Home,
    sshd: Sshd,
    local: u16,
}

impl Tunnelled {
    fn new(expected: &str) -> Self {
        let home = Home::with_database("none".to_owned());
        let sshd = Sshd::start("").unwrap();
        let (service, local) = (serve("hub-1"), free_port());
        home.append(&format!(
            "[tunnels.hub]\ndestination = \"node\"\nssh_config = \"{}\"\n[[tunnels.hub.forwards]]\nlocal = \"127.0.0.1:{local}\"\n\
             target = \"127.0.0.1:{service}\"\nprobe = {{ http = \"/health\", json = \"identity\", equals = \"{expected}\", interval = \"200ms\" }}\n",
            sshd.client_config().display()
        ));
        Self { home, sshd, local }
    }

    fn asks(&self) -> std::io::Result<String> {
        ask(self.local)
    }

    fn status(&self) -> Value {
        self.home.json(0, "hubctl.tunnel-status.v1", &["tunnel", "status"])
    }
}

impl Drop for Tunnelled {
    fn drop(&mut self) {
        // Nobody else would end what `up` began.
        self.home.hubctl(&["tunnel", "down"]);
    }
}

/// A tunnel to the shared PostgreSQL server, asked like this.
fn to_postgres(probe: &str) -> Tunnelled {
    let home = Home::with_database("none".to_owned());
    let sshd = Sshd::start("").unwrap();
    let local = free_port();
    home.append(&format!(
        "[tunnels.hub]\ndestination = \"node\"\nssh_config = \"{}\"\n[[tunnels.hub.forwards]]\nlocal = \"127.0.0.1:{local}\"\n\
         target = \"{}\"\nprobe = {{ postgres = {{ {probe} }}, interval = \"200ms\" }}\n",
        sshd.client_config().display(),
        socket().display(),
    ));
    Tunnelled { home, sshd, local }
}

fn serve(identity: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                    line.clear();
                }
                let body = format!("{{\"identity\": \"{identity}\"}}");
                let _ = write!(
                    &stream,
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
            });
        }
    });
    port
}

fn ask(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The processes whose arguments or working place name this directory.
fn processes_of(directory: &Path) -> Vec<String> {
    let needle = directory.to_str().unwrap();
    let entries = fs_err::read_dir("/proc").unwrap().flatten();
    let arguments = entries.filter_map(|entry| fs_err::read(entry.path().join("cmdline")).ok());
    arguments
        .map(|arguments| String::from_utf8_lossy(&arguments).replace('\0', " "))
        .filter(|arguments| arguments.contains(needle))
        .collect()
}

fn kill(pid: u64, sent: Signal) {
    signal(u32::try_from(pid).unwrap(), sent);
}

#[test]
fn a_tunnel_goes_up_proves_itself_and_goes_down() {
    let tunnelled = Tunnelled::new("hub-1");
    let home = &tunnelled.home;
    let run = home.expect(1, &["tunnel", "status"]);
    run.shows("not running");
    home.expect(3, &["tunnel", "check"]).says("hubctl tunnel up");

    let run = home.expect(0, &["tunnel", "up"]);
    run.shows("up").shows("by hub-1");
    assert!(tunnelled.asks().unwrap().contains("hub-1"));
    // Again is no more.
    home.expect(0, &["tunnel", "up", "hub"]);
    home.expect(0, &["tunnel", "check", "hub"]);
    let status = tunnelled.status();
    let forward = &status["tunnels"][0]["forwards"][0];
    assert_eq!((&forward["state"], &forward["identity"]), (&"up".into(), &"hub-1".into()));
    assert!(forward["round_trip_ms"].as_f64().unwrap() > 0.0);
    assert!(forward["received"].as_u64().unwrap() > 50);
    assert_eq!(status["tunnels"][0]["starts"], 1);

    home.expect(0, &["tunnel", "restart"]);
    assert_ne!(processes_of(home.root()).len(), 0);
    home.expect(0, &["tunnel", "down"]).says("hub is stopped");
    home.expect(0, &["tunnel", "down"]).says("no supervisor is running");
    until("nothing is left", || processes_of(home.root()).is_empty().then_some(()));
    assert!(tunnelled.asks().is_err());
    let logs = home.expect(0, &["tunnel", "logs"]);
    logs.shows("hub 127.0.0.1:").shows(" up");
}

#[test]
fn a_killed_supervisor_leaves_nothing_and_is_followed_by_another() {
    let tunnelled = Tunnelled::new("hub-1");
    let home = &tunnelled.home;
    for _ in 0..3 {
        home.expect(0, &["tunnel", "up"]);
        assert_ne!(processes_of(home.root()).len(), 0);
        kill(tunnelled.status()["pid"].as_u64().unwrap(), Signal::KILL);
        let killed = Instant::now();
        until("nothing is left", || processes_of(home.root()).is_empty().then_some(()));
        assert!(killed.elapsed() < PATIENCE);
        assert!(tunnelled.asks().is_err());
        home.expect(1, &["tunnel", "status"]).shows("not running");
    }
    home.expect(0, &["tunnel", "up"]);
}

#[test]
fn somebody_else_is_not_up() {
    let tunnelled = Tunnelled::new("hub-2");
    let run = tunnelled.home.expect(1, &["tunnel", "up", "--wait", "2s"]);
    run.shows("mismatch").shows("`hub-1` answers, not `hub-2`");
    tunnelled.home.expect(1, &["tunnel", "check"]);
    assert!(tunnelled.asks().is_err());
}

#[test]
fn a_postgresql_server_is_asked_without_credentials_and_with_them() {
    let identifier = "SELECT system_identifier::text FROM pg_control_system()";
    let identifier = scalar("postgres", identifier).unwrap();

    let silent = to_postgres("");
    silent.home.expect(0, &["tunnel", "up"]);
    let asked = to_postgres(&format!("user = \"postgres\", system_identifier = \"{identifier}\""));
    let run = asked.home.expect(0, &["tunnel", "up"]);
    run.shows(&format!("by {identifier}/postgres"));

    let another = to_postgres("user = \"postgres\", system_identifier = \"1\"");
    let run = another.home.expect(1, &["tunnel", "up", "--wait", "3s"]);
    run.shows(&format!("`{identifier}/postgres` answers, not `1`"));
    let absent = to_postgres("user = \"postgres\", database = \"absent\"");
    let run = absent.home.expect(1, &["tunnel", "up", "--wait", "3s"]);
    run.shows("degraded").shows("\"absent\" does not exist");
}

#[test]
fn tunnels_of_the_predecessor_are_imported() {
    let tunnelled = Tunnelled::new("hub-1");
    let home = &tunnelled.home;
    let yaml = home.root().join("tunnels.yaml");
    let entry = "tunnels:\n  api:\n    host: node1\n    direction: local\n    remote_port: 6443\n    local_port: 16443\n    \
                 ssh_user: ops\n    actor: agent.a\n    reconnect:\n      max_attempts: 0\nactors:\n  agent.a:\n    class: automation\n";
    fs_err::write(&yaml, entry).unwrap();
    let run = home.expect(0, &["tunnel", "import", yaml.to_str().unwrap()]);
    run.says("`actor` is left out").says("`reconnect` is left out");
    home.append(&run.stdout);
    let config = home.expect(0, &["config", "show"]);
    config.shows("ops@node1").shows("127.0.0.1:16443");

    fs_err::write(&yaml, "tunnels:\n  api:\n    host: node1\n").unwrap();
    home.expect(2, &["tunnel", "import", yaml.to_str().unwrap()])
        .says("is no tunnels.yaml")
        .says("remote_port");
}

#[test]
fn an_unknown_host_key_is_said_with_its_remedy() {
    let tunnelled = Tunnelled::new("hub-1");
    tunnelled.sshd.forget_host().unwrap();
    let run = tunnelled.home.expect(1, &["tunnel", "up"]);
    run.shows("failed").shows("compare the fingerprint");

    let home = &tunnelled.home;
    let run = home.expect(1, &["tunnel", "trust", "hub"]);
    run.says("shows the ED25519 key SHA256:").says("must be compared at a terminal");
    home.expect(1, &["tunnel", "trust", "hub", "--fingerprint", "SHA256:other"])
        .says("not SHA256:other");
    assert_eq!(tunnelled.status()["tunnels"][0]["forwards"][0]["state"], "failed");
    let word = run.stderr.split_whitespace().find(|word| word.starts_with("SHA256:")).unwrap();
    let trusted =
        home.json(0, "hubctl.tunnel-trust.v1", &["tunnel", "trust", "hub", "--fingerprint", word]);
    assert_eq!(trusted["fingerprint"], word);
    until("it is up", || {
        (tunnelled.status()["tunnels"][0]["forwards"][0]["state"] == "up").then_some(())
    });
}

#[test]
fn the_doctor_says_what_is_in_the_way() {
    let tunnelled = Tunnelled::new("hub-1");
    let findings = || -> String {
        let run = tunnelled.home.hubctl(&["doctor", "--format", "json"]);
        let examined: Value = serde_json::from_str(&run.stdout).expect(&run.stdout);
        let of_tunnel = examined["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["subject"] == "tunnel hub");
        of_tunnel
            .map(|finding| {
                format!(
                    "{} {}\n",
                    finding["verdict"].as_str().unwrap(),
                    finding["fact"].as_str().unwrap()
                )
            })
            .collect()
    };
    let found = findings();
    assert!(found.starts_with("ok [127.0.0.1]:") && found.lines().count() == 2, "{found}");
    assert!(found.contains(": tried, and it answers"), "{found}");

    let taken = TcpListener::bind(("127.0.0.1", tunnelled.local)).unwrap();
    tunnelled.sshd.forget_host().unwrap();
    let found = findings();
    assert!(found.contains(&format!("fail 127.0.0.1:{} is taken by ", tunnelled.local)), "{found}");
    assert!(found.contains(&format!("({})", std::process::id())), "{found}");
    assert!(found.contains("is not known; it shows SHA256:"), "{found}");

    drop(taken);
    tunnelled.sshd.know_host().unwrap();
    tunnelled.home.expect(0, &["tunnel", "up"]);
    assert!(findings().starts_with("ok 127.0.0.1:"), "{}", findings());
}

#[test]
fn the_doctor_says_what_the_server_forbids() {
    let mut tunnelled = Tunnelled::new("hub-1");
    tunnelled.sshd = Sshd::start("PermitOpen 127.0.0.1:1").unwrap();
    let config = tunnelled.home.root().join("hubctl.toml");
    let text = fs_err::read_to_string(&config).unwrap();
    let line = text.lines().find(|line| line.starts_with("ssh_config")).unwrap();
    let new = format!("ssh_config = \"{}\"", tunnelled.sshd.client_config().display());
    fs_err::write(&config, text.replace(line, &new)).unwrap();
    let run = tunnelled.home.hubctl(&["doctor"]);
    run.shows("administratively prohibited").says("PermitOpen");
}

#[test]
fn in_the_foreground_each_change_is_a_line() {
    let tunnelled = Tunnelled::new("hub-1");
    let home = &tunnelled.home;
    let mut run = home.command(&["tunnel", "run", "hub", "--format", "json"]).spawn().unwrap();
    let mut watch = until("the supervisor answers", || {
        let mut watch =
            home.command(&["tunnel", "status", "--watch", "--format", "json"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(200));
        watch.try_wait().unwrap().is_none().then_some(watch)
    });
    let lines = |child: &mut Child| BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut told, mut watched) = (lines(&mut run), lines(&mut watch));
    let next = |lines: &mut std::io::Lines<BufReader<std::process::ChildStdout>>, state: &str| loop {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(
            (&line["schema"], &line["tunnel"]),
            (&"hubctl.tunnel-event.v1".into(), &"hub".into())
        );
        if line["state"] == state {
            return line;
        }
    };
    next(&mut told, "up");
    next(&mut watched, "up");
    assert!(tunnelled.sshd.kill_sessions() > 0);
    let lost = next(&mut watched, "backoff");
    assert!(lost["reason"].is_string(), "{lost}");
    next(&mut watched, "up");
    next(&mut told, "backoff");

    assert_ne!(processes_of(home.root()).len(), 0);
    kill(run.id().into(), Signal::INT);
    assert_eq!(run.wait().unwrap().code(), Some(0));
    // Whoever watches is told.
    assert_eq!(watch.wait().unwrap().code(), Some(1));
    until("nothing is left", || processes_of(home.root()).is_empty().then_some(()));
}

#[test]
fn what_is_not_configured_is_a_matter_of_usage() {
    let home = Home::with_database("none".to_owned());
    home.expect(2, &["tunnel", "up"]).says("no tunnel is configured");
    home.append("[tunnels.hub]\ndestination = \"node\"\n[[tunnels.hub.forwards]]\nlocal = \"127.0.0.1:1\"\ntarget = \"a:1\"\n");
    home.expect(2, &["tunnel", "up", "hubb"])
        .says("no tunnel `hubb` is configured")
        .says("the configured tunnels are `hub`");
    home.append("surprise = 1\n");
    home.expect(2, &["tunnel", "status"]).says("tunnels.hub.forwards");
}

/// `systemctl` is a fake: there is no systemd of a user where tests run. It writes down what it is
/// asked.
#[test]
fn a_unit_is_installed_and_removed() {
    let home = Home::with_database("none".to_owned());
    home.append("[tunnels.hub]\ndestination = \"node\"\n[[tunnels.hub.forwards]]\nlocal = \"127.0.0.1:1\"\ntarget = \"a:1\"\n");
    let bin = home.path("bin");
    fs_err::create_dir(&bin).unwrap();
    let fake = |name: &str, script: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = bin.join(name);
        fs_err::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    fake("systemctl", "echo \"$*\" >> \"$HOME/asked\"");
    fake("loginctl", "echo no");
    let hubctl = |arguments: &[&str]| {
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        Run::of(&home.command(arguments).env("PATH", path).output().unwrap())
    };
    let run = hubctl(&["tunnel", "install", "--format", "json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    run.says("identity_agent").says("enable-linger");
    let installed: Value = serde_json::from_str(&run.stdout).unwrap();
    let path = installed["path"].as_str().unwrap();
    assert!(fs_err::read_to_string(path).unwrap().contains("tunnel run"));
    assert_eq!(hubctl(&["tunnel", "uninstall"]).code, Some(0));
    assert!(!Path::new(path).exists());
    let unit = installed["unit"].as_str().unwrap();
    assert_eq!(
        fs_err::read_to_string(home.path("asked")).unwrap(),
        format!(
            "--user show --property=Version\n--user daemon-reload\n--user enable --now {unit}\n--user disable --now {unit}\n--user daemon-reload\n"
        )
    );
    fake("systemctl", "echo 'Failed to connect to bus' >&2; exit 1");
    let run = hubctl(&["tunnel", "install"]);
    assert_eq!(run.code, Some(3));
    assert!(!Path::new(path).exists(), "without a bus nothing is left behind");
    run.says("Failed to connect to bus").says("hubctl tunnel up");
}

#[test]
fn the_demo_of_a_forward_runs() {
    let home = Home::with_database("none".to_owned());
    let run = home.expect(0, &["demo", "--tunnel"]);
    run.says("that, and not an open port, is what `up` means").says("ssh were started in all");
    run.shows(" backoff: ");
    assert_eq!(
        run.stdout.lines().filter(|line| line.ends_with(" up")).count(),
        2,
        "{}",
        run.stdout
    );
}
