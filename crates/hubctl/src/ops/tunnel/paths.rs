//! The paths of a configuration's supervisor: its sockets, and the log of its changes.

use std::path::{Path, PathBuf};

use crate::environment as env;
use crate::failure::Refusal;
use crate::settings::Settings;

/// The paths of one configuration's supervisor.
#[derive(Debug, Clone)]
pub(crate) struct SupervisorPaths {
    /// The configuration, as it was named.
    pub(crate) config: PathBuf,
    /// Private to the user; its sockets go when the supervisor does.
    pub(crate) runtime: PathBuf,
    /// A line of JSON for each change.
    pub(crate) log: PathBuf,
}

impl SupervisorPaths {
    /// The id in the names of this configuration's units.
    pub(crate) fn id(&self) -> std::borrow::Cow<'_, str> {
        let name = self.runtime.file_name();
        name.expect("the directory is named by the id").to_string_lossy()
    }

    pub(crate) fn of(settings: &Settings) -> anyhow::Result<Self> {
        let config = settings.file.clone().ok_or_else(|| {
            Refusal::usage("no configuration file was found")
                .hint("`hubctl init` writes a commented example; --config names another place")
        })?;
        // However it was named, it is the same file.
        let file = fs_err::canonicalize(&config)?;
        let id = short(&file);
        let (Some(runtime), Some(state)) = (env::runtime_home(), env::state_home()) else {
            return Err(Refusal::usage("there is no home directory to keep sockets in").into());
        };
        Ok(Self {
            config,
            runtime: runtime.join(&id),
            log: state.join("hubctl").join(format!("tunnels-{id}.jsonl")),
        })
    }
}

/// The address of a unix socket is short, and paths of configurations are not.
fn short(file: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let hash = blake3::hash(file.as_os_str().as_bytes());
    hash.to_hex()[..12].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_paths_of_its_own() {
        assert_eq!(short(Path::new("/a")).len(), 12);
        assert_ne!(short(Path::new("/a")), short(Path::new("/b")));
    }
}
