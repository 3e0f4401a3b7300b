//! Documented keys are understood, and mistakes are explained.

use super::super::Settings;
use super::super::source::Source;
use super::*;
use crate::failure::Failure;

#[test]
fn every_table_and_key_has_a_form_and_says_what_it_is() {
    let tables = tables();
    assert!(tables.len() > 15, "{}", tables.len());
    for table in tables {
        for key in &table.keys {
            assert!(!key.about.is_empty(), "{} {}", table.heading, key.name);
            let is_value = key.form == "VALUE";
            assert!(!is_value || key.name == "equals", "{} {}", table.heading, key.name);
        }
        assert!(!table.about.is_empty(), "{}", table.heading);
    }
}

/// The refusal of a configuration, if it is refused.
fn refusal(text: &str) -> Option<String> {
    let path = std::path::Path::new("hubctl.toml");
    let settings =
        Source::parse(text, path).and_then(|source| Settings::merge(source, Default::default()));
    let failure = Failure::of(&settings.err()?);
    Some(format!("{failure}"))
}

#[test]
fn a_wrong_value_of_a_key_is_explained_without_the_language_of_the_program() {
    const JARGON: [&str; 22] = [
        "invalid type",
        "invalid value",
        "expected u",
        "digit",
        "untagged",
        "variant",
        "struct",
        "enum",
        "i64",
        "u16",
        "a map",
        " sequence",
        "at line",
        "column",
        "number at",
        "field",
        "parse",
        "ByteSize",
        "$__",
        "newtype",
        "data did",
        "makes no sense",
    ];
    const VALUES: [&str; 12] = [
        "3",
        "-1",
        "1.5",
        "true",
        "\"\"",
        "\"s3cret value\"",
        "[]",
        "[3]",
        "{}",
        "{ s3cret = 1 }",
        "99999999999999999999",
        "2026-12-01",
    ];
    let (mut refused, mut leaks) = (0, Vec::new());
    for table in tables() {
        let head = table.heading.replace("NAME", "a");
        let has = |name| table.keys.iter().any(|key| key.name == name);
        let base = match &*table.heading {
            "[sites.NAME]" => "database = \"postgresql://hub@h/d\"\n",
            "[targets.NAME]" if has("folder") => "folder = \"x\"\n",
            "[targets.NAME]" if has("webdav") => "webdav = \"https://c.example\"\n",
            "[targets.NAME]" if has("filedrop") => {
                "filedrop = \"https://c.example\"\ntoken_file = \"t\"\n"
            }
            "[targets.NAME]" if has("sftp") => "sftp = \"nas:/x\"\n",
            "[targets.NAME]" => {
                "s3 = \"https://c.example\"\nbucket = \"b\"\naccess_key = \"a\"\nsecret_key_file = \"s\"\n"
            }
            "[tunnels.NAME]" => "destination = \"h\"\nforwards = []\n",
            "[[tunnels.NAME.forwards]]" => "local = \"127.0.0.1:1\"\ntarget = \"h:1\"\n",
            "[gates.NAME]" => "condition = \"nodes\"\ncluster = \"a\"\nready = 1\n",
            _ => "",
        };
        for key in table.keys.iter().map(|key| key.name) {
            for value in VALUES {
                let kept: Vec<&str> = base.lines().filter(|line| !line.starts_with(key)).collect();
                let text = format!("{head}\n{}\n{key} = {value}\n", kept.join("\n"));
                let Some(said) = refusal(&text) else {
                    continue;
                };
                let found = JARGON.iter().find(|word| said.contains(**word));
                if let Some(found) = found {
                    leaks.push(format!("{found} in {key} = {value}: {said}"));
                }
                assert!(
                    said.contains("(line ") || said.contains('[') || said.contains("`a`"),
                    "{text}\n{said}"
                );
                refused += 1;
            }
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    assert!(refused > 700, "{refused}");
    let here = format!("{}/", std::env::current_dir().unwrap().display());
    let shown = [
        "[retention]\ndaily = -1",
        "[retention]\ndaily = 99999999999",
        "[freshness]\nmax_age = \"soon\"",
        "[targets.a]\nwebdav = \"https://c.example\"\nbandwidth = \"s3cret\"",
        "[tunnels.a]\ndestination = \"h\"\nforwards = [{ local = 5432 }]",
        "[vault]\nrecipients = \"age1x\"",
        "[vault]\nrecipients = [3]",
        "[sites.a]",
        "[gates.a]\ncondition = \"nodes\"\ncluster = \"a\"\nready = -1",
        "[gates.a]\ncondition = \"disk\"\npath = \"/\"\nfree = 3",
    ]
    .map(|text| refusal(text).unwrap().lines().next().unwrap().replace(&here, ""));
    insta::assert_snapshot!(shown.join("\n"), @r#"
    error: hubctl.toml is not a valid configuration at `retention.daily`: expected a whole number from 0 to 4294967295, such as 7, found the number `-1` (line 2)
    error: hubctl.toml is not a valid configuration at `retention.daily`: expected a whole number from 0 to 4294967295, such as 7, found the number `99999999999` (line 2)
    error: hubctl.toml is not a valid configuration at `freshness.max_age`: expected a duration in quotes, such as "26h", found another string (line 2)
    error: hubctl.toml is not a valid configuration at `targets.a.bandwidth`: expected a size in quotes, such as "2 MiB", found another string (line 3)
    error: hubctl.toml is not a valid configuration at `tunnels.a.forwards[0].local`: expected an address in quotes, such as "127.0.0.1:5432", found the number `5432` (line 3)
    error: hubctl.toml is not a valid configuration at `vault.recipients`: expected a list in brackets, found a string (line 2)
    error: hubctl.toml is not a valid configuration at `vault.recipients[0]`: expected a string in quotes, found the number `3` (line 2)
    error: hubctl.toml is not a valid configuration at `sites.a`: `database` is missing (line 1)
    error: hubctl.toml: [gates.a] is invalid: `ready`: expected a whole number that is not negative, such as 3, found the number `-1`
    error: hubctl.toml: [gates.a] is invalid: `free`: expected a string in quotes, found the number `3`
    "#);
}
