//! Commands of the configuration that are run without a shell.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::merge::BaseDirectory;

/// A program and its arguments, run without a shell. Arguments may be secrets, so they are neither
/// shown nor logged.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>")]
#[schemars(with = "Vec<String>", extend("minItems" = 1))]
pub(crate) struct ProgramCommand {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// The directory that it runs in; that of hubctl if none.
    pub(crate) directory: Option<PathBuf>,
}

impl TryFrom<Vec<String>> for ProgramCommand {
    type Error = &'static str;

    fn try_from(words: Vec<String>) -> Result<Self, Self::Error> {
        let mut words = words.into_iter();
        match words.next() {
            Some(program) if !program.is_empty() => {
                let program = program.into();
                Ok(Self { program, arguments: words.collect(), directory: None })
            }
            _ => Err("a command needs a program"),
        }
    }
}

impl fmt::Display for ProgramCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        if self.arguments.is_empty() { Ok(()) } else { f.write_str(" …") }
    }
}

impl fmt::Debug for ProgramCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ProgramCommand {
    /// As it is shown: nothing writes a configuration.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl ProgramCommand {
    /// Runs it beside the configuration, where a relative path of the program begins as well. A
    /// name alone is looked for on PATH.
    pub(super) fn begin_at(&mut self, base: &BaseDirectory) {
        let program = self.program.to_string_lossy();
        if program.contains('/') {
            self.program = base.path(&program);
        }
        let beside = base.file.as_deref().and_then(std::path::Path::parent);
        self.directory = beside.map(std::path::Path::to_owned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> ProgramCommand {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        words.try_into().unwrap()
    }

    #[test]
    fn arguments_are_not_shown() {
        let command = command(&["docker", "s3cret"]);
        assert_eq!(format!("{command} {command:?}"), "docker … docker …");
    }

    #[test]
    fn a_path_begins_beside_the_configuration_and_a_name_does_not() {
        let base = BaseDirectory { file: Some("/etc/hub/hubctl.toml".into()) };
        for (program, begun) in
            [("docker", "docker"), ("./stop.sh", "/etc/hub/./stop.sh"), ("/bin/sh", "/bin/sh")]
        {
            let mut command = command(&[program, "./x"]);
            command.begin_at(&base);
            assert_eq!(command.program, PathBuf::from(begun));
            assert_eq!(command.arguments, ["./x"]);
            assert_eq!(command.directory, Some("/etc/hub".into()));
        }
    }
}
