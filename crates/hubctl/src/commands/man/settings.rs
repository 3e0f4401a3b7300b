//! The page hubctl.toml(5): every table and key of the configuration.

use std::io;

use clap_mangen::roff::{Roff, bold, italic, roman};

use super::page::{FILES, term_of, terms, verbatim};
use crate::settings;

const EXAMPLE: &str = r#"[service]
name = "state-hub"

[sites.workstation]
database = "postgresql://hub@127.0.0.1:5432/state_hub"

[vault]
path = "/opt/backup/state-hub"
recipients = ["age1...", "age1..."]
identities = ["~/.config/hubctl/key.txt"]

[retention]
daily = 7
weekly = 5
"#;

/// The page hubctl.toml(5).
pub(super) fn page() -> io::Result<Vec<u8>> {
    let mut roff = Roff::default();
    let source = format!("hubctl {}", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["hubctl.toml", "5", "", &source, "hubctl manual"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("hubctl.toml - configuration of hubctl")]);
    roff.control("SH", ["DESCRIPTION"]);
    for paragraph in [
        "The configuration is TOML. hubctl reads the file of --config, else that of HUBCTL_CONFIG, else ./hubctl.toml, else \
         ~/.config/hubctl/hubctl.toml. Flags win over HUBCTL_* variables, and those over the file. A list is replaced as a whole.",
        "Relative paths begin beside the file, and ~ is your home directory. An unknown key is refused. Passwords never stand in the \
         file. A DURATION is written as \"26h\" or \"8days\", a SIZE as \"2 MiB\".",
        "`hubctl init` writes a commented example. `hubctl config show` prints every value with its origin, and \
         `hubctl config check` names every problem of a file.",
    ] {
        roff.control("PP", []);
        roff.text([roman(paragraph)]);
    }
    for table in settings::tables() {
        roff.control("SH", [table.heading.as_str()]);
        roff.text([roman(table.about)]);
        for key in table.keys {
            let meaning = match key.is_required {
                true => format!("{} Required.", key.about),
                false => key.about.to_owned(),
            };
            term_of(&mut roff, [bold(key.name), roman(" = "), italic(key.form)], &meaning);
        }
    }
    terms(&mut roff, "FILES", FILES.iter().copied());
    roff.control("SH", ["EXAMPLES"]);
    verbatim(&mut roff, EXAMPLE);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("hubctl(1), hubctl-init(1), hubctl-config-show(1)")]);
    let mut page = Vec::new();
    roff.to_writer(&mut page)?;
    Ok(page)
}
