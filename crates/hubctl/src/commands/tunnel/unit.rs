//! `hubctl tunnel install` and `uninstall`: a unit of the user's systemd.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::place::Place;
use super::{Names, chosen};
use crate::context::Context;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::systemd;

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
    let text = text(&std::env::current_exe()?, &place.config, &names.names);
    let keyless = tunnels
        .iter()
        .filter(|(_, tunnel)| tunnel.identity_file.is_none() && tunnel.identity_agent.is_none());
    for (tunnel, _) in keyless {
        context.printer.warn(format_args!(
            "{tunnel} names neither `identity_file` nor `identity_agent`: a unit does not inherit the agent of your session"
        ));
    }
    let file = systemd::File { name: &name, text: &text };
    systemd::install(&[file], &[&name])?;
    if !systemd::lingers() {
        context.printer.warn("the unit ends when you log out; `loginctl enable-linger` keeps it");
    }
    answer(context, name, &path, true)
}

pub(super) fn uninstall(context: &Context, place: &Place) -> anyhow::Result<Exit> {
    let (name, path) = unit(place)?;
    if path.exists() {
        systemd::systemctl(&["disable", "--now", &name])?;
        fs_err::remove_file(&path)?;
        systemd::systemctl(&["daemon-reload"])?;
    }
    answer(context, name, &path, false)
}

fn answer(context: &Context, unit: String, path: &Path, enabled: bool) -> anyhow::Result<Exit> {
    let path = path.display().to_string();
    let installed = Installed { unit, path, enabled };
    context.printer.result("hubctl.tunnel-unit.v1", &installed, || {
        let done = if enabled { "runs, and begins with your session" } else { "is not installed" };
        format!("{} {done}", installed.unit)
    })?;
    Ok(Exit::Yes)
}

/// One unit for each configuration.
fn unit(place: &Place) -> anyhow::Result<(String, PathBuf)> {
    let name = format!("hubctl-tunnels-{}.service", place.id());
    let path = systemd::directory()?.join(&name);
    Ok((name, path))
}

/// systemd gives up after five starts in ten seconds, unless it is told not to.
fn text(program: &Path, config: &Path, names: &[String]) -> String {
    let names = names.iter().map(String::as_str);
    let command = systemd::command(program, config, ["tunnel", "run"].into_iter().chain(names));
    format!(
        "# Written by `hubctl tunnel install`; `hubctl tunnel uninstall` removes it.\n\
         [Unit]\nDescription=SSH tunnels of {}\nStartLimitIntervalSec=0\n\n\
         [Service]\nType=notify\nExecStart={}\nRestart=always\nRestartSec=1\nKillMode=mixed\n\n\
         [Install]\nWantedBy=default.target\n",
        config.display().to_string().replace('%', "%%"),
        command
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_says_what_to_run() {
        let text =
            text(Path::new("/opt/a b/hubctl"), Path::new("/etc/hub%ctl.toml"), &["hub".to_owned()]);
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
