//! The time until bytes flow again after a fault, and until it is noticed.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use testkit::{Machine, Signal};

use super::probing::{Seen, now};
use super::report::Report;
use super::side_by_side::side_by_side;
use super::tool::{TOOLS, Tool};
use super::world::World;

/// Longer than this no tool is waited for.
const LIMIT: Duration = Duration::from_secs(90);

/// The others are slow and known: more runs of theirs would say no more.
const PEER_RUNS: usize = 3;

/// Each notices six faults.
const NOTICE_RUNS: usize = 5;

/// A change of the world; recovery begins at the moment it ends.
#[derive(Clone, Copy)]
enum Fault {
    SessionKilled,
    Away(u64),
    Dropped(u64),
    NewAddress,
    SshFrozen,
}

impl Fault {
    fn name(self) -> String {
        match self {
            Self::SessionKilled => "server process killed".to_owned(),
            Self::Away(seconds) => format!("sshd away for {seconds} s"),
            Self::Dropped(seconds) => format!("packets dropped for {seconds} s"),
            Self::NewAddress => "new address of the client".to_owned(),
            Self::SshFrozen => "ssh frozen".to_owned(),
        }
    }

    /// Returns true if it is mostly waiting.
    fn is_outage(self) -> bool {
        matches!(self, Self::Away(_) | Self::Dropped(_) | Self::NewAddress)
    }

    /// Does it, and tells the moment it was over.
    fn strike(self, world: &World) -> f64 {
        let wait = |seconds| std::thread::sleep(Duration::from_secs(seconds));
        match self {
            Self::SessionKilled => {
                assert!(world.sshd.borrow().kill_sessions() > 0);
                now()
            }
            Self::Away(seconds) => {
                world.sshd.borrow_mut().stop();
                wait(seconds);
                world.sshd.borrow_mut().resume().unwrap();
                now()
            }
            Self::Dropped(seconds) => {
                for machine in [Machine::Client, Machine::Server] {
                    world.network.deafen(machine).unwrap();
                }
                wait(seconds);
                for machine in [Machine::Client, Machine::Server] {
                    world.network.hear(machine).unwrap();
                }
                now()
            }
            Self::NewAddress => {
                world.network.move_client().unwrap();
                now()
            }
            Self::SshFrozen => {
                world.signal_ssh(Signal::STOP);
                now()
            }
        }
    }
}

pub(crate) fn measure(
    report: &mut Report,
    runs: usize,
    short: bool,
    is_wanted: impl Fn(&str) -> bool,
) {
    let mut faults = vec![
        Fault::SessionKilled,
        Fault::Away(1),
        Fault::Away(10),
        Fault::Dropped(2),
        Fault::Dropped(9),
        Fault::Dropped(20),
        Fault::NewAddress,
        Fault::SshFrozen,
    ];
    if !short {
        faults.extend([Fault::Away(60), Fault::Dropped(60)]);
    }
    faults.retain(|fault| is_wanted(&fault.name()));
    let (outages, others): (Vec<Fault>, Vec<Fault>) =
        faults.into_iter().partition(|fault| fault.is_outage());
    for job in jobs(&others, runs) {
        job.meet().write(report);
    }
    // An outage is mostly waiting: several are waited for at once, in worlds of their own.
    for result in side_by_side(jobs(&outages, runs), Job::meet) {
        result.write(report);
    }
    if is_wanted("noticed") {
        for _ in 0..runs.min(NOTICE_RUNS) {
            notice(report);
        }
    }
}

/// One tool that is to meet one fault.
#[derive(Clone, Copy)]
struct Job {
    fault: Fault,
    tool: Tool,
}

/// The result of a fault.
struct Result {
    job: Job,
    recovered: Option<f64>,
    starts: usize,
}

fn jobs(faults: &[Fault], runs: usize) -> Vec<Job> {
    let mut jobs = Vec::new();
    for fault in faults {
        for tool in TOOLS {
            let runs = match (tool, fault) {
                (Tool::Hubctl, _) => runs,
                // None of the others ever notices, as was seen by hand; each would take the limit.
                (_, Fault::SshFrozen) => 0,
                (..) => runs.min(PEER_RUNS),
            };
            for _ in 0..runs {
                jobs.push(Job { fault: *fault, tool });
            }
        }
    }
    jobs
}

impl Job {
    fn meet(self) -> Result {
        let world = World::new();
        let client = world.client();
        let _running = self.tool.start(&world);
        let (recovered, starts) = struck(&world, &client, self.fault);
        eprintln!("{}: {}: {recovered:.0?} ms", self.fault.name(), self.tool);
        Result { job: self, recovered, starts }
    }
}

impl Result {
    fn write(self, report: &mut Report) {
        let Job { fault, tool, .. } = self.job;
        report.seconds(&fault.name(), tool, self.recovered.map(|ms| ms / 1e3));
        if let Fault::Away(seconds) | Fault::Dropped(seconds) = fault
            && seconds >= 10
        {
            report.number(
                &format!("ssh started per minute, {}", fault.name()),
                tool,
                self.starts as f64 / (seconds as f64 / 60.0),
            );
        }
    }
}

fn struck(world: &World, client: &Seen, fault: Fault) -> (Option<f64>, usize) {
    client.steady(Duration::from_secs(3));
    let before = world.starts();
    let over = fault.strike(world);
    let starts = world.starts() - before;
    (client.first_after(over, LIMIT), starts)
}

/// Measures the time until a line of `status --watch` reports the fault: only hubctl has such a
/// command.
fn notice(report: &mut Report) {
    let world = World::new();
    let client = world.client();
    let _running = Tool::Hubctl.start(&world);
    client.steady(Duration::from_secs(3));
    let mut watch = world.command(Machine::Client, crate::hubctl());
    watch.arg("--config").arg(world.path("hubctl.toml"));
    let mut watch = watch
        .args(["tunnel", "status", "--watch", "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut until = |is: &dyn Fn(&str) -> bool| loop {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if is(line["state"].as_str().unwrap()) {
            return now();
        }
    };
    until(&|state| state == "up");
    let mut noticed = |name: &str, strike: &dyn Fn(), mend: &dyn Fn()| {
        let begin = now();
        strike();
        let after = until(&|state| state != "up") - begin;
        report.seconds(&format!("noticed: {name}"), Tool::Hubctl, Some(after / 1e3));
        mend();
        until(&|state| state == "up");
    };
    noticed("server process killed", &|| assert!(world.sshd.borrow().kill_sessions() > 0), &|| {});
    noticed("ssh killed", &|| world.signal_ssh(Signal::KILL), &|| {});
    noticed("ssh frozen", &|| world.signal_ssh(Signal::STOP), &|| {});
    noticed(
        "server process frozen",
        &|| assert!(world.sshd.borrow().freeze_sessions() > 0),
        &|| {
            world.sshd.borrow().thaw_sessions();
        },
    );
    noticed("silent peer", &|| world.network.deafen(Machine::Client).unwrap(), &|| {
        world.network.hear(Machine::Client).unwrap();
    });
    noticed("somebody else answers", &|| world.identify("hub-2"), &|| world.identify("hub-1"));
    let _ = watch.kill();
    let _ = watch.wait();
}
