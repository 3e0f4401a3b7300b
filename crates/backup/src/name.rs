//! The names of files in a vault, and nothing that only looks like one.
//!
//! ```text
//! NAME-20261121T161200Z.sql.gz.age     an entry
//! NAME-20261121T161200Z-2.sql.gz.age   the next one of the same second
//! NAME-20261121T161200Z.json           its sidecar
//! NAME-latest.sql.gz.age               the link
//! .NAME.lock  .NAME.catalogue-lock     locks
//! .NAME-….ID.partial                   unfinished files
//! .NAME.sql.gz.age.pruning             the list of files that are being removed
//! ```
//!
//! Service names have no upper-case letter and stamps have two, so that no entry of `hub` is ever
//! taken for one of `hub-dev` or the other way round. No lock of one service is the file of
//! another, for the same kind of reason: only run locks end in `.lock`.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

use crate::durable::PARTIAL;
use crate::{Error, Result};

const STAMP: &str = "%Y%m%dT%H%M%SZ";
const STAMP_LENGTH: usize = "20261121T161200Z".len();
/// Leaves room for the stamp, the suffix and the random part within the 255 bytes of a file name.
const LONGEST_SERVICE: usize = 128;
const LONGEST_SUFFIX: usize = 64;

/// The part of an entry's name that tells it from its siblings: the second of the dump, and a
/// number from 2 where several were taken in that second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    second: Timestamp,
    number: u32,
}

impl Stamp {
    pub(crate) fn new(at: Timestamp) -> Result<Self> {
        let out_of_range = || Error::TimeOutOfRange { at };
        let floor = jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Floor);
        let second = at.round(floor).map_err(|_| out_of_range())?;
        let stamp = Self { second, number: 1 };
        (Self::parse(&stamp.to_string()) == Some(stamp)).then_some(stamp).ok_or_else(out_of_range)
    }

    pub(crate) fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }

    pub(crate) fn second(self) -> Timestamp {
        self.second
    }

    /// Accepts exactly what `Display` writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (time, rest) = text.split_at_checked(STAMP_LENGTH)?;
        let civil = DateTime::strptime(STAMP, time).ok()?;
        let second = TimeZone::UTC.to_timestamp(civil).ok()?;
        let number = match rest.strip_prefix('-') {
            Some(number) => number.parse().ok()?,
            None => 1,
        };
        let stamp = Self { second, number };
        (stamp.to_string() == text).then_some(stamp)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", TimeZone::UTC.to_datetime(self.second).strftime(STAMP))?;
        if self.number > 1 {
            write!(f, "-{}", self.number)?;
        }
        Ok(())
    }
}

/// The intended file of an unfinished one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfinished {
    Entry,
    Sidecar,
    Link,
}

/// Makes and reads the names of one service's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    service: String,
    suffix: String,
}

impl Names {
    pub(crate) fn new(service: &str, suffix: &str) -> Result<Self> {
        if !is_service(service) {
            return Err(Error::InvalidService { name: service.to_owned() });
        }
        if !is_suffix(suffix) {
            return Err(Error::InvalidSuffix { suffix: suffix.to_owned() });
        }
        Ok(Self { service: service.to_owned(), suffix: suffix.to_owned() })
    }

    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    pub(crate) fn suffix(&self) -> &str {
        &self.suffix
    }

    pub(crate) fn entry(&self, stamp: Stamp) -> String {
        format!("{}-{stamp}{}", self.service, self.suffix)
    }

    pub(crate) fn sidecar(&self, stamp: Stamp) -> String {
        format!("{}-{stamp}.json", self.service)
    }

    pub(crate) fn latest(&self) -> String {
        format!("{}-latest{}", self.service, self.suffix)
    }

    pub(crate) fn run_lock(&self) -> String {
        format!(".{}.lock", self.service)
    }

    pub(crate) fn pruning(&self) -> String {
        format!(".{}{}.pruning", self.service, self.suffix)
    }

    pub(crate) fn catalogue_lock(&self) -> String {
        format!(".{}.catalogue-lock", self.service)
    }

    /// The beginning of the temporary name of `name`, which is one of the names above.
    pub(crate) fn temporary_entry(&self, stamp: Stamp) -> String {
        format!(".{}-{stamp}", self.service)
    }

    pub(crate) fn temporary_sidecar(&self, stamp: Stamp) -> String {
        format!(".{}-{stamp}.json", self.service)
    }

    pub(crate) fn temporary_latest(&self) -> String {
        format!(".{}-latest", self.service)
    }

    pub(crate) fn parse_entry(&self, name: &str) -> Option<Stamp> {
        Stamp::parse(self.after_service(name)?.strip_suffix(&self.suffix)?)
    }

    pub(crate) fn parse_sidecar(&self, name: &str) -> Option<Stamp> {
        Stamp::parse(self.after_service(name)?.strip_suffix(".json")?)
    }

    pub(crate) fn parse_unfinished(&self, name: &str) -> Option<Unfinished> {
        let inner = self.after_service(name.strip_prefix('.')?)?.strip_suffix(PARTIAL)?;
        let (kind, id) = inner.rsplit_once('.')?;
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        if kind == "latest" {
            return Some(Unfinished::Link);
        }
        match kind.strip_suffix(".json") {
            Some(stamp) => Stamp::parse(stamp).map(|_| Unfinished::Sidecar),
            None => Stamp::parse(kind).map(|_| Unfinished::Entry),
        }
    }

    /// Returns true if a file at a target is an upload of one of the names above that is not yet
    /// all there.
    pub(crate) fn is_partial_upload(&self, name: &str) -> bool {
        let inner = name.strip_prefix('.').and_then(|name| name.strip_suffix(PARTIAL));
        inner.is_some_and(|name| {
            self.parse_entry(name).is_some() || self.parse_sidecar(name).is_some()
        })
    }

