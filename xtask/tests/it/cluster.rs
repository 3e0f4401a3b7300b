//! Clusters that were there are gone without a trace. These run where `cargo xtask test` has a
//! cluster, and so can others.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// So that nothing hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// A place for a cluster, which is ended with it.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    /// None where a cluster would first have to be compiled, or cannot be.
    fn new() -> Option<Self> {
        // Where there is one, there can be others.
        testkit::cluster::of_ours()?;
        let directory = tempfile::tempdir().unwrap();
        Some(Self { directory })
    }

    fn cluster(&self) -> PathBuf {
        self.directory.path().join("c")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        xtask("down", &self.cluster());
    }
}

fn command(action: &str, cluster: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["cluster", action]).arg(cluster).stdin(Stdio::null());
    command
}

fn xtask(action: &str, cluster: &Path) -> Output {
    command(action, cluster).output().unwrap()
}

fn assert_success(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
}

/// Returns the possible traces of a cluster on a machine, a line each. The other cluster of this
/// run is no trace of ours.
fn traces() -> BTreeSet<String> {
    let other = fs_err::read_to_string(
        Path::new(&std::env::var_os("HUBCTL_TEST_CLUSTER").unwrap()).join("plan.toml"),
    )
    .unwrap();
    let other = other.split('"').nth(1).unwrap().to_owned();
    let mut traces = BTreeSet::new();
    for words in [
        &["ip", "-oneline", "link"][..],
        &["ip", "route", "show", "table", "all"],
        &["ip", "rule"],
        &["ip", "netns"],
        &["iptables-save"],
        &["sysctl", "-e", "vm.overcommit_memory", "vm.panic_on_oom", "kernel.panic"],
        &["sysctl", "-e", "kernel.panic_on_oops", "kernel.keys.root_maxkeys"],
        &["find", "/sys/fs/cgroup", "-type", "d", "-name", "hubk-*"],
        &["find", "/run", "/etc/cni", "/opt", "/var/lib/cni", "-maxdepth", "1"],
        &["find", "/var/lib", "/var/log", "-maxdepth", "1"],
    ] {
        let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
        // The others name what a machine does not have, and fail of it.
        if words[0].starts_with("ip") {
            assert_success(&output);
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // Counters and times change by themselves.
        let lines = said.lines().filter(|line| !line.starts_with(['#', ':']));
        traces.extend(lines.map(|line| format!("{}: {line}", words[0])));
    }
    let mounts = fs_err::read_to_string("/proc/self/mounts").unwrap();
    traces.extend(mounts.lines().map(|line| format!("mount: {line}")));
    traces.retain(|line| !line.contains(&other));
    traces
}

/// The processes that have to do with a directory.
fn processes(directory: &Path) -> Vec<String> {
    let directory = directory.display().to_string();
    let entries = fs_err::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| fs_err::read_to_string(entry.path().join("cmdline")).ok())
        .map(|line| line.replace('\0', " "))
        .filter(|line| line.contains(&directory))
        .collect()
}

