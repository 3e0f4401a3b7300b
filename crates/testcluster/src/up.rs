//! `cluster up`: from an empty directory to nodes that are ready.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::build::Components;
use super::janitor::Janitor;
use super::kubectl::Kubectl;
use super::layout::Layout;
use super::lock::Lock;
use super::plan::Plan;
use super::process::{self, Process};
use super::wait::wait_for;
use super::{configuration, host, pki, store};

const LIMIT: Duration = Duration::from_secs(180);

/// Boots a cluster. The owner that is returned decides how long it lives; on failure nothing is
/// left of it but its logs.
pub(super) fn boot(layout: &Layout, components: &Components, nodes: u8) -> anyhow::Result<Janitor> {
    fs_err::create_dir_all(layout.root())?;
    let lock = Lock::take(layout)?.context("the directory was removed by somebody else")?;
    ensure!(
        !layout.plan().exists(),
        "{} already holds a cluster; `cargo xtask cluster down` ends it",
        layout.root().display()
    );
    ensure!(layout.is_free()?, "{} is not empty", layout.root().display());
    let mut boot = Boot::new(layout, components, nodes, lock)?;
    let janitor = Janitor::start(layout, &boot.plan.id)?;
    let booted = boot.run();
    // On failure the janitor needs the lock.
    drop(boot);
    booted?;
    Ok(janitor)
}

struct Boot<'a> {
    layout: &'a Layout,
    components: &'a Components,
    plan: Plan,
    lock: Lock,
    begin: Instant,
    /// The `unshare` of the first node; none before it is started.
    first: Option<Child>,
}

impl<'a> Boot<'a> {
    fn new(
        layout: &'a Layout,
        components: &'a Components,
        nodes: u8,
        lock: Lock,
    ) -> anyhow::Result<Self> {
        let plan = Plan::new(nodes)?;
        plan.write(&layout.plan())?;
        Ok(Self { layout, components, plan, lock, begin: Instant::now(), first: None })
    }

    fn run(&mut self) -> anyhow::Result<()> {
        self.lock.share(true)?;
        let Self { layout, plan, .. } = self;
        layout.make(plan.each_node())?;
        host::claim(plan, layout)?;
        host::make_cgroups(plan)?;
        pki::write(layout, plan)?;
        configuration::write(layout, plan)?;
        for node in plan.each_node() {
            store::copy(&self.components.store(), &layout.node(node))?;
        }
        self.say("configured");
        let first = self.start_first_node()?;
        host::connect(&self.plan, first.pid)?;
        self.wait_for_api_server()?;
        self.say("the API server is ready");
        self.wait_for_nodes()?;
        self.say(&format!("{} of {} nodes are ready", self.plan.nodes, self.plan.nodes));
        Ok(())
    }

    fn say(&self, what: &str) {
        eprintln!("cluster: {:5.1} s  {what}", self.begin.elapsed().as_secs_f64());
    }

    fn start_first_node(&mut self) -> anyhow::Result<Process> {
        let log = fs_err::File::create(self.layout.log("node-1"))?.into_file();
        // The namespace still sees our number when it begins; the file may have been replaced by a newer build.
        let program = format!("/proc/{}/exe", std::process::id());
        // It outlives us.
        self.lock.share(false)?;
        let child = process::unshare(program.as_ref(), &self.plan.id, self.layout.root(), 1)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .current_dir("/")
            .process_group(0)
            .spawn()
            .context("could not run unshare")?;
        self.lock.share(true)?;
        self.first = Some(child);
        let mut found = None;
        self.wait("the first process of the first node", "node-1", |boot| {
            found = process::first(&boot.plan.id, 1);
            Ok(found.is_some())
        })?;
        found.context("the first process of the first node was lost")
    }

    fn wait_for_api_server(&mut self) -> anyhow::Result<()> {
        let address = SocketAddr::from((self.plan.node(1), 6443));
        self.wait("the API server to listen", "kube-apiserver", |_| {
            // An attempt whose first packet is lost would wait for seconds; the next one does not.
            Ok(TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok())
        })?;
        let kubectl = Kubectl::admin(self.layout, self.components);
        self.wait("the API server to be ready", "kube-apiserver", |_| {
            Ok(kubectl.succeeds(&["get", "--raw", "/readyz"]))
        })
    }

    fn wait_for_nodes(&mut self) -> anyhow::Result<()> {
        let kubectl = Kubectl::admin(self.layout, self.components);
        let base = self.layout.configuration("base.yaml");
        kubectl.apply(&base)?;
        let nodes = usize::from(self.plan.nodes);
        self.wait("the nodes to be ready", "kubelet-1", |_| {
            Ok(kubectl.ready_nodes().is_some_and(|ready| ready == nodes))
        })?;
        self.wait("the default service account", "kube-controller-manager", |_| {
            Ok(kubectl.succeeds(&["--namespace", "default", "get", "serviceaccount", "default"]))
        })
    }

    /// Waits, unless the first node has ended: then nothing more will come.
    fn wait(
        &mut self,
        what: &str,
        log: &str,
        mut is_there: impl FnMut(&Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let file = self.layout.log(log);
        wait_for(what, LIMIT, &file, || {
            if let Some(child) = &mut self.first
                && let Some(status) = child.try_wait()?
            {
                let said = super::wait::last_lines(&self.layout.log("node-1"));
                bail!("the first node ended ({status}), and we waited for {what}{said}");
            }
            is_there(self)
        })
    }
}

/// Somebody has to wait for the child, when it ends before this process does.
impl Drop for Boot<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.first.take() {
            std::thread::spawn(move || child.wait());
        }
    }
}
