//! The schedule as CronJobs of Kubernetes.

use serde_json::json;

use super::job::{Job, jobs};
use crate::failure::Refusal;
use crate::settings::Settings;

/// The user that the container runs as.
const USER: u32 = 65_532;
const CONFIG: &str = "/etc/hubctl/hubctl.toml";
const STATE: &str = "/var/lib/hubctl";

/// The manifests, and what they need beside them.
pub(super) fn manifests(settings: &Settings, image: &str) -> anyhow::Result<String> {
    let (Some(service), Some(vault)) = (&settings.service, &settings.vault) else {
        return Err(Refusal::usage("a CronJob needs a service and a vault")
            .hint("set [service] name and [vault] path")
            .into());
    };
    let name = format!("hubctl-{}", service.value.replace(['.', '_'], "-"));
    let vault = std::path::absolute(&vault.value)?;
    let mut text = format!(
        "# Printed by `hubctl schedule show --cronjob`. The image needs hubctl, a shell, and the tools of PostgreSQL. Make first:\n\
         #   kubectl create configmap {name} --from-file=hubctl.toml      paths of secrets in it begin with /etc/hubctl/secrets/\n\
         #   kubectl create secret generic {name} --from-file=key.txt …   mounted there\n\
         #   persistent volume claims {name} (the vault) and {name}-state (the journal)\n"
    );
    for job in jobs(settings) {
        let manifest = manifest(settings, job, &name, &vault.to_string_lossy(), image);
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(&manifest)?);
    }
    Ok(text)
}

fn manifest(
    settings: &Settings,
    job: &Job,
    name: &str,
    vault: &str,
    image: &str,
) -> serde_json::Value {
    let container = json!({
        "name": "hubctl",
        "image": image,
        "command": ["/bin/sh", "-c", script(settings, job)],
        "env": [
            { "name": "HUBCTL_CONFIG", "value": CONFIG },
            { "name": "HUBCTL_JOURNAL", "value": format!("{STATE}/journal.jsonl") },
            { "name": "HOME", "value": "/tmp" },
        ],
        "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } },
        "volumeMounts": [
            { "name": "config", "mountPath": CONFIG, "subPath": "hubctl.toml", "readOnly": true },
            { "name": "secrets", "mountPath": "/etc/hubctl/secrets", "readOnly": true },
            { "name": "vault", "mountPath": vault },
            { "name": "state", "mountPath": STATE },
            { "name": "tmp", "mountPath": "/tmp" },
        ],
    });
    let pod = json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "securityContext": { "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER },
        "containers": [container],
        "volumes": [
            { "name": "config", "configMap": { "name": name } },
            // Files of root that only the pod's group may read besides.
            { "name": "secrets", "secret": { "secretName": name, "defaultMode": 0o440 } },
            { "name": "vault", "persistentVolumeClaim": { "claimName": name } },
            { "name": "state", "persistentVolumeClaim": { "claimName": format!("{name}-state") } },
            { "name": "tmp", "emptyDir": {} },
        ],
    });
    json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": { "name": format!("{name}-{}", job.name), "labels": { "app.kubernetes.io/name": "hubctl" } },
        "spec": {
            "schedule": job.cron,
            "concurrencyPolicy": "Forbid",
            // A run that was missed is made up for within this time, as Persistent=true does.
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": { "spec": { "backoffLimit": 0, "template": { "spec": pod } } },
        },
    })
}

/// The commands of a job, each only after the one before; the job fails with the code of the one
/// that did.
fn script(settings: &Settings, job: &Job) -> String {
    let runs: Vec<String> = job
        .commands(settings)
        .map(|command| format!("hubctl --no-progress {}", command.join(" ")))
        .collect();
    let run = runs.join(" && ");
    if settings.alerts.tells_anybody() {
        format!("{run} || {{ code=$?; hubctl alert {}; exit $code; }}", job.name)
    } else {
        run
    }
}