    fn after_service<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.service)?.strip_prefix('-')
    }
}

/// The service in the name of an entry's file, or of a link to the newest entry.
pub(crate) fn service_of<'a>(name: &'a str, suffix: &str) -> Option<&'a str> {
    let stem = name.strip_suffix(suffix)?;
    let service = match stem.strip_suffix("-latest") {
        Some(service) => service,
        // A stamp may contain a hyphen itself, before its number.
        None => {
            stem.match_indices('-')
                .map(|(at, _)| stem.split_at(at))
                .find(|(_, stamp)| Stamp::parse(&stamp[1..]).is_some())?
                .0
        }
    };
    is_service(service).then_some(service)
}

fn is_service(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= LONGEST_SERVICE
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || b"._-".contains(&byte))
}

fn is_suffix(suffix: &str) -> bool {
    suffix.len() > 1
        && suffix.len() <= LONGEST_SUFFIX
        && suffix.starts_with('.')
        && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && suffix != ".json"
        && !suffix.ends_with(PARTIAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(service: &str) -> Names {
        Names::new(service, ".sql.gz.age").unwrap()
    }

    #[test]
    fn a_stamp_is_the_second_in_utc() {
        let stamp = Stamp::new("2026-11-21T17:12:00.999+01:00".parse().unwrap()).unwrap();
        assert_eq!(stamp.to_string(), "20261121T161200Z");
        assert_eq!(stamp.next().to_string(), "20261121T161200Z-2");
        assert_eq!(Stamp::parse("20261121T161200Z-2"), Some(stamp.next()));
        assert!(stamp < stamp.next());
        let before_the_epoch = Stamp::new("1969-12-31T23:59:59.5Z".parse().unwrap()).unwrap();
        assert_eq!(before_the_epoch.to_string(), "19691231T235959Z");
    }

    #[test]
    fn only_the_exact_grammar_is_a_stamp() {
        for text in [
            "",
            "20261121T161200",
            "20261121T161200z",
            "20261321T161200Z",
            "20261121T161260Z",
            "20261121T161200Z-1",
            "20261121T161200Z-02",
            "20261121T161200Z-",
            "20261121T161200Z2",
            "20261121T161200Z-2-2",
            "2026112€T161200Z",
            "+0261121T161200Z",
            "20261121T161200Z-4294967296",
        ] {
            assert_eq!(Stamp::parse(text), None, "{text}");
        }
        assert!(Stamp::new("-000001-01-01T00:00:00Z".parse().unwrap()).is_err());
    }

    #[test]
    fn no_service_sees_the_files_of_another() {
        let (hub, dev) = (names("state-hub"), names("state-hub-dev"));
        let stamp = Stamp::parse("20261121T161200Z").unwrap();
        assert_eq!(hub.parse_entry(&hub.entry(stamp)), Some(stamp));
        assert_eq!(hub.parse_entry(&dev.entry(stamp)), None);
        assert_eq!(dev.parse_entry(&hub.entry(stamp)), None);
        assert_eq!(hub.parse_sidecar(&dev.sidecar(stamp)), None);
        assert_eq!(hub.parse_entry(&hub.latest()), None);
        assert_eq!(hub.parse_entry("state-hub-20261121T161200Z.sql.gz.age.bak"), None);
        assert_ne!(names("a").catalogue_lock(), names("a.catalogue-lock").run_lock());
    }

    #[test]
    fn the_service_is_read_from_the_names_of_its_files() {
        let service_of = |name| service_of(name, ".sql.gz.age");
        assert_eq!(service_of("state-hub-20261121T161200Z.sql.gz.age"), Some("state-hub"));
        assert_eq!(service_of("state-hub-20261121T161200Z-2.sql.gz.age"), Some("state-hub"));
        assert_eq!(service_of("hub-dev-latest.sql.gz.age"), Some("hub-dev"));
        for other in [
            "holiday.sql.gz.age",
            "hub-20261121T161200Z.tar.age",
            "hub-20261321T161200Z.sql.gz.age",
            "-20261121T161200Z.sql.gz.age",
            ".hub-20261121T161200Z.Ab3.partial",
            ".hub-20261121T161200Z.sql.gz.age",
        ] {
            assert_eq!(service_of(other), None, "{other}");
        }
    }

    #[test]
    fn unfinished_files_are_told_apart() {
        let hub = names("hub");
        assert_eq!(
            hub.parse_unfinished(".hub-20261121T161200Z.aB3.partial"),
            Some(Unfinished::Entry)
        );
        assert_eq!(
            hub.parse_unfinished(".hub-20261121T161200Z-2.json.aB3.partial"),
            Some(Unfinished::Sidecar)
        );
        assert_eq!(hub.parse_unfinished(".hub-latest.aB3.partial"), Some(Unfinished::Link));
        for other in [
            ".hub-dev-20261121T161200Z.aB3.partial",
            ".hub-20261121T161200Z.partial",
            ".hub-notes.aB3.partial",
            "hub-latest.aB3.partial",
        ] {
            assert_eq!(hub.parse_unfinished(other), None, "{other}");
        }
    }

    #[test]
    fn names_that_would_leave_the_directory_or_confuse_are_refused() {
        for service in ["", "../x", "a/b", "Hub", "-hub", ".hub", "hub\n", "höb", &"a".repeat(129)]
        {
            assert!(Names::new(service, ".age").is_err(), "{service}");
        }
        for suffix in ["", ".", "age", ".a/b", ".json", ".x.partial", ".é"] {
            assert!(Names::new("hub", suffix).is_err(), "{suffix}");
        }
    }
}
