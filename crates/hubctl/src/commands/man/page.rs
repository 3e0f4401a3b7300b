//! One page of the manual: what clap knows of a command, and what else an operator looks up.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::environment as env;
use crate::exit::Exit;

pub(super) const FILES: &[(&str, &str)] = &[
    (
        "./hubctl.toml, ~/.config/hubctl/hubctl.toml",
        "The configuration, the first that exists. See hubctl.toml(5).",
    ),
    (
        "~/.config/hubctl/key.txt",
        "The private key that `hubctl init --generate-key` makes. Keep a copy elsewhere.",
    ),
    ("~/.local/state/hubctl/journal.jsonl", "The journal, unless [journal] path names another."),
    (
        "~/.pgpass, ~/.pg_service.conf, ~/.postgresql",
        "Passwords, services and certificates, as libpq reads them.",
    ),
];

/// `hubctl-config-show`
pub(super) fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of a command.
pub(super) fn command(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let is_main = name(command) == "hubctl";
    // What stands after the options is shown in sections of its own.
    let man = Man::new(command.clone().after_help("").after_long_help(""))
        .title(name(command))
        .source(format!("hubctl {}", env!("CARGO_PKG_VERSION")))
        .manual("hubctl manual");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut roff = Roff::default();
    terms(&mut roff, "EXIT STATUS", exit_codes());
    terms(&mut roff, "ENVIRONMENT", env::DOCUMENTED.iter().copied());
    terms(&mut roff, "FILES", FILES.iter().copied());
    let after = command.get_after_help().map(ToString::to_string);
    if let Some((_, examples)) = after.as_deref().and_then(|text| text.split_once("Examples:\n")) {
        roff.control("SH", ["EXAMPLES"]);
        verbatim(&mut roff, examples);
    }
    let others: &[&str] =
        if is_main { &["hubctl.toml(5)"] } else { &["hubctl(1)", "hubctl.toml(5)"] };
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(others.join(", "))]);
    roff.to_writer(&mut page)?;
    Ok(page)
}

fn exit_codes() -> impl Iterator<Item = (&'static str, &'static str)> {
    let all = [
        (Exit::Yes, "0"),
        (Exit::No, "1"),
        (Exit::Usage, "2"),
        (Exit::CouldNotAsk, "3"),
        (Exit::NeedsApproval, "4"),
        (Exit::Interrupted, "130"),
    ];
    all.into_iter().map(|(exit, code)| {
        let meaning = match exit {
            Exit::Yes => "Yes, or done.",
            Exit::No => "The answer is no: differs, damaged, drill failed, obstacles.",
            Exit::Usage => "Usage or configuration.",
            Exit::CouldNotAsk => "Could not ask: connection, tool, disk, lock.",
            Exit::NeedsApproval => "An approval is missing, expired or void.",
            Exit::Interrupted => "Interrupted; nothing unfinished is in place.",
        };
        (code, meaning)
    })
}

/// A section of terms, each with what it is.
pub(super) fn terms<'a>(
    roff: &mut Roff,
    title: &str,
    terms: impl Iterator<Item = (&'a str, &'a str)>,
) {
    roff.control("SH", [title]);
    for (term, meaning) in terms {
        term_of(roff, [bold(term)], meaning);
    }
}

pub(super) fn term_of(roff: &mut Roff, term: impl Into<Vec<Inline>>, meaning: &str) {
    roff.control("TP", []);
    roff.text(term.into());
    roff.text([roman(meaning)]);
}

/// Lines as they are.
pub(super) fn verbatim(roff: &mut Roff, text: &str) {
    roff.control("nf", []);
    for line in text.lines() {
        roff.text([roman(line.trim_end())]);
    }
    roff.control("fi", []);
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_codes_are_those_of_the_program() {
        use Exit::{CouldNotAsk, Interrupted, NeedsApproval, No, Usage, Yes};
        let all = [Yes, No, Usage, CouldNotAsk, NeedsApproval, Interrupted];
        for (exit, (code, _)) in all.into_iter().zip(exit_codes()) {
            assert_eq!(exit.code().to_string(), code);
        }
    }

    #[test]
    fn every_page_says_what_an_operator_looks_up() {
        let mut program = crate::cli::Cli::command();
        program.build();
        let mut left = vec![program];
        let mut pages = 0;
        while let Some(one) = left.pop() {
            left.extend(one.get_subcommands().cloned());
            let page = String::from_utf8(command(&one).unwrap()).unwrap();
            for section in ["EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"] {
                assert!(page.contains(section), "{section} in {}", name(&one));
            }
            let has_examples = one.get_after_help().is_some();
            assert_eq!(page.contains("EXAMPLES"), has_examples, "{}", name(&one));
            pages += 1;
        }
        assert!(pages > 30, "{pages}");
    }
}
