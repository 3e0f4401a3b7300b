//! The images that every node has, made without a registry: in the format of `docker save`, which
//! both Docker and containerd read.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::configuration::PAUSE;

const PAUSE_SOURCE: &str = include_str!("images/pause.c");
const BEFORE: &str = include_str!("images/before.sh");
const AFTER: &str = include_str!("images/after.sh");
/// The entry point of images of PostgreSQL, those for drills too: it does what that of the official
/// image does.
pub const ENTRYPOINT: &str = include_str!("images/docker-entrypoint.sh");
const SUITE: &str = "trixie";
const PACKAGES: &str = "postgresql-17,curl,ca-certificates";
/// The whole name, with the registry that is not asked: a pod may then say `postgres:17`.
const POSTGRES: &str = "docker.io/library/postgres:17";
const POSTGRES_CONFIG: &str = r#"{
  "Entrypoint": ["docker-entrypoint.sh"],
  "Cmd": ["postgres"],
  "ExposedPorts": {"5432/tcp": {}},
  "StopSignal": "SIGINT",
  "Env": [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/17/bin",
    "LANG=C.UTF-8",
    "PGDATA=/var/lib/postgresql/data"
  ]
}"#;
const PAUSE_CONFIG: &str = r#"{"Entrypoint": ["/pause"], "User": "65535:65535"}"#;

/// Returns the inputs of the images.
pub(super) fn origin() -> String {
    [PAUSE_SOURCE, PAUSE_CONFIG, SUITE, PACKAGES, BEFORE, AFTER, ENTRYPOINT, POSTGRES_CONFIG]
        .join("\n")
}

/// Makes the archives in a directory.
pub(super) fn build(new: &Path) -> anyhow::Result<()> {
    pause(new)?;
    postgres(new)
}

fn pause(new: &Path) -> anyhow::Result<()> {
    let work = new.join("work");
    fs_err::create_dir_all(work.join("root"))?;
    let source = work.join("pause.c");
    fs_err::write(&source, PAUSE_SOURCE)?;
    let program = work.join("root/pause");
    let mut compile = Command::new("gcc");
    compile.args(["-Os", "-s", "-static", "-o"]).arg(program).arg(source);
    provision::run_quietly(&mut compile)?;
    let layer = work.join("layer.tar");
    let mut pack = Command::new("tar");
    pack.args(["--sort=name", "--numeric-owner", "--mtime=@0", "-cf"]);
    provision::run_quietly(pack.arg(&layer).arg("-C").arg(work.join("root")).arg("pause"))?;
    archive(&work, PAUSE, PAUSE_CONFIG, &new.join("pause.tar"))
}

/// One image serves plain pods, Docker, and CloudNativePG, which brings an entry point of its own.
fn postgres(new: &Path) -> anyhow::Result<()> {
    let work = new.join("work");
    fs_err::create_dir_all(&work)?;
    let layer = work.join("layer.tar");
    for (file, text) in
        [("before.sh", BEFORE), ("after.sh", AFTER), ("docker-entrypoint.sh", ENTRYPOINT)]
    {
        fs_err::write(work.join(file), text)?;
    }
    let path = |name: &str| work.join(name).display().to_string();
    let mut make = Command::new("mmdebstrap");
    make.args(["--mode=root", "--variant=essential"])
        .arg(format!("--include={PACKAGES}"))
        .arg("--aptopt=APT::Install-Recommends \"false\"")
        // A mirror that stopped following its origin is good enough here.
        .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
        .arg("--dpkgopt=force-unsafe-io")
        .arg(format!("--essential-hook=sh {} \"$1\"", path("before.sh")))
        .arg(format!("--customize-hook=copy-in {} /usr/local/bin", path("docker-entrypoint.sh")))
        .arg(format!("--customize-hook=sh {} \"$1\"", path("after.sh")))
        .arg(SUITE)
        .arg(&layer)
        .args(mirror())
        .env("TMPDIR", &work)
        .env("SOURCE_DATE_EPOCH", "0");
    provision::run_quietly(&mut make)?;
    archive(&work, POSTGRES, POSTGRES_CONFIG, &new.join("postgres.tar"))
}

/// Returns the origin of this machine's packages if it is Debian; otherwise mmdebstrap knows one.
fn mirror() -> Option<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Label: Debian"])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().next().map(ToOwned::to_owned)
}

/// Packs `layer.tar` of a directory, with its digest, a configuration and a manifest; then the
/// directory is removed.
fn archive(work: &Path, tag: &str, config: &str, out: &Path) -> anyhow::Result<()> {
    let output = Command::new("sha256sum")
        .arg(work.join("layer.tar"))
        .output()
        .context("could not run sha256sum")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let digest = said.split(' ').next().unwrap_or_default();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = format!(
        r#"{{"architecture": "{architecture}", "os": "linux", "created": "1970-01-01T00:00:00Z", "config": {config}, "rootfs": {{"type": "layers", "diff_ids": ["sha256:{digest}"]}}}}"#
    );
    let manifest =
        format!(r#"[{{"Config": "config.json", "RepoTags": ["{tag}"], "Layers": ["layer.tar"]}}]"#);
    fs_err::write(work.join("config.json"), config)?;
    fs_err::write(work.join("manifest.json"), manifest)?;
    let mut pack = Command::new("tar");
    pack.arg("-cf").arg(out).arg("-C").arg(work);
    provision::run_quietly(pack.args(["manifest.json", "config.json", "layer.tar"]))?;
    Ok(fs_err::remove_dir_all(work)?)
}
