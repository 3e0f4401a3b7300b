//! Measures `hubctl tunnel` against what keeps SSH forwards today, over a wire that breaks: two
//! network namespaces, a real `sshd`, and the same faults for each.
//!
//! Run by `cargo xtask bench --tunnel`, as root. It needs OpenSSH, `autossh`, `ip` and `iptables`.
//! Nothing else should run on the machine.

mod fault;
mod leftovers;
mod open;
mod pace;
mod probing;
mod report;
mod role;
mod service;
mod side_by_side;
mod tool;
mod weight;
mod world;

use std::path::PathBuf;

use self::report::Report;
use self::role::Role;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Runs of each fault; of the other tools three at most
    #[arg(long, default_value_t = 10)]
    runs: usize,
    /// How often each supervisor is killed to see what it leaves
    #[arg(long, default_value_t = 20)]
    kills: usize,
    /// Only measures whose name has this in it
    #[arg(long, default_value = "")]
    only: String,
    /// Leave outages of 60 seconds out
    #[arg(long)]
    short: bool,
    /// Replace the table between the markers of this file
    #[arg(long)]
    write: Option<PathBuf>,
    /// What this process does beside the bench itself, on one of the two machines
    #[command(subcommand)]
    role: Option<Role>,
}

pub(crate) fn run(arguments: Args) {
    if let Some(role) = arguments.role {
        return role.play();
    }
    let mut report = Report::default();
    let is_wanted = |name: &str| name.contains(&arguments.only);
    fault::measure(&mut report, arguments.runs, arguments.short, is_wanted);
    open::measure(&mut report, arguments.runs.min(3), is_wanted);
    pace::measure(&mut report, arguments.runs, is_wanted);
    leftovers::measure(&mut report, arguments.kills, is_wanted);
    weight::measure(&mut report, is_wanted);
    let text = format!(
        "{} processors, {}. Medians of the runs, and the worst; targets are for the worst of ten, which stands for the 95th percentile.\n\n{report}",
        std::thread::available_parallelism().unwrap(),
        jiff::Zoned::now().strftime("%Y-%m-%d"),
    );
    println!("{text}");
    if let Some(path) = arguments.write {
        testkit::write_between_markers(&path, "tunnel", &text);
    }
}
