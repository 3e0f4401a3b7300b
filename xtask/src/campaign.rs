//! `cargo xtask campaign`: the randomised tests of pgsnap, backup and hubctl, for as long as one
//! likes.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use xshell::cmd;

use crate::test::one_test;
use crate::{project, setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    campaign: Campaign,
    /// The seed of the first round; another one each time unless given
    #[arg(long, global = true)]
    seed: Option<u32>,
}

#[derive(Subcommand)]
enum Campaign {
    /// Random databases through a dump and both ways of restoring
    Property {
        /// How many databases
        #[arg(long, default_value_t = 200)]
        cases: u32,
    },
    /// Dumps of a database under writes and migrations, each to be one point in time
    Writers {
        /// How many dumps
        #[arg(long, default_value_t = 200)]
        runs: u32,
    },
    /// A vault whose file operations fail, and whose process is killed, one after the other
    Vault {
        /// How many faults
        #[arg(long, default_value_t = 10_000)]
        faults: u32,
    },
    /// Moves of the sample service under faults, watched by a client that never stops writing
    Cutover {
        /// How many rounds of one or two moves
        #[arg(long, default_value_t = 100)]
        runs: u32,
    },
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    setup::ensure()?;
    let (package, target, test, rounds) = match args.campaign {
        Campaign::Property { cases } => (
            "pgsnap",
            &["--test", "it"][..],
            "property::random_databases_survive_both_ways_of_restoring",
            cases,
        ),
        Campaign::Writers { runs } => (
            "pgsnap",
            &["--test", "it"][..],
            "writers::every_dump_under_writes_and_migrations_is_one_point_in_time",
            runs,
        ),
        Campaign::Vault { faults } => {
            ("backup", &["--lib"][..], "fault::tests::the_promises_hold_wherever_it_stops", faults)
        }
        Campaign::Cutover { runs } => (
            "hubctl",
            &["--test", "it"][..],
            "cutover::campaign::every_move_under_a_fault_ends_well",
            runs,
        ),
    };
    let seed = args.seed.unwrap_or_else(seed_of_now);
    eprintln!("seed {seed}");
    let shell = project::shell()?;
    let cargo = project::cargo();
    let command =
        cmd!(shell, "{cargo} test --package {package} {target...} -- --exact --nocapture {test}");
    one_test::run(
        command.env("CAMPAIGN_ROUNDS", rounds.to_string()).env("CAMPAIGN_SEED", seed.to_string()),
    )
}

fn seed_of_now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |since| since.subsec_nanos())
}
