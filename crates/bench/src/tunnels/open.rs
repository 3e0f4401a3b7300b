//! The fate of an open connection when its path breaks.

use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::sync::mpsc::channel;
use std::time::Duration;

use testkit::Machine;

use super::probing::now;
use super::report::Report;
use super::side_by_side::side_by_side;
use super::tool::{TOOLS, Tool};
use super::world::{LOCAL, World};

/// Longer than this no end is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// The duration of a broken link.
const DOWN: Duration = Duration::from_secs(10);

/// After this time a connection must have shown that it goes on.
const AFTER: Duration = Duration::from_secs(8);

pub(crate) fn measure(report: &mut Report, runs: usize, is_wanted: impl Fn(&str) -> bool) {
    if !is_wanted("open connections") {
        return;
    }
    let mut jobs = Vec::new();
    for tool in TOOLS {
        jobs.push((tool, Question::Told("default")));
        jobs.push((tool, Question::Survives));
    }
    jobs.push((Tool::Hubctl, Question::Told("fast")));
    let jobs = jobs.repeat(runs);
    for (tool, question, answer) in
        side_by_side(jobs, |(tool, question)| (tool, question, question.ask(tool)))
    {
        match question {
            Question::Told(profile) => {
                let name = match profile {
                    "default" => "open connections: told of a silent peer".to_owned(),
                    profile => {
                        format!("open connections: told of a silent peer, {profile} profile")
                    }
                };
                report.seconds(&name, tool, answer);
            }
            Question::Survives => {
                let survived = if answer.is_none() { 1.0 } else { 0.0 };
                let name = "open connections: survive a link that is down for 10 s";
                report.number(name, tool, survived);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Question {
    /// The time until a client learns that nothing comes back any more, with this profile.
    Told(&'static str),
    /// A connection goes on, or does not, after its link was down.
    Survives,
}

impl Question {
    /// Seconds until the connection ended, if it did.
    fn ask(self, tool: Tool) -> Option<f64> {
        let world = World::new();
        let (profile, limit) = match self {
            Self::Told(profile) => (profile, LIMIT),
            Self::Survives => ("default", AFTER),
        };
        let _running = tool.start_with(&world, profile);
        let stay = stay(&world);
        let begin = now();
        match self {
            Self::Told(_) => {
                for machine in [Machine::Client, Machine::Server] {
                    world.network.deafen(machine).unwrap();
                }
            }
            Self::Survives => {
                world.network.plug(false).unwrap();
                std::thread::sleep(DOWN);
                world.network.plug(true).unwrap();
            }
        }
        ended(stay, limit).map(|at| (at - begin) / 1e3)
    }
}

/// A connection that has been open for some seconds.
fn stay(world: &World) -> Child {
    let client = world.client();
    client.steady(Duration::from_secs(3));
    drop(client);
    let stay = world.play(Machine::Client, &["stay", &LOCAL.to_string()]);
    std::thread::sleep(Duration::from_secs(1));
    stay
}

/// Returns the duration of the connection, if it ended within this time.
fn ended(mut stay: Child, limit: Duration) -> Option<f64> {
    let mut output = BufReader::new(stay.stdout.take().unwrap());
    let (sender, line) = channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = output.read_line(&mut line);
        let _ = sender.send(line);
    });
    let line = line.recv_timeout(limit).ok();
    let _ = stay.kill();
    let _ = stay.wait();
    line?.trim().parse().ok()
}
