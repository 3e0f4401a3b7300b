//! `hubctl demo`.

mod forward;
mod scene;

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Parser as _};
use serde::Serialize;

use crate::cli::Cli;
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::human;
use crate::printer::Format;
use crate::run::report;
use scene::{Scene, Writer};

/// Show a backup, a drill, a restore and a diff on throw-away servers
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

#[derive(Debug, Serialize)]
struct Shown {
    passed: bool,
    directory: String,
    steps: Vec<Step>,
    seconds: f64,
}

/// One command and how it went.
#[derive(Debug, Serialize)]
struct Step {
    command: String,
    expected_exit_code: u8,
    exit_code: u8,
    seconds: f64,
}

/// Runs commands as the user would type them.
struct Stage<'a> {
    context: &'a Context,
    config: String,
    steps: Vec<Step>,
}

pub(crate) async fn run(context: &Context, args: DemoArgs) -> anyhow::Result<Exit> {
    if args.tunnel {
        return forward::run(context).await;
    }
    let begun = Instant::now();
    let printer = &context.printer;
    printer.say("Starting two servers, and loading a service's database into the first …");
    let scene = Scene::set(&args.dir, args.scale).await?;
    let mut stage =
        Stage { context, config: scene.config.display().to_string(), steps: Vec::new() };
    let writer = Writer::start(scene.source());

    stage.run("doctor", Exit::Yes).await;
    printer.say(
        "\nAgents keep writing while the backup is taken; it is of one point in time all the same.",
    );
    stage.run("backup workstation", Exit::Yes).await;
    stage.run("verify --full", Exit::Yes).await;
    printer.say("\nA backup is worth what its restore is worth:");
    stage.run("drill", Exit::Yes).await;

    let ticks = writer.stop().await;
    printer.say(format_args!(
        "\nThe writer stops after {} transactions; now the service moves.",
        human::number(ticks)
    ));
    stage.run("backup workstation", Exit::Yes).await;
    stage.run("backups", Exit::Yes).await;
    stage.run("restore --to cluster", Exit::Yes).await;
    stage.run("restore --to cluster --execute", Exit::Yes).await;
    stage.run("diff workstation cluster", Exit::Yes).await;

    let change = scene::CHANGE;
    printer.say(format_args!("\nSomebody changes one row on the cluster:\n  {change}"));
    pgsnap::execute(&scene.target(), change).await?;
    stage.run("diff workstation cluster --rows 5", Exit::No).await;
    stage.run("journal verify", Exit::Yes).await;

    let passed = stage.steps.iter().all(|step| step.exit_code == step.expected_exit_code);
    let directory = args.dir.display().to_string();
    let shown =
        Shown { passed, directory, seconds: begun.elapsed().as_secs_f64(), steps: stage.steps };
    finish(context, &scene, &args, &shown).await
}

impl Stage<'_> {
    async fn run(&mut self, command: &str, expected: Exit) {
        let line = format!("hubctl --config {} {command}", self.config);
        self.context.printer.say(format_args!("\n$ {line}"));
        let begun = Instant::now();
        let exit = self.execute(command).await;
        let (code, wanted) = (exit.code(), expected.code());
        if exit != expected {
            self.context.printer.warn(format_args!("this exited with {code} instead of {wanted}"));
        } else if exit != Exit::Yes {
            self.context.printer.say(format_args!("(exit code {code})"));
        }
        self.steps.push(Step {
            command: line,
            expected_exit_code: wanted,
            exit_code: code,
            seconds: begun.elapsed().as_secs_f64(),
        });
    }

    async fn execute(&self, command: &str) -> Exit {
        let words = ["hubctl", "--config", &self.config].into_iter().chain(command.split(' '));
        let cli = Cli::try_parse_from(words).expect("the demo's commands are constants");
        // Readers of JSON are promised one document, and that is the demo's own.
        let printer = match self.context.printer.format() {
            Format::Text => self.context.printer.clone(),
            Format::Json => self.context.printer.muted(),
        };
        let context =
            Context { printer, config: cli.global.config.clone(), ..self.context.clone() };
        match super::run(&context, cli.command).await {
            Ok(exit) => exit,
            Err(error) => report(&context.printer, &error),
        }
    }
}

async fn finish(
    context: &Context,
    scene: &Scene,
    args: &DemoArgs,
    shown: &Shown,
) -> anyhow::Result<Exit> {
    let printer = &context.printer;
    let config = scene.config.display();
    printer.say(format_args!(
        "\nThat took {}. To try next:",
        human::duration(std::time::Duration::from_secs_f64(shown.seconds))
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
    printer.result("hubctl.demo.v1", shown, String::new)?;
    if !shown.passed {
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
