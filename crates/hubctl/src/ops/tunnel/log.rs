//! The changes of the past, a line of JSON each.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::time::Duration;

use ::tunnel::Event;

use super::paths::SupervisorPaths;
use super::{TunnelEvent, includes};
use crate::ops::Ops;

/// A log that is longer is begun anew, and the old one kept beside it.
const LONGEST: u64 = 8 << 20;
/// The pause between two looks at a log.
const FOLLOW: Duration = Duration::from_millis(200);

/// Reports the changes of the past: of these tunnels, or of all without a name.
///
/// With `follow`, it goes on with each new one, and ends only with an error.
///
/// # Errors
/// A log that cannot be read; those of `changed`.
pub async fn tunnel_log(
    ops: &Ops,
    names: &[String],
    follow: bool,
    mut changed: impl FnMut(&TunnelEvent) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let path = SupervisorPaths::of(ops.settings())?.log;
    let file = match regularfile::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            ops.say("nothing happened yet");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let mut lines = BufReader::new(file);
    let mut line = String::new();
    loop {
        // Half a line is read on when the other half is written.
        while lines.read_line(&mut line)? > 0 && line.ends_with('\n') {
            match serde_json::from_str::<Event>(&line) {
                Ok(event) if includes(names, &event.tunnel) => changed(&TunnelEvent(event))?,
                Ok(_) => {}
                Err(_) => ops.warn(format_args!("a line of `{}` is no change", path.display())),
            }
            line.clear();
        }
        if !follow {
            return Ok(());
        }
        tokio::time::sleep(FOLLOW).await;
    }
}

/// The log, to be written.
pub(super) struct Log {
    file: fs_err::File,
}

impl Log {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        if let Some(directory) = path.parent() {
            fs_err::create_dir_all(directory)?;
        }
        if fs_err::metadata(path).is_ok_and(|file| file.len() > LONGEST) {
            fs_err::rename(path, path.with_extension("jsonl.1"))?;
        }
        let file = regularfile::Options::append().or_create().open(path)?;
        Ok(Self { file })
    }

    /// One write for each line, so that two never mix.
    pub(super) fn write(&mut self, event: &Event) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        Ok(())
    }
}
