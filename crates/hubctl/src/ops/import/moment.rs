//! The time of a dump of another tool, from its name or else from the file.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The forms of a time, by the number of their digits.
const FORMS: [(usize, &str); 3] = [(14, "%Y%m%d%H%M%S"), (12, "%Y%m%d%H%M"), (8, "%Y%m%d")];

/// The time, and what it was taken from. One without `Z` is of the machine's zone; one without an
/// hour is the begin of its day, so that the backup never seems younger than it is.
pub(super) fn of(path: &Path, zone: &TimeZone) -> anyhow::Result<(Timestamp, &'static str)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match in_name(&name, zone) {
        Some(at) => Ok((at, "name")),
        None => Ok((fs_err::metadata(path)?.modified()?.try_into()?, "file")),
    }
}

fn in_name(name: &str, zone: &TimeZone) -> Option<Timestamp> {
    let groups = groups(name);
    (0..groups.len()).find_map(|first| {
        FORMS.iter().find_map(|(length, form)| {
            let (digits, end) = joined(name, &groups[first..], *length)?;
            let at = civil(form, &digits)?;
            let is_utc = name[end..].starts_with('Z');
            let zone = if is_utc { &TimeZone::UTC } else { zone };
            zone.to_timestamp(at).ok()
        })
    })
}

fn civil(form: &str, digits: &str) -> Option<DateTime> {
    // A year of this century or the last: other numbers of eight digits are none.
    let is_year = digits.starts_with("20") || digits.starts_with("19");
    let at = match form.contains("%H") {
        true => DateTime::strptime(form, digits).ok(),
        false => jiff::civil::Date::strptime(form, digits).ok().map(DateTime::from),
    };
    at.filter(|_| is_year)
}

/// Returns the starts and ends of the runs of digits.
fn groups(name: &str) -> Vec<(usize, usize)> {
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for (at, _) in name.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match groups.last_mut() {
            Some((_, end)) if *end == at => *end = at + 1,
            _ => groups.push((at, at + 1)),
        }
    }
    groups
}

/// So many digits of groups with one character between them, and where they end.
fn joined(name: &str, groups: &[(usize, usize)], length: usize) -> Option<(String, usize)> {
    let mut digits = String::new();
    let mut last: Option<usize> = None;
    for &(begin, end) in groups {
        if last.is_some_and(|last| begin != last + 1) {
            return None;
        }
        digits.push_str(&name[begin..end]);
        last = Some(end);
        if digits.len() >= length {
            break;
        }
    }
    (digits.len() == length).then_some((digits, last?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_that_people_write() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (name, expected) in [
            ("state-hub-20261121T161200Z.sql.gz.age", "2026-11-21T16:12:00Z"),
            ("hub_2026-11-21_16-12-00.sql.gz.age", "2026-11-21T15:12:00Z"),
            ("hub-2-20261121161200.sql.gz.age", "2026-11-21T15:12:00Z"),
            ("hub.20261121-1612.sql.gz.age", "2026-11-21T15:12:00Z"),
            ("2026-07-01-pg16.sql.gz.age", "2026-06-30T22:00:00Z"),
            ("20261121.sql.gz.age", "2026-11-20T23:00:00Z"),
        ] {
            let at = in_name(name, &zone).map(|at| at.to_string());
            assert_eq!(at.as_deref(), Some(expected), "{name}");
        }
        for name in ["latest.sql.gz.age", "hub-12345678.sql.gz.age", "hub-20269921.age", "v2-3.age"]
        {
            assert_eq!(in_name(name, &zone), None, "{name}");
        }
    }

    #[test]
    fn a_file_without_a_time_in_its_name_has_its_own() {
        let file = tempfile::Builder::new().prefix("dump").rand_bytes(0).tempfile().unwrap();
        let modified: Timestamp =
            file.as_file().metadata().unwrap().modified().unwrap().try_into().unwrap();
        assert_eq!(of(file.path(), &TimeZone::UTC).unwrap(), (modified, "file"));
    }
}
