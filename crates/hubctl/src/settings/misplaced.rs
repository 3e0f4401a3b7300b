//! Values that no table of the configuration takes: passwords in URLs, since names and URLs are shown, and dates.

use toml::{Table, Value};

use crate::failure::Refusal;
use crate::site::{holds_password, refuse_password};

/// Keys of commands, statements and their answers: they are not shown, and an `@` in them means something else.
const EXEMPT: [&str; 7] = [
    "command",
    "expect",
    "password_command",
    "recipients",
    "run",
    "sql",
    "consequences",
];

/// Refuses a table with a password in any of its names and values, or with a date.
pub(super) fn refuse(table: &Table) -> Result<(), Refusal> {
    in_table(table, "")
}

fn in_table(table: &Table, place: &str) -> Result<(), Refusal> {
    let here = if place.is_empty() {
        "in the configuration".to_owned()
    } else {
        format!("in [{place}]")
    };
    for (key, value) in table {
        refuse_password(key, &here)?;
        if EXEMPT.contains(&key.as_str()) {
            continue;
        }
        let below = if place.is_empty() {
            key.clone()
        } else {
            format!("{place}.{key}")
        };
        in_value(key, value, &here, &below)?;
    }
    Ok(())
}

fn in_value(key: &str, value: &Value, here: &str, below: &str) -> Result<(), Refusal> {
    match value {
        Value::String(text) if key == "sftp" && !text.contains("://") => {
            // `USER@HOST:PATH`, whose path may have an `@`.
            let login = text.split('@').next().unwrap_or_default();
            if holds_password(text) && login.contains(':') {
                return refuse_password(text, here);
            }
            Ok(())
        }
        Value::String(text) => refuse_password(text, here),
        Value::Table(table) => in_table(table, below),
        Value::Array(values) => values
            .iter()
            .try_for_each(|value| in_value(key, value, here, below)),
        Value::Datetime(_) => Err(Refusal::usage(format!(
            "`{key}` {here} is a date: no key takes one"
        ))
        .hint("put it in quotes if it is text")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_refused_in_every_name_and_value() {
        for url in ["postgresql://hub:s3cret@h/d", "hub:s3cret@h/d"] {
            for text in [
                format!("[sites.a]\ndatabase = '{url}'"),
                format!("[sites.'{url}']\ndatabase = 'x'"),
                format!("[sites]\n'{url}' = 3"),
                format!("'{url}' = 3"),
                format!("[backup]\nsite = '{url}'"),
                format!("[service]\nname = '{url}'"),
                format!("[targets.a]\nwebdav = '{url}'"),
                format!("[targets.a]\nsftp = '{url}'"),
                format!("[gates.a]\ncondition = 'census-equal'\na = '{url}'\nb = 'x'"),
                format!("[gates.a]\nall = ['{url}']"),
                format!("[[tunnels.a.forwards]]\nlocal = '{url}'"),
            ] {
                let refusal = refuse(&toml::from_str(&text).unwrap()).unwrap_err();
                let said = format!("{refusal:?}");
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
            refuse(&toml::from_str(text).unwrap()).unwrap();
        }
    }
}
