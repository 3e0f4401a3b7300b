//! The arguments of the program. What they mean is decided by `settings` and the commands.

pub(crate) mod options;
pub(crate) mod values;

use std::path::PathBuf;

use clap::{Args, ColorChoice, Parser, Subcommand};

use crate::commands::{
    alert, approve, backup, backups, clean, completions, config, copy, cutover, demo, diff, doctor,
    drill, freeze, fresh, gates, import, init, journal, keys, man, migrate, prune, pull, push,
    quiet, rekey, restore, rollback, schedule, site, status, thaw, tunnel, verify, writers,
};
use crate::environment as env;
use crate::printer::Format;

/// Back up, restore and compare PostgreSQL databases, with proof
///
/// hubctl takes encrypted backups of live PostgreSQL databases, proves that they restore, and
/// compares databases and backups row by row. A backup is a plain `NAME.sql.gz.age`:
/// `age -d | gunzip | psql` restores it without hubctl.
#[derive(Debug, Parser)]
#[command(name = "hubctl", version, max_term_width = 100, after_help = AFTER, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER: &str = "\
Exit codes:
  0    yes, or done
  1    the answer is no: differs, damaged, drill failed, obstacles
  2    usage or configuration
  3    could not ask: connection, tool, disk, lock
  4    an approval is missing, expired or void
  130  interrupted; nothing unfinished is in place

Examples:
  hubctl init                  write a commented hubctl.toml
  hubctl backup                back up the only configured site
  hubctl drill                 restore the latest backup into a scratch server and check it
  hubctl diff workstation latest
  hubctl tunnel up             keep the configured SSH forwards up";

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalOptions {
    /// Read this configuration [default: ./hubctl.toml, else ~/.config/hubctl/hubctl.toml]
    #[arg(long, value_name = "FILE", global = true, env = env::CONFIG, hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Print results for people or as one JSON document
    #[arg(long, value_name = "FORMAT", global = true, value_enum, default_value = "text", env = env::FORMAT, hide_env_values = true)]
    pub(crate) format: Format,
    /// Print only warnings and errors on stderr
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Log to stderr; repeat for more detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,
    /// Use colours
    #[arg(long, value_name = "WHEN", global = true, value_enum, default_value = "auto")]
    pub(crate) color: ColorChoice,
    /// Hide progress
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::InitArgs),
    Doctor(doctor::DoctorArgs),
    Config(config::ConfigArgs),
    Backup(backup::BackupArgs),
    Backups(backups::BackupsArgs),
    Fresh(fresh::FreshArgs),
    Gates(gates::GatesArgs),
    Approve(approve::ApproveArgs),
    Prune(prune::PruneArgs),
    Verify(verify::VerifyArgs),
    Restore(restore::RestoreArgs),
    Copy(copy::CopyArgs),
    Site(site::SiteArgs),
    Status(status::StatusArgs),
    Migrate(migrate::MigrateArgs),
    Writers(writers::WritersArgs),
    Freeze(freeze::FreezeArgs),
    Quiet(quiet::QuietArgs),
    Thaw(thaw::ThawArgs),
    Cutover(cutover::CutoverArgs),
    Rollback(rollback::RollbackArgs),
    Clean(clean::CleanArgs),
    Drill(drill::DrillArgs),
    Diff(diff::DiffArgs),
    Schedule(schedule::ScheduleArgs),
    Alert(alert::AlertArgs),
    Tunnel(tunnel::TunnelArgs),
    Keys(keys::KeysArgs),
    Push(push::PushArgs),
    Pull(pull::PullArgs),
    Rekey(rekey::RekeyArgs),
    Import(import::ImportArgs),
    Journal(journal::JournalArgs),
    Demo(demo::DemoArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, Command as Clap, CommandFactory as _};

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    /// Each option that takes a value, after the words of its command.
    fn options(command: &Clap, words: &[String], found: &mut Vec<(Vec<String>, Arg)>) {
        for arg in command.get_arguments() {
            if arg.get_long().is_some() && arg.get_action().takes_values() {
                found.push((words.to_vec(), arg.clone()));
            }
        }
        for below in command.get_subcommands() {
            options(below, &[words, &[below.get_name().to_owned()]].concat(), found);
        }
    }

    #[test]
    fn a_wrong_value_of_an_option_is_explained_without_the_language_of_the_program() {
        const JARGON: [&str; 9] = [
            "digit found",
            "invalid type",
            "u16",
            "u32",
            "u64",
            "usize",
            "number at",
            "parse",
            "i64",
        ];
        let mut command = Cli::command();
        command.build();
        let mut found = Vec::new();
        options(&command, &["hubctl".to_owned()], &mut found);
        assert!(found.len() > 80);
        let mut refused = std::collections::BTreeSet::new();
        for (words, arg) in &found {
            let option = format!("--{}", arg.get_long().unwrap());
            for value in ["x", "-1", "0", "1.5", "", "99999999999999999999", "5 lightyears"] {
                let typed = words.iter().cloned().chain([option.clone(), value.to_owned()]);
                let Err(error) = Cli::try_parse_from(typed) else {
                    continue;
                };
                let said = error.to_string();
                assert!(!JARGON.iter().any(|word| said.contains(word)), "{said}");
                if said.contains("invalid value") {
                    assert!(
                        said.contains("such as")
                            || said.contains("possible values")
                            || said.contains("OLD=NEW"),
                        "{said}"
                    );
                    refused.insert(option.clone());
                }
            }
        }
        let refused: Vec<String> = refused.into_iter().collect();
        insta::assert_snapshot!(refused.join(" "), @"--abandon-epoch --color --every --for --format --jobs --limit --max-age --mode --older-than --role-map --rows --scale --wait");
    }
}
