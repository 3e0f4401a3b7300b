//! The containers of a run: labelled with who owns them, and removed when the owner is gone.
//!
//! testcontainers removes a container when its handle is dropped. That is not enough: a start that
//! times out leaves no handle, and a process that is killed drops nothing. So every run removes
//! what carries its label, and what carries the label of a run that is dead.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use testcontainers::bollard::Docker;
use testcontainers::bollard::models::ContainerSummary;
use testcontainers::bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};

use crate::Unavailable;

const RUN: &str = "hubctl.drill";
const OWNER: &str = "hubctl.drill.owner";
const KEPT: &str = "hubctl.drill.kept";
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(300);

/// One run of the drill.
pub(crate) struct Run {
    id: String,
    docker: Docker,
    keep: bool,
}

impl Run {
    /// Finds the engine, and removes what dead runs left there.
    pub(crate) async fn begin(keep: bool) -> anyhow::Result<Self> {
        let docker =
            Docker::connect_with_defaults().context("could not set up a client for Docker")?;
        docker.ping().await.map_err(|error| {
            Unavailable(format!(
                "no container engine answers: {error}\n  start Docker, or let `cargo xtask drill` start one as root"
            ))
        })?;
        let me = Owner::current()?;
        let run = Self { id: format!("{}-{}", me.pid, me.started), docker, keep };
        run.sweep(&me).await?;
        Ok(run)
    }

    pub(crate) fn docker(&self) -> &Docker {
        &self.docker
    }

    pub(crate) fn keeps(&self) -> bool {
        self.keep
    }

    /// Returns the labels of every container of this run.
    pub(crate) fn labels(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut labels = vec![(RUN, self.id.clone()), (OWNER, Owner::current()?.to_string())];
        if self.keep {
            labels.push((KEPT, "yes".into()));
        }
        Ok(labels)
    }

    /// Removes the containers of this run, or says how to enter and to remove them.
    pub(crate) async fn end(&self) -> anyhow::Result<()> {
        let label = format!("{RUN}={}", self.id);
        if self.keep {
            let containers = self.list(&label).await?;
            let names: Vec<_> = containers.iter().filter_map(name).collect();
            eprint!("{}", kept(&docker_command(), &label, &names));
            return Ok(());
        }
        self.remove_all(&label).await
    }

    /// Removes until nothing is left: an interrupted start may still be under way in the engine,
    /// and so may the removal by a handle that was dropped.
    async fn remove_all(&self, label: &str) -> anyhow::Result<()> {
        let begin = Instant::now();
        let mut empty = 0;
        while empty < 2 {
            let containers = self.list(label).await?;
            empty = if containers.is_empty() { empty + 1 } else { 0 };
            for container in containers {
                self.remove(&container).await?;
            }
            ensure!(
                begin.elapsed() < PATIENCE,
                "containers of this run cannot be removed: docker ps --all --filter label={label}"
            );
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn sweep(&self, me: &Owner) -> anyhow::Result<()> {
        for container in self.list(RUN).await? {
            let labels = container.labels.clone().unwrap_or_default();
            let owner = labels.get(OWNER).and_then(|text| Owner::parse(text));
            if labels.contains_key(KEPT) || owner.is_none_or(|owner| !owner.is_dead(me)) {
                continue;
            }
            let name = name(&container).unwrap_or_default();
            eprintln!("Removing container {name} of a run that was killed.");
            self.remove(&container).await?;
        }
        Ok(())
    }

    /// Running or not.
    async fn list(&self, label: &str) -> anyhow::Result<Vec<ContainerSummary>> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.docker.list_containers(Some(options)).await;
        found.context("could not list containers")
    }

    async fn remove(&self, container: &ContainerSummary) -> anyhow::Result<()> {
        let id = container.id.as_deref().unwrap_or_default();
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.docker.remove_container(id, Some(options)).await {
            Ok(()) => Ok(()),
            // Gone, or on its way: its handle was dropped at the same time.
            Err(testcontainers::bollard::errors::Error::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            }) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("could not remove container {id}")),
        }
    }
}

/// As a person would write it: the engine puts a slash before it.
fn name(container: &ContainerSummary) -> Option<String> {
    let name = container.names.as_deref()?.first()?;
    Some(name.trim_start_matches('/').to_owned())
}

/// `docker` as it is to be typed for the engine that this process uses: it need not be the one that
/// a shell finds.
fn docker_command() -> String {
    std::env::var("DOCKER_HOST")
        .map_or_else(|_| "docker".into(), |host| format!("docker --host {host}"))
}

/// Returns the remedy for containers that stay.
fn kept(docker: &str, label: &str, names: &[String]) -> String {
    let mut text = "Kept, with all databases in them. To enter:\n".to_owned();
    for name in names {
        text += &format!("  {docker} exec --interactive --tty {name} psql --username postgres\n");
    }
    text += "To remove:\n";
    text += &format!(
        "  {docker} rm --force --volumes $({docker} ps --all --quiet --filter label={label})\n"
    );
    text
}

/// A process, told from all others by machine, boot, number and start.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    host: String,
    boot: String,
    pid: u32,
    started: u64,
}

impl Owner {
    fn current() -> anyhow::Result<Self> {
        let read = |path: &str| fs_err::read_to_string(path).map(|text| text.trim().to_owned());
        let pid = std::process::id();
        Ok(Self {
            host: read("/proc/sys/kernel/hostname")?,
            boot: read("/proc/sys/kernel/random/boot_id")?,
            pid,
            started: started(pid).context("could not read /proc")?,
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let mut next = || parts.next();
        Some(Self {
            host: next()?.to_owned(),
            boot: next()?.to_owned(),
            pid: next()?.parse().ok()?,
            started: next()?.parse().ok()?,
        })
    }

    /// Returns true if this process is certainly gone, as seen from another. Nothing is certain of
    /// other machines.
    fn is_dead(&self, me: &Self) -> bool {
        self.host == me.host && (self.boot != me.boot || started(self.pid) != Some(self.started))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, boot, pid, started } = self;
        write!(f, "{host} {boot} {pid} {started}")
    }
}

/// Returns the start time of a process, in ticks since boot: field 22, counted after the name,
/// which may hold anything.
fn started(pid: u32) -> Option<u64> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_can_be_entered_and_removed_by_the_engine_that_has_it() {
        let docker = "docker --host unix:///cache/docker.sock";
        let text = kept(docker, "hubctl.drill=7-1", &["drill-source-16".into()]);
        assert!(text.contains(&format!("{docker} exec --interactive --tty drill-source-16 psql")));
        assert!(text.contains(&format!("{docker} rm --force --volumes $({docker} ps")));
        assert!(text.contains("--filter label=hubctl.drill=7-1)"));
    }

    #[test]
    fn an_owner_survives_its_label() {
        let me = Owner::current().unwrap();
        assert_eq!(Owner::parse(&me.to_string()), Some(me));
        assert_eq!(Owner::parse("node1 boot seven 1"), None);
    }

    #[test]
    fn only_what_is_certainly_dead_is_dead() {
        let me = Owner::current().unwrap();
        let other = |change: fn(&mut Owner)| {
            let mut owner = Owner::current().unwrap();
            change(&mut owner);
            owner.is_dead(&me)
        };
        assert!(!other(|_| {}));
        assert!(other(|owner| owner.started -= 1));
        assert!(other(|owner| owner.boot = "another".into()));
        assert!(!other(|owner| {
            owner.host = "node1.example".into();
            owner.boot = "another".into();
        }));
    }
}
