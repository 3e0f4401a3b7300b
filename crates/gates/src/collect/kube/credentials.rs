//! Programs that issue credentials ("exec plugins"): kube would wait for them without a limit, on a
//! thread that others need, and keep and repeat whatever they print.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use jiff::Timestamp;
use kube::config::{Cluster, ExecAuthCluster, ExecConfig, ExecInteractiveMode};
use processgroup::{Ended, Error, Kept, Options};
use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;

use super::Pace;
use crate::evidence::{Absence, redact};

/// No credentials are longer.
const LONGEST: usize = 1 << 20;
/// So much of what it complains of is kept, of its end.
const COMPLAINT: usize = 2 << 10;

/// Credentials issued by a program.
pub(super) struct Issued {
    pub(super) token: Option<String>,
    /// As PEM, as is its key.
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) until: Option<Timestamp>,
}

/// The answer, as `client.authentication.k8s.io` has it.
#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<Timestamp>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Runs the program without an input, and takes what it issues.
pub(super) async fn issued_by(
    exec: &ExecConfig,
    cluster: &Cluster,
    directory: &Path,
    pace: Pace,
) -> Result<Issued, Absence> {
    let Some(program) = exec.command.as_deref() else {
        return Err(Absence::failed("`exec` of the kubeconfig names no command"));
    };
    let failed = |fact: String| {
        Absence::failed(format!("`{program}`, which issues the credentials, {fact}"))
    };
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err(failed("wants a terminal, which no gate has".to_owned()));
    }
    // A name without a separator is looked for in PATH.
    let path = match program.contains('/') {
        true => directory.join(program),
        false => program.into(),
    };
    let mut command = Command::new(path);
    command.args(exec.args.iter().flatten()).env("KUBERNETES_EXEC_INFO", request(exec, cluster)?);
    for variable in exec.env.iter().flatten() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
            command.env(name, value);
        }
    }
    // What is left of the time of the question is for the question.
    let limit = pace.question.saturating_sub(pace.request);
    let options = Options::new(limit).stdout(Kept::All(LONGEST)).stderr(Kept::Last(COMPLAINT));
    let ended = options.run(command).await.map_err(|error| match error {
        Error::NotStarted { source, .. } => failed(format!("cannot be started: {source}")),
        Error::TimedOut { .. } => failed(format!("did not end within {} s", limit.as_secs())),
        Error::TooLong { .. } => failed(format!("printed more than {} MiB", LONGEST >> 20)),
        error => failed(format!("was lost: {error}")),
    })?;
    if !ended.status.success() {
        return Err(failed(how_it_ended(&ended)));
    }
    understood(&ended.stdout).ok_or_else(|| failed("printed no credentials".to_owned()))
}

/// Returns the request to the program.
fn request(exec: &ExecConfig, cluster: &Cluster) -> Result<String, Absence> {
    let mut spec = json!({ "interactive": false });
    if exec.provide_cluster_info {
        let cluster = ExecAuthCluster::try_from(cluster).map_err(Absence::failed)?;
        spec["cluster"] = serde_json::to_value(cluster).map_err(Absence::failed)?;
    }
    let request = json!({ "apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec });
    Ok(request.to_string())
}

/// JSON, or the YAML that kubectl takes as well. Whatever is wrong with it, it may hold a token.
fn understood(stdout: &[u8]) -> Option<Issued> {
    let credential: ExecCredential = serde_saphyr::from_slice(stdout).ok()?;
    let status = credential.status?;
    let issued = Issued {
        token: status.token,
        certificate: status.client_certificate_data,
        key: status.client_key_data,
        until: status.expiration_timestamp,
    };
    let is_whole = issued.certificate.is_some() == issued.key.is_some();
    let is_any = issued.token.is_some() || issued.certificate.is_some();
    (is_whole && is_any).then_some(issued)
}

fn how_it_ended(ended: &Ended) -> String {
    let end = match (ended.status.code(), ended.status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, signal) => format!("was ended by signal {}", signal.unwrap_or_default()),
    };
    let start = ended.stderr.len().saturating_sub(COMPLAINT);
    let complaint = redact::text(&String::from_utf8_lossy(&ended.stderr[start..]));
    match complaint.lines().rfind(|line| !line.trim().is_empty()) {
        Some(last) => format!("{end}: {}", last.trim()),
        None => end,
    }
}
