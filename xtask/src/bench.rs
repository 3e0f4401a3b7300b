//! `cargo xtask bench`: hubctl against the pipelines it replaces, in one run.

use std::process::ExitCode;

use xshell::cmd;

use crate::{project, setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Replace the table in docs/benchmarks.md
    #[arg(long)]
    write: bool,
    /// Measure tunnels instead, against autossh and loops; only root can
    #[arg(long)]
    tunnel: bool,
    /// Measure sealing and opening instead, against the `age` crate, and a prune
    #[arg(long, conflicts_with = "tunnel")]
    vault: bool,
    /// Passed on to the bench: `--data events|narrow|many`, `--pairs N`, `--only WORK`, `--scale N`, or `--growth`; of
    /// tunnels `--runs N`, `--kills N`, `--only MEASURE`, `--short`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    setup::ensure()?;
    let (package, bench, programs): (&str, &str, &[_]) = if args.tunnel {
        ("hubctl", "tunnels", &[("autossh", "autossh")])
    } else if args.vault {
        ("backup", "vault", &[])
    } else {
        let programs = &[("pigz", "pigz"), ("pgcopydb", "pgcopydb")];
        ("hubctl", "peers", programs)
    };
    provision::ensure_programs(programs)?;
    let shell = project::shell()?;
    let cargo = project::cargo();
    let mut arguments = args.arguments;
    if args.write {
        let page = shell.current_dir().join("docs/benchmarks.md");
        arguments.extend(["--write".into(), page.display().to_string()]);
    }
    eprintln!(
        "Building {package} for release. Stop everything else on this machine while this runs."
    );
    project::run(cmd!(
        shell,
        "{cargo} bench --package {package} --bench {bench} -- {arguments...}"
    ))
}
