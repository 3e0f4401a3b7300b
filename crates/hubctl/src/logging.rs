//! Logs on stderr: for whoever looks for the reason, not for the operator's every day.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::environment;
use crate::printer::Printer;

/// Starts logging; `HUBCTL_LOG` decides over `-v`. A second call changes nothing.
pub(crate) fn start(verbose: u8, printer: &Printer) {
    let default = match verbose {
        0 => "error",
        1 => "hubctl=info,pgsnap=info,backup=info,gates=info",
        2 => "hubctl=debug,pgsnap=debug,backup=debug,gates=debug",
        _ => "debug",
    };
    let filter = environment::get(environment::LOG).unwrap_or_else(|| default.to_owned());
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|error| {
        printer.warn(format_args!("{} cannot be used: {error}", environment::LOG));
        EnvFilter::new(default)
    });
    let writer = Lines(printer.clone());
    // The demo and tests run several commands in one process.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(writer)
        .try_init();
}

/// Writes whole lines through the printer, so that they do not tear progress bars.
struct Lines(Printer);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            printer: &self.0,
            text: Vec::new(),
        }
    }
}

struct Line<'a> {
    printer: &'a Printer,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.printer
            .talk(String::from_utf8_lossy(&self.text).trim_end());
    }
}
