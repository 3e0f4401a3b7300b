//! The faults that a move meets.

use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use testkit::{Dice, HookFault, Service};

use super::super::scene::Scene;
use super::world::{Disk, Storage, World};
use super::{Move, wait};
use crate::support::Run;

/// A fault, with the time at which it strikes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    None,
    /// SIGKILL of hubctl.
    Kill(Duration),
    /// A server crashes, and recovers.
    Crash(End, Duration),
    /// A server cannot be reached for a second, and all connections of hubctl to it are cut.
    Cut(End, Duration),
    /// A writer's command fails, hangs or lies.
    Hook {
        end: End,
        service: Service,
        action: &'static str,
        fault: HookFault,
    },
    /// `stop` does nothing, and `stopped` says that it did.
    StillRuns(Service),
    /// A disk is full.
    Full(Disk, Duration),
    /// hubctl is killed, and then another server is behind the address of the target.
    WrongTarget(Duration),
    /// A second operator begins the same move.
    SecondOperator(Duration),
}

/// An end of a move.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    From,
    To,
}

impl Fault {
    /// A fault within the time that a move takes.
    pub(super) fn random(dice: &mut Dice, usual: Duration) -> Self {
        let millis = usize::try_from(usual.as_millis()).unwrap();
        let at = Duration::from_millis(u64::try_from(dice.below(millis)).unwrap());
        let end = *dice.pick(&[End::From, End::To]);
        let service = *dice.pick(&[Service::Api, Service::Sweep]);
        let fault = *dice.pick(&[HookFault::Fails, HookFault::Hangs, HookFault::Lies]);
        match dice.below(14) {
            0 => Self::None,
            1..5 => Self::Kill(at),
            5 => Self::Crash(end, at),
            6 => Self::Cut(end, at),
            7 => Self::Hook { end: End::From, service, action: "stop", fault },
            8 => Self::Hook { end: End::From, service, action: "stopped", fault },
            9 => Self::Hook { end: End::To, service, action: "start", fault },
            10 => Self::StillRuns(service),
            11 => Self::Full(*dice.pick(&[Disk::Vault, Disk::Journal]), at),
            12 => Self::WrongTarget(at),
            _ => Self::SecondOperator(at),
        }
    }

    /// Lets a run of hubctl meet the fault, and waits for its end.
    pub(super) fn strike(
        self,
        mut child: Child,
        of: &Move,
        world: &mut World,
        scene: &Scene,
        storage: &Storage,
    ) -> Run {
        let site = |end: End| match end {
            End::From => of.from.as_str(),
            End::To => of.to.as_str(),
        };
        match self {
            Self::None => {}
            Self::Kill(at) => {
                sleep(&mut child, at);
                let _ = child.kill();
            }
            Self::Crash(end, at) => {
                sleep(&mut child, at);
                world.crash(site(end));
            }
            Self::Cut(end, at) => {
                sleep(&mut child, at);
                world.cut(site(end), Duration::from_secs(1));
            }
            // hubctl has only just begun: it asks servers before it runs any command.
            Self::Hook { end, service, action, fault } => {
                scene.homes.prepare(site(end), service, action, fault).unwrap();
            }
            Self::StillRuns(service) => {
                for action in ["stop", "stopped"] {
                    scene.homes.prepare(&of.from, service, action, HookFault::Lies).unwrap();
                }
            }
            Self::Full(disk, at) => {
                sleep(&mut child, at);
                storage.fill(disk);
            }
            Self::WrongTarget(at) => {
                sleep(&mut child, at);
                let _ = child.kill();
                let run = wait(child, of);
                mislead(of, world, scene);
                return run;
            }
            Self::SecondOperator(at) => {
                sleep(&mut child, at);
                let second = scene.command(&of.arguments()).spawn().unwrap();
                wait(second, of);
            }
        }
        wait(child, of)
    }

    /// Takes back what does not pass by itself.
    pub(super) fn end(self, scene: &Scene, storage: &Storage) {
        scene.homes.forget_faults();
        if let Self::Full(disk, _) = self {
            storage.empty(disk);
        }
    }
}

/// Waits for a moment, or for the end of a process if that comes first.
fn sleep(child: &mut Child, time: Duration) {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the move once with another server behind the address of the target. It must not do
/// anything there.
fn mislead(of: &Move, world: &World, scene: &Scene) {
    let path = scene.homes.path("hubctl.toml");
    let text = fs_err::read_to_string(&path).unwrap();
    let third = world.third([&of.from, &of.to]);
    let misled = text.replace(&world.address(&of.to), &world.address(third));
    fs_err::write(&path, misled).unwrap();
    let before = scene.homes.databases(third).unwrap();
    let run = wait(scene.command(&of.arguments()).spawn().unwrap(), of);
    let is_over = run.code == Some(0) && super::outcome(&run) == "done";
    assert!(!is_over, "{of:?} went to another server\n{}", run.stderr);
    let after = scene.homes.databases(third).unwrap();
    assert_eq!(before, after, "{of:?} changed another server\n{}", run.stderr);
    fs_err::write(&path, text).unwrap();
}
