//! The programs of a cluster, compiled from the modules of their projects.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use provision::{Cache, Unavailable};

use super::go::Go;

// The kubelet of 1.35 refuses cgroup v1 unless it is told otherwise, and later ones were not tried with containerd 1.6.
const KUBERNETES: &str = "1.34.4";
// With those before 3.4.31 and 3.5.13, the API server refuses lists that are streamed.
const ETCD: &str = "3.6.16";
const OF_KUBERNETES: [&str; 6] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
];
/// Their versions follow from that of Kubernetes: what they share is compiled once.
const ADDONS: &str = include_str!("addons/go.mod");
const COREDNS: &str = include_str!("addons/coredns.go");
const PROVISIONER: &str = include_str!("addons/provisioner.go");

/// Returns the inputs of the programs.
pub(super) fn origin() -> String {
    [KUBERNETES, ETCD, ADDONS, COREDNS, PROVISIONER].join("\n")
}

/// Compiles everything into a directory.
pub(super) fn build(cache: &Cache, new: &Path) -> anyhow::Result<()> {
    let go = Go::find(cache)?;
    eprintln!("Compiling Kubernetes {KUBERNETES}: about ten minutes with two processors …");
    let sources = new.join("sources");
    kubernetes(&go, &sources.join("kubernetes"), new)?;
    etcd(&go, &sources.join("etcd"), new)?;
    addons(&go, &sources.join("addons"), new)?;
    Ok(fs_err::remove_dir_all(sources)?)
}

/// A module that depends on Kubernetes, whose programs cannot be installed from outside: its
/// `go.mod` takes parts of it from directories that the published module does not have. Their
/// releases are modules as well.
fn kubernetes(go: &Go, source: &Path, new: &Path) -> anyhow::Result<()> {
    let staged = KUBERNETES.replacen("1.", "0.", 1);
    fs_err::create_dir_all(source)?;
    let mut module = format!(
        "module hubctl.test/cluster/kubernetes\n\ngo 1.26\n\ngodebug default=go1.24\n\nrequire k8s.io/kubernetes v{KUBERNETES}\n"
    );
    fs_err::write(source.join("go.mod"), &module)?;
    let output = go
        .command(source)
        .args(["mod", "download", "-json", &format!("k8s.io/kubernetes@v{KUBERNETES}")])
        .stdin(Stdio::null())
        .output()
        .context("could not run go")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let theirs = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("\"GoMod\": \"")?.split('"').next())
        .ok_or_else(|| {
            let reason = format!("the module of Kubernetes could not be fetched: {}", said.trim());
            Unavailable::error(reason, "`go env GOPROXY` says from where; is there a network?")
        })?;
    let theirs = fs_err::read_to_string(theirs)?;
    let parts = staged_modules(&theirs);
    ensure!(!parts.is_empty(), "the module of Kubernetes has no staged parts");
    for part in parts {
        let _ = writeln!(module, "replace {part} => {part} v{staged}");
    }
    fs_err::write(source.join("go.mod"), &module)?;

    let packages = OF_KUBERNETES.map(|name| format!("k8s.io/kubernetes/cmd/{name}"));
    let tools = packages.each_ref().map(|package| format!("-tool={package}"));
    provision::run_quietly(go.command(source).args(["mod", "edit"]).args(tools))?;
    let mut build = go.command(source);
    build.args(["build", "-mod=mod", "-trimpath", "-ldflags", &version_flags(), "-o"]);
    provision::run_quietly(build.arg(new).args(packages))
}

/// Without them the server says that it is `v0.0.0-master`, and charts that ask for a version
/// refuse it.
fn version_flags() -> String {
    let minor = KUBERNETES.split('.').nth(1).unwrap_or_default();
    let version = "k8s.io/component-base/version";
    format!(
        "-s -w -X {version}.gitVersion=v{KUBERNETES} -X {version}.gitMajor=1 -X {version}.gitMinor={minor} -X k8s.io/client-go/pkg/version.gitVersion=v{KUBERNETES}"
    )
}

/// The modules that a `go.mod` takes from the directory `staging`.
fn staged_modules(module: &str) -> Vec<&str> {
    module
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("replace ").split_once(" => ./staging/"))
        .map(|(name, _)| name)
        .collect()
}

/// The package of the server is itself a program.
fn etcd(go: &Go, source: &Path, new: &Path) -> anyhow::Result<()> {
    const PACKAGE: &str = "go.etcd.io/etcd/server/v3";
    fs_err::create_dir_all(source)?;
    let module = format!(
        "module hubctl.test/cluster/etcd\n\ngo 1.26\n\ntool {PACKAGE}\n\nrequire {PACKAGE} v{ETCD}\n"
    );
    fs_err::write(source.join("go.mod"), module)?;
    let mut build = go.command(source);
    build
        .args(["build", "-mod=mod", "-trimpath", "-ldflags", "-s -w", "-o"])
        .arg(new.join("etcd"))
        .arg(PACKAGE);
    provision::run_quietly(build.env("CGO_ENABLED", "0"))
}

fn addons(go: &Go, source: &Path, new: &Path) -> anyhow::Result<()> {
    for (name, program) in [("coredns", COREDNS), ("local-provisioner", PROVISIONER)] {
        fs_err::create_dir_all(source.join(name))?;
        fs_err::write(source.join(name).join("main.go"), program)?;
    }
    fs_err::write(source.join("go.mod"), ADDONS)?;
    let mut build = go.command(source);
    build.args(["build", "-mod=mod", "-trimpath", "-ldflags", "-s -w", "-o"]);
    provision::run_quietly(build.arg(new).args(["./coredns", "./local-provisioner"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staged_modules_are_found() {
        let module = "require (\n\tk8s.io/api v0.0.0\n)\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\
                      \ta.test/x => ../x\n)\nreplace k8s.io/kubectl => ./staging/src/k8s.io/kubectl\n";
        assert_eq!(staged_modules(module), ["k8s.io/api", "k8s.io/kubectl"]);
    }

    #[test]
    fn the_addons_share_the_packages_of_kubernetes() {
        let staged = KUBERNETES.replacen("1.", "0.", 1);
        assert!(ADDONS.contains(&format!("k8s.io/client-go v{staged}\n")));
    }
}
