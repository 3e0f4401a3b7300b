//! `key=value` strings: the grammar of libpq's `conninfo_parse`.

use std::iter::Peekable;
use std::str::Chars;

use super::invalid;
use crate::error::Result;

/// Blanks separate pairs and may surround `=`; values are bare or in single quotes, and a backslash
/// takes the next character as it is.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        skip_blanks(&mut rest);
        if rest.peek().is_none() {
            return Ok(pairs);
        }
        let keyword = keyword(&mut rest)?;
        skip_blanks(&mut rest);
        let value =
            if rest.next_if_eq(&'\'').is_some() { quoted(&mut rest)? } else { bare(&mut rest) };
        pairs.push((keyword, value));
    }
}

fn skip_blanks(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|c| c.is_whitespace()).is_some() {}
}

/// Not named where the `=` is missing, or where it is no word: it may be the second half of a
/// password with a blank, or a URL without its scheme.
fn keyword(rest: &mut Peekable<Chars<'_>>) -> Result<String> {
    let mut keyword = String::new();
    while let Some(character) = rest.next_if(|c| *c != '=' && !c.is_whitespace()) {
        keyword.push(character);
    }
    skip_blanks(rest);
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if rest.next_if_eq(&'=').is_none() || keyword.is_empty() || !keyword.chars().all(is_word) {
        return Err(invalid("it is neither postgresql://… nor a list of key=value"));
    }
    Ok(keyword)
}

fn quoted(rest: &mut Peekable<Chars<'_>>) -> Result<String> {
    let mut value = String::new();
    while let Some(character) = rest.next() {
        match character {
            '\'' => return Ok(value),
            '\\' => value.extend(rest.next()),
            other => value.push(other),
        }
    }
    Err(invalid("a quoted value does not end"))
}

fn bare(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut value = String::new();
    while let Some(character) = rest.next_if(|c| !c.is_whitespace()) {
        match character {
            '\\' => value.extend(rest.next()),
            other => value.push(other),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_be_quoted_and_escaped() {
        let pairs = parse(r"  host = /run/a\ b user='o\'hara  x' dbname= port=1 ").unwrap();
        let expected = [("host", "/run/a b"), ("user", "o'hara  x"), ("dbname", "port=1")];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_broken_string_is_not_repeated() {
        for text in [
            "password=two words",
            "user=hub password='s3cret",
            "s3cret",
            "=x",
            "hub:s3cret@127.0.0.1/state_hub?sslmode=require",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(!error.contains("s3cret") && !error.contains("words"), "{error}");
        }
    }
}
