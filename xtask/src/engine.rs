//! A container engine: the one that answers here, or one of our own for as long as somebody needs
//! it.
//!
//! If no engine answers and we are root, Debian's Docker is installed if need be and started with a
//! data root and a socket of its own; nothing else on the machine changes. A small shell process
//! supervises it: it stops the engine when the last process that asked for it is gone, however that
//! ended. Images stay for the next time.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use provision::Unavailable;

const SUPERVISE: &str = include_str!("engine/supervise.sh");
/// Tried in this order. Some machines have no packet filter; ports on loopback are then forwarded
/// by a process.
const WAYS_TO_START: [&[&str]; 2] = [&[], &["--iptables=false", "--ip6tables=false"]];
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// An engine that answers.
#[derive(Debug)]
pub(crate) struct Engine {
    /// For `DOCKER_HOST`; nothing where the clients find the engine by themselves.
    host: Option<String>,
    directory: Option<PathBuf>,
}

/// An engine that answers, started if there is none. One of our own stays until this process ends.
///
/// Fails with [`Unavailable`], or with `provision::Missing` where Docker is not installed and
/// cannot be.
pub(crate) fn ensure() -> anyhow::Result<Engine> {
    provision::ensure_programs(&[("docker", "docker.io")])?;
    let machines = Engine { host: None, directory: None };
    if machines.answers() {
        return Ok(machines);
    }
    if let Some(host) = std::env::var_os("DOCKER_HOST") {
        return Err(Unavailable::error(
            format!("no container engine answers at {}", host.display()),
            "start it, or unset DOCKER_HOST",
        ));
    }
    if !provision::is_root() {
        return Err(Unavailable::error(
            "no container engine answers, and only root may start one",
            "start Docker (sudo systemctl start docker) and join the group `docker`, or run this as root",
        ));
    }
    provision::ensure_programs(&[("dockerd", "docker.io"), ("flock", "util-linux")])?;
    own()
}

/// Our own engine, running already or started.
fn own() -> anyhow::Result<Engine> {
    let directory = provision::cache_directory()?.join("docker");
    fs_err::create_dir_all(directory.join("owners"))?;
    let engine = Engine {
        host: Some(format!("unix://{}/docker.sock", directory.display())),
        directory: Some(directory.clone()),
    };
    // The supervisor stops the engine under this lock, after it looked once more for owners.
    let lock = fs_err::File::create(directory.join("lock"))?;
    lock.file().lock().context("could not lock the engine's directory")?;
    let me = Process::of(std::process::id()).context("could not read /proc")?;
    fs_err::write(directory.join("owners").join(me.name()), "")?;

    let supervisor = directory.join("supervisor");
    if Process::read(&supervisor).is_some_and(|process| process.is_alive()) && engine.answers() {
        return Ok(engine);
    }
    end_leftover(&directory)?;
    for options in WAYS_TO_START {
        if start(&directory, &engine, options)? {
            return Ok(engine);
        }
    }
    let log = directory.join("dockerd.log");
    Err(Unavailable::error(
        format!("Docker does not start here\n{}", last_lines(&log).unwrap_or_default()),
        "the whole log is in dockerd.log of that directory; or set DOCKER_HOST to an engine elsewhere",
    ))
}

/// Starts the engine with these options of dockerd. Returns true if it answers; otherwise it has
/// ended.
fn start(directory: &Path, engine: &Engine, options: &[&str]) -> anyhow::Result<bool> {
    let script = directory.join("supervise.sh");
    fs_err::write(&script, SUPERVISE)?;
    let mut supervisor = Command::new("sh")
        .arg(&script)
        .arg(directory)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Not for the Ctrl-C that is meant for us: it has to see the containers removed.
        .process_group(0)
        .env("PATH", path_with_daemons())
        .spawn()
        .context("could not start the supervisor of the engine")?;
    if let Some(process) = Process::of(supervisor.id()) {
        fs_err::write(directory.join("supervisor"), process.name())?;
    }
    let answers = wait_for(&mut supervisor, engine)?;
    if !answers {
        // Its handler ends the engine.
        terminate(supervisor.id());
        supervisor.wait()?;
    }
    Ok(answers)
}

fn wait_for(supervisor: &mut Child, engine: &Engine) -> anyhow::Result<bool> {
    let deadline = Instant::now() + START_TIMEOUT;
    while supervisor.try_wait()?.is_none() && Instant::now() < deadline {
        if engine.answers() {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(false)
}

/// Ends an engine of ours whose supervisor was killed.
fn end_leftover(directory: &Path) -> anyhow::Result<()> {
    let pid_file = directory.join("docker.pid");
    let pid = fs_err::read_to_string(&pid_file).ok();
    if let Some(pid) = pid.and_then(|text| text.trim().parse::<u32>().ok()) {
        let ours = format!("{}/docker.sock", directory.display());
        let is_ours = || {
            fs_err::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.contains(&ours))
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while is_ours() && Instant::now() < deadline {
            terminate(pid);
            std::thread::sleep(Duration::from_millis(500));
        }
        // dockerd does not start while the process of this number lives, whatever it is by now.
        let _ = fs_err::remove_file(&pid_file);
    }
    Ok(())
}

impl Engine {
    /// `docker`, for this engine.
    pub(crate) fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        command.envs(self.environment());
        // Without the plugin buildx, a new client has no other builder.
        command.env("DOCKER_BUILDKIT", "0");
        command
    }

    /// The variables with which a client finds this engine.
    pub(crate) fn environment(&self) -> Option<(&'static str, &str)> {
        self.host.as_deref().map(|host| ("DOCKER_HOST", host))
    }

    /// The file that leaves an engine of our own running when we end, with its containers, for as
    /// long as it is there.
    pub(crate) fn keeper(&self) -> Option<PathBuf> {
        let directory = self.directory.as_ref()?;
        Some(directory.join("owners/kept"))
    }

    fn answers(&self) -> bool {
        self.docker()
            .args(["version", "--format", "{{.Server.Version}}"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

/// A process, told from a later one of the same number by when it started.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    pid: u32,
    started: u64,
}

impl Process {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid, started: started(&stat)? })
    }

    fn read(file: &Path) -> Option<Self> {
        let text = fs_err::read_to_string(file).ok()?;
        let (pid, started) = text.split_once('-')?;
        Some(Self { pid: pid.parse().ok()?, started: started.parse().ok()? })
    }

    fn name(&self) -> String {
        format!("{}-{}", self.pid, self.started)
    }

    fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }
}

/// Returns the start time of a process from its line in /proc: field 22, counted after the name,
/// which may hold anything.
fn started(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(19)?.parse().ok()
}

/// Asks a process to end. It may be gone already.
fn terminate(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

fn path_with_daemons() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}

fn last_lines(log: &Path) -> Option<String> {
    let text = fs_err::read_to_string(log).ok()?;
    let lines: Vec<_> = text.lines().collect();
    Some(lines[lines.len().saturating_sub(5)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_by_its_start() {
        let me = Process::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        let earlier = Process { started: me.started - 1, ..me };
        assert!(!earlier.is_alive());
    }

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let fields = (3..=52).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(started(&format!("7 (a) b (c) {fields}")), Some(22));
    }
}
