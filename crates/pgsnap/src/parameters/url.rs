//! `postgresql://` URLs: the grammar of libpq's `conninfo_uri_parse`.

use super::invalid;
use crate::error::Result;

/// Returns the text after the scheme, if it is a URL.
pub(super) fn without_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    // SQLAlchemy appends the driver: `postgresql+asyncpg`.
    let (dialect, driver) = scheme.split_once('+').unwrap_or((scheme, ""));
    let is_word = driver.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (matches!(dialect, "postgresql" | "postgres") && is_word).then_some(rest)
}

/// The `sslmode` that `ssl=…` stands for: what JDBC writes, and libpq understands, and what asyncpg
/// writes.
fn ssl_mode(value: &str) -> Option<&str> {
    match value {
        "true" => Some("require"),
        "false" => Some("disable"),
        "disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full" => Some(value),
        _ => None,
    }
}

/// `[USER[:PASSWORD]@][HOST][:PORT][/DATABASE][?KEYWORD=VALUE&…]`, each part percent-encoded.
pub(super) fn parse(rest: &str) -> Result<Vec<(String, String)>> {
    let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = location.split_once('/').unwrap_or((location, ""));
    let (credentials, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let (host, port) = host_and_port(place)?;
    let mut pairs = Vec::new();
    for (keyword, value) in [
        ("user", user),
        ("password", password),
        ("host", host),
        ("port", port),
        ("dbname", database),
    ] {
        if !value.is_empty() {
            pairs.push((keyword.to_owned(), decode(value)?));
        }
    }
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (keyword, value) = parameter
            .split_once('=')
            .ok_or_else(|| invalid("a parameter after the `?` has no value"))?;
        pairs.push(match (decode(keyword)?, decode(value)?) {
            (keyword, value) if keyword == "ssl" => {
                let mode = ssl_mode(&value).ok_or_else(|| {
                    invalid("`ssl` is neither a mode of sslmode, nor true, nor false")
                })?;
                ("sslmode".to_owned(), mode.to_owned())
            }
            pair => pair,
        });
    }
    Ok(pairs)
}

fn host_and_port(place: &str) -> Result<(&str, &str)> {
    if place.contains(',') {
        return Err(crate::database::several_hosts());
    }
    let Some(bracketed) = place.strip_prefix('[') else {
        return Ok(place.split_once(':').unwrap_or((place, "")));
    };
    let broken =
        || invalid("an IPv6 address in brackets is not closed, or something but a port follows it");
    let (address, after) = bracketed.split_once(']').ok_or_else(broken)?;
    match after.strip_prefix(':') {
        Some(port) => Ok((address, port)),
        None if after.is_empty() => Ok((address, "")),
        None => Err(broken()),
    }
}

/// Percent-decoding; a plus sign is a plus sign.
fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || Some(char::from(rest.next()?).to_digit(16)? as u8);
        match (digit(), digit()) {
            (Some(high), Some(low)) if (high, low) != (0, 0) => bytes.push(high << 4 | low),
            _ => {
                return Err(invalid("a percent sign is not followed by two hexadecimal digits"));
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| invalid("a part of it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> String {
        let pairs = parse(without_scheme(url).unwrap()).unwrap();
        let words: Vec<String> =
            pairs.iter().map(|(keyword, value)| format!("{keyword}={value}")).collect();
        words.join(" ")
    }

    #[test]
    fn every_part_may_be_missing() {
        for (url, expected) in [
            ("postgresql://", ""),
            ("postgres://h", "host=h"),
            ("postgresql://hub@/d", "user=hub dbname=d"),
            ("postgresql:///d?host=/run&port=1", "dbname=d host=/run port=1"),
            (
                "postgresql://u:p@h:6/d?sslmode=require",
                "user=u password=p host=h port=6 dbname=d sslmode=require",
            ),
            ("postgresql://u@[2001:db8::1]:6/d", "user=u host=2001:db8::1 port=6 dbname=d"),
            ("postgresql://u@[::1]", "user=u host=::1"),
            ("postgresql://u@h?ssl=true", "user=u host=h sslmode=require"),
        ] {
            assert_eq!(parsed(url), expected, "{url}");
        }
    }

    #[test]
    fn urls_of_other_programs_mean_the_same() {
        for driver in ["", "+asyncpg", "+psycopg", "+psycopg2", "+pg8000", "+psycopg_async"] {
            for dialect in ["postgresql", "postgres"] {
                let url = format!("{dialect}{driver}://u@h/d?ssl=verify-full");
                assert_eq!(parsed(&url), "user=u host=h dbname=d sslmode=verify-full");
            }
        }
        for (ssl, mode) in [("require", "require"), ("true", "require"), ("false", "disable")] {
            let url = format!("postgresql://u@h?ssl={ssl}");
            assert_eq!(parsed(&url), format!("user=u host=h sslmode={mode}"));
        }
        assert!(parse("u@h?ssl=s3cret").unwrap_err().to_string().contains("`ssl`"));
        assert!(without_scheme("mysql+pymysql://h").is_none());
    }

    #[test]
    fn percent_encoding_reaches_every_part() {
        assert_eq!(
            parsed("postgresql://a%40b:p%2Fq@%2Frun%2Fpg/d%20e?options=-c%20role%3Dx+y"),
            "user=a@b password=p/q host=/run/pg dbname=d e options=-c role=x+y"
        );
    }

    #[test]
    fn a_broken_url_is_not_repeated() {
        for url in [
            "u:s3cret@[::1/d",
            "u:s3cret%4@h/d",
            "u:s3cret@h/d?x",
            "u:s3cret@[::1]x/d",
            "u:s3cret%00@h",
            "u:s3cret@a,b/d",
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
