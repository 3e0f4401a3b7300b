//! Numbers as people read them.

use std::time::Duration;

use jiff::Timestamp;

/// `1 table`, `3 tables`.
pub(crate) fn plural(count: u64, one: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {one}{s}", number(count))
}

/// `1,234,567`.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `934 B`, `12.3 MB`: powers of 1000, three digits.
pub(crate) fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if value < 1000 {
        return format!("{value} B");
    }
    let mut scaled = value as f64;
    let mut unit = "";
    for name in UNITS {
        scaled /= 1000.0;
        unit = name;
        if scaled < 999.5 {
            break;
        }
    }
    if scaled < 99.95 { format!("{scaled:.1} {unit}") } else { format!("{scaled:.0} {unit}") }
}

/// `0.4 s`, `12 s`, `3 min 20 s`, `5 h 12 min`, `3 d 4 h`.
pub(crate) fn duration(value: Duration) -> String {
    let seconds = value.as_secs();
    let two = |large: u64, unit: &str, small: u64, part: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {part}"),
    };
    match seconds {
        0..10 => format!("{:.1} s", value.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// Returns how old data of this time is, or `None` if it is of the future.
pub(crate) fn age(taken: Timestamp, now: Timestamp) -> Option<Duration> {
    Duration::try_from(now.duration_since(taken)).ok()
}

/// `2026-11-22 00:15:03 UTC`, of a time that was recorded as text.
pub(crate) fn time(recorded: &str) -> String {
    recorded
        .parse::<Timestamp>()
        .map_or_else(|_| recorded.to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// Text of a server for a terminal: on one line, and without control characters.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

/// A list of words in backquotes: `` `a`, `b` ``.
pub(crate) fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        let shown = [0, 999, 1000, 99_940, 99_960, 999_499, 999_999, 2_500_000_000].map(bytes);
        assert_eq!(
            shown,
            ["0 B", "999 B", "1.0 kB", "99.9 kB", "100 kB", "999 kB", "1.0 MB", "2.5 GB"]
        );
    }

    #[test]
    fn durations_have_two_units() {
        let shown = [0, 59, 60, 200, 3600, 18_720, 90_000]
            .map(|seconds| duration(Duration::from_secs(seconds)));
        assert_eq!(shown, ["0.0 s", "59 s", "1 min", "3 min 20 s", "1 h", "5 h 12 min", "1 d 1 h"]);
    }

    #[test]
    fn times_end_at_the_second() {
        assert_eq!(time("2026-11-22T00:15:03.063275373Z"), "2026-11-22 00:15:03 UTC");
        assert_eq!(time("2026-11-22T01:15:03+01:00"), "2026-11-22 00:15:03 UTC");
        assert_eq!(time("an unknown time"), "an unknown time");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([7, 999, 1000, 1_234_567].map(number), ["7", "999", "1,000", "1,234,567"]);
        assert_eq!((plural(1, "table"), plural(2, "row")), ("1 table".into(), "2 rows".into()));
    }
}
