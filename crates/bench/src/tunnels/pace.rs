//! Throughput and latency through a forward, against `ssh -L` without anything in front.

use std::os::unix::process::CommandExt as _;
use std::process::Child;
use std::time::{Duration, Instant};

use testkit::Machine;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::report::Report;
use super::tool::{Tool, ssh};
use super::world::{LOCAL, World};

const MEGABYTES: usize = 1000;
const TIMES: usize = 5000;

pub(crate) fn measure(report: &mut Report, runs: usize, is_wanted: impl Fn(&str) -> bool) {
    if !is_wanted("throughput and latency") {
        return;
    }
    let world = World::new();
    let client = world.client();
    let local = LOCAL.to_string();
    let ask = |role: &[&str]| -> f64 { said(world.play(Machine::Client, role)) };
    let megabytes = MEGABYTES.to_string();
    let times = TIMES.to_string();
    for _ in 0..runs {
        // In turns, so that both meet the same machine.
        let both = [true, false].map(|is_ours| {
            let mut raw = world.command(Machine::Client, "ssh");
            raw.args(ssh(&world, &[])).process_group(0);
            let mut running = if is_ours {
                Tool::Hubctl.start(&world)
            } else {
                super::tool::Running { world: &world, child: raw.spawn().unwrap() }
            };
            client.steady(Duration::from_secs(2));
            let seconds = ask(&["bulk", &local, &megabytes]);
            let micros = ask(&["ping", &local, &times]);
            running.end();
            (MEGABYTES as f64 / seconds, micros)
        });
        let [(ours, our_latency), (raw, raw_latency)] = both;
        report.number("throughput against `ssh -L`, ratio", Tool::Hubctl, ours / raw);
        report.number("throughput, MB/s", Tool::Hubctl, ours);
        report.number(
            "latency above `ssh -L`, ms",
            Tool::Hubctl,
            (our_latency - raw_latency) / 1e3,
        );
    }
}

fn said(child: Child) -> f64 {
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

pub(crate) async fn bulk(port: u16, megabytes: usize) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let begin = Instant::now();
    stream.write_all(b"<").await.unwrap();
    stream.write_u64((megabytes * 1_000_000) as u64).await.unwrap();
    let piece = vec![b'x'; 1_000_000];
    for _ in 0..megabytes {
        stream.write_all(&piece).await.unwrap();
    }
    stream.read_u8().await.unwrap();
    println!("{}", begin.elapsed().as_secs_f64());
}

pub(crate) async fn ping(port: u16, times: usize) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(b"!").await.unwrap();
    let mut micros = Vec::with_capacity(times);
    for _ in 0..times {
        let begin = Instant::now();
        stream.write_u8(b'x').await.unwrap();
        stream.read_u8().await.unwrap();
        micros.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    micros.sort_by(f64::total_cmp);
    println!("{}", micros[times / 2]);
}
