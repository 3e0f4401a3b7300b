//! `cluster load`, and what `up --operator` does: images and manifests from files, since there is no registry.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::build::Components;
use super::kubectl::Kubectl;
use super::layout::Layout;
use super::plan::Plan;
use super::store;
use super::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(60);

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

/// Loads every archive of a directory, and applies every manifest, by name.
pub(super) fn install(
    layout: &Layout,
    plan: &Plan,
    components: &Components,
    directory: &Path,
) -> anyhow::Result<()> {
    load(layout, plan, &store::archives(directory)?)?;
    let kubectl = Kubectl::admin(layout, components);
    for manifest in store::files(directory, "yaml")? {
        // A definition takes a moment until its kind is known to the next manifest.
        let log = layout.log("kube-apiserver");
        let mut result = Ok(());
        wait_for(
            &manifest.display().to_string(),
            Duration::from_secs(30),
            &log,
            || {
                result = kubectl.apply(&manifest);
                Ok(result.is_ok())
            },
        )
        .or(result)?;
    }
    Ok(())
}
