//! `hubctl config`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::options::SealedOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Refusal};
use crate::printer::table;
use crate::settings::{self, Settings, ShownSettings};

/// Show and check the configuration
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl config show
  hubctl config show --config /etc/hubctl.toml --format json
  hubctl config check hubctl.toml
  hubctl config schema > hubctl.schema.json")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the merged configuration, and where each value comes from
    ///
    /// Flags win over HUBCTL_* variables, those over the file. Passwords are not looked up. Of a
    /// command only the program is shown, since its arguments may be secrets.
    Show(ShowArgs),
    /// Check a configuration file and name every problem
    ///
    /// Nothing but the file is read. Exit code 0 if it is valid, 2 if it is not.
    Check(CheckArgs),
    /// Print the JSON Schema of hubctl.toml, for editors
    ///
    /// Save it beside the configuration, and begin that with `#:schema ./hubctl.schema.json`.
    Schema,
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    sealed: SealedOptions,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// File to check [default: the configuration of the other commands]
    file: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Configuration {
    file: Option<String>,
    values: Vec<ShownSettings>,
}

#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    valid: bool,
    problems: Vec<Problem>,
}

#[derive(Debug, Serialize)]
struct Problem {
    message: String,
    hint: Option<String>,
}

pub(crate) fn run(context: &Context, args: ConfigArgs) -> anyhow::Result<Exit> {
    match args.command {
        ConfigCommand::Show(args) => show(context, &args),
        ConfigCommand::Check(args) => check(context, args.file),
        ConfigCommand::Schema => {
            let schema = serde_json::to_string_pretty(&settings::schema())?;
            context.printer.data(&format!("{schema}\n"))?;
            Ok(Exit::Yes)
        }
    }
}

fn show(context: &Context, args: &ShowArgs) -> anyhow::Result<Exit> {
    let settings = context.settings(args.sealed.overrides())?;
    let shown = Configuration {
        file: settings.file.as_ref().map(|path| path.display().to_string()),
        values: settings.shown(),
    };
    if shown.file.is_none() {
        context.printer.say("no configuration file was found");
    }
    context.printer.result("hubctl.config.v1", &shown, || {
        let rows = shown.values.iter();
        table(
            &["key", "value", "origin"],
            rows.map(|row| vec![row.key.clone(), row.value.clone(), row.origin.clone()]),
        )
    })?;
    Ok(Exit::Yes)
}

fn check(context: &Context, file: Option<PathBuf>) -> anyhow::Result<Exit> {
    let explicit = file.or_else(|| context.config.clone());
    let Some(path) = settings::located(explicit.as_deref()) else {
        return Err(Refusal::usage("no configuration file was found")
            .hint("name one: `hubctl config check FILE`")
            .into());
    };
    let checked = Checked::of(&path)?;
    context.printer.result("hubctl.config-check.v1", &checked, || {
        let problems = checked.problems.iter().map(|problem| format!("{}\n", problem.message));
        match checked.valid {
            true => format!("{} is valid\n", checked.file),
            false => problems.collect(),
        }
    })?;
    Ok(if checked.valid { Exit::Yes } else { Exit::Usage })
}

impl Checked {
    fn of(path: &Path) -> anyhow::Result<Self> {
        let problems: Vec<Problem> = Settings::problems(path)?
            .iter()
            .map(Failure::of)
            .map(|failure| Problem { message: failure.message, hint: failure.hint })
            .collect();
        let file = path.display().to_string();
        Ok(Self { file, valid: problems.is_empty(), problems })
    }
}
