//! What every command is given: how to speak, and where the configuration is.

use std::path::PathBuf;
use std::sync::Arc;

use pgsnap::Progress;

use crate::printer::Printer;
use crate::progress::Face;
use crate::settings::{Overrides, Settings};

/// The surroundings of one command.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) printer: Printer,
    pub(crate) face: Face,
    /// `--config`, or what `HUBCTL_CONFIG` says.
    pub(crate) config: Option<PathBuf>,
}

impl Context {
    /// Reads the configuration under these flags.
    pub(crate) fn settings(&self, overrides: Overrides) -> anyhow::Result<Settings> {
        Settings::load(self.config.as_deref(), overrides)
    }

    pub(crate) fn progress(&self) -> Arc<dyn Progress> {
        self.face.meter(&self.printer)
    }
}

/// Runs blocking work beside the runtime's own threads; a panic there is one here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("blocking work is never cancelled while it is awaited")
}
