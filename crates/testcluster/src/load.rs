//! `cluster load`, and what `up --operator` does: images and manifests from files, since there is
//! no registry.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::build::Components;
use super::kubectl::Kubectl;
use super::layout::Layout;
use super::plan::Plan;
use super::store;
use super::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(60);
/// A pod that is started again once or twice on a busy machine still comes.
const DEPLOYMENT_LIMIT: Duration = Duration::from_secs(300);

/// Imports archives of images into every node, all nodes at once.
pub(super) fn load(
    layout: &Layout,
    plan: &Plan,
    archives: &[impl AsRef<Path> + Sync],
) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let imports: Vec<_> = plan
            .each_node()
            .map(|node| {
                scope.spawn(move || {
                    let socket = layout.runtime_socket(node);
                    let log = layout.log(&format!("containerd-{node}"));
                    wait_for(&format!("containerd of node{node}"), LIMIT, &log, || {
                        Ok(store::answers(&socket))
                    })?;
                    for archive in archives {
                        store::import(&socket, archive.as_ref()).with_context(|| {
                            format!("node{node} did not take {}", archive.as_ref().display())
                        })?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for import in imports {
            import.join().expect("an import does not panic")?;
        }
        Ok(())
    })
}

/// The files a caller prepared: `*.tar` are archives of images, and `*.yaml` manifests.
#[derive(Debug)]
pub(super) struct Operator {
    directory: PathBuf,
    archives: Vec<PathBuf>,
    manifests: Vec<PathBuf>,
}

impl Operator {
    /// Fails where there is nothing to apply: whoever names a directory means that something is in
    /// it.
    pub(super) fn read(directory: &Path) -> anyhow::Result<Self> {
        let directory = fs_err::canonicalize(directory)?;
        let operator = Self {
            archives: store::archives(&directory)?,
            manifests: store::files(&directory, "yaml")?,
            directory,
        };
        ensure!(
            !operator.manifests.is_empty(),
            "{} has no manifest (*.yaml)",
            operator.directory.display()
        );
        Ok(operator)
    }

    /// Loads every archive, and applies every manifest, by name: the next only when what the one
    /// before deploys is available.
    pub(super) fn install(
        &self,
        layout: &Layout,
        plan: &Plan,
        components: &Components,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        load(layout, plan, &self.archives)?;
        let kubectl = Kubectl::admin(layout, components);
        for manifest in &self.manifests {
            apply(&kubectl, layout, manifest)?;
            for deployment in kubectl.deployments(manifest)? {
                wait_for_deployment(&kubectl, layout, &deployment)?;
            }
        }
        fs_err::write(layout.operator(), self.directory.as_os_str().as_bytes())?;
        eprintln!(
            "cluster: {:5.1} s  {} is applied, and what it deploys is available",
            begin.elapsed().as_secs_f64(),
            self.directory.display()
        );
        Ok(())
    }
}

/// A definition takes a moment until its kind is known to the next manifest, and a webhook until it
/// is reached.
fn apply(kubectl: &Kubectl, layout: &Layout, manifest: &Path) -> anyhow::Result<()> {
    let log = layout.log("kube-apiserver");
    let mut result = Ok(());
    wait_for(&manifest.display().to_string(), LIMIT, &log, || {
        result = kubectl.apply(manifest);
        Ok(result.is_ok())
    })
    .or(result)
}

/// When time is up, the error tells the progress and the state of the pods, such as a missing
/// image.
fn wait_for_deployment(
    kubectl: &Kubectl,
    layout: &Layout,
    (namespace, name): &(String, String),
) -> anyhow::Result<()> {
    let log = layout.log("operator");
    let what = format!("the deployment {namespace}/{name}");
    eprintln!("cluster: waiting for {what} …");
    wait_for(&what, DEPLOYMENT_LIMIT, &log, || {
        // An API server that does not answer now may do so later.
        let said = [
            kubectl.rollout(namespace, name),
            kubectl.read(&["--namespace", namespace, "get", "pods"]),
        ]
        .map(|said| said.unwrap_or_else(|error| format!("{error:#}\n")));
        fs_err::write(&log, said.concat())?;
        let is_available = said[0].contains("successfully rolled out");
        if !is_available {
            // What starts needs the processor more than who asks.
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(is_available)
    })
}
