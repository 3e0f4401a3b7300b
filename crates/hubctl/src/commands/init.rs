//! `hubctl init`.

use std::path::PathBuf;

use clap::Args;

use crate::context::Context;
use crate::environment as env;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::ops::{self, InitOrder};

/// Write a commented hubctl.toml, and a key on request
///
/// Nothing that exists is overwritten.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl init
  hubctl init --service state-hub --database postgresql://hub@127.0.0.1:5432/state_hub \\
              --vault /opt/backup/state-hub --generate-key
  hubctl init --config /etc/hubctl/hubctl.toml")]
pub(crate) struct InitArgs {
    /// Name of the service
    #[arg(long, value_name = "NAME", default_value = "state-hub")]
    service: String,
    /// Connection URL of the first site, without a password
    #[arg(long, value_name = "URL", default_value = "postgresql://hub@127.0.0.1:5432/state_hub")]
    database: String,
    /// Directory of the backups; made with mode 0700 if this is given and it does not exist
    #[arg(long, value_name = "DIR")]
    vault: Option<PathBuf>,
    /// Also seal for this public key (can be repeated)
    #[arg(long = "recipient", value_name = "R")]
    recipients: Vec<String>,
    /// Generate an age key with mode 0600 and seal for it [default: ~/.config/hubctl/key.txt]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    generate_key: Option<Option<PathBuf>>,
}

pub(crate) fn run(context: &Context, args: InitArgs) -> anyhow::Result<Exit> {
    let order = InitOrder {
        config: context.config.clone().unwrap_or_else(|| PathBuf::from("hubctl.toml")),
        service: args.service,
        database: args.database,
        vault: args.vault,
        recipients: args.recipients,
        generate_key: args.generate_key.map(key_file).transpose()?,
    };
    let report = ops::init(order)?;
    let printer = &context.printer;
    if let Some(key) = &report.key {
        printer.say(format_args!(
            "the private key is in {key}; keep a copy elsewhere: without it no backup opens"
        ));
    }
    printer.say("edit the file, then run `hubctl doctor`");
    printer.report(&report, |report| report.config.clone())?;
    Ok(Exit::Yes)
}

/// The named file, or the usual one beside the user's configuration.
fn key_file(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path);
    }
    let home = env::config_home().ok_or_else(|| {
        Refusal::usage("there is no home directory to keep the key in")
            .hint("name a file: --generate-key FILE")
    })?;
    Ok(home.join("hubctl").join("key.txt"))
}
