//! Which ways are gone.

use std::fmt;
use std::str::FromStr;

use crate::arguments::Arguments;
use crate::image::Images;

const MAJORS: [u32; 5] = [14, 15, 16, 17, 18];
/// Every version is a source once; the targets are those that people move to.
const SHORT: [(u32, u32); 5] = [(14, 18), (15, 17), (16, 18), (17, 17), (18, 18)];

/// A major version of the server, and which C library it is linked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    /// In local images only: the default of the official ones is musl throughout.
    pub(crate) musl: bool,
}

impl From<u32> for Version {
    fn from(major: u32) -> Self {
        Self { major, musl: false }
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (major, musl) = text.strip_suffix("-musl").map_or((text, false), |major| (major, true));
        let major = major.parse().ok().filter(|major| MAJORS.contains(major));
        major
            .map(|major| Self { major, musl })
            .ok_or_else(|| format!("there are {MAJORS:?} and 16-musl"))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if self.musl { "-musl" } else { "" };
        write!(f, "{}{suffix}", self.major)
    }
}

/// From one version to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) from: Version,
    pub(crate) to: Version,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}", self.from, self.to)
    }
}

/// Returns the ways that the command line asks for.
pub(crate) fn ways(arguments: &Arguments) -> Result<Vec<Way>, String> {
    let ways: Vec<Way> = candidates(arguments)
        .into_iter()
        .filter(|way| arguments.from.is_none_or(|from| from == way.from))
        .filter(|way| arguments.to.is_none_or(|to| to == way.to))
        .collect();
    if ways.is_empty() {
        return Err("no way is left: backups are restored into the same or a newer version".into());
    }
    Ok(ways)
}

fn candidates(arguments: &Arguments) -> Vec<Way> {
    let ends = [arguments.from, arguments.to];
    let mut versions = arguments.pg.clone();
    if versions.is_empty() {
        if !arguments.all && ends == [None, None] {
            return SHORT.map(|(from, to)| Way { from: from.into(), to: to.into() }).into();
        }
        versions = MAJORS.map(Version::from).into();
        versions.extend(ends.into_iter().flatten());
    }
    versions.sort();
    versions.dedup();
    let pairs = versions.iter().flat_map(|&from| versions.iter().map(move |&to| Way { from, to }));
    pairs.filter(|way| way.from.major <= way.to.major).collect()
}

/// The short plan with a way from one C library to another, where the images are ours. One that is
/// missing then is a way that was not tried, as any other is.
pub(crate) fn with_another_library(
    mut ways: Vec<Way>,
    arguments: &Arguments,
    images: &Images,
) -> Vec<Way> {
    let is_short = arguments.pg.is_empty() && arguments.from.is_none() && arguments.to.is_none();
    if is_short && images.are_local() {
        let from = Version { major: 16, musl: true };
        ways.push(Way { from, to: 17.into() });
    }
    ways
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn plan(arguments: &[&str]) -> Result<String, String> {
        let arguments = Arguments::parse_from([&["drill"], arguments].concat());
        let ways = ways(&arguments)?;
        Ok(ways.iter().map(|way| way.to_string().replace(" → ", ">")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn every_version_is_a_source_by_default() {
        assert_eq!(plan(&[]).unwrap(), "14>18 15>17 16>18 17>17 18>18");
    }

    #[test]
    fn all_are_fifteen() {
        assert_eq!(plan(&["--all"]).unwrap().split(' ').count(), 15);
    }

    #[test]
    fn versions_are_combined_and_ends_are_filters() {
        assert_eq!(plan(&["--pg", "16,17"]).unwrap(), "16>16 16>17 17>17");
        assert_eq!(plan(&["--from", "16", "--to", "18"]).unwrap(), "16>18");
        assert_eq!(plan(&["--from", "17"]).unwrap(), "17>17 17>18");
        assert_eq!(plan(&["--from", "16-musl", "--to", "16"]).unwrap(), "16-musl>16");
    }

    #[test]
    fn there_is_no_way_back() {
        assert!(plan(&["--from", "18", "--to", "14"]).is_err());
        assert!("13".parse::<Version>().is_err());
    }
}
