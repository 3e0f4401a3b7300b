//! A real Kubernetes for tests: any that `HUBCTL_TEST_KUBECONFIG` leads to, with faults where it is
//! one of ours.
//!
//! `cargo xtask test` brings one up and sets the variables; `cargo xtask cluster env DIRECTORY`
//! prints them for one that a developer keeps. A test that finds none says so and ends. Clients are
//! the caller's choice: all there is here is a path.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::skip::{not_applicable, skip, skip_as_told};

/// The kubeconfig of any cluster: an administrator of it.
const KUBECONFIG: &str = "HUBCTL_TEST_KUBECONFIG";
/// The directory of a cluster that `cargo xtask cluster up` made.
const DIRECTORY: &str = "HUBCTL_TEST_CLUSTER";
/// A directory with definitions of the resources of others, as files of YAML.
const DEFINITIONS: &str = "HUBCTL_TEST_CRDS";
/// The manifests an operator of CloudNativePG was installed from, if the cluster has one.
const OPERATOR: &str = "HUBCTL_TEST_OPERATOR";
/// So that nothing hangs; what is waited for takes a second.
const LIMIT: Duration = Duration::from_secs(60);
/// Set by `cargo xtask test` where it said itself that there is no cluster, or none of ours, and
/// why.
const WITHOUT: &str = "HUBCTL_TEST_NO_CLUSTER";

/// A cluster that this test shares with others.
#[derive(Debug)]
pub struct Handle {
    kubeconfig: PathBuf,
    /// Held by everyone who uses a cluster of ours, so that nobody breaks it meanwhile.
    _lock: Option<fs_err::File>,
}

impl Handle {
    /// The cluster of this run. Without one, says that the test was skipped.
    #[must_use]
    pub fn find() -> Option<Self> {
        let kubeconfig = required(KUBECONFIG)?;
        let lock = directory().map(|directory| lock(&directory, false));
        Some(Self { kubeconfig, _lock: lock })
    }

    /// The cluster of this run, where it has a real operator of CloudNativePG. Without one, says
    /// that the test was skipped.
    #[must_use]
    pub fn find_with_operator() -> Option<Self> {
        named(OPERATOR)?;
        Self::find()
    }

    /// The file that a client is made from.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A name for a namespace that no other test and no other run has.
    #[must_use]
    pub fn namespace(&self, purpose: &str) -> String {
        namespace(purpose)
    }
}

/// A cluster of ours that this test has to itself, to break it. Dropped, what was stopped is
/// started.
///
/// A test takes this or a [`Handle`]: with both it would wait for itself.
#[derive(Debug)]
pub struct Alone {
    kubeconfig: PathBuf,
    directory: PathBuf,
    _lock: fs_err::File,
}

impl Alone {
    /// Waits until nobody else uses the cluster of this run. Without one, or with one that others
    /// made, says that the test was skipped.
    #[must_use]
    pub fn find() -> Option<Self> {
        let kubeconfig = required(KUBECONFIG)?;
        let directory = required(DIRECTORY)?;
        let lock = lock(&directory, true);
        Some(Self { kubeconfig, directory, _lock: lock })
    }

    /// The same, where it has a real operator of CloudNativePG as well.
    #[must_use]
    pub fn find_with_operator() -> Option<Self> {
        named(OPERATOR)?;
        Self::find()
    }

    /// The file that a client is made from.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A name for a namespace that no other test and no other run has.
    #[must_use]
    pub fn namespace(&self, purpose: &str) -> String {
        namespace(purpose)
    }

    /// Returns the number of nodes; they are counted from one.
    #[must_use]
    pub fn nodes(&self) -> u8 {
        let is_there = |node: &u8| self.directory.join(format!("node{node}")).is_dir();
        let nodes = u8::try_from((1..=9).filter(is_there).count());
        let nodes = nodes.expect("there are nine at most");
        let directory = self.directory.display();
        assert!(nodes > 0, "no cluster of ours has no node: {directory}");
        nodes
    }

    /// Takes the power from a node: all its processes end at once. The API notices ten seconds
    /// later.
    ///
    /// # Errors
    ///
    /// If it is the first node, where the API server runs, or there is no such node.
    pub fn stop_node(&self, node: u8) -> io::Result<()> {
        self.stop(&self.other_node(node)?)
    }

