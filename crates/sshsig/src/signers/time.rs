//! Times as OpenSSH writes them: `YYYYMMDD[HHMM[SS]][Z]`.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

pub(super) fn parse(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (digits, zone) = match text.strip_suffix('Z') {
        Some(digits) => (digits, &TimeZone::UTC),
        None => (text, zone),
    };
    let is_known = matches!(digits.len(), 8 | 12 | 14);
    if !is_known || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| match digits.get(from..to) {
        Some(part) => part.parse::<i16>().ok(),
        None => Some(0),
    };
    let small = |from: usize, to: usize| number(from, to).and_then(|n| i8::try_from(n).ok());
    let date = Date::new(number(0, 4)?, small(4, 6)?, small(6, 8)?).ok()?;
    let time = Time::new(small(8, 10)?, small(10, 12)?, small(12, 14)?, 0).ok()?;
    let zoned = DateTime::from_parts(date, time).to_zoned(zone.clone()).ok()?;
    Some(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_times_and_zones() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (text, expected) in [
            ("20261121", Some("2026-11-20T22:00:00Z")),
            ("20261121Z", Some("2026-11-21T00:00:00Z")),
            ("202611211612", Some("2026-11-21T14:12:00Z")),
            ("20261121161201Z", Some("2026-11-21T16:12:01Z")),
            ("20261131Z", None),
            ("20260229Z", None),
            ("2026112116Z", None),
            ("202611212512Z", None),
            ("+0261121Z", None),
            ("2026-11-21", None),
            ("Z", None),
            ("", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(parse(text, &zone), expected, "{text}");
        }
    }
}
