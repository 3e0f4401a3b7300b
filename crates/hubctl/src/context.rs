//! The surroundings of a command: its terminal, and the path of the configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ops::{Console, Ops};
use crate::printer::Printer;
use crate::settings::{Overrides, Settings};
use crate::unfinished::Unfinished;

/// The surroundings of one command.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) printer: Printer,
    /// `--config`, or what `HUBCTL_CONFIG` says.
    pub(crate) config: Option<PathBuf>,
    pub(crate) hold: Arc<Hold>,
    pub(crate) unfinished: Arc<Unfinished>,
}

/// Lets a command wait for Ctrl-C as its good end, where the signal would otherwise drop it in the
/// middle.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    waiting: AtomicBool,
    released: tokio::sync::Notify,
}

impl Hold {
    /// Waits for the next signal.
    pub(crate) async fn wait(&self) {
        self.waiting.store(true, Ordering::SeqCst);
        self.released.notified().await;
    }

    /// Passes a signal to whoever waits for it; false if nobody does.
    pub(crate) fn release(&self) -> bool {
        let waited = self.waiting.swap(false, Ordering::SeqCst);
        if waited {
            self.released.notify_one();
        }
        waited
    }
}

impl Context {
    /// Reads the configuration under these flags.
    pub(crate) fn settings(&self, overrides: Overrides) -> anyhow::Result<Settings> {
        let settings = Settings::load(self.config.as_deref(), overrides)?;
        match &settings.file {
            Some(path) => tracing::info!("configuration {}", path.display()),
            None => tracing::info!("no configuration file"),
        }
        Ok(settings)
    }

    /// The terminal, for operations.
    pub(crate) fn console(&self) -> Arc<dyn Console> {
        Arc::new(self.printer.clone())
    }

    /// The operations under these flags.
    pub(crate) fn ops(&self, overrides: Overrides) -> anyhow::Result<Ops> {
        let ops = Ops::new(self.settings(overrides)?);
        Ok(ops.with_console(self.console()).noting(&self.unfinished))
    }
}
