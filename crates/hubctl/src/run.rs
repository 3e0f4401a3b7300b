//! From the arguments of the process to its exit code.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{ColorChoice, Parser as _};

use crate::cli::{Cli, Command, GlobalOptions};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Refusal, StdoutClosed};
use crate::interruption::Interruption;
use crate::printer::{Format, Loudness, Printer};
use crate::{act, commands, completing, environment, logging, site};

/// Temporary files, sessions and scratch servers of an interrupted command are gone within this
/// time, unless a thread waits for what never comes.
const ENDING: Duration = Duration::from_secs(1);

/// Runs the program: parses the arguments, runs the command, reports on stderr, and returns the
/// exit code.
///
/// SIGINT, SIGTERM and SIGHUP drop the running command, which removes whatever it had not finished.
/// The program ends within two seconds, whatever it waits for.
pub fn main(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    if completing::answered(&arguments) {
        return ExitCode::SUCCESS;
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return misunderstood(&error, &arguments).into(),
    };
    let printer = printer(&cli.global);
    if let Err(refusal) = refuse_secrets(&arguments) {
        return report(&printer, &refusal.into()).into();
    }
    logging::start(cli.global.verbose, &printer);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return report(
                &printer,
                &anyhow::Error::from(error).context("the runtime could not start"),
            )
            .into();
        }
    };
    let context = context(&cli.global, printer);
    let exit = runtime.block_on(until_a_signal(context, cli.command));
    if exit == Exit::Interrupted {
        // A thread that still reads a file must not keep an interrupted program alive, nor its act unrecorded.
        runtime.shutdown_timeout(ENDING);
        act::record_interrupted();
    } else {
        drop(runtime);
    }
    exit.into()
}

pub(crate) fn context(global: &GlobalOptions, printer: Printer) -> Context {
    let printer = printer.with_progress(global.no_progress || global.verbose > 0);
    Context {
        config: global.config.clone(),
        hold: Arc::default(),
        unfinished: Arc::default(),
        printer,
    }
}

fn printer(global: &GlobalOptions) -> Printer {
    match global.color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
    Printer::new(global.format, if global.quiet { Loudness::Quiet } else { Loudness::Normal })
}

async fn until_a_signal(context: Context, command: Command) -> Exit {
    let printer = context.printer.clone();
    let interruption = match Interruption::watch(&printer, &context.hold) {
        Ok(interruption) => interruption,
        Err(error) => {
            let error = anyhow::Error::from(error).context("the signals cannot be watched");
            return report(&printer, &error);
        }
    };
    let unfinished = Arc::clone(&context.unfinished);
    let outcome = tokio::select! {
        outcome = commands::run(&context, command) => Some(outcome),
        () = interruption.asked() => None,
    };
    // No half line stays behind, whoever still works.
    printer.close_bars();
    match outcome {
        Some(Ok(exit)) => exit,
        Some(Err(error)) => report(&printer, &error),
        None => {
            // Whoever is in a hurry sends a second signal.
            tokio::select! {
                () = unfinished.undo(&printer, &interruption) => {}
                () = interruption.hurried() => {}
            }
            interruption.report(&unfinished)
        }
    }
}

/// Shows the error and tells its exit code.
pub(crate) fn report(printer: &Printer, error: &anyhow::Error) -> Exit {
    if error.is::<StdoutClosed>() {
        return Exit::Yes;
    }
    let failure = Failure::of(error);
    printer.failure(&failure);
    failure.exit
}

/// Arguments that do not parse, or a question for help.
fn misunderstood(error: &clap::Error, arguments: &[OsString]) -> Exit {
    if !error.use_stderr() {
        // A closed stream is no reason to fail here.
        let _ = error.print();
        return Exit::Yes;
    }
    let arguments: Vec<String> = arguments.iter().map(|word| lossy(word)).collect();
    let words =
        arguments.iter().flat_map(|word| std::iter::once(word.as_str()).chain(value_in(word)));
    let text = error.render().to_string();
    let shown = words
        .filter(|word| is_secret(word))
        .fold(text.clone(), |text, secret| text.replace(secret, "…"));
    if shown == text {
        let _ = error.print();
    } else {
        Printer::new(Format::Text, Loudness::Quiet).talk(shown.trim_end());
    }
    if wants_json(&arguments) {
        let failure = Failure {
            message: fact(&shown),
            causes: Vec::new(),
            hint: Some("see `hubctl --help`".to_owned()),
            exit: Exit::Usage,
        };
        Printer::new(Format::Json, Loudness::Quiet).failure_document(&failure);
    }
    Exit::Usage
}

fn lossy(word: &OsStr) -> String {
    word.to_string_lossy().into_owned()
}

/// The value in `--option=value` and `-ovalue`.
fn value_in(word: &str) -> Option<&str> {
    if word.starts_with("--") {
        return word.split_once('=').map(|(_, value)| value);
    }
    let mut letters = word.strip_prefix('-')?.chars();
    letters.next()?;
    Some(letters.as_str())
}

/// A word that must not be repeated, although it was typed: what is repeated ends up in the logs of
/// a timer.
fn is_secret(word: &str) -> bool {
    is_private_key(word) || site::holds_password(word)
}

fn is_private_key(word: &str) -> bool {
    word.to_ascii_uppercase().contains("AGE-SECRET-KEY-")
}

/// Refuses secrets before anything is done with the words that hold them: whatever they were meant
/// as, they would be repeated in errors and logs, and everybody on the machine sees them already.
fn refuse_secrets(arguments: &[OsString]) -> Result<(), Refusal> {
    // A command may well name a password, and a recipient is judged where it is read.
    const EXEMPT: [&str; 2] = ["--password-command", "--recipient"];
    let mut before = "";
    let words: Vec<String> = arguments.iter().map(|word| lossy(word)).collect();
    for word in words.iter().skip(1) {
        let option = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
        let is_exempt = EXEMPT.contains(&before) || EXEMPT.contains(&option);
        before = word;
        if is_exempt || Path::new(word).exists() {
            continue;
        }
        if is_private_key(word) {
            return Err(Refusal::usage("a private key is on the command line")
                .hint("make a new key, since others could see this one, and name the file that holds it with --identity"));
        }
        site::refuse_password(word, "on the command line")?;
    }
    Ok(())
}

/// Returns clap's message before the usage, in one line.
fn fact(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let said = lines.take_while(|line| {
        !["Usage:", "For more information", "tip:"].iter().any(|end| line.starts_with(end))
    });
    let words: Vec<&str> = said.flat_map(str::split_whitespace).collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}

/// Returns true if `--format json` would have been set had the arguments parsed.
fn wants_json(arguments: &[String]) -> bool {
    let flag = arguments.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    let variable = environment::get(environment::FORMAT).is_some_and(|value| value == "json");
    flag || variable || arguments.iter().any(|word| word == "--format=json")
}
