//! Completions that know the configuration: the shell asks this program what may follow.
//!
//! Whatever goes wrong, nothing is completed and nothing is said: somebody is typing.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;

use crate::cli::Cli;
use crate::environment as env;
use crate::settings::{Overrides, Settings};
use crate::store;

/// Answers a shell that asks for completions; whether one did.
pub(crate) fn answered(arguments: &[OsString]) -> bool {
    if env::get(env::COMPLETE).is_none() {
        return false;
    }
    let here = std::env::current_dir().ok();
    CompleteEnv::with_factory(command)
        .var(env::COMPLETE)
        .try_complete(arguments.iter().cloned(), here.as_deref())
        .unwrap_or(true)
}

/// The script that makes a shell ask.
pub(crate) fn script(shell: &str, program: &Path) -> Option<String> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let completer = shells.completer(shell)?;
    let program = program.to_string_lossy();
    completer.write_registration(env::COMPLETE, NAME, NAME, &program, &mut script).ok()?;
    if shell == "bash" {
        script.extend_from_slice(BASH.as_bytes());
    }
    String::from_utf8(script).ok()
}

const NAME: &str = "hubctl";

/// Readline ends a word at a colon and at an equals sign: `TARGET:BACKUP` and `--to=SITE` are three
/// words to bash. They are joined for the question, and of the answers only what follows the last
/// of these characters is put in.
const BASH: &str = r#"
_hubctl() {
    local -a words=()
    local index current=0 breaks=''
    [[ $COMP_WORDBREAKS == *:* ]] && breaks+=':'
    [[ $COMP_WORDBREAKS == *=* ]] && breaks+='='
    for ((index = 0; index < ${#COMP_WORDS[@]}; index++)); do
        local word=${COMP_WORDS[index]} last=''
        ((${#words[@]} > 1)) && last=${words[${#words[@]} - 1]}
        if [[ -n $last && -n $breaks && ($word == [$breaks]* || $last == *[$breaks]) ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        ((index == COMP_CWORD)) && current=$((${#words[@]} - 1))
    done
    local -a COMP_WORDS=("${words[@]}")
    local COMP_CWORD=$current word=${words[current]}
    _clap_complete_hubctl hubctl "$word" "${words[current - 1]}"
    if [[ -n $breaks && $word == *[$breaks]* ]]; then
        local prefix=${word%"${word##*[$breaks]}"}
        for index in "${!COMPREPLY[@]}"; do
            COMPREPLY[index]=${COMPREPLY[index]#"$prefix"}
        done
    fi
}
if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -o nospace -o bashdefault -o nosort -F _hubctl hubctl
else
    complete -o nospace -o bashdefault -F _hubctl hubctl
fi
"#;

/// The arguments of the program, each with what may stand there.
fn command() -> Command {
    completed(Cli::command(), "")
}

/// Completes values by the names of their options, as in `--help`.
fn completed(command: Command, name: &str) -> Command {
    let command = command.mut_args(|arg| match values(&arg, name) {
        Some(values) => {
            arg.add(ArgValueCompleter::new(move |typed: &OsStr| candidates(values, typed)))
        }
        None => arg,
    });
    let below: Vec<String> =
        command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    below.into_iter().fold(command, |command, child| {
        // The subcommands of `gates` and `tunnel` name what those do.
        let name = if name.is_empty() { child.clone() } else { name.to_owned() };
        command.mut_subcommand(child, |below| completed(below, &name))
    })
}

/// Finds values in a configuration.
type Values = fn(&Settings) -> Vec<String>;

fn values(arg: &Arg, command: &str) -> Option<Values> {
    let id = arg.get_id().as_str().to_uppercase();
    let name = arg.get_value_names().and_then(|names| names.first());
    let name = name.map_or(id.as_str(), |name| name.as_str());
    Some(match (command, name) {
        (_, "SITE|URL" | "SITE") => sites,
        (_, "ENTRY" | "BACKUP") => backups,
        ("diff", "A" | "B") | (_, "BACKUP|SITE") => sides,
        (_, "TARGET") => |settings| settings.targets.keys().cloned().collect(),
        ("tunnel", "NAME") => |settings| settings.tunnels.keys().cloned().collect(),
        ("gates", "NAME") | ("approve", "GATE") => {
            |settings| settings.gates.iter().map(|(name, _)| name.to_owned()).collect()
        }
        _ => return None,
    })
}

fn sites(settings: &Settings) -> Vec<String> {
    settings.sites.keys().cloned().collect()
}

fn sides(settings: &Settings) -> Vec<String> {
    [sites(settings), backups(settings)].concat()
}

/// `latest`, the ids in the vault from the newest on, and the latest at each target.
fn backups(settings: &Settings) -> Vec<String> {
    let mut names = vec![store::LATEST.to_owned()];
    names.extend(store::ids(settings));
    let there = settings.targets.keys();
    names.extend(there.map(|name| format!("{name}:{}", store::LATEST)));
    names
}

fn candidates(values: Values, typed: &OsStr) -> Vec<CompletionCandidate> {
    let (Some(typed), Some(settings)) = (typed.to_str(), settings()) else {
        return Vec::new();
    };
    let fitting = values(&settings).into_iter().filter(|value| value.starts_with(typed));
    let ordered = fitting.enumerate();
    ordered
        .map(|(order, value)| CompletionCandidate::new(value).display_order(Some(order)))
        .collect()
}

/// The configuration that the command on the line would read.
fn settings() -> Option<Settings> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let flag = words.windows(2).rev().find(|pair| pair[0] == "--config");
    let joined = words.iter().rev().find_map(|word| word.to_str()?.strip_prefix("--config="));
    let named = flag
        .map(|pair| pair[1].clone())
        .or_else(|| joined.map(OsString::from))
        .or_else(|| env::get(env::CONFIG).map(OsString::from));
    // The shell hands the word over as it was typed.
    let named = named.map(|named| env::expanded(Path::new(&named)));
    Settings::load(named.as_deref(), Overrides::default()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arguments that are completed from the configuration, as `command argument`.
    fn known(command: &Command, path: &str, name: &str, found: &mut Vec<String>) {
        for arg in command.get_arguments() {
            if values(arg, name).is_some() {
                found.push(format!("{path}{}", arg.get_id()));
            }
        }
        for below in command.get_subcommands() {
            let path = format!("{path}{} ", below.get_name());
            let name = if name.is_empty() { below.get_name() } else { name };
            known(below, &path, name, found);
        }
    }

    #[test]
    fn sites_backups_targets_gates_and_tunnels_are_completed_wherever_they_are_named() {
        let mut found = Vec::new();
        known(&Cli::command(), "", "", &mut found);
        insta::assert_snapshot!(found.join("\n"), @r"
        doctor sites
        backup source
        backups target
        gates names
        gates evaluate names
        approve gate
        prune target
        verify entry
        restore entry
        restore to
        copy from
        copy to
        site show site
        site check site
        site pin site
        writers site
        freeze site
        quiet site
        quiet against
        thaw site
        cutover from
        cutover to
        clean site
        drill entry
        drill server
        diff a
        diff b
        tunnel up names
        tunnel run names
        tunnel down names
        tunnel restart names
        tunnel status names
        tunnel check names
        tunnel trust name
        tunnel install names
        tunnel logs names
        push targets
        pull target
        pull backups
        rekey entry
        ");
    }

    #[test]
    fn every_shell_has_a_script() {
        use clap::ValueEnum as _;
        for shell in clap_complete::Shell::value_variants() {
            let script = script(&shell.to_string(), Path::new("/opt/a b/hubctl")).unwrap();
            assert!(script.contains(env::COMPLETE), "{script}");
        }
        command().debug_assert();
    }
}
