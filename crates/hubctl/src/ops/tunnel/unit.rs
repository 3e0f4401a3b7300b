//! A unit of the user's systemd that keeps tunnels.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::chosen;
use super::paths::SupervisorPaths;
use crate::ops::{Ops, Report};
use crate::systemd;

/// The unit that keeps the tunnels of a configuration.
#[derive(Debug, Clone, Serialize)]
pub struct TunnelUnitReport {
    /// The name of the unit.
    pub unit: String,
    /// The path of its file.
    pub path: String,
    /// True if it runs, and begins with the user's session.
    pub enabled: bool,
}

impl Report for TunnelUnitReport {
    const SCHEMA: &'static str = "hubctl.tunnel-unit.v1";
}

/// Lets the user's systemd keep tunnels by this program: these, or all without a name.
///
/// # Errors
/// A name without a tunnel; a user without systemd. Then the file is as it was before.
pub fn install_tunnels(
    ops: &Ops,
    names: &[String],
    program: &Path,
) -> anyhow::Result<TunnelUnitReport> {
    let paths = SupervisorPaths::of(ops.settings())?;
    let tunnels = chosen(ops.settings(), names)?;
    let (unit, path) = unit(&paths)?;
    let keyless = tunnels
        .iter()
        .filter(|(_, tunnel)| tunnel.identity_file.is_none() && tunnel.identity_agent.is_none());
    for (tunnel, _) in keyless {
        ops.warn(format_args!(
            "{tunnel} names neither `identity_file` nor `identity_agent`: a unit does not inherit the agent of your session"
        ));
    }
    let file = systemd::File { name: &unit, text: &text(program, &paths.config, names) };
    systemd::install(&[file], &[&unit])?;
    if !systemd::lingers() {
        ops.warn("the unit ends when you log out; `loginctl enable-linger` keeps it");
    }
    Ok(TunnelUnitReport { unit, path: path.display().to_string(), enabled: true })
}

/// Stops the unit of the configuration, and removes it.
///
/// # Errors
/// A user without systemd; a file that cannot be removed.
pub fn uninstall_tunnels(ops: &Ops) -> anyhow::Result<TunnelUnitReport> {
    let (unit, path) = unit(&SupervisorPaths::of(ops.settings())?)?;
    if path.exists() {
        systemd::systemctl(&["disable", "--now", &unit])?;
        fs_err::remove_file(&path)?;
        systemd::systemctl(&["daemon-reload"])?;
    }
    Ok(TunnelUnitReport { unit, path: path.display().to_string(), enabled: false })
}

/// One unit for each configuration.
fn unit(paths: &SupervisorPaths) -> anyhow::Result<(String, PathBuf)> {
    let name = format!("hubctl-tunnels-{}.service", paths.id());
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
