//! `cargo xtask test`: all tests, after installing what they need; and those of `pgsnap` against
//! every supported version of PostgreSQL.

pub(crate) mod one_test;
mod rerun;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use provision::Unavailable;
use tempfile::NamedTempFile;
use testcluster::Cluster;
use xshell::{Cmd, Shell, cmd};

use self::rerun::Outcome;
use crate::servers::{self, BUNDLES, Bundle, MUSL, Server};
use crate::{moto, project, setup};

/// The variable that turns a skipped test into a failure.
const COMPLETE: &str = "HUBCTL_TEST_COMPLETE";
/// The variable that names an existing cluster for the tests.
const KUBECONFIG: &str = "HUBCTL_TEST_KUBECONFIG";
/// The variable that marks the cluster as ours, which tests may break.
const CLUSTER: &str = "HUBCTL_TEST_CLUSTER";
/// The variable that skips tests of clusters; the report says so.
const NO_CLUSTER: &str = "HUBCTL_TEST_NO_CLUSTER";
/// The variable that names definitions of other people's resources.
const DEFINITIONS: &str = "HUBCTL_TEST_CRDS";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the tests of `pgsnap`, against these versions of PostgreSQL: such as 14,18
    #[arg(long, value_delimiter = ',', value_parser = servers::bundle)]
    pg: Vec<&'static Bundle>,
    /// Run up to three tests that failed once more, alone, and call them flaky where they pass then
    #[arg(long, conflicts_with = "arguments")]
    rerun: bool,
    /// Passed on to `cargo test`, such as `--package NAME` or a part of a test's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    setup::ensure()?;
    setup::ensure_file_servers()?;
    let shell = project::shell()?;
    let mut report = Report::default();
    let is_everything = args.arguments.is_empty();
    let musl = musl(is_everything, &mut report);
    let moto =
        moto::ensure().inspect_err(|error| report.is_absent("copies at S3".to_owned(), error)).ok();
    if let Err(error) = provision::STATE_HUB.ensure() {
        report.is_absent("the sample service".to_owned(), &error);
    }
    let skips = Skips::new()?;
    // They need no cluster, which may still be compiled meanwhile.
    for bundle in versions(&args) {
        match servers::ensure(bundle) {
            Ok(server) => {
                let outcome = tests(&args, |chosen| {
                    let command = against(&shell, &server, &args.arguments, chosen)?;
                    with_musl(skips.collect(command), musl.as_ref())
                })?;
                let what = format!(
                    "PostgreSQL {}: tests of pgsnap{}",
                    server.version(),
                    chosen(&args.arguments)
                );
                report.ran(what, outcome, &skips.take()?);
            }
            Err(error) => report.did_not_run(format!("PostgreSQL {}", bundle.version), &error),
        }
    }
    if args.pg.is_empty() {
        let server = match servers::installed_major() {
            Some(major) => format!("PostgreSQL {major}, as installed"),
            None => "PostgreSQL, as installed".to_owned(),
        };
        let cluster = kubernetes(is_everything, &mut report);
        let outcome = tests(&args, |chosen| {
            let mut command = workspace(&shell, &args.arguments, chosen);
            if let Some(moto) = &moto {
                command = command.env(moto::VARIABLE, moto);
            }
            let command = with_cluster(skips.collect(command), cluster.as_ref());
            with_musl(command, musl.as_ref())
        })?;
        drop(cluster);
        report.ran(
            format!("{server}: all tests{}", chosen(&args.arguments)),
            outcome,
            &skips.take()?,
        );
    }
    Ok(report.close())
}

/// Runs the tests of a command, which takes arguments of the test programs: once, or as [`rerun`]
/// does.
fn tests<'a>(
    args: &Args,
    command: impl Fn(&[String]) -> anyhow::Result<Cmd<'a>>,
) -> anyhow::Result<Outcome> {
    if args.rerun {
        rerun::run(command, &mut std::io::stdout())
    } else {
        Ok(project::run(command(&[])?)?.into())
    }
}

/// The versions that are tested one by one. What is installed was tested with everything else.
fn versions(args: &Args) -> Vec<&'static Bundle> {
    if !args.pg.is_empty() {
        return args.pg.clone();
    }
    if !args.arguments.is_empty() {
        return Vec::new();
    }
    let installed = servers::installed_major();
    BUNDLES.iter().filter(|bundle| Some(bundle.major) != installed).collect()
}

/// The needs of the test of collations: a server of another C library to restore from, and a locale
/// in which this one sorts otherwise.
struct Musl {
    server: Server,
    locales: PathBuf,
}

