//! The configuration of the daemons: templates in which what stands between two `@` is replaced.

use super::layout::Layout;
use super::plan::Plan;

/// The directory of the CNI plugins in Debian's package.
pub(super) const CNI_PLUGINS: &str = "/usr/lib/cni";
/// The image that holds the namespaces of a pod.
pub(super) const PAUSE: &str = "hubctl.test/pause:1";
/// The name by which the storage class and its provisioner find each other.
pub(super) const PROVISIONER: &str = "hubctl.test/local";

const OF_CLUSTER: [(&str, &str); 2] = [
    ("Corefile", include_str!("templates/Corefile")),
    ("base.yaml", include_str!("templates/base.yaml")),
];
const OF_NODE: [(&str, &str); 4] = [
    ("containerd.toml", include_str!("templates/containerd.toml")),
    ("networks/10-pods.conflist", include_str!("templates/networks.json")),
    ("kubelet.yaml", include_str!("templates/kubelet.yaml")),
    ("kube-proxy.yaml", include_str!("templates/kube-proxy.yaml")),
];

/// Writes what the daemons read.
pub(super) fn write(layout: &Layout, plan: &Plan) -> anyhow::Result<()> {
    for (file, template) in OF_CLUSTER {
        fs_err::write(layout.configuration(file), of_cluster(template, layout, plan))?;
    }
    let servers = format!("nameserver {}\n", plan.node(1));
    fs_err::write(layout.configuration("resolv.conf"), servers)?;
    for node in plan.each_node() {
        for (file, template) in OF_NODE {
            let text = of_node(template, layout, plan, node);
            fs_err::write(layout.node(node).join(file), text)?;
        }
    }
    Ok(())
}

fn of_cluster(template: &str, layout: &Layout, plan: &Plan) -> String {
    fill(
        template,
        &[
            ("ROOT", layout.root().display().to_string()),
            ("HOST", plan.host().to_string()),
            ("NODE1", plan.node(1).to_string()),
            ("DNS_SERVICE", plan.dns_service().to_string()),
            ("PROVISIONER", PROVISIONER.to_owned()),
        ],
    )
}

fn of_node(template: &str, layout: &Layout, plan: &Plan, node: u8) -> String {
    fill(
        &of_cluster(template, layout, plan),
        &[
            ("NODE", layout.node(node).display().to_string()),
            ("NAME", format!("node{node}")),
            ("CGROUP", plan.cgroup(node)),
            ("PODS", plan.pods(node)),
            ("PAUSE", PAUSE.to_owned()),
            ("CNI", CNI_PLUGINS.to_owned()),
        ],
    )
}

fn fill(template: &str, values: &[(&str, String)]) -> String {
    values
        .iter()
        .fold(template.to_owned(), |text, (name, value)| text.replace(&format!("@{name}@"), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn nothing_is_left_to_fill_in() {
        let layout = Layout::at(Path::new("/nowhere/c")).unwrap();
        let plan = Plan::new(2).unwrap();
        let of_cluster = OF_CLUSTER.map(|(_, template)| of_cluster(template, &layout, &plan));
        let of_node = OF_NODE.map(|(_, template)| of_node(template, &layout, &plan, 2));
        for text in of_cluster.iter().chain(&of_node) {
            assert!(!text.contains('@'), "{text}");
        }
    }

    #[test]
    fn a_node_has_its_own_network_and_cgroup() {
        let layout = Layout::at(Path::new("/nowhere/c")).unwrap();
        let plan = Plan { id: "0a1b2c3d".to_owned(), nodes: 2, number: 1 };
        let network = of_node("@PODS@ @NAME@ @CGROUP@ @NODE@ @NODE1@ @ROOT@", &layout, &plan, 2);
        assert_eq!(
            network,
            "198.18.18.0/24 node2 hubk-0a1b2c3d-2 /nowhere/c/node2 198.18.16.11 /nowhere/c"
        );
    }
}
