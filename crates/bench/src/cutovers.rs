//! Measures how long clients are away while the sample service moves from one server to another, as
//! an independent client sees it: from the last write that the old home acknowledged to the first
//! that the new one did.
//!
//! Run by `cargo xtask bench --cutover`, in rounds: each way once, and again. Both servers are
//! durable and on this machine. Nothing else should run on it.

mod report;
mod scene;
mod way;

use std::path::PathBuf;

use self::report::Row;
use self::scene::Scene;
use self::way::Way;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Sizes of the database in MB
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1000])]
    sizes: Vec<u32>,
    /// Rounds
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only ways whose name has this in it
    #[arg(long, default_value = "")]
    only: String,
    /// Replace the table between the markers of this file
    #[arg(long)]
    write: Option<PathBuf>,
}

pub(crate) fn run(arguments: Args) {
    let mut rows = Vec::new();
    for megabytes in arguments.sizes {
        let scene = Scene::prepare(megabytes);
        let wanted = Way::ALL.into_iter().filter(|way| way.name().contains(&arguments.only));
        let mut measured: Vec<(Way, Vec<f64>)> = wanted.map(|way| (way, Vec::new())).collect();
        for round in 1..=arguments.runs {
            for (way, seconds) in &mut measured {
                let gap = scene.measure(*way);
                eprintln!("round {round}, {megabytes} MB: {gap:>8.2} s  {}", way.name());
                seconds.push(gap);
            }
        }
        let size = scene.size();
        rows.extend(measured.into_iter().map(|(way, seconds)| Row {
            megabytes,
            size,
            way,
            seconds,
        }));
    }
    let text = format!(
        "{} processors, {}. Medians of the rounds, and the shortest and longest. One row in a hundred \
         changes after a move has begun and before its freeze.\n\n{}",
        std::thread::available_parallelism().unwrap(),
        jiff::Zoned::now().strftime("%Y-%m-%d"),
        report::table(&rows),
    );
    println!("{text}");
    if let Some(path) = arguments.write {
        testkit::write_between_markers(&path, "cutover", &text);
    }
}