/// It is fetched for a run of everything only.
fn musl(fetch: bool, report: &mut Report) -> Option<Musl> {
    let find =
        || anyhow::Ok(Musl { server: servers::ensure(&MUSL)?, locales: servers::locales()? });
    let found: anyhow::Result<Musl> = fetch.then(find)?;
    found.inspect_err(|error| report.did_not_run("collations of musl".to_owned(), error)).ok()
}

/// A Kubernetes for the time of the tests. It ends with this process, however that ends.
///
/// Part of the tests do not wait for one to be compiled.
fn kubernetes(is_everything: bool, report: &mut Report) -> Option<Cluster> {
    let what = "on a real Kubernetes".to_owned();
    if is_everything && !is_set(DEFINITIONS) {
        let reason =
            anyhow!("{DEFINITIONS} is not set, so definitions that allow anything had to do");
        report.cannot_run("definitions of their authors".to_owned(), &reason);
    }
    if is_set(KUBECONFIG) {
        if !is_set(CLUSTER) {
            let reason = anyhow!("{KUBECONFIG} is set, but not {CLUSTER}");
            report.did_not_run("what breaks a Kubernetes".to_owned(), &reason);
        }
        return None;
    }
    // Not every machine can have one, and then there is nothing that a change could have broken.
    if let Err(error) = testcluster::require_ability() {
        report.cannot_run(what, &error);
        return None;
    }
    if !is_everything && !testcluster::is_warm() {
        let reason = anyhow!("a part of the tests does not wait until it is compiled");
        report.cannot_run(what, &reason);
        return None;
    }
    let operator = std::env::var_os(testcluster::OPERATOR).filter(|value| !value.is_empty());
    if is_everything && operator.is_none() {
        report.skipped(format!(
            "on a real CloudNativePG: {} is not set, so its definitions and written statuses had to do",
            testcluster::OPERATOR
        ));
    }
    Cluster::for_tests(operator.as_deref().map(Path::new))
        .inspect_err(|error| report.did_not_run(what, error))
        .ok()
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn with_cluster<'a>(command: Cmd<'a>, cluster: Option<&Cluster>) -> Cmd<'a> {
    match cluster {
        Some(cluster) => command.envs(cluster.environment()),
        None if is_set(KUBECONFIG) && is_set(CLUSTER) => command,
        None => command.env(NO_CLUSTER, "1"),
    }
}

/// At the root, cargo takes the whole workspace unless a package is named: unit, integration and
/// documentation tests. One failure does not hide another.
fn workspace<'a>(shell: &'a Shell, arguments: &[String], chosen: &[String]) -> Cmd<'a> {
    let cargo = project::cargo();
    let command = complete(cmd!(shell, "{cargo} test --no-fail-fast {arguments...}"));
    if chosen.is_empty() { command } else { command.arg("--").args(chosen) }
}

/// Everything was just installed, and root may mount and make networks: no test has a reason to
/// pass unseen.
fn complete(command: Cmd<'_>) -> Cmd<'_> {
    if provision::is_root() { command.env(COMPLETE, "1") } else { command }
}

/// The integration tests of `pgsnap` on this server, with its clients first on the search path.
fn against<'a>(
    shell: &'a Shell,
    server: &Server,
    arguments: &[String],
    chosen: &[String],
) -> anyhow::Result<Cmd<'a>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let clients = server.clients().to_owned();
    let path = std::env::join_paths([clients].into_iter().chain(std::env::split_paths(&path)))?;
    let cargo = project::cargo();
    // The example is the same program whatever the server.
    let command = cmd!(
        shell,
        "{cargo} test --package pgsnap --test it {arguments...} -- --skip examples:: {chosen...}"
    );
    Ok(complete(command).env("PATH", path).env("PGSNAP_TEST_SERVER_BIN", server.programs()))
}

fn with_musl<'a>(command: Cmd<'a>, musl: Option<&Musl>) -> anyhow::Result<Cmd<'a>> {
    let Some(Musl { server, locales }) = musl else {
        return Ok(command);
    };
    let locales = std::env::join_paths([locales.as_path(), Path::new("/usr/lib/locale")])?;
    Ok(command.env("PGSNAP_TEST_MUSL_SERVER_BIN", server.programs()).env("LOCPATH", locales))
}

/// Returns the chosen tests, for the report.
fn chosen(arguments: &[String]) -> String {
    if arguments.is_empty() { String::new() } else { format!(" ({})", arguments.join(" ")) }
}

/// The file in which tests note that they were skipped.
struct Skips {
    file: NamedTempFile,
}

impl Skips {
    fn new() -> anyhow::Result<Self> {
        let file = NamedTempFile::new()?;
        Ok(Self { file })
    }

