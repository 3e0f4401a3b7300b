//! `hubctl demo`.

mod cutover;
mod forward;
mod stage;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use self::stage::{Stage, Step};
use crate::cli::values;
use crate::context::Context;
use crate::demo::{Scene, Writer};
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::human;
use crate::ops::{
    self, BackupOrder, BackupsOrder, CompareOrder, DoctorOrder, DrillOrder, Report, RestoreOrder,
    VerifyOrder,
};

/// Show backups, a drill, a restore and a move on throw-away servers
///
/// Starts two PostgreSQL servers on this machine as the sites `workstation` and `cluster`, fills
/// one with the database of a sample service that keeps writing, and runs the commands of a
/// migration on them. Leaves a directory with hubctl.toml, keys, vault and journal to try more.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hubctl demo\n  hubctl demo --keep --scale 0.1\n  hubctl demo --tunnel"
)]
pub(crate) struct DemoArgs {
    /// Directory to leave the configuration, keys and backups in
    #[arg(long, value_name = "DIR", default_value = "demo")]
    dir: PathBuf,
    /// Keep the servers up until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Show a forward instead, and how it survives the death of its server
    #[arg(long, conflicts_with_all = ["dir", "keep", "scale"])]
    tunnel: bool,
    /// Size of the sample database; 1 is about 100 MB
    #[arg(long, value_name = "N", default_value_t = 1.0, allow_negative_numbers = true, value_parser = values::scale)]
    scale: f64,
}

/// The demo and how each of its steps went.
#[derive(Debug, Serialize)]
struct DemoReport {
    passed: bool,
    directory: String,
    steps: Vec<Step>,
    seconds: f64,
}

impl Report for DemoReport {
    const SCHEMA: &'static str = "hubctl.demo.v1";
}

pub(crate) async fn run(context: &Context, args: DemoArgs) -> anyhow::Result<Exit> {
    if args.tunnel {
        return forward::run(context).await;
    }
    let begun = Instant::now();
    let printer = &context.printer;
    printer.say("Starting two servers, and loading a service's database into the first …");
    let scene = Scene::set(&args.dir, args.scale).await?;
    let steps = play(context, &scene).await?;
    let report = DemoReport {
        passed: steps.iter().all(Step::passed),
        directory: args.dir.display().to_string(),
        seconds: begun.elapsed().as_secs_f64(),
        steps,
    };
    finish(context, &scene, &args, &report).await
}

/// The steps of a migration.
async fn play(context: &Context, scene: &Scene) -> anyhow::Result<Vec<Step>> {
    let printer = &context.printer;
    let mut stage = Stage::new(context, &scene.config)?;
    let ops = &stage.ops();
    let writer = Writer::start(scene.source());
    let doctor = async { Ok(ops::doctor(ops, DoctorOrder::default()).await) };
    stage.step("doctor", Exit::Yes, doctor).await;
    printer.say(
        "\nAgents keep writing while the backup is taken; it is of one point in time all the same.",
    );
    stage.step("backup workstation", Exit::Yes, ops::backup(ops, workstation())).await;
    let full = VerifyOrder { full: true, ..VerifyOrder::default() };
    stage.step("verify --full", Exit::Yes, ops::verify(ops, full)).await;
    printer.say("\nA backup is worth what its restore is worth:");
    stage.step("drill", Exit::Yes, ops::drill(ops, DrillOrder::default())).await;

    let ticks = human::number(writer.stop().await);
    printer
        .say(format_args!("\nThe writer stops after {ticks} transactions; now the service moves."));
    stage.step("backup workstation", Exit::Yes, ops::backup(ops, workstation())).await;
    let backups = async { ops::backups(ops, BackupsOrder::default()) };
    stage.step("backups", Exit::Yes, backups).await;
    let plan = ops::plan_restore(ops, RestoreOrder::to("cluster"));
    stage.step("restore --to cluster", Exit::Yes, plan).await;
    let restore = ops::restore(ops, RestoreOrder::to("cluster"));
    stage.step("restore --to cluster --execute", Exit::Yes, restore).await;
    stage.step("diff workstation cluster", Exit::Yes, ops::compare(ops, both(None))).await;

    let change = Scene::CHANGE;
    printer.say(format_args!("\nSomebody changes one row on the cluster:\n  {change}"));
    scene.change().await?;
    let rows = ops::compare(ops, both(Some(5)));
    stage.step("diff workstation cluster --rows 5", Exit::No, rows).await;
    cutover::play(&mut stage, printer, scene).await?;
    stage.step("journal verify", Exit::Yes, ops::verify_journal(ops, None)).await;
    Ok(stage.end())
}

fn workstation() -> BackupOrder {
    BackupOrder { source: Some("workstation".to_owned()), ..BackupOrder::default() }
}

fn both(rows: Option<u32>) -> CompareOrder {
    let (a, b) = ("workstation".to_owned(), "cluster".to_owned());
    CompareOrder { a, b, rows, ..CompareOrder::default() }
}

async fn finish(
    context: &Context,
    scene: &Scene,
    args: &DemoArgs,
    report: &DemoReport,
) -> anyhow::Result<Exit> {
    let printer = &context.printer;
    let config = scene.config.display();
    printer.say(format_args!(
        "\nThat took {}. To try next:",
        human::duration(Duration::from_secs_f64(report.seconds))
    ));
    printer.say(format_args!("  hubctl --config {config} journal"));
    printer.say(format_args!(
        "  hubctl --config {config} drill            needs none of the servers above"
    ));
    printer.say(format_args!(
        "  age -d -i {} {} | gunzip | less",
        scene.key.display(),
        scene.latest().display()
    ));
    printer.report(report, |_| String::new())?;
    if !report.passed {
        return Err(Refusal::no("a step of the demo did not behave")
            .hint("see the warnings above")
            .into());
    }
    if args.keep {
        printer.say(format_args!("\nThe servers stay up until Ctrl-C; in another terminal:\n  hubctl --config {config} diff workstation cluster --rows 5"));
        context.hold.wait().await;
    } else {
        printer.say("  hubctl demo --keep                        keeps the servers up to play with both sites");
    }
    Ok(Exit::Yes)
}
