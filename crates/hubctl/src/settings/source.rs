//! The file that is read: where it is found, and what is wrong with it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_path_to_error::{Deserializer, Track};
use toml::Spanned;
use toml::de::DeTable;

use super::file::ConfigFile;
use super::mistake::{self, Mistake, Shifts, Step};
use super::{misplaced, reference, shown, wording};
use crate::environment as env;
use crate::failure::Refusal;

/// No configuration is larger.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A configuration as it is written, and the file it is written in.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    pub(super) path: Option<PathBuf>,
    pub(super) file: ConfigFile,
    /// The keys that it sets, as `config show` names them.
    pub(super) keys: BTreeSet<String>,
}

impl Source {
    /// Reads the file that was named, or the first one found. None at all is fine: flags may say
    /// everything.
    pub(super) fn find(explicit: Option<&Path>) -> anyhow::Result<Self> {
        match located(explicit) {
            Some(path) => Self::parse(&read(&path)?, &path),
            None => Ok(Self::default()),
        }
    }

    pub(super) fn parse(text: &str, path: &Path) -> anyhow::Result<Self> {
        let (source, problems) = Self::examined(text, path)?;
        match problems.into_iter().next() {
            Some(problem) => Err(problem.into()),
            None => Ok(source),
        }
    }

    /// The parts of the file that are understood, and every problem with the others.
    pub(super) fn examined(text: &str, path: &Path) -> anyhow::Result<(Self, Vec<Refusal>)> {
        // Absolute, so that relative paths in it mean the same wherever they are printed.
        let mut source = Self { path: Some(std::path::absolute(path)?), ..Self::default() };
        let examination = Examination { text, path };
        let (mut table, errors) = DeTable::parse_recoverable(text);
        let mut problems: Vec<Refusal> =
            errors.iter().map(|error| examination.of_syntax(error)).collect();
        if !problems.is_empty() {
            return Ok((source, problems));
        }
        if let Ok(table) = toml::from_str(text) {
            problems = misplaced::refusals(&table);
            source.keys = shown::leaves(&serde_json::to_value(&table)?).into_keys().collect();
        }
        if problems.is_empty() {
            let mut found = Vec::new();
            source.file = examination.understood(&mut table, &mut found);
            found.sort_by_key(|(place, _)| *place);
            problems.extend(found.into_iter().map(|(_, problem)| problem));
        }
        Ok((source, problems))
    }
}

/// The file to read, if there is one.
pub(crate) fn located(explicit: Option<&Path>) -> Option<PathBuf> {
    let user = env::config_home().map(|home| home.join("hubctl").join("hubctl.toml"));
    let mut candidates = std::iter::once(PathBuf::from("hubctl.toml")).chain(user);
    explicit.map(Path::to_owned).or_else(|| candidates.find(|path| path.exists()))
}

/// The text of a file that only its owner may change: who may change it may run commands.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let text = regularfile::Options::read().trusted().to_string(path, LARGEST);
    text.map_err(|error| {
        Refusal::usage(format!("the configuration cannot be read: {error}"))
            .hinted(regularfile::hint(&error))
            .into()
    })
}

/// A file whose problems are looked for.
struct Examination<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Examination<'_> {
    /// Takes what is refused out of the table until the rest is understood.
    fn understood(
        &self,
        table: &mut Spanned<DeTable<'_>>,
        problems: &mut Vec<(Option<usize>, Refusal)>,
    ) -> ConfigFile {
        let mut shifts = Shifts::new();
        let mut taken: BTreeSet<String> = BTreeSet::new();
        loop {
            let mut track = Track::new();
            let rest = toml::Deserializer::from(table.clone());
            let error = match ConfigFile::deserialize(Deserializer::new(rest, &mut track)) {
                Ok(file) => return file,
                Err(error) => error,
            };
            let mistake = Mistake::new(&error, &track.path());
            let key = mistake.key(&shifts);
            if !is_consequence(&mistake, &key, &taken) {
                let span = mistake.place(table.get_ref());
                let reason = self.reason(&mistake, span.clone());
                problems.push((span.map(|span| span.start), self.refusal(&key, &reason)));
            }
            let Some(out) = mistake::take(table, &mistake.steps) else {
                return ConfigFile::default();
            };
            if let [array @ .., Step::Item(_)] = &out[..] {
                let array = mistake::key(array, &shifts);
                *shifts.entry(array).or_default() += 1;
            }
            taken.insert(key);
        }
    }

    fn of_syntax(&self, error: &toml::de::Error) -> Refusal {
        self.refusal("", &self.with_line(wording::plain(error.message(), None), error.span()))
    }

    fn reason(&self, mistake: &Mistake, span: Option<Range<usize>>) -> String {
        let names = mistake.names().filter(|_| !mistake.is_reasoned);
        let form = names.and_then(|names| reference::form(&names));
        self.with_line(wording::plain(&mistake.message, form), span)
    }

    /// The reason and its line, without any text of the file but its keys: a value may hold a
    /// password.
    fn with_line(&self, reason: String, span: Option<Range<usize>>) -> String {
        let before = span.and_then(|span| self.text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() + 1);
        line.map_or(reason.clone(), |line| format!("{reason} (line {line})"))
    }

    fn refusal(&self, key: &str, reason: &str) -> Refusal {
        let at = if key.is_empty() { String::new() } else { format!(" at `{key}`") };
        let path = self.path.display();
        Refusal::usage(format!("{path} is not a valid configuration{at}: {reason}"))
            .hint("`hubctl init --config example.toml` writes a commented example; hubctl.toml(5) lists every key")
    }
}

