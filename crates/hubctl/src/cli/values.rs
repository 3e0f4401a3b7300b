//! The values of options: each refusal says what is accepted and gives an example.

use std::fmt::Display;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

/// A number of sessions or threads.
pub(crate) fn jobs(text: &str) -> Result<u16, String> {
    number(text, 1, Some(64), 4)
}

/// A number of rows to show.
pub(crate) fn rows(text: &str) -> Result<u32, String> {
    number(text, 1, None, 20)
}

/// A number of things to list.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    number(text, 0, None, 20)
}

/// The number of an epoch.
pub(crate) fn epoch(text: &str) -> Result<u64, String> {
    number(text, 1, None, 2)
}

/// A duration in words.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "give a number and its unit, such as 30s, 15min, 26h or 8days".to_owned())
}

/// The size of the demo.
pub(crate) fn scale(text: &str) -> Result<f64, String> {
    let scale = text.parse().ok();
    scale
        .filter(|scale| (0.001..=100.0).contains(scale))
        .ok_or_else(|| "give a number from 0.001 to 100, such as 0.5".to_owned())
}

/// A role of the backup and its new name.
pub(crate) fn role_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => {
            Ok((old.to_owned(), new.to_owned()))
        }
        _ => {
            Err("give the name of the role in the backup and its new name, such as OLD=NEW"
                .to_owned())
        }
    }
}

fn number<N>(text: &str, least: N, most: Option<N>, example: N) -> Result<N, String>
where
    N: FromStr<Err = ParseIntError> + PartialOrd + Display,
{
    let number: Option<N> = text.parse().ok();
    let fitting =
        number.filter(|number| *number >= least && most.as_ref().is_none_or(|most| number <= most));
    fitting.ok_or_else(|| match most {
        Some(most) => format!("give a whole number from {least} to {most}, such as {example}"),
        None => format!("give a whole number of at least {least}, such as {example}"),
    })
}
