//! Measures hubctl against the pipelines it replaces, in one run, in rounds: ours, then each peer,
//! again and again.
//!
//! Run by `cargo xtask bench`. It needs a PostgreSQL server and its programs, `age`, `gzip`,
//! `pigz`, `pgcopydb`, `bash`, and several gigabytes of free disk in the temporary directory.
//! Nothing else should run on the machine.

mod data;
mod growth;
mod limits;
mod report;
mod run;
mod stage;
mod works;

use std::path::PathBuf;

use self::data::Data;
use self::stage::Stage;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure on
    #[arg(long, value_enum, default_value = "events")]
    data: Data,
    /// Size of the sample [default: that of docs/benchmarks.md]
    #[arg(long)]
    scale: Option<f64>,
    /// How backups grow up to 10 GB, without peers; takes 30 GB of disk
    #[arg(long, conflicts_with_all = ["data", "scale", "only", "write"])]
    growth: bool,
    /// Rounds of each work
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Only works whose name has this in it
    #[arg(long)]
    only: Option<String>,
    /// Replace the table of this data set between the markers of this file
    #[arg(long)]
    write: Option<PathBuf>,
}

pub(crate) fn run(arguments: Args) {
    if arguments.growth {
        println!("{}", growth::measure());
        return;
    }
    let scale = arguments.scale.unwrap_or(arguments.data.default_scale());
    let stage = Stage::prepare(arguments.data, scale);
    let rows = works::measure(&stage, arguments.pairs, arguments.only.as_deref());
    let mut text = format!(
        "Scale {scale}, {} processors, {}. Medians; ratio = theirs / ours, with the lowest and highest of the pairs. Memory is the peak of the hubctl process.\n\n",
        std::thread::available_parallelism().unwrap(),
        jiff::Zoned::now().strftime("%Y-%m-%d"),
    );
    text.push_str(&report::table(&rows));
    text.push_str(&stage.sizes());
    text.push_str(&limits::measure(&stage));
    println!("{text}");
    if let Some(path) = arguments.write {
        testkit::write_between_markers(&path, arguments.data.name(), &text);
    }
}
