//! Times and lists, as they are written in reasons.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Lists in reasons end after so many.
const MOST: usize = 5;

/// `3m 20s ago`, or `in 2s` for what is ahead.
pub(crate) fn ago(age: SignedDuration) -> String {
    if age.is_negative() && age.as_secs() != 0 {
        format!("in {}", span(age.unsigned_abs()))
    } else {
        format!("{} ago", span(age.unsigned_abs()))
    }
}

/// `3m 20s`: whole seconds, whole minutes from an hour on.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let rounded = if seconds >= 3600 { seconds - seconds % 60 } else { seconds };
    humantime::format_duration(Duration::from_secs(rounded)).to_string()
}

/// Joined by commas; of many, the first ones and how many more.
pub(crate) fn list(items: impl IntoIterator<Item = impl Into<String>>) -> String {
    let items: Vec<String> = items.into_iter().map(Into::into).collect();
    if items.len() <= MOST {
        return items.join(", ");
    }
    let more = items.len() - MOST;
    format!("{} and {more} more", items[..MOST].join(", "))
}

/// The end of a stretch of time.
pub(crate) fn after(then: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| then.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Returns true if an age is beyond a limit.
pub(crate) fn exceeds(age: SignedDuration, limit: Duration) -> bool {
    !age.is_negative() && age.unsigned_abs() > limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole() {
        let shown = [0, 59, 200, 3601, 90_061, -1, -70]
            .map(|seconds| ago(SignedDuration::from_secs(seconds)));
        assert_eq!(
            shown,
            ["0s ago", "59s ago", "3m 20s ago", "1h ago", "1day 1h 1m ago", "in 1s", "in 1m 10s"]
        );
    }

    #[test]
    fn long_lists_say_how_much_is_left_out() {
        assert_eq!(list(["a", "b"]), "a, b");
        assert_eq!(list(["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more");
    }
}
