//! A real Kubernetes on this machine, for tests: nothing is simulated, and `down` leaves nothing.
//! Never published; `cargo xtask cluster` is its command, and `docs/cluster.md` its manual.
//!
//! **Nodes.** A node is a tree of processes in namespaces of its own. Killing the first process of
//! the tree ends every daemon, container, mount and interface of the node, in whatever state they
//! are. A link and control groups are outside. They are found by the identity of the cluster, which
//! is written down before anything is made.
//!
//! **Parts.** Programs are compiled from Go modules and images are made from Debian's packages,
//! once per pin (`build`, with `programs`, `images`, `store`). A boot writes keys and
//! configurations (`pki`, `configuration`), links the images into each node (`store`) and starts
//! the first node (`up`). That node starts its daemons and the other nodes (`node`, `daemons`,
//! `supervisor`).
//!
//! **Owners.** A cluster lives as long as its [`Cluster`], or until `down` where `up` left it. A
//! second process (`janitor`) waits for the end of the owner, so no kind of death leaves a cluster.
//!
//! **The program.** These processes are the calling program again, with hidden commands. So it has
//! a subcommand named `cluster` that takes [`Args`] and calls [`run`].

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "these commands talk to a developer")]

mod ability;
mod build;
mod configuration;
mod daemons;
mod down;
mod go;
mod host;
mod images;
mod janitor;
mod kubectl;
mod layout;
mod load;
mod lock;
mod node;
mod pki;
mod plan;
mod process;
mod programs;
mod status;
mod store;
mod supervisor;
mod up;
mod wait;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::ensure;
use clap::Subcommand;
use provision::Unavailable;

pub use self::ability::require as require_ability;
pub use self::images::ENTRYPOINT as POSTGRES_ENTRYPOINT;
use self::janitor::Janitor;
use self::layout::Layout;
use self::load::Operator;
use self::plan::Plan;

/// Names the directory of an operator that a cluster is to have, or has.
pub const OPERATOR: &str = "HUBCTL_TEST_OPERATOR";

/// The programs a cluster runs beside those compiled for it, and the packages they come from.
const PROGRAMS: [(&str, &str); 10] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("mount", "mount"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("gcc", "gcc"),
    ("mmdebstrap", "mmdebstrap"),
];

/// A real Kubernetes on this machine, for tests
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make what clusters consist of, into the cache: ten minutes, once
    Build,
    /// Boot a cluster whose whole state is in a directory
    Up {
        directory: PathBuf,
        /// How many nodes
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
        nodes: u8,
        /// Then load every image archive (*.tar) of a directory, apply every manifest (*.yaml), by
        /// name, and wait for what they deploy
        #[arg(long, value_name = "DIRECTORY")]
        operator: Option<PathBuf>,
    },
    /// Print the lines of a shell that select a cluster
    Env { directory: PathBuf },
    /// Import image archives, as `docker save` writes them, into every node
    Load {
        directory: PathBuf,
        #[arg(required = true, value_name = "IMAGE")]
        archives: Vec<PathBuf>,
    },
    /// Say what runs, and what is held down
    Status { directory: PathBuf },
    /// End a cluster, or what there is of it, and remove its directory
    Down { directory: PathBuf },
    #[command(name = process::NODE, hide = true)]
    Node { id: String, directory: PathBuf, node: u8 },
    #[command(name = janitor::JANITOR, hide = true)]
    Janitor { id: String, directory: PathBuf },
}

