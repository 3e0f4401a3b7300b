//! Shell scripts that are the commands of writers.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::state_hub::Python;

const SERVICE: &str = include_str!("service.sh");

/// The script of one program of the sample service. Dropped, it ends the program.
#[derive(Debug)]
pub(super) struct Script {
    state: PathBuf,
    pub(super) path: PathBuf,
}

impl Script {
    /// Writes a script that runs a Python module, and whose state begins with this path.
    pub(super) fn write(
        state: PathBuf,
        python: &Python,
        module: &[&str],
        variables: &[(&str, &str)],
    ) -> io::Result<Self> {
        let mut text = head(&state)?;
        let mut program: Vec<String> =
            variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        program.push(python.interpreter.display().to_string());
        program.push("-m".to_owned());
        program.extend(module.iter().map(|word| (*word).to_owned()));
        let _ = writeln!(text, "action=${{1-}}\nset --{}\n{SERVICE}", words(&program));
        let path = state.with_extension("sh");
        fs_err::write(&path, text)?;
        Ok(Self { state, path })
    }

    /// Prepares a fault for the next call with this action.
    pub(super) fn prepare(&self, action: &str, fault: &str) -> io::Result<()> {
        fs_err::write(self.state.with_extension(format!("{action}.fault")), fault)
    }

    /// Forgets every fault that was not met.
    pub(super) fn forget(&self) {
        for action in ["stop", "start", "stopped"] {
            let _ = fs_err::remove_file(self.state.with_extension(format!("{action}.fault")));
        }
    }

    /// The output of the program so far.
    pub(super) fn log(&self) -> String {
        fs_err::read_to_string(self.state.with_extension("log")).unwrap_or_default()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let number = fs_err::read_to_string(self.state.with_extension("pid")).unwrap_or_default();
        let Some(pid) = number.trim().parse().ok().and_then(Pid::from_raw) else {
            return;
        };
        let line = fs_err::read_to_string(format!("/proc/{}/cmdline", number.trim()));
        if line.is_ok_and(|line| line.contains(&*self.state.to_string_lossy())) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Writes the script of an outbox: `SCRIPT pending|replay`, both by the relay's own commands.
pub(super) fn outbox(path: &Path, relay: &[String]) -> io::Result<()> {
    let relay = words(relay);
    let text = format!(
        "#!/bin/sh\nexport PYTHONDONTWRITEBYTECODE=1\ncd {} || exit 7\ncase $1 in\n    pending) exec{relay} status --json ;;\n    \
         replay) exec{relay} replay ;;\nesac\nexit 2\n",
        quoted(Python::SOURCES)
    );
    fs_err::write(path, text)
}

/// Writes the script of a writer that runs statements once, when it is stopped: `SCRIPT
/// stop|start|stopped`.
pub(super) fn changes(path: &Path, url: &str, statements: &str) -> io::Result<PathBuf> {
    let state = path.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    let text = format!(
        "#!/bin/sh\ndone={}\ncase $1 in\n    stop) psql -qX -v ON_ERROR_STOP=1 -d {} -c {} && \
         : >\"$done\" ;;\n    start) rm -f \"$done\" ;;\n    stopped) test -e \"$done\" ;;\nesac\n",
        quoted(&format!("{state}.done")),
        quoted(url),
        quoted(statements),
    );
    let path = path.with_extension("sh");
    fs_err::write(&path, text)?;
    Ok(path)
}

fn head(state: &Path) -> io::Result<String> {
    let state = state.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    Ok(format!("#!/bin/sh\nstate={}\nsources={}\n", quoted(state), quoted(Python::SOURCES)))
}

fn words(words: &[String]) -> String {
    words.iter().map(|word| format!(" {}", quoted(word))).collect()
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::child::finish;

    /// A service that is `python -m MODULE`, where the interpreter is a script of ours.
    fn service(directory: &Path, program: &str) -> Script {
        use std::os::unix::fs::PermissionsExt as _;
        let interpreter = directory.join("py thon");
        fs_err::write(&interpreter, format!("#!/bin/sh\n{program}\n")).unwrap();
        fs_err::set_permissions(&interpreter, std::fs::Permissions::from_mode(0o755)).unwrap();
        let python = Python::at(interpreter);
        Script::write(directory.join("api"), &python, &["it's"], &[("NAME", "a b")]).unwrap()
    }

    fn call(script: &Script, action: &str) -> i32 {
        let done = finish(Command::new("sh").arg(&script.path).arg(action)).unwrap();
        done.status.code().unwrap()
    }

    #[test]
    fn a_service_is_started_once_and_stopped() {
        let directory = tempfile::tempdir().unwrap();
        let script = service(directory.path(), "echo \"$NAME $2\"; while :; do sleep 0.1; done");
        assert_eq!(call(&script, "stopped"), 0);
        assert_eq!(call(&script, "stop"), 0);
        assert_eq!(call(&script, "start"), 0);
        assert_eq!((call(&script, "start"), call(&script, "stopped")), (0, 1));
        while script.log().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!((call(&script, "stop"), call(&script, "stopped")), (0, 0));
        assert_eq!(script.log(), "a b it's\n");
    }

    #[test]
    fn a_fault_is_met_once() {
        let directory = tempfile::tempdir().unwrap();
        let script = service(directory.path(), "exec sleep 60");
        script.prepare("start", "lie").unwrap();
        assert_eq!((call(&script, "start"), call(&script, "stopped")), (0, 0));
        script.prepare("start", "fail").unwrap();
        assert_eq!((call(&script, "start"), call(&script, "start")), (9, 0));
        script.prepare("stopped", "lie").unwrap();
        assert_eq!((call(&script, "stopped"), call(&script, "stopped")), (0, 1));
        script.prepare("stop", "fail").unwrap();
        script.forget();
        assert_eq!(call(&script, "stop"), 0);
    }
}
