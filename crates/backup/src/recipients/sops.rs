//! The age recipients of a `.sops.yaml`, so that backups are sealed for whom secrets are encrypted
//! for.

use serde::Deserialize;

use crate::origin::{Origin, Problem};
use crate::{Error, Result};

/// The parts of it that are read; the rest is about files and services that do not concern a
/// backup.
#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    creation_rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    age: Option<Keys>,
    #[serde(default)]
    key_groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    age: Option<Keys>,
}

/// SOPS takes one text, with commas between keys, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Keys {
    Text(String),
    List(Vec<String>),
}

impl Keys {
    fn each(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Self::Text(text) => std::slice::from_ref(text),
            Self::List(texts) => texts,
        };
        let each = texts.iter().flat_map(|text| text.split([',', '\n']));
        each.map(str::trim).filter(|key| !key.is_empty())
    }
}

/// The recipients, one per line.
///
/// # Errors
/// [`Error::BadRecipients`] where the rules name different ones, since no rule is about backups,
/// and where the keys open only together.
pub(super) fn recipients(text: &str, name: &str) -> Result<String> {
    let bad = |reason: &str| Error::BadRecipients {
        problems: vec![Problem { origin: Origin::whole(name), reason: reason.to_owned() }],
    };
    // The parser's own message repeats the text, which may hold a key given by mistake.
    let configuration: Configuration = serde_saphyr::from_str(text)
        .map_err(|_| bad("it is not a configuration of SOPS in YAML"))?;
    let rules = configuration.creation_rules.iter();
    if rules.clone().any(|rule| rule.key_groups.len() > 1) {
        return Err(bad(
            "it has several key groups, whose keys open only together; here each key opens alone",
        ));
    }
    let mut named = rules.map(Rule::recipients).filter(|keys| !keys.is_empty());
    let Some(first) = named.next() else {
        return Err(bad("no creation rule in it names an age recipient"));
    };
    if named.any(|other| other != first) {
        return Err(bad(
            "its creation rules name different age recipients; put those of the backups into a file of their own",
        ));
    }
    Ok(first.join("\n"))
}

impl Rule {
    /// In one order, so that rules can be compared.
    fn recipients(&self) -> Vec<&str> {
        let groups = self.key_groups.iter().filter_map(|group| group.age.as_ref());
        let mut keys: Vec<&str> = self.age.iter().chain(groups).flat_map(Keys::each).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        recipients(text, ".sops.yaml").unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn keys_stand_in_texts_lists_and_groups() {
        for text in [
            "creation_rules:\n  - age: age1a, age1b\n",
            "creation_rules:\n  - path_regex: x\n    age: >-\n      age1a,\n      age1b\n    pgp: FBC7\n",
            "creation_rules:\n  - age:\n      - age1b\n      - age1a\n    encrypted_regex: ^data$\n",
            "stores: {}\ncreation_rules:\n  - key_groups:\n    - pgp: [FBC7]\n      age:\n      - age1a\n      - age1b\n",
            "creation_rules:\n  - age: age1b,age1a\n  - kms: arn\n  - key_groups: [{age: [age1a, age1b]}]\n",
        ] {
            assert_eq!(read(text), "age1a\nage1b", "{text}");
        }
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        for (text, reason) in [
            ("creation_rules:\n  - age: age1a\n  - age: age1b\n", "different age recipients"),
            (
                "creation_rules:\n  - key_groups: [{age: [age1a]}, {age: [age1b]}]\n",
                "only together",
            ),
            ("creation_rules:\n  - pgp: FBC7\n", "names an age recipient"),
            ("{}", "names an age recipient"),
            ("creation_rules: AGE-SECRET-KEY-1HUNTER2", "not a configuration"),
            ("creation_rules: [", "not a configuration"),
        ] {
            let message = read(text);
            assert!(message.contains(reason) && !message.contains("HUNTER"), "{message}");
        }
    }
}