/// Returns whether a key is only missing because it was taken out.
fn is_consequence(mistake: &Mistake, key: &str, taken: &BTreeSet<String>) -> bool {
    let around = if mistake.is_of_member {
        key.rsplit_once('.').map_or(key, |(table, _)| table)
    } else {
        key
    };
    let below = format!("{around}.");
    match mistake.missing() {
        Some(missing) => taken.contains(&format!("{below}{missing}")),
        None if mistake.is_of_several() => taken.iter().any(|taken| taken.starts_with(&below)),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Source::parse(text, Path::new("hubctl.toml")).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_path() {
        insta::assert_snapshot!(refusal("[vault]\npath = \"/x\"\nrecipient = [\"age1\"]"), @"hubctl.toml is not a valid configuration at `vault.recipient`: unknown key `recipient`, expected one of `path`, `recipients`, `recipients_file`, `identities`, `passphrase_file` (line 3)");
        insta::assert_snapshot!(refusal("[sites.a]\ndatabase = \"postgresql://hub@h/d\"\npassword = \"secret\""), @"hubctl.toml is not a valid configuration at `sites.a.password`: unknown key `password`, expected one of `database`, `password_file`, `password_command`, `passfile`, `api`, `identity`, `writers`, `redirect` (line 3)");
    }

    #[test]
    fn a_value_is_never_repeated() {
        let text = refusal("[sites]\na = \"a secret of yours\"");
        assert!(!text.contains("secret") && text.contains("sites.a"), "{text}");
        let text = refusal("[sites]\na = \"postgresql://hub:secret@h/d\"");
        assert!(!text.contains("secret") && text.contains("[sites]"), "{text}");
    }

    #[test]
    fn a_wrong_type_and_a_syntax_error_name_the_place() {
        insta::assert_snapshot!(refusal("[vault]\npath = 3"), @"hubctl.toml is not a valid configuration at `vault.path`: expected the path of a directory in quotes, found the number `3` (line 2)");
        insta::assert_snapshot!(refusal("[vault\npath = 3"), @"hubctl.toml is not a valid configuration: unclosed table, expected `]` (line 1)");
    }

    #[test]
    fn every_problem_is_named_and_no_consequence_of_one() {
        let text = r#"
            vualt = 3
            [sites.a]
            database = 3
            [sites.b]
            pasfile = "x"
            [vault]
            recipients = [3, "age1x", true]
            [targets.disk]
            folder = 3
            bandwith = "1 MiB"
            [targets.cloud]
            webdav = "https://c.example"
            user = 3
            password_file = "p"
            part = "much"
            [retention]
            daily = -1
            weekly = 5
            [[tunnels.t.forwards]]
            local = 5432
            [[drill.checks]]
            name = "n"
        "#;
        let (source, problems) = Source::examined(text, Path::new("hubctl.toml")).unwrap();
        let said = problems.iter().map(|problem| {
            problem.to_string().replace("hubctl.toml is not a valid configuration at ", "")
        });
        insta::assert_snapshot!(said.collect::<Vec<_>>().join("\n"), @r#"
        `vualt`: unknown key `vualt`, expected one of `service`, `sites`, `vault`, `backup`, `retention`, `freshness`, `targets`, `alerts`, `drill`, `journal`, `tunnels`, `clusters`, `gates`, `approval`, `cutover` (line 2)
        `sites.a.database`: expected a string in quotes, found the number `3` (line 4)
        `sites.b`: `database` is missing (line 5)
        `sites.b.pasfile`: unknown key `pasfile`, expected one of `database`, `password_file`, `password_command`, `passfile`, `api`, `identity`, `writers`, `redirect` (line 6)
        `vault.recipients[0]`: expected a string in quotes, found the number `3` (line 8)
        `vault.recipients[2]`: expected a string in quotes, found `true` (line 8)
        `targets.disk.folder`: expected the path of a directory in quotes, found the number `3` (line 10)
        `targets.disk.bandwith`: unknown key `bandwith`, expected `folder` or `max_age` (line 11)
        `targets.cloud.user`: expected a string in quotes, found the number `3` (line 14)
        `targets.cloud.part`: expected a size in quotes, such as "2 MiB", found another string (line 16)
        `retention.daily`: expected a whole number from 0 to 4294967295, such as 7, found the number `-1` (line 18)
        `tunnels.t`: `destination` is missing (line 20)
        `tunnels.t.forwards[0].local`: expected an address in quotes, such as "127.0.0.1:5432", found the number `5432` (line 21)
        `drill.checks[0]`: `sql` is missing (line 22)
        "#);
        assert_eq!(source.file.vault.recipients, ["age1x"]);
        assert_eq!(source.file.retention.unwrap().weekly, 5);
    }
}
