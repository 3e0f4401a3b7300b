//! `cargo xtask images`: PostgreSQL images for a machine without a container registry.
//!
//! One base of this system's own packages, from wherever its apt takes them, and on it the server
//! that `cargo xtask servers` fetches. The entry point does what that of the official image does.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::Context as _;
use testcluster::POSTGRES_ENTRYPOINT;

use crate::engine::{self, Engine};
use crate::servers::{self, BUNDLES, Bundle, MUSL};

const DOCKERFILE: &str = include_str!("images/Dockerfile");
const NAME: &str = "hubctl-drill-postgres";
const BASE: &str = "hubctl-drill-base";
/// The libraries the servers are linked with (musl, so that one base serves all), and the programs
/// the entry point needs.
const PACKAGES: &str = "libstdc++6,locales,musl,passwd,postgresql-client";
const LOCALE: &str = "chroot \"$1\" localedef -i en_US -c -f UTF-8 en_US.UTF-8";
/// Says what an image was made of.
const RECIPE_LABEL: &str = "hubctl.recipe";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to build: 14 to 18, and musl for a 16 with another C library [default: all]
    #[arg(value_parser = servers::bundle)]
    wanted: Vec<&'static Bundle>,
}

/// The task: builds what is not there, and says what there is.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut wanted = args.wanted;
    if wanted.is_empty() {
        wanted = BUNDLES.iter().chain([&MUSL]).collect();
    }
    let engine = engine::ensure()?;
    for bundle in wanted {
        let begin = Instant::now();
        let tag = tag(bundle);
        let recipe = recipe(&[
            DOCKERFILE,
            POSTGRES_ENTRYPOINT,
            PACKAGES,
            LOCALE,
            bundle.version,
            bundle.sha256,
        ]);
        if label(&engine, &tag)? == Some(recipe.clone()) {
            println!("{tag}  PostgreSQL {}  already there", bundle.version);
            continue;
        }
        build(&engine, bundle, &tag, &recipe)?;
        let seconds = begin.elapsed().as_secs_f64();
        println!("{tag}  PostgreSQL {}  {seconds:.1} s", bundle.version);
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the name of the image for containers, such as `hubctl-drill-postgres:16`.
fn tag(bundle: &Bundle) -> String {
    if bundle == &MUSL {
        format!("{NAME}:{}-musl", bundle.major)
    } else {
        format!("{NAME}:{}", bundle.major)
    }
}

/// One word for everything an image depends on.
fn recipe(parts: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The recipe of an image, if there is one of this name.
fn label(engine: &Engine, image: &str) -> anyhow::Result<Option<String>> {
    let format = format!("{{{{index .Config.Labels \"{RECIPE_LABEL}\"}}}}");
    let output = engine
        .docker()
        .args(["image", "inspect", "--format", &format, image])
        .stdin(Stdio::null())
        .output()
        .context("could not run docker")?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(output.status.success().then_some(text))
}

fn build(engine: &Engine, bundle: &'static Bundle, tag: &str, recipe: &str) -> anyhow::Result<()> {
    let base = base(engine)?;
    let server = servers::ensure(bundle)?;
    let context = Scratch::new(&format!("image-{}", bundle.name))?;
    provision::run_quietly(
        Command::new("cp").arg("-a").arg(server.tree()).arg(context.path("server")),
    )?;
    fs_err::write(context.path("Dockerfile"), DOCKERFILE)?;
    fs_err::write(context.path("docker-entrypoint.sh"), POSTGRES_ENTRYPOINT)?;
    let mut minor = tag.to_owned();
    let major = bundle.major.to_string();
    minor.replace_range(NAME.len() + 1..NAME.len() + 1 + major.len(), bundle.version);
    provision::run_quietly(
        engine
            .docker()
            .args(["build", "--force-rm", "--tag", tag, "--tag", &minor])
            .args(["--build-arg", &format!("BASE={base}")])
            .args(["--label", &format!("{RECIPE_LABEL}={recipe}")])
            .args(["--label", &format!("hubctl.postgresql={}", bundle.version)])
            .arg(context.root()),
    )
}

/// The image that all others begin with, made if it is not there; returns its name.
fn base(engine: &Engine) -> anyhow::Result<String> {
    let suite = suite()?;
    let image = format!("{BASE}:{suite}");
    let recipe = recipe(&[PACKAGES, LOCALE]);
    if label(engine, &image)? == Some(recipe.clone()) {
        return Ok(image);
    }
    provision::ensure_programs(&[("mmdebstrap", "mmdebstrap")])?;
    eprintln!("Building {image} from packages of {suite} …");
    let begin = Instant::now();
    let scratch = Scratch::new("image-base")?;
    let tar = scratch.path("base.tar");
    provision::run_quietly(
        Command::new("mmdebstrap")
            .args(["--mode=root", "--variant=essential"])
            .arg(format!("--include={PACKAGES}"))
            .arg("--aptopt=APT::Install-Recommends \"false\"")
            // A mirror that stopped following its origin is good enough here.
            .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
            .args(["--dpkgopt=force-unsafe-io"])
            .args(
                ["doc", "man", "info"]
                    .map(|kind| format!("--dpkgopt=path-exclude=/usr/share/{kind}/*")),
            )
            .arg(format!("--customize-hook={LOCALE}"))
            .arg(&suite)
            .arg(&tar)
            .args(apt_sources())
            .env("TMPDIR", scratch.root()),
    )?;
    provision::run_quietly(
        engine
            .docker()
            .args(["import", "--change"])
            .arg(format!("LABEL {RECIPE_LABEL}={recipe}"))
            .arg(&tar)
            .arg(&image),
    )?;
    println!("{image}  {:.1} s", begin.elapsed().as_secs_f64());
    Ok(image)
}

/// The name of this system's release, such as `bookworm`: its sources have it for certain.
fn suite() -> anyhow::Result<String> {
    let text = fs_err::read_to_string("/etc/os-release")?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .context("/etc/os-release names no release; images are built on Debian and Ubuntu only")
}

/// The files that tell apt where its packages come from, those of the distribution only.
fn apt_sources() -> Vec<PathBuf> {
    let of_distribution = |path: &Path| {
        let text = fs_err::read_to_string(path).unwrap_or_default();
        let is_other = text.contains("signed-by=") || !text.contains("deb");
        !is_other
    };
    [
        "/etc/apt/sources.list.d/debian.sources",
        "/etc/apt/sources.list.d/ubuntu.sources",
        "/etc/apt/sources.list",
    ]
    .iter()
    .map(PathBuf::from)
    .filter(|path| path.is_file() && of_distribution(path))
    .take(1)
    .collect()
}

/// A directory in the cache for the time of a build; what a killed one left is replaced.
struct Scratch {
    directory: PathBuf,
}

impl Scratch {
    fn new(name: &str) -> anyhow::Result<Self> {
        let directory = provision::cache_directory()?.join("images").join(name);
        if directory.exists() {
            fs_err::remove_dir_all(&directory)?;
        }
        fs_err::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    fn root(&self) -> &Path {
        &self.directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next build tries again.
        let _ = fs_err::remove_dir_all(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_after_the_major_version() {
        assert_eq!(tag(&BUNDLES[0]), "hubctl-drill-postgres:14");
        assert_eq!(tag(&MUSL), "hubctl-drill-postgres:16-musl");
    }

    #[test]
    fn another_recipe_has_another_name() {
        assert_eq!(recipe(&["a", "b"]), recipe(&["a", "b"]));
        assert_ne!(recipe(&["a", "b"]), recipe(&["ab"]));
        assert_ne!(recipe(&["a", "b"]), recipe(&["a", "c"]));
    }
}
