//! Logs on stderr: for whoever looks for the reason, not for the operator's every day.

use std::io::{self, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::environment;
use crate::printer::Printer;

/// The crates that may tell details: they never log a secret. Others log the requests that they
/// make, whole URLs included.
const OURS: [&str; 8] =
    ["hubctl", "pgsnap", "backup", "gates", "tunnel", "sshsig", "journal", "drill"];

/// Starts logging; `HUBCTL_LOG` decides over `-v`. A second call changes nothing.
pub(crate) fn start(verbose: u8, printer: &Printer) {
    let default = match verbose {
        0 => "error".to_owned(),
        1 => OURS.map(|name| format!("{name}=info")).join(","),
        2 => OURS.map(|name| format!("{name}=debug")).join(","),
        _ => "debug".to_owned(),
    };
    let filter = environment::get(environment::LOG).unwrap_or_else(|| default.clone());
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|error| {
        printer.warn(format_args!("{} cannot be used: {error}", environment::LOG));
        EnvFilter::new(default)
    });
    let writer = Lines(printer.clone());
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(writer)
        .with_filter(filter.and(filter_fn(may_log)));
    // The demo and tests run several commands in one process.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

/// Caps what dependencies say at warnings, whatever the filter asks for.
fn may_log(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let name = target.split_once("::").map_or(target, |(name, _)| name);
    OURS.contains(&name) || *metadata.level() <= Level::WARN
}

/// Writes whole lines through the printer, so that they do not tear progress bars.
struct Lines(Printer);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = LogLine<'a>;

    fn make_writer(&'a self) -> LogLine<'a> {
        LogLine { printer: &self.0, text: Vec::new() }
    }
}

struct LogLine<'a> {
    printer: &'a Printer,
    text: Vec<u8>,
}

impl Write for LogLine<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine<'_> {
    fn drop(&mut self) {
        self.printer.talk(String::from_utf8_lossy(&self.text).trim_end());
    }
}
