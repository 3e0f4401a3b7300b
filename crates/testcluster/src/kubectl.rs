//! `kubectl` as the administrator of a cluster.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::bail;

use super::build::Components;
use super::layout::Layout;
use super::pki::ADMIN;

pub(super) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
}

impl Kubectl {
    pub(super) fn admin(layout: &Layout, components: &Components) -> Self {
        Self {
            program: components.program("kubectl"),
            kubeconfig: layout.kubeconfig(ADMIN),
            // Its cache goes there.
            home: layout.path("etc"),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // No proxy of the environment is on the way to this cluster.
        command
            .env_clear()
            .env("HOME", &self.home)
            .env("KUBECONFIG", &self.kubeconfig)
            .arg("--request-timeout=10s")
            .stdin(Stdio::null());
        command
    }

    pub(super) fn succeeds(&self, arguments: &[&str]) -> bool {
        self.command()
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Returns its output, if it succeeds.
    pub(super) fn read(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.command().args(arguments).output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        bail!("kubectl: {}", String::from_utf8_lossy(&output.stderr).trim())
    }

    /// On the server's side, which knows no limit of size.
    pub(super) fn apply(&self, manifest: &Path) -> anyhow::Result<()> {
        let manifest = manifest.display().to_string();
        self.read(&["apply", "--server-side", "--filename", &manifest])?;
        Ok(())
    }

    /// The namespaces and names of the deployments that a manifest holds.
    pub(super) fn deployments(&self, manifest: &Path) -> anyhow::Result<Vec<(String, String)>> {
        const COLUMNS: &str =
            "custom-columns=KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name";
        let manifest = manifest.display().to_string();
        let said =
            self.read(&["get", "--filename", &manifest, "--no-headers", "--output", COLUMNS])?;
        Ok(deployments(&said))
    }

    /// Returns the progress of a deployment in words.
    pub(super) fn rollout(&self, namespace: &str, name: &str) -> anyhow::Result<String> {
        let deployment = format!("deployment/{name}");
        self.read(&["--namespace", namespace, "rollout", "status", "--watch=false", &deployment])
    }

    /// Returns the number of ready nodes, if the API server answers.
    pub(super) fn ready_nodes(&self) -> Option<usize> {
        let template = r#"jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}"#;
        let said = self.read(&["get", "nodes", "--output", template]).ok()?;
        Some(said.lines().filter(|line| *line == "True").count())
    }
}

/// Of lines with a kind, a namespace and a name.
fn deployments(table: &str) -> Vec<(String, String)> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    let rows = table.lines().map(words);
    rows.filter_map(|row: Vec<String>| match row.as_slice() {
        [kind, namespace, name] if kind == "Deployment" => Some((namespace.clone(), name.clone())),
        _ => None,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deployments_are_told_from_what_has_no_namespace() {
        let table = "Namespace    <none>   a\nDeployment   a        b\nService      a        c\n";
        assert_eq!(deployments(table), [("a".to_owned(), "b".to_owned())]);
    }
}
