//! The steps of the demo: operations, each under the command that a user would type for it.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::ops::Ops;
use crate::printer::{Format, Present, Printer};
use crate::run::report;
use crate::settings::{Overrides, Settings};

/// One command and how it went.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    command: String,
    expected_exit_code: u8,
    exit_code: u8,
    seconds: f64,
}

impl Step {
    pub(super) fn passed(&self) -> bool {
        self.exit_code == self.expected_exit_code
    }
}

/// Runs operations under a configuration, and shows them as their commands do.
pub(super) struct Stage {
    printer: Printer,
    ops: Ops,
    config: String,
    steps: Vec<Step>,
}

impl Stage {
    pub(super) fn new(context: &Context, config: &Path) -> anyhow::Result<Self> {
        // Readers of JSON are promised one document, and that is the demo's own.
        let printer = match context.printer.format() {
            Format::Text => context.printer.clone(),
            Format::Json => context.printer.muted(),
        };
        let settings = Settings::load(Some(config), Overrides::default())?;
        let ops = Ops::new(settings).with_console(Arc::new(printer.clone()));
        let ops = ops.noting(&context.unfinished);
        Ok(Self { printer, ops, config: config.display().to_string(), steps: Vec::new() })
    }

    pub(super) fn ops(&self) -> Ops {
        self.ops.clone()
    }

    /// Shows the command, and the operation that it stands for.
    pub(super) async fn step<R: Present>(
        &mut self,
        command: &str,
        expected: Exit,
        operation: impl Future<Output = anyhow::Result<R>>,
    ) {
        let command = format!("hubctl --config {} {command}", self.config);
        self.printer.say(format_args!("\n$ {command}"));
        let begun = Instant::now();
        let shown = operation.await.and_then(|report| report.present(&self.printer));
        let exit = shown.unwrap_or_else(|error| report(&self.printer, &error));
        let (exit_code, expected_exit_code) = (exit.code(), expected.code());
        if exit != expected {
            self.printer
                .warn(format_args!("this exited with {exit_code} instead of {expected_exit_code}"));
        } else if exit != Exit::Yes {
            self.printer.say(format_args!("(exit code {exit_code})"));
        }
        let seconds = begun.elapsed().as_secs_f64();
        self.steps.push(Step { command, expected_exit_code, exit_code, seconds });
    }

    pub(super) fn end(self) -> Vec<Step> {
        self.steps
    }
}