/// Carries out `cluster …`.
///
/// # Errors
///
/// [`Unavailable`] or [`provision::Missing`] on a machine that can have no cluster.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Build => {
            require()?;
            let components = build::ensure()?;
            println!("{}", components.programs().display());
        }
        Action::Up { directory, nodes, operator } => up(&directory, nodes, operator.as_deref())?,
        Action::Env { directory } => {
            let layout = Layout::at(&directory)?;
            running(&layout)?;
            print_environment(&layout)?;
        }
        Action::Load { directory, archives } => {
            let layout = Layout::at(&directory)?;
            load::load(&layout, &running(&layout)?, &archives)?;
        }
        Action::Status { directory } => return status::print(&Layout::at(&directory)?),
        Action::Down { directory } => {
            require_root()?;
            down::end(&Layout::at(&directory)?)?;
        }
        Action::Node { id, directory, node } => return node::run(&id, &directory, node),
        Action::Janitor { id, directory } => return janitor::run(&id, &Layout::at(&directory)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn up(directory: &Path, nodes: u8, operator: Option<&Path>) -> anyhow::Result<()> {
    let cluster = Cluster::boot(directory, nodes, operator)?;
    println!("eval \"$(cargo xtask cluster env {})\"", cluster.layout.root().display());
    cluster.owner.dismiss()
}

/// A cluster that ends with this value, or with this process if that comes first.
#[derive(Debug)]
pub struct Cluster {
    layout: Layout,
    owner: Janitor,
}

impl Cluster {
    /// Boots a cluster, after making what it consists of where that is missing, and installs an
    /// operator.
    ///
    /// Fails with [`Unavailable`] or with [`provision::Missing`] on a machine that can have none.
    fn boot(directory: &Path, nodes: u8, operator: Option<&Path>) -> anyhow::Result<Self> {
        require()?;
        let operator = operator.map(Operator::read).transpose()?;
        let components = build::ensure()?;
        let layout = Layout::at(directory)?;
        let owner = up::boot(&layout, &components, nodes)?;
        let cluster = Self { layout, owner };
        if let Some(operator) = operator {
            let plan = running(&cluster.layout)?;
            operator.install(&cluster.layout, &plan, &components)?;
        }
        Ok(cluster)
    }

    /// Boots a cluster of three nodes for the time of this process.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] or [`provision::Missing`] on a machine that can have none.
    pub fn for_tests(operator: Option<&Path>) -> anyhow::Result<Self> {
        require()?;
        // Beside the cache, to whose file system it can have links.
        let clusters = provision::cache_directory()?.join("clusters");
        fs_err::create_dir_all(&clusters)?;
        for entry in fs_err::read_dir(&clusters)? {
            let name = entry?.file_name();
            // What a machine that was switched off left; the end of a process does not leave anything.
            if !Path::new("/proc").join(&name).exists() {
                down::end(&Layout::at(&clusters.join(name))?)?;
            }
        }
        let mut cluster = Self::boot(&clusters.join(std::process::id().to_string()), 3, operator)?;
        cluster.owner.say_it_is_up()?;
        Ok(cluster)
    }

    /// The variables with which the tests find it.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        environment(&self.layout)
    }
}

/// Says if a cluster could be booted without making anything before.
#[must_use]
pub fn is_warm() -> bool {
    require_root().is_ok() && build::is_warm()
}

fn environment(layout: &Layout) -> Vec<(&'static str, PathBuf)> {
    let mut variables = vec![
        ("HUBCTL_TEST_KUBECONFIG", layout.kubeconfig(pki::ADMIN)),
        ("HUBCTL_TEST_CLUSTER", layout.root().to_owned()),
    ];
    if let Ok(directory) = fs_err::read(layout.operator()) {
        variables.push((OPERATOR, OsString::from_vec(directory).into()));
    }
    variables
}

fn print_environment(layout: &Layout) -> anyhow::Result<()> {
    let components = build::Components::locate()?;
    println!("export KUBECONFIG={}", layout.kubeconfig(pki::ADMIN).display());
    for (name, value) in environment(layout) {
        println!("export {name}={}", value.display());
    }
    println!("export PATH={}:\"$PATH\"", components.programs().display());
    Ok(())
}

/// The plan of a cluster that runs.
fn running(layout: &Layout) -> anyhow::Result<Plan> {
    let plan = Plan::read(&layout.plan());
    let is_running = plan.as_ref().is_ok_and(|plan| process::first(&plan.id, 1).is_some());
    ensure!(is_running, "no cluster runs in {}", layout.root().display());
    plan
}

fn require() -> anyhow::Result<()> {
    require_root()?;
    ensure_packages()
}

/// Installs what clusters run and are made with.
///
/// # Errors
///
/// [`provision::Missing`] where that is not possible.
pub fn ensure_packages() -> anyhow::Result<()> {
    provision::ensure_programs(&PROGRAMS)?;
    let bridge = format!("{}/bridge", configuration::CNI_PLUGINS);
    provision::ensure_file(&bridge, "containernetworking-plugins")
}

fn require_root() -> anyhow::Result<()> {
    if !cfg!(target_os = "linux") {
        return Err(Unavailable::error("a cluster needs Linux", "run this on Linux, as root"));
    }
    if !provision::is_root() {
        return Err(Unavailable::error(
            "a cluster needs root: it makes namespaces, mounts and control groups",
            "run this as root",
        ));
    }
    Ok(())
}