/// Other tests and other programs make and remove things meanwhile: what is new has to go, some
/// time.
fn assert_no_trace(before: &BTreeSet<String>, cluster: &Path) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let now = traces();
        let left: Vec<_> = now.difference(before).collect();
        let processes = processes(cluster);
        if left.is_empty() && processes.is_empty() && !cluster.exists() {
            return;
        }
        assert!(Instant::now() < deadline, "left: {left:#?} {processes:#?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Checks that a trace is found while the cluster is there.
fn assert_trace(before: &BTreeSet<String>, cluster: &Path) {
    let now = traces();
    let new: Vec<_> = now.difference(before).collect();
    for kind in ["ip: ", "find: /sys/fs/cgroup"] {
        assert!(new.iter().any(|line| line.starts_with(kind)), "no {kind} among {new:#?}");
    }
    assert_ne!(processes(cluster).len(), 0);
}

#[test]
fn a_cluster_leaves_nothing_behind() {
    let Some(place) = Place::new() else { return };
    let cluster = place.cluster();
    let before = traces();
    assert_success(&xtask("up", &cluster));
    assert_success(&xtask("status", &cluster));
    assert_trace(&before, &cluster);
    assert!(!xtask("up", &cluster).status.success(), "there is one already");
    let environment = String::from_utf8(xtask("env", &cluster).stdout).unwrap();
    let kubeconfig = cluster.join("kubeconfig/admin");
    assert!(
        environment.contains(&format!("export HUBCTL_TEST_KUBECONFIG={}\n", kubeconfig.display()))
    );

    assert_success(&xtask("down", &cluster));
    assert_eq!(processes(&cluster), Vec::<String>::new());
    assert!(!cluster.exists());
    assert_no_trace(&before, &cluster);
    assert_success(&xtask("down", &cluster));
}

#[test]
fn an_up_that_is_killed_leaves_nothing_behind() {
    let Some(place) = Place::new() else { return };
    let cluster = place.cluster();
    let before = traces();
    // Before the API server answers, whenever that is.
    for file in ["plan.toml", "log/node-1.log", "daemons/kube-apiserver"] {
        let mut up = command("up", &cluster).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + LIMIT;
        while !cluster.join(file).exists() {
            assert!(Instant::now() < deadline, "{file} does not come");
            std::thread::sleep(Duration::from_millis(1));
        }
        up.kill().unwrap();
        up.wait().unwrap();
        assert_success(&xtask("down", &cluster));
        assert_no_trace(&before, &cluster);
    }
}

#[test]
fn what_an_up_still_makes_when_it_is_killed_goes_as_well() {
    let Some(place) = Place::new() else { return };
    let cluster = place.cluster();
    let before = traces();
    let programs = place.directory.path().join("programs");
    let [slow, begun, done] = ["ip", "begun", "done"].map(|name| programs.join(name));
    let path = std::env::var("PATH").unwrap();
    fs_err::create_dir(&programs).unwrap();
    let script = format!(
        "#!/bin/sh\ntouch {}\nsleep 1\nPATH='{path}' ip \"$@\"\ntouch {}\n",
        begun.display(),
        done.display()
    );
    fs_err::write(&slow, script).unwrap();
    fs_err::set_permissions(&slow, std::fs::Permissions::from_mode(0o755)).unwrap();

    let mut up = command("up", &cluster)
        .env("PATH", format!("{}:{path}", programs.display()))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + LIMIT;
    while !begun.exists() {
        assert!(Instant::now() < deadline, "no link is made");
        std::thread::sleep(Duration::from_millis(1));
    }
    up.kill().unwrap();
    up.wait().unwrap();
    assert_success(&xtask("down", &cluster));
    assert!(done.exists(), "`down` did not wait for what `up` had begun");
    assert_no_trace(&before, &cluster);
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let precious = place.path().join("thesis.txt");
    fs_err::write(&precious, "").unwrap();
    let output = xtask("down", place.path());
    assert!(!output.status.success());
    assert!(precious.is_file());
}

/// The image of pods' first processes by another name, which no node has: the only program in it
/// waits.
fn image(environment: &str, name: &str, archive: &Path) {
    let programs = environment
        .lines()
        .find_map(|line| line.strip_prefix("export PATH=")?.split(':').next())
        .unwrap();
    let pause = Path::new(programs).with_file_name("images/pause.tar");
    let work = tempfile::tempdir().unwrap();
    let tar = |arguments: &[&str]| {
        let mut tar = Command::new("tar");
        let status = tar.arg("-C").arg(work.path()).args(arguments).status();
        assert!(status.unwrap().success());
    };
    tar(&["-xf", pause.to_str().unwrap()]);
    let manifest = work.path().join("manifest.json");
    let text = fs_err::read_to_string(&manifest).unwrap();
    let own = text.replace("hubctl.test/pause:1", name);
    assert_ne!(own, text);
    fs_err::write(&manifest, own).unwrap();
    let parts = ["manifest.json", "config.json", "layer.tar"];
    tar(&[&["-cf", archive.to_str().unwrap()], &parts[..]].concat());
}

/// Its image is on no node before, and the second manifest needs what the first one makes.
#[test]
fn an_operator_is_there_when_up_is_done() {
    let Some(place) = Place::new() else { return };
    let operator = place.directory.path().join("operator");
    fs_err::create_dir(&operator).unwrap();
    let with_operator = || {
        let mut up = command("up", &place.cluster());
        up.arg("--operator").arg(&operator).output().unwrap()
    };
    let output = with_operator();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("has no manifest (*.yaml)"), "{said}");
    assert!(!place.cluster().exists());

    let other = PathBuf::from(std::env::var_os("HUBCTL_TEST_CLUSTER").unwrap());
    let environment = String::from_utf8(xtask("env", &other).stdout).unwrap();
    image(&environment, "hubctl.test/operator:1", &operator.join("operator.tar"));
    let deployment = r#"apiVersion: v1
kind: Namespace
metadata: {name: operator}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: operator, namespace: operator}
spec:
  selector: {matchLabels: {app: operator}}
  template:
    metadata: {labels: {app: operator}}
    spec: {containers: [{name: operator, image: "hubctl.test/operator:1", imagePullPolicy: Never}]}
"#;
    let configuration =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late, namespace: operator}\n";
    fs_err::write(operator.join("1.yaml"), deployment).unwrap();
    fs_err::write(operator.join("2.yaml"), configuration).unwrap();
    assert_success(&with_operator());

    let environment = String::from_utf8(xtask("env", &place.cluster()).stdout).unwrap();
    let named = operator.canonicalize().unwrap();
    assert!(
        environment.contains(&format!("export HUBCTL_TEST_OPERATOR={}\n", named.display())),
        "{environment}"
    );
    let get = "kubectl get --namespace operator deployment/operator configmap/late \
               --output=jsonpath='{.items[*].status.availableReplicas}'";
    let output =
        Command::new("sh").args(["-c", &format!("{environment}\n{get}")]).output().unwrap();
    assert_success(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1");
}
