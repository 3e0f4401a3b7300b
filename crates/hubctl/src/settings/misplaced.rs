//! Values that no table of the configuration takes: passwords in URLs, since names and URLs are
//! shown, and dates.

use toml::{Table, Value};

use crate::failure::Refusal;
use crate::site::refuse_password;

/// Keys whose values name a database or something else that is repeated as it is. Places of targets
/// are shown without their secrets.
const NAMING: [&str; 10] =
    ["a", "all", "any", "b", "cluster", "database", "name", "not", "site", "tunnel"];

/// Every password in the names and values of a table, and every date.
pub(super) fn refusals(table: &Table) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    in_table(table, "", &mut refusals);
    refusals
}

fn in_table(table: &Table, place: &str, refusals: &mut Vec<Refusal>) {
    let here =
        if place.is_empty() { "in the configuration".to_owned() } else { format!("in [{place}]") };
    for (key, value) in table {
        // A name with a password is the place of nothing else that could be said.
        if let Err(refusal) = refuse_password(key, &here) {
            refusals.push(refusal);
            continue;
        }
        let below = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
        in_value(key, value, &here, &below, refusals);
    }
}

fn in_value(key: &str, value: &Value, here: &str, below: &str, refusals: &mut Vec<Refusal>) {
    match value {
        Value::String(text) if NAMING.contains(&key) => {
            refusals.extend(refuse_password(text, here).err());
        }
        Value::Table(table) => in_table(table, below, refusals),
        Value::Array(values) => {
            values.iter().for_each(|value| in_value(key, value, here, below, refusals));
        }
        Value::Datetime(_) => refusals.push(
            Refusal::usage(format!("`{key}` {here} is a date: no key takes one"))
                .hint("put it in quotes if it is text"),
        ),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_refused_in_every_word_that_is_repeated() {
        for url in ["postgresql://hub:s3cret@h/d", "hub:s3cret@h/d"] {
            for text in [
                format!("[sites.a]\ndatabase = '{url}'"),
                format!("[sites.command]\ndatabase = '{url}'"),
                format!("[sites.'{url}']\ndatabase = 'x'"),
                format!("[sites]\n'{url}' = 3"),
                format!("'{url}' = 3"),
                format!("[backup]\nsite = '{url}'"),
                format!("[service]\nname = '{url}'"),
                format!("[gates.a]\ncondition = 'census-equal'\na = '{url}'\nb = 'x'"),
                format!("[gates.a]\nall = ['{url}']"),
                format!("[gates.a]\ncondition = 'tunnel-up'\ntunnel = '{url}'"),
            ] {
                let refusals = refusals(&toml::from_str(&text).unwrap());
                let said = format!("{refusals:?}");
                assert!(said.contains("holds a password"), "{said}");
                assert!(!said.contains("s3cret"), "{said}");
            }
        }
        for text in [
            "[targets.a]\nsftp = 'hub@backup.example:vault/at@night'",
            "[targets.a]\nsftp = 'backup.example:/vault'",
            "[alerts]\ncommand = 'curl https://a:b@h'",
            "[[drill.checks]]\nsql = \"SELECT 'a:b@c'\"",
            "[vault]\nrecipients = ['ssh-ed25519 AAAA me@host']",
        ] {
            let refusals = refusals(&toml::from_str(text).unwrap());
            assert!(refusals.is_empty(), "{text}: {refusals:?}");
        }
    }
}