    /// Gives a node its power back. It is ready some seconds later.
    ///
    /// # Errors
    ///
    /// As [`Alone::stop_node`].
    pub fn start_node(&self, node: u8) -> io::Result<()> {
        self.start(&self.other_node(node)?)
    }

    /// Kills the API server. It is started again, and answers some seconds later.
    ///
    /// # Errors
    ///
    /// If the cluster ended.
    pub fn kill_api_server(&self) -> io::Result<()> {
        self.stop("kube-apiserver")?;
        self.start("kube-apiserver")
    }

    /// Kills a daemon, such as `kubelet-2`, and keeps it down.
    ///
    /// # Errors
    ///
    /// If there is none of this name.
    pub fn stop(&self, daemon: &str) -> io::Result<()> {
        self.state(daemon)?;
        fs_err::write(self.hold(daemon), "")?;
        self.wait(daemon, "held")
    }

    /// Starts a daemon that was stopped.
    ///
    /// # Errors
    ///
    /// If there is none of this name.
    pub fn start(&self, daemon: &str) -> io::Result<()> {
        match fs_err::remove_file(self.hold(daemon)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.wait(daemon, "running"),
        }
    }

    fn other_node(&self, node: u8) -> io::Result<String> {
        if (2..=self.nodes()).contains(&node) {
            return Ok(format!("node-{node}"));
        }
        let nodes = self.nodes();
        Err(io::Error::other(format!(
            "there is no node {node} to stop: of {nodes} nodes, the first runs the API server"
        )))
    }

    fn hold(&self, daemon: &str) -> PathBuf {
        self.directory.join("hold").join(daemon)
    }

    fn state(&self, daemon: &str) -> io::Result<String> {
        fs_err::read_to_string(self.directory.join("daemons").join(daemon))
    }

    fn wait(&self, daemon: &str, wanted: &str) -> io::Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let state = self.state(daemon)?;
            if state.starts_with(wanted) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let state = state.trim();
                return Err(io::Error::other(format!("{daemon} is {state}, and not {wanted}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        for entry in fs_err::read_dir(self.directory.join("hold")).into_iter().flatten().flatten() {
            // What cannot be started fails the next test that needs it.
            let _ = self.start(&entry.file_name().to_string_lossy());
        }
    }
}

/// The directory with the definitions of other people's resources. Without one, says that there is
/// none.
#[must_use]
pub fn definitions() -> Option<PathBuf> {
    named(DEFINITIONS)
}

/// Returns true if an operator of CloudNativePG runs in the cluster of this run and corrects what
/// tests write.
#[must_use]
pub fn has_operator() -> bool {
    std::env::var_os(OPERATOR).is_some_and(|value| !value.is_empty())
}

/// A path from the environment that not every run has.
fn named(variable: &str) -> Option<PathBuf> {
    let value = value(variable);
    if value.is_none() {
        not_applicable(&format!("{variable} is not set"));
    }
    value
}

/// A path from the environment that only a run without a cluster lacks.
fn required(variable: &str) -> Option<PathBuf> {
    let value = value(variable);
    let reason = || format!("{variable} is not set");
    match value {
        Some(_) => {}
        None if self::value(WITHOUT).is_some() => skip_as_told(&reason()),
        None => skip(&reason()),
    }
    value
}

fn value(variable: &str) -> Option<PathBuf> {
    let value = std::env::var_os(variable).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}

/// The directory of the cluster of this run, if that is one of ours. Without one, says that the
/// test was skipped.
#[must_use]
pub fn of_ours() -> Option<PathBuf> {
    required(DIRECTORY)
}

fn directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY)
        .map(PathBuf::from)
        .filter(|directory| directory.join("hold").is_dir())
}

fn lock(directory: &Path, alone: bool) -> fs_err::File {
    let hold =
        fs_err::File::open(directory.join("hold")).expect("it is the directory of a cluster");
    let locked = if alone { hold.file().lock() } else { hold.file().lock_shared() };
    locked.expect("a directory can be locked");
    hold
}

fn namespace(purpose: &str) -> String {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    let number = NAMES.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.map_or(0, |now| now.as_secs());
    let process = std::process::id();
    format!("{purpose}-{seconds:x}-{process:x}-{number}")
}
