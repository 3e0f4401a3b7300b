//! `hubctl tunnel install` and `uninstall`: a unit of the user's systemd.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use super::place::Place;
use super::{Names, chosen};
use crate::context::Context;
use crate::environment as env;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::settings::Settings;

#[derive(Serialize)]
struct Installed {
    unit: String,
    path: String,
    enabled: bool,
}

pub(super) fn install(
    context: &Context,
    settings: &Settings,
    place: &Place,
    names: &Names,
) -> anyhow::Result<Exit> {
    let tunnels = chosen(settings, names)?;
    let (name, path) = unit(place)?;
    if let Some(directory) = path.parent() {
        fs_err::create_dir_all(directory)?;
    }
    fs_err::write(
        &path,
        text(&std::env::current_exe()?, &place.config, &names.names),
    )?;
    let keyless = tunnels
        .iter()
        .filter(|(_, tunnel)| tunnel.identity_file.is_none() && tunnel.identity_agent.is_none());
    for (tunnel, _) in keyless {
        context.printer.warn(format_args!(
            "{tunnel} names neither `identity_file` nor `identity_agent`: a unit does not inherit the agent of your session"
        ));
    }
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", "--now", &name])?;
    if !lingers() {
        context
            .printer
            .warn("the unit ends when you log out; `loginctl enable-linger` keeps it");
    }
    answer(context, name, &path, true)
}

pub(super) fn uninstall(context: &Context, place: &Place) -> anyhow::Result<Exit> {
    let (name, path) = unit(place)?;
    if path.exists() {
        systemctl(&["disable", "--now", &name])?;
        fs_err::remove_file(&path)?;
        systemctl(&["daemon-reload"])?;
    }
    answer(context, name, &path, false)
}

fn answer(context: &Context, unit: String, path: &Path, enabled: bool) -> anyhow::Result<Exit> {
    let path = path.display().to_string();
    let installed = Installed {
        unit,
        path,
        enabled,
    };
    context
        .printer
        .result("hubctl.tunnel-unit.v1", &installed, || {
            let done = if enabled {
                "runs, and begins with your session"
            } else {
                "is not installed"
            };
            format!("{} {done}", installed.unit)
        })?;
    Ok(Exit::Yes)
}

/// One unit for each configuration.
fn unit(place: &Place) -> anyhow::Result<(String, PathBuf)> {
    let id = place
        .runtime
        .file_name()
        .expect("the place ends with its id")
        .to_string_lossy();
    let name = format!("hubctl-tunnels-{id}.service");
    let home = env::config_home()
        .ok_or_else(|| Refusal::usage("there is no home directory to keep units in"))?;
    let path = home.join("systemd").join("user").join(&name);
    Ok((name, path))
}

/// systemd gives up after five starts in ten seconds, unless it is told not to.
fn text(program: &Path, config: &Path, names: &[String]) -> String {
    let command: Vec<String> = [
        program.to_string_lossy(),
        "--config".into(),
        config.to_string_lossy(),
    ]
    .iter()
    .map(AsRef::as_ref)
    .chain(["--no-progress", "tunnel", "run"])
    .chain(names.iter().map(String::as_str))
    .map(quoted)
    .collect();
    format!(
        "# Written by `hubctl tunnel install`; `hubctl tunnel uninstall` removes it.\n\
         [Unit]\nDescription=SSH tunnels of {}\nStartLimitIntervalSec=0\n\n\
         [Service]\nType=notify\nExecStart={}\nRestart=always\nRestartSec=1\nKillMode=mixed\n\n\
         [Install]\nWantedBy=default.target\n",
        config.display().to_string().replace('%', "%%"),
        command.join(" ")
    )
}

/// systemd.service(5): double quotes with backslashes; `%` and `$` mean something.
fn quoted(word: &str) -> String {
    let escaped = word
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
        .replace('$', "$$");
    let is_plain = escaped
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_./:@+=".contains(c));
    if is_plain {
        escaped
    } else {
        format!("\"{escaped}\"")
    }
}

fn systemctl(arguments: &[&str]) -> anyhow::Result<()> {
    let refused = |reason: String| {
        Refusal::could_not_ask(format!("systemctl --user {}: {reason}", arguments.join(" ")))
            .hint("without a systemd of the user, `hubctl tunnel up` keeps tunnels until the next start of the machine")
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
    Err(refused(if said.is_empty() {
        output.status.to_string()
    } else {
        said
    })
    .into())
}

/// Whether the user's systemd runs without a session; where that cannot be told, nothing is said of it.
fn lingers() -> bool {
    let output = Command::new("loginctl")
        .args(["show-user", "--property=Linger", "--value"])
        .output();
    output.map_or(true, |output| {
        !String::from_utf8_lossy(&output.stdout)
            .trim()
            .eq_ignore_ascii_case("no")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_says_what_to_run() {
        let text = text(
            Path::new("/opt/a b/hubctl"),
            Path::new("/etc/hub%ctl.toml"),
            &["hub".to_owned()],
        );
        insta::assert_snapshot!(text, @r#"
        # Written by `hubctl tunnel install`; `hubctl tunnel uninstall` removes it.
        [Unit]
        Description=SSH tunnels of /etc/hub%%ctl.toml
        StartLimitIntervalSec=0

        [Service]
        Type=notify
        ExecStart="/opt/a b/hubctl" --config "/etc/hub%%ctl.toml" --no-progress tunnel run hub
        Restart=always
        RestartSec=1
        KillMode=mixed

        [Install]
        WantedBy=default.target
        "#);
    }
}