    fn collect<'a>(&self, command: Cmd<'a>) -> Cmd<'a> {
        command.env("HUBCTL_TEST_SKIPS", self.file.path())
    }

    /// The lines since the last time; those of a test that ran twice once.
    fn take(&self) -> anyhow::Result<BTreeSet<String>> {
        let text = fs_err::read_to_string(self.file.path())?;
        self.file.as_file().set_len(0)?;
        Ok(text.lines().map(ToOwned::to_owned).collect())
    }
}

/// The tests that ran, and those that did not, with the reason.
#[derive(Default)]
struct Report {
    lines: Vec<String>,
    failed: bool,
    incomplete: bool,
}

impl Report {
    fn ran(&mut self, what: String, outcome: Outcome, skips: &BTreeSet<String>) {
        self.failed |= outcome == Outcome::Failed;
        self.lines.push(match outcome {
            Outcome::Passed => format!("passed  {what}"),
            Outcome::Flaky(names) => format!("FLAKY   {what}: only alone: {}", names.join(", ")),
            Outcome::Failed => format!("FAILED  {what}"),
        });
        if !skips.is_empty() {
            self.lines.push(format!("        {} passed over:", skips.len()));
        }
        self.lines.extend(skips.iter().map(|line| format!("        {line}")));
    }

    fn did_not_run(&mut self, what: String, error: &anyhow::Error) {
        self.incomplete = true;
        self.lines.push(format!("NOT RUN {what}: {error:#}"));
    }

    /// On this machine; that is said, and is no fault.
    fn cannot_run(&mut self, what: String, error: &anyhow::Error) {
        self.skipped(format!("{what}: {error:#}"));
    }

    fn skipped(&mut self, what: String) {
        self.lines.push(format!("SKIPPED {what}"));
    }

    /// Notes something that has to be fetched or installed: root can do that, other users may not.
    fn is_absent(&mut self, what: String, error: &anyhow::Error) {
        let is_absent = error.is::<Unavailable>() || error.is::<provision::Missing>();
        if is_absent && !provision::is_root() {
            self.cannot_run(what, error);
        } else {
            self.did_not_run(what, error);
        }
    }

    /// 1 where a test failed, and 3 where all passed that could be run: that is no proof.
    fn code(&self) -> u8 {
        match (self.failed, self.incomplete) {
            (true, _) => 1,
            (false, true) => 3,
            (false, false) => 0,
        }
    }

    fn close(self) -> ExitCode {
        println!("\n== tests");
        for line in &self.lines {
            println!("{line}");
        }
        ExitCode::from(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_run_is_neither_passed_nor_failed() {
        let mut report = Report::default();
        let none = BTreeSet::new();
        report.ran("PostgreSQL 15".into(), Outcome::Passed, &none);
        let flaky = Outcome::Flaky(vec!["a".into()]);
        report.ran("PostgreSQL 14".into(), flaky, &none);
        assert_eq!(report.code(), 0);
        assert_eq!(report.lines[1], "FLAKY   PostgreSQL 14: only alone: a");
        report.did_not_run("PostgreSQL 16".into(), &anyhow::anyhow!("no network"));
        assert_eq!(report.code(), 3);
        assert_eq!(report.lines[2], "NOT RUN PostgreSQL 16: no network");
        report.ran("PostgreSQL 17".into(), Outcome::Failed, &none);
        assert_eq!(report.code(), 1);
    }

    #[test]
    fn what_tests_passed_over_is_told_once() {
        let skips = Skips::new().unwrap();
        fs_err::write(skips.file.path(), "SKIPPED: b\nSKIPPED: a\nSKIPPED: b\n").unwrap();
        let mut report = Report::default();
        let what = skips.take().unwrap();
        report.ran("PostgreSQL 15".into(), Outcome::Passed, &what);
        let told = ["2 passed over:", "SKIPPED: a", "SKIPPED: b"];
        let lines: Vec<_> = report.lines[1..].iter().map(|line| line.trim()).collect();
        assert_eq!(lines, told);
        assert!(skips.take().unwrap().is_empty(), "told twice");
    }

    #[test]
    fn arguments_alone_are_for_the_installed_server() {
        let args = |pg: &[&str], arguments: &[&str]| Args {
            pg: pg.iter().map(|name| servers::bundle(name).unwrap()).collect(),
            rerun: false,
            arguments: arguments.iter().map(ToString::to_string).collect(),
        };
        assert!(versions(&args(&[], &["some_test"])).is_empty());
        assert!(versions(&args(&[], &[])).len() >= 4);
        assert_eq!(versions(&args(&["18"], &["some_test"]))[0].major, 18);
    }
}
