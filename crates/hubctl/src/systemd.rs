//! Units of the user's systemd.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::environment as env;
use crate::failure::Refusal;

/// Returns the directory of the user's units.
pub(crate) fn directory() -> anyhow::Result<PathBuf> {
    let home = env::config_home()
        .ok_or_else(|| Refusal::usage("there is no home directory to keep units in"))?;
    Ok(home.join("systemd").join("user"))
}

/// A run of this program with a configuration, as a unit writes it.
pub(crate) fn command<'a>(
    program: &Path,
    config: &Path,
    arguments: impl IntoIterator<Item = &'a str>,
) -> String {
    let (program, config) = (program.to_string_lossy(), config.to_string_lossy());
    let mut words = [&*program, "--config", &*config, "--no-progress"].map(quoted).to_vec();
    words.extend(arguments.into_iter().map(quoted));
    words.join(" ")
}

/// systemd.service(5): double quotes with backslashes; `%` and `$` mean something.
pub(crate) fn quoted(word: &str) -> String {
    let escaped =
        word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let is_plain = escaped.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:@+=".contains(c));
    if is_plain { escaped } else { format!("\"{escaped}\"") }
}

/// No unit is longer.
const LONGEST: u64 = 1 << 20;

/// A unit's file, and what it says.
pub(crate) struct File<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

/// Writes units, and enables and starts those that are named. Where that fails, the files are as
/// they were before.
pub(crate) fn install(units: &[File<'_>], enabled: &[&str]) -> anyhow::Result<()> {
    // Without a bus nothing can be started, so nothing is written.
    systemctl(&["show", "--property=Version"])?;
    let directory = directory()?;
    fs_err::create_dir_all(&directory)?;
    let mut before = Vec::new();
    let started = units
        .iter()
        .try_for_each(|unit| {
            let path = directory.join(unit.name);
            let old = regularfile::read(&path, LONGEST).ok();
            before.push((path.clone(), old));
            anyhow::Ok(regularfile::replace(&path, unit.text)?)
        })
        .and_then(|()| systemctl(&["daemon-reload"]))
        .and_then(|()| systemctl(&[&["enable", "--now"], enabled].concat()));
    if started.is_err() {
        // What was there before goes on as it was; the error says what is wrong.
        let is_new = before.iter().all(|(_, old)| old.is_none());
        if is_new {
            let _ = systemctl(&[&["disable", "--now"], enabled].concat());
        }
        for (path, old) in before {
            let _ = match old {
                Some(text) => regularfile::replace(&path, text),
                None => fs_err::remove_file(&path),
            };
        }
        let _ = systemctl(&["daemon-reload"]);
    }
    started
}

/// Tells the user's systemd something.
pub(crate) fn systemctl(arguments: &[&str]) -> anyhow::Result<()> {
    let refused = |reason: String| {
        Refusal::could_not_ask(format!("systemctl --user {}: {reason}", arguments.join(" ")))
            .hint("without a systemd of the user, `hubctl tunnel up` keeps tunnels until the next start of the machine, and `hubctl schedule show --cron` prints lines for cron")
    };
    let output = Command::new("systemctl")
        .arg("--user")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| refused(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(refused(if said.is_empty() { output.status.to_string() } else { said }).into())
}

/// Returns true if the user's systemd runs without a session; where that cannot be told, nothing is
/// said of it.
pub(crate) fn lingers() -> bool {
    let output =
        Command::new("loginctl").args(["show-user", "--property=Linger", "--value"]).output();
    output.map_or(true, |output| {
        !String::from_utf8_lossy(&output.stdout).trim().eq_ignore_ascii_case("no")
    })
}
