//! Tunnels over a wire that breaks. It takes root to make one.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Machine, Network, Signal, Sshd, signal};

use crate::support::Home;

/// A supervisor on the client's side, and a watch over it. What it forwards to is the server's
/// `sshd`, which speaks first.
struct Wired {
    network: Network,
    sshd: Sshd,
    supervisor: Child,
    lines: Receiver<String>,
    home: Home,
}

const LOCAL: u16 = 18_000;

impl Wired {
    fn new(profile: &str) -> Option<Self> {
        let network = match Network::new() {
            Ok(network) => network,
            Err(error) => {
                testkit::skip(&format!("no network can be made here: {error}"));
                return None;
            }
        };
        let sshd = Sshd::start_on(&network, "").unwrap();
        let home = Home::with_database("none".to_owned());
        home.append(&format!(
            "[tunnels.hub]\ndestination = \"node\"\nprofile = \"{profile}\"\nssh_config = \"{}\"\n[[tunnels.hub.forwards]]\nlocal = \"127.0.0.1:{LOCAL}\"\n\
             target = \"{}:{}\"\nprobe = {{ tcp = \"banner\", interval = \"500ms\", timeout = \"1s\" }}\n",
            sshd.client_config().display(), network.server_address(), sshd.port()
        ));
        let plain = home.command(&["tunnel", "run", "--format", "json"]);
        let mut command = Command::new("ip");
        command
            .args(&network.on(Machine::Client)[1..])
            .arg(plain.get_program())
            .args(plain.get_args());
        command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(home.root()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut supervisor = command.spawn().unwrap();
        let stdout = BufReader::new(supervisor.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut wired = Self { network, sshd, supervisor, lines, home };
        wired.until("up");
        Some(wired)
    }

    /// Waits for this state.
    fn until(&mut self, state: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("never {state}"));
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["state"] == state {
                return;
            }
        }
    }

    /// Returns true if bytes come through the forward, on the client's side.
    fn greets(&self) -> bool {
        let words = self.network.on(Machine::Client);
        let script = format!(
            "exec 3<>/dev/tcp/127.0.0.1/{LOCAL}; read -r -t 20 -n 4 -u 3 greeting; [ \"$greeting\" = SSH- ]"
        );
        Command::new(&words[0])
            .args(&words[1..])
            .args(["bash", "-c", &script])
            .status()
            .unwrap()
            .success()
    }

    fn starts(&self) -> u64 {
        let status = self.home.json(0, "hubctl.tunnel-status.v1", &["tunnel", "status"]);
        status["tunnels"][0]["starts"].as_u64().unwrap()
    }
}

impl Drop for Wired {
    fn drop(&mut self) {
        signal(self.supervisor.id(), Signal::INT);
        let _ = self.supervisor.wait();
    }
}

#[test]
fn what_a_wire_does_to_a_tunnel() {
    let Some(mut wired) = Wired::new("fast") else {
        return;
    };
    assert!(wired.greets());

    // Nothing comes back: noticed by the probe, and made again when the wire is whole.
    wired.network.deafen(Machine::Client).unwrap();
    wired.until("degraded");
    std::thread::sleep(Duration::from_secs(6));
    let before = wired.starts();
    wired.network.hear(Machine::Client).unwrap();
    wired.until("up");
    assert!(wired.greets());
    assert!(before <= 3, "{before} ssh were started while nobody could answer");

    // Nothing gets there.
    wired.network.deafen(Machine::Server).unwrap();
    wired.until("degraded");
    wired.network.hear(Machine::Server).unwrap();
    wired.until("up");

    // The client moves to another network.
    wired.network.move_client().unwrap();
    wired.until("degraded");
    wired.until("up");
    assert!(wired.greets());

    // The server goes away, and comes back while the wire is out.
    wired.sshd.stop();
    wired.until("backoff");
    wired.network.plug(false).unwrap();
    wired.sshd.resume().unwrap();
    wired.network.plug(true).unwrap();
    wired.until("up");
    assert!(wired.greets());
}
