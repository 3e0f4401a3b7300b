//! The daemons of the nodes, with every flag.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::build::Components;
use super::configuration::PROVISIONER;
use super::layout::Layout;
use super::plan::Plan;
use super::process;

/// A program that is started again whenever it ends.
#[derive(Debug, Clone)]
pub(super) struct Daemon {
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    /// It is not started before somebody listens here.
    pub(super) after: Option<SocketAddr>,
    /// It is another node, which has to be plugged in.
    pub(super) node: Option<u8>,
}

impl Daemon {
    fn new(name: impl Into<String>, program: PathBuf) -> Self {
        Self { name: name.into(), program, arguments: Vec::new(), after: None, node: None }
    }

    fn flag(mut self, flag: &str, value: impl Into<OsString>) -> Self {
        self.arguments.push(flag.into());
        self.arguments.push(value.into());
        self
    }

    fn switch(mut self, flag: &str) -> Self {
        self.arguments.push(flag.into());
        self
    }
}

/// The daemons that only the first node runs.
pub(super) fn control_plane(layout: &Layout, plan: &Plan, components: &Components) -> Vec<Daemon> {
    let daemon = |name: &str| Daemon::new(name, components.program(name));
    vec![
        // It listens on the loopback of the namespace, which nobody else reaches, and so needs no TLS.
        daemon("etcd")
            .flag("--data-dir", layout.path("etcd"))
            .flag("--log-level", "warn")
            .switch("--unsafe-no-fsync"),
        api_server(layout, plan, components),
        daemon("coredns").flag("-conf", layout.configuration("Corefile")),
        daemon("local-provisioner")
            .flag("--kubeconfig", layout.kubeconfig("local-provisioner"))
            .flag("--name", PROVISIONER)
            .flag("--root", layout.path("volumes")),
        controller_manager(layout, components),
        daemon("kube-scheduler")
            .flag("--kubeconfig", layout.kubeconfig("scheduler"))
            .switch("--leader-elect=false")
            .switch("--profiling=false"),
    ]
}

fn api_server(layout: &Layout, plan: &Plan, components: &Components) -> Daemon {
    Daemon::new("kube-apiserver", components.program("kube-apiserver"))
        .flag("--etcd-servers", "http://127.0.0.1:2379")
        .flag("--bind-address", "0.0.0.0")
        .flag("--advertise-address", plan.node(1).to_string())
        .flag("--service-cluster-ip-range", plan.services())
        .flag("--tls-cert-file", layout.pki("apiserver.crt"))
        .flag("--tls-private-key-file", layout.pki("apiserver.key"))
        .flag("--client-ca-file", layout.pki("ca.crt"))
        .flag("--kubelet-certificate-authority", layout.pki("ca.crt"))
        .flag("--kubelet-client-certificate", layout.pki("apiserver-kubelet.crt"))
        .flag("--kubelet-client-key", layout.pki("apiserver-kubelet.key"))
        .flag("--kubelet-preferred-address-types", "InternalIP")
        .flag("--authorization-mode", "Node,RBAC")
        .flag("--enable-admission-plugins", "NodeRestriction")
        .flag("--service-account-issuer", "https://kubernetes.default.svc.cluster.local")
        .flag("--service-account-key-file", layout.pki("service-accounts.pub"))
        .flag("--service-account-signing-key-file", layout.pki("service-accounts.key"))
        .switch("--allow-privileged=true")
        .switch("--profiling=false")
}

fn controller_manager(layout: &Layout, components: &Components) -> Daemon {
    let name = "kube-controller-manager";
    Daemon::new(name, components.program(name))
        .flag("--kubeconfig", layout.kubeconfig("controller-manager"))
        .flag("--service-account-private-key-file", layout.pki("service-accounts.key"))
        .flag("--root-ca-file", layout.pki("ca.crt"))
        .flag("--cluster-signing-cert-file", layout.pki("ca.crt"))
        .flag("--cluster-signing-key-file", layout.pki("ca.key"))
        // The node of a dead kubelet stays Ready for 50 s by default: too long for a test.
        .flag("--node-monitor-period", "1s")
        .flag("--node-monitor-grace-period", "10s")
        // At the default of 20 its controllers need five seconds to get their tokens.
        .flag("--kube-api-qps", "500")
        .flag("--kube-api-burst", "1000")
        .switch("--use-service-account-credentials")
        .switch("--leader-elect=false")
        .switch("--profiling=false")
}

/// The daemons of each node.
pub(super) fn of_node(
    layout: &Layout,
    plan: &Plan,
    components: &Components,
    node: u8,
) -> Vec<Daemon> {
    let directory = layout.node(node);
    let api_server = SocketAddr::from((plan.node(1), 6443));
    let mut kubelet = Daemon::new(format!("kubelet-{node}"), components.program("kubelet"))
        .flag("--config", directory.join("kubelet.yaml"))
        .flag("--kubeconfig", layout.kubeconfig(&format!("node{node}")))
        .flag("--root-dir", "/var/lib/kubelet")
        .flag("--hostname-override", format!("node{node}"))
        .flag("--node-ip", plan.node(node).to_string());
    // One that starts earlier waits for longer than the API server takes.
    kubelet.after = Some(api_server);
    let mut proxy = Daemon::new(format!("kube-proxy-{node}"), components.program("kube-proxy"))
        .flag("--config", directory.join("kube-proxy.yaml"));
    proxy.after = Some(api_server);
    vec![
        Daemon::new(format!("containerd-{node}"), "containerd".into())
            .flag("--config", directory.join("containerd.toml")),
        kubelet,
        proxy,
    ]
}

/// Another node, whose namespaces are in those of the first.
pub(super) fn node(layout: &Layout, plan: &Plan, node: u8) -> Daemon {
    // Ours is found by the number that it has in this namespace, wherever the file is by now.
    let command = process::unshare("/proc/1/exe".as_ref(), &plan.id, layout.root(), node);
    let mut daemon = Daemon::new(format!("node-{node}"), command.get_program().into());
    daemon.arguments = command.get_args().map(ToOwned::to_owned).collect();
    daemon.node = Some(node);
    daemon
}
