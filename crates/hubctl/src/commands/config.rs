//! `hubctl config show`.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::options::SealedOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::table;
use crate::settings::{Origin, Settings, Sourced, TargetKind};

/// Show what is configured
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hubctl config show\n  hubctl config show --config /etc/hubctl.toml --format json"
)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the merged configuration, and where each value comes from
    ///
    /// Flags win over HUBCTL_* variables, those over the file. Passwords are not looked up.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    sealed: SealedOptions,
}

#[derive(Debug, Serialize)]
struct Shown {
    file: Option<String>,
    values: Vec<Value>,
}

#[derive(Debug, Serialize)]
struct Value {
    key: String,
    value: String,
    origin: String,
}

pub(crate) fn run(context: &Context, args: ConfigArgs) -> anyhow::Result<Exit> {
    let ConfigCommand::Show(args) = args.command;
    let settings = context.settings(args.sealed.overrides())?;
    let shown = Shown {
        file: settings.file.as_ref().map(|path| path.display().to_string()),
        values: values(&settings),
    };
    if shown.file.is_none() {
        context.printer.say("no configuration file was found");
    }
    context.printer.result("hubctl.config.v1", &shown, || {
        table(
            &["key", "value", "origin"],
            shown.values.iter().map(|v| vec![v.key.clone(), v.value.clone(), v.origin.clone()]),
        )
    })?;
    Ok(Exit::Yes)
}

fn values(settings: &Settings) -> Vec<Value> {
    let mut values = Vec::new();
    one(&mut values, "service.name", settings.service.as_ref(), Clone::clone);
    for (name, site) in &settings.sites {
        let key = |field: &str| format!("sites.{name}.{field}");
        one(&mut values, key("database"), Some(&site.database), Clone::clone);
        one(&mut values, key("password_file"), site.password_file.as_ref(), |path| {
            path.display().to_string()
        });
        one(&mut values, key("password_command"), site.password_command.as_ref(), Clone::clone);
        one(&mut values, key("passfile"), site.passfile.as_ref(), |path| {
            path.display().to_string()
        });
    }
    one(&mut values, "vault.path", settings.vault.as_ref(), |path| path.display().to_string());
    many(&mut values, "vault.recipients", &settings.recipients, Clone::clone);
    one(&mut values, "vault.recipients_file", settings.recipients_file.as_ref(), |path| {
        path.display().to_string()
    });
    many(&mut values, "vault.identities", &settings.identities, |path| path.display().to_string());
    one(&mut values, "vault.passphrase_file", settings.passphrase_file.as_ref(), |path| {
        path.display().to_string()
    });
    one(&mut values, "retention", settings.retention.as_ref(), |retention| {
        serde_json::to_string(retention).expect("it has only string keys")
    });
    for (name, target) in &settings.targets {
        let key = format!("targets.{name}.{}", target.kind.value.key());
        one(&mut values, key, Some(&target.kind), TargetKind::place);
    }
    one(&mut values, "backup.site", settings.backup_site.as_ref(), Clone::clone);
    for (key, path) in [
        ("backup.sign_key", &settings.sign_key),
        ("backup.allowed_signers", &settings.allowed_signers),
        ("approval.key", &settings.approval_key),
    ] {
        one(&mut values, key, path.as_ref(), |path| path.display().to_string());
    }
    one(&mut values, "alerts.command", settings.alerts.command.as_ref(), Clone::clone);
    for (key, url_file) in [
        ("alerts.webhook.url_file", &settings.alerts.webhook),
        ("alerts.ping.url_file", &settings.alerts.ping),
    ] {
        one(&mut values, key, url_file.as_ref(), |path| path.display().to_string());
    }
    one(&mut values, "alerts.mail", settings.alerts.mail.as_ref(), |mail| {
        format!("{} to {}", mail.command, mail.to)
    });
    let freshness = Some(&settings.freshness);
    one(&mut values, "freshness.max_age", freshness, |freshness| {
        humantime::format_duration(freshness.max_age).to_string()
    });
    one(&mut values, "freshness.drilled", freshness, |freshness| {
        humantime::format_duration(freshness.drilled).to_string()
    });
    if let Some(path) = &settings.freshness.value.metrics {
        one(&mut values, "freshness.metrics", freshness, |_| path.display().to_string());
    }
    many(&mut values, "drill.checks", &settings.checks, |check| {
        format!("{}: {} => {}", check.name, check.sql, check.expect)
    });
    one(&mut values, "drill.episodic_memory", settings.episodic_memory.as_ref(), |path| {
        path.display().to_string()
    });
    for (name, tunnel) in &settings.tunnels {
        let key = |field: &str| format!("tunnels.{name}.{field}");
        one(&mut values, key("destination"), Some(tunnel), |tunnel| tunnel.destination.clone());
        for (index, forward) in tunnel.value.forwards.iter().enumerate() {
            let key = key(&format!("forwards[{index}]"));
            one(&mut values, key, Some(tunnel), |_| format!("{forward}, {}", forward.probe));
        }
    }
    for (name, cluster) in &settings.clusters {
        let key = |field: &str| format!("clusters.{name}.{field}");
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        one(&mut values, key("context"), Some(cluster), |access| text(&access.context));
        one(&mut values, key("uid"), Some(cluster), |access| text(&access.uid));
    }
    let origin = settings.file.clone().map_or(Origin::Default, Origin::File);
    for (name, gate) in settings.gates.iter() {
        let gate = Sourced { value: gate, origin: origin.clone() };
        one(&mut values, format!("gates.{name}"), Some(&gate), |gate| {
            serde_json::to_string(gate).unwrap_or_default()
        });
    }
    one(&mut values, "journal.path", Some(&settings.journal), |path| path.display().to_string());
    values
}

fn one<T>(
    values: &mut Vec<Value>,
    key: impl Into<String>,
    value: Option<&Sourced<T>>,
    show: impl Fn(&T) -> String,
) {
    values.extend(value.map(|value| Value {
        key: key.into(),
        value: show(&value.value),
        origin: value.origin.to_string(),
    }));
}

fn many<T>(values: &mut Vec<Value>, key: &str, list: &[Sourced<T>], show: impl Fn(&T) -> String) {
    for (index, value) in list.iter().enumerate() {
        one(values, format!("{key}[{index}]"), Some(value), &show);
    }
}
