//! One line: `PRINCIPALS [OPTIONS] TYPE KEY [COMMENT]`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{pattern, time};
use crate::key::PublicKey;

#[derive(Debug, Clone)]
pub(super) struct SignerLine {
    principals: String,
    key: PublicKey,
    options: Options,
}

#[derive(Debug, Clone, Default)]
struct Options {
    namespaces: Option<String>,
    valid_after: Option<Timestamp>,
    valid_before: Option<Timestamp>,
}

impl SignerLine {
    /// Nothing for an empty line and a comment.
    pub(super) fn parse(text: &str, zone: &TimeZone) -> Result<Option<Self>, String> {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            return Ok(None);
        }
        let (principals, rest) = word(text).ok_or("the principals do not end")?;
        if principals.is_empty() {
            return Err("no principal is named".to_owned());
        }
        let (options, rest) = if is_key(rest) {
            (Options::default(), rest)
        } else {
            let (options, rest) = split_options(rest).ok_or("a quotation does not end")?;
            (Options::parse(options, zone)?, rest)
        };
        let mut words = rest.split_whitespace();
        let (Some(kind), Some(encoded)) = (words.next(), words.next()) else {
            return Err("there is no key".to_owned());
        };
        // What follows is a comment.
        let key = PublicKey::parse(&format!("{kind} {encoded}"))
            .map_err(|error| format!("the key is not usable: {error}"))?;
        Ok(Some(Self { principals: principals.to_owned(), key, options }))
    }

    pub(super) fn principals(&self) -> &str {
        &self.principals
    }

    pub(super) fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Returns the reason why the line does not allow it, or `None` if it does.
    pub(super) fn refusal(
        &self,
        principal: Option<&str>,
        namespace: &str,
        at: Timestamp,
    ) -> Option<String> {
        if let Some(principal) = principal.filter(|name| !pattern::matches(&self.principals, name))
        {
            return Some(format!("the key is not of `{}`", principal.escape_debug()));
        }
        let options = &self.options;
        if let Some(namespaces) = &options.namespaces
            && !pattern::matches(namespaces, namespace)
        {
            return Some(format!(
                "the key is for the namespaces `{namespaces}`, not for `{namespace}`"
            ));
        }
        // Whole seconds, of which the last still counts, as OpenSSH has it.
        if let Some(after) = options.valid_after.filter(|after| at < *after) {
            return Some(format!("the key is valid from {after} on, and it was {at}"));
        }
        if let Some(before) =
            options.valid_before.filter(|before| at.as_second() > before.as_second())
        {
            return Some(format!("the key was valid until {before}, and it was {at}"));
        }
        None
    }
}

impl Options {
    fn parse(text: &str, zone: &TimeZone) -> Result<Self, String> {
        let mut options = Self::default();
        let mut rest = text;
        loop {
            let name_end = rest.find(['=', ',']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(name_end);
            let (value, after) = match after.strip_prefix('=') {
                Some(after) => {
                    let (value, after) = quoted(after).ok_or_else(|| {
                        format!("the value of `{name}` is not in quotation marks")
                    })?;
                    (Some(value), after)
                }
                None => (None, after),
            };
            options.set(name, value, zone)?;
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None if after.is_empty() => break,
                None => return Err("options are separated by commas".to_owned()),
            }
        }
        match (options.valid_after, options.valid_before) {
            (Some(after), Some(before)) if before <= after => {
                Err("the key is valid at no time".to_owned())
            }
            _ => Ok(options),
        }
    }

    fn set(&mut self, name: &str, value: Option<&str>, zone: &TimeZone) -> Result<(), String> {
        let moment = |value: &str| {
            time::parse(value, zone).ok_or_else(|| format!("`{}` is no time", value.escape_debug()))
        };
        let taken = match (name.to_ascii_lowercase().as_str(), value) {
            ("cert-authority", _) => {
                return Err(
                    "`cert-authority` is not supported: name the keys themselves".to_owned()
                );
            }
            ("namespaces", Some(value)) => self.namespaces.replace(value.to_owned()).is_some(),
            ("valid-after", Some(value)) => self.valid_after.replace(moment(value)?).is_some(),
            ("valid-before", Some(value)) => self.valid_before.replace(moment(value)?).is_some(),
            _ => return Err(format!("the option `{}` is unknown", name.escape_debug())),
        };
        if taken {
            return Err(format!("`{name}` stands there twice"));
        }
        Ok(())
    }
}

/// Returns true if the rest begins with the type of a key rather than with options.
fn is_key(rest: &str) -> bool {
    let kind = rest.split_whitespace().next().unwrap_or_default();
    ["ssh-", "ecdsa-", "sk-"].iter().any(|begin| kind.starts_with(begin))
}

/// The first word, which may be in quotation marks, and the rest.
fn word(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = match text.strip_prefix('"') {
        Some(inner) => inner.split_once('"')?,
        None => text.split_at(text.find([' ', '\t']).unwrap_or(text.len())),
    };
    Some((word, rest.trim_start()))
}

/// The options end at the first blank outside of quotation marks.
fn split_options(text: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b' ' | b'\t' if !is_quoted => {
                return Some((&text[..index], text[index..].trim_start()));
            }
            _ => {}
        }
    }
    (!is_quoted).then_some((text, ""))
}

/// A value in quotation marks, and what follows it. None of the values may hold a quotation mark,
/// so none is escaped.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (value, rest) = text.strip_prefix('"')?.split_once('"')?;
    (!value.contains('\\')).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn reason(text: &str) -> String {
        SignerLine::parse(text, &TimeZone::UTC).unwrap_err()
    }

    #[test]
    fn what_cannot_be_understood_says_why() {
        for (text, expected) in [
            (format!("anna cert-authority {KEY}"), "`cert-authority` is not supported"),
            (format!("anna CERT-authority,namespaces=\"a\" {KEY}"), "not supported"),
            (format!("anna namespaces=a {KEY}"), "not in quotation marks"),
            (format!("anna namespaces=\"a\",namespaces=\"b\" {KEY}"), "twice"),
            (format!("anna namespaces=\"a\"x {KEY}"), "separated by commas"),
            (format!("anna namespaces=\"a {KEY}"), "does not end"),
            (format!("\"anna {KEY}"), "do not end"),
            (format!("\"\" {KEY}"), "no principal"),
            (format!("anna no-touch-required {KEY}"), "`no-touch-required` is unknown"),
            (format!("anna valid-before=\"soon\" {KEY}"), "`soon` is no time"),
            (
                format!("anna valid-after=\"20270101\",valid-before=\"20260101\" {KEY}"),
                "at no time",
            ),
            ("anna".to_owned(), "unknown"),
            ("anna ssh-ed25519".to_owned(), "there is no key"),
            ("anna ssh-ed25519 AAAA".to_owned(), "not usable"),
            ("anna ssh-dss AAAAB3NzaC1kc3M=".to_owned(), "not usable"),
        ] {
            let reason = reason(&text);
            assert!(reason.contains(expected), "{text}: {reason}");
        }
    }

    #[test]
    fn comments_and_empty_lines_are_none() {
        for text in ["", "  ", "# anna", "\t# anna"] {
            assert!(SignerLine::parse(text, &TimeZone::UTC).unwrap().is_none());
        }
    }

    #[test]
    fn principals_may_be_quoted() {
        let line =
            SignerLine::parse(&format!("\"anna, the first\" {KEY} anna@desk"), &TimeZone::UTC);
        assert_eq!(line.unwrap().unwrap().principals(), "anna, the first");
    }
}
