//! Moves under faults: each ends well, with the help of an operator who runs the command again.
//!
//! `cargo xtask campaign cutover` makes hundreds of rounds; the tests only some. A round that fails
//! is repeated with its seed, though the moment of its fault is not exactly the same.

mod fault;
mod judge;
mod world;

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::Dice;

use self::fault::Fault;
use self::world::World;
use super::scene::Scene;
use crate::support::Run;

/// The most runs of one move: the first, with a fault, and those that bring it to its end.
const RUNS: usize = 6;

/// So that nothing hangs: a move takes ten seconds, and a hook that hangs five.
const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn every_move_under_a_fault_ends_well() {
    let first = number("CAMPAIGN_SEED").unwrap_or(1);
    let mut world = World::start();
    for seed in first..first + number("CAMPAIGN_ROUNDS").unwrap_or(3) {
        let begun = Instant::now();
        let Some(told) = round(&mut world, seed) else {
            return;
        };
        eprintln!("seed {seed}: {told} ({:.1?})", begun.elapsed());
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("the variable of a campaign is a number"))
}

/// One or two moves in a row, each with a fault. Returns what happened, or nothing if the service
/// is not installed.
fn round(world: &mut World, seed: u64) -> Option<String> {
    let mut dice = Dice::new(seed);
    let mut sites = world.sites(&mut dice);
    let storage = world.storage();
    let mut scene = Scene::at(&world.places(&sites), &storage.options())?;
    let mut told = Vec::new();
    for _ in 0..1 + usize::from(dice.one_in(3)) {
        let (from, to) = (sites[0].clone(), sites[1].clone());
        let mode = *dice.pick(&["offline", "delta"]);
        let fault = Fault::random(&mut dice, world.usual(mode));
        let move_ = Move { seed, from, to, mode, fault };
        told.push(move_.make(world, &mut scene, &storage));
        sites.rotate_left(1);
    }
    judge::judge(&mut scene, &sites[0], &format!("seed {seed}: {}", told.join("; ")));
    scene.homes.drop_databases().unwrap();
    Some(told.join("; "))
}

/// A move of the service, and the fault that it meets.
#[derive(Debug)]
struct Move {
    seed: u64,
    from: String,
    to: String,
    mode: &'static str,
    fault: Fault,
}

impl Move {
    /// Runs hubctl with the fault, and again without, until the service has moved.
    fn make(&self, world: &mut World, scene: &mut Scene, storage: &world::Storage) -> String {
        let Self { from, to, mode, fault, .. } = self;
        scene.leg(from, to);
        let mut outcomes = Vec::new();
        let mut last = String::new();
        for number in 0..RUNS {
            let begun = Instant::now();
            let child = scene.command(&self.arguments()).spawn().unwrap();
            let run = match number {
                0 => fault.strike(child, self, world, scene, storage),
                _ => wait(child, self),
            };
            fault.end(scene, storage);
            last = format!("{}{}", run.stdout, run.stderr);
            let outcome = outcome(&run);
            outcomes.push(outcome.clone());
            if outcome == "done" {
                if number == 0 && matches!(fault, Fault::None) {
                    world.took(mode, begun.elapsed());
                }
                return format!("{from} to {to}, {mode}, {fault:?}: {}", outcomes.join(", "));
            }
        }
        panic!("seed {}: {self:?} does not end: {outcomes:?}\n{last}", self.seed);
    }

    fn arguments(&self) -> [&str; 10] {
        let Self { from, to, mode, .. } = self;
        ["cutover", "--from", from, "--to", to, "--mode", mode, "--execute", "--format", "json"]
    }
}

/// The outcome that a run reports, or else its exit code.
fn outcome(run: &Run) -> String {
    let report: Option<Value> = serde_json::from_str(&run.stdout).ok();
    let outcome = report.as_ref().and_then(|report| report["outcome"].as_str());
    match (outcome, run.code) {
        (Some(outcome), _) => outcome.to_owned(),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) => "killed".to_owned(),
    }
}

/// Waits for the end of hubctl.
fn wait(mut child: std::process::Child, move_: &Move) -> Run {
    let deadline = Instant::now() + LIMIT;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            let run = Run::of(&child.wait_with_output().unwrap());
            panic!("{move_:?}: hubctl hangs\n{}{}", run.stdout, run.stderr);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Run::of(&child.wait_with_output().unwrap())
}
