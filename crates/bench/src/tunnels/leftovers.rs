//! The leftovers one second after a supervisor was killed.

use std::time::Duration;

use testkit::{Signal, signal};

use super::report::Report;
use super::side_by_side::side_by_side;
use super::tool::{TOOLS, Tool};
use super::world::World;

/// So many supervisors live and die in one world, one after the other.
const IN_ONE_WORLD: usize = 25;

/// The others leave something each time; a few times show it.
const PEER_KILLS: usize = 8;

pub(crate) fn measure(report: &mut Report, kills: usize, is_wanted: impl Fn(&str) -> bool) {
    if !is_wanted("left after kill -9") {
        return;
    }
    for tool in TOOLS {
        let kills = if tool == Tool::Hubctl { kills } else { kills.min(PEER_KILLS) };
        let left = side_by_side(0..kills.div_ceil(IN_ONE_WORLD), |first| {
            let world = World::new();
            let first = first * IN_ONE_WORLD;
            let mine = first..kills.min(first + IN_ONE_WORLD);
            mine.map(|kill| after_kill(&world, tool, kill)).sum::<usize>()
        });
        report.number("left after kill -9: times", tool, kills as f64);
        let sum: usize = left.iter().sum();
        let name = "left after kill -9: processes and sockets, of all times";
        report.number(name, tool, sum as f64);
    }
}

fn after_kill(world: &World, tool: Tool, kill: usize) -> usize {
    let mut running = tool.start(world);
    // At any moment of its life: while it starts, connects, and stands.
    std::thread::sleep(Duration::from_millis(20 + 53 * (kill as u64 % 17)));
    if tool != Tool::Hubctl {
        std::thread::sleep(Duration::from_secs(1));
    }
    signal(running.child.id(), Signal::KILL);
    let _ = running.child.wait();
    std::thread::sleep(Duration::from_secs(1));
    let left = world.processes("").len() + sockets(world);
    running.end();
    left
}

/// Sockets below the home of the tool.
fn sockets(world: &World) -> usize {
    use std::os::unix::fs::FileTypeExt as _;
    let mut directories = vec![world.path(".local")];
    let mut sockets = 0;
    while let Some(directory) = directories.pop() {
        for entry in fs_err::read_dir(directory).into_iter().flatten().flatten() {
            let kind = entry.file_type().unwrap();
            sockets += usize::from(kind.is_socket());
            if kind.is_dir() {
                directories.push(entry.path());
            }
        }
    }
    sockets
}
