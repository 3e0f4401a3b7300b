//! The judge of a history: no write lost, none doubled, and never two sites that accept writes.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::Duration;

use super::history::{Acknowledgement, History, Leg};

/// The outcome of judging a [`History`].
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Everything that must not be.
    pub violations: Vec<Violation>,
    /// For each move after the first leg, the time between the last acknowledgement at the old site
    /// and the first one at the new site; `None` where the service stayed.
    pub gaps: Vec<Option<Duration>>,
    /// Number of writes that were acknowledged.
    pub writes: usize,
}

/// Something that a move must not do to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A write was acknowledged, and its row is not in the primary.
    Lost(Acknowledgement),
    /// A write has several rows.
    Doubled(String, u64),
    /// The old site accepted a write that began after the new site had acknowledged another one.
    TwoPrimaries {
        /// The write at the old site.
        old: Acknowledgement,
        /// The write at the new site.
        new: Acknowledgement,
    },
    /// A site accepted a write that was neither the old nor the new one.
    Stranger(Acknowledgement),
    /// The new site acknowledged nothing.
    Silent(Leg),
    /// An acknowledged write was not delivered by the stream of events.
    NotDelivered(Acknowledgement),
    /// The stream of events went back: the numbers of two events that followed each other.
    StreamWentBack(u64, u64),
}

impl History {
    /// Judges a history by the rows of the primary: the number of rows of each key.
    #[must_use]
    pub fn judge(&self, rows: &BTreeMap<String, u64>) -> Verdict {
        let mut verdict = Verdict { writes: self.acknowledged.len(), ..Verdict::default() };
        for (number, leg) in self.legs.iter().enumerate() {
            let until = self.legs.get(number + 1).map_or(Duration::MAX, |next| next.since);
            let acks = self.acknowledged.iter();
            let acks = acks.filter(|ack| ack.began >= leg.since && ack.began < until);
            let gap = judge_leg(leg, &acks.collect::<Vec<_>>(), &mut verdict.violations);
            if number > 0 {
                verdict.gaps.push(gap);
            }
        }
        self.judge_rows(rows, &mut verdict.violations);
        self.judge_stream(&mut verdict.violations);
        verdict
    }

    fn judge_rows(&self, rows: &BTreeMap<String, u64>, violations: &mut Vec<Violation>) {
        let lost = self.acknowledged.iter().filter(|ack| !rows.contains_key(&ack.key));
        violations.extend(lost.cloned().map(Violation::Lost));
        let doubled = rows.iter().filter(|(_, number)| **number > 1);
        violations.extend(doubled.map(|(key, number)| Violation::Doubled(key.clone(), *number)));
    }

    fn judge_stream(&self, violations: &mut Vec<Violation>) {
        let back = self.streamed.windows(2).filter(|pair| pair[1].0 <= pair[0].0);
        violations.extend(back.map(|pair| Violation::StreamWentBack(pair[0].0, pair[1].0)));
        let delivered: HashSet<&str> = self.streamed.iter().map(|(_, key)| key.as_str()).collect();
        let missing = self.acknowledged.iter().filter(|ack| !delivered.contains(ack.key.as_str()));
        violations.extend(missing.cloned().map(Violation::NotDelivered));
    }
}

/// Judges the acknowledgements of one leg; returns the gap if the service moved.
///
/// A slow client hears late of a write that was early. So two sites are shown to have been primary
/// at once only by a write that *began* at the old one after another was *acknowledged* at the new.
fn judge_leg(
    leg: &Leg,
    acks: &[&Acknowledgement],
    violations: &mut Vec<Violation>,
) -> Option<Duration> {
    let at = |site: &str| -> Vec<&Acknowledgement> {
        acks.iter().copied().filter(|ack| ack.site.as_deref() == Some(site)).collect()
    };
    let sited = acks.iter().filter_map(|ack| Some((ack, ack.site.as_deref()?)));
    let strangers = sited.filter(|(_, site)| *site != leg.from && *site != leg.to);
    violations.extend(strangers.map(|(ack, _)| Violation::Stranger((*ack).clone())));
    if leg.from == leg.to {
        return None;
    }
    let (old, new) = (at(&leg.from), at(&leg.to));
    let Some(first) = new.iter().min_by_key(|ack| ack.answered) else {
        violations.push(Violation::Silent(leg.clone()));
        return None;
    };
    violations.extend(
        old.iter()
            .filter(|ack| ack.began > first.answered)
            .map(|ack| Violation::TwoPrimaries { old: (*ack).clone(), new: (*first).clone() }),
    );
    let last = old.iter().map(|ack| ack.answered).max()?;
    Some(first.answered.saturating_sub(last))
}

impl Verdict {
    /// Returns true if nothing is held against the move.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} writes acknowledged, gaps {:.3?}", self.writes, self.gaps)?;
        // The first ones show what happened; there may be thousands.
        for violation in self.violations.iter().take(20) {
            writeln!(f, "  {violation}")?;
        }
        match self.violations.len() {
            0..=20 => Ok(()),
            many => writeln!(f, "  and {} more", many - 20),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(ack) => write!(f, "lost: {ack}"),
            Self::Doubled(key, number) => write!(f, "doubled: {key} has {number} rows"),
            Self::TwoPrimaries { old, new } => write!(f, "two primaries: {old}, after {new}"),
            Self::Stranger(ack) => write!(f, "at a third site: {ack}"),
            Self::Silent(leg) => write!(f, "no write was acknowledged at {}", leg.to),
            Self::NotDelivered(ack) => write!(f, "not in the stream: {ack}"),
            Self::StreamWentBack(last, next) => {
                write!(f, "the stream went back from {last} to {next}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::Way;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn ack(key: &str, site: &str, began: u64, answered: u64) -> Acknowledgement {
        Acknowledgement {
            key: key.to_owned(),
            way: Way::Sql,
            site: (!site.is_empty()).then(|| site.to_owned()),
            began: at(began),
            answered: at(answered),
        }
    }

    fn leg(from: &str, to: &str, since: u64) -> Leg {
        Leg { from: from.to_owned(), to: to.to_owned(), since: at(since) }
    }

    /// Two writes at `a`, a move at 100 ms, and one at `b`; the relay took one in between.
    fn sound() -> (History, BTreeMap<String, u64>) {
        let acknowledged = vec![
            ack("1", "a", 10, 20),
            ack("2", "a", 110, 150),
            ack("3", "", 200, 210),
            ack("4", "b", 900, 950),
        ];
        let streamed = [(7, "1"), (8, "2"), (20, "4"), (21, "3")];
        let streamed = streamed.map(|(number, key)| (number, key.to_owned()));
        let legs = vec![leg("a", "a", 0), leg("a", "b", 100)];
        let rows = ["1", "2", "3", "4", "unanswered"].map(|key| (key.to_owned(), 1));
        (History { acknowledged, streamed: streamed.to_vec(), legs }, rows.into())
    }

    fn found(change: impl FnOnce(&mut History, &mut BTreeMap<String, u64>)) -> Vec<String> {
        let (mut history, mut rows) = sound();
        change(&mut history, &mut rows);
        let violations = history.judge(&rows).violations;
        violations.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn assert_only(violations: &[String], wanted: &str) {
        assert!(violations.len() == 1 && violations[0].starts_with(wanted), "{violations:?}");
    }

    #[test]
    fn a_sound_history_is_clean_and_its_gap_is_known() {
        let (history, rows) = sound();
        let verdict = history.judge(&rows);
        assert!(verdict.is_clean(), "{verdict}");
        assert_eq!(verdict.gaps, [Some(at(800))]);
        assert_eq!(verdict.writes, 4);
    }

    #[test]
    fn a_lost_write_is_found() {
        let lost =
            |_: &mut History, rows: &mut BTreeMap<String, u64>| rows.retain(|key, _| key != "2");
        assert_only(&found(lost), "lost: 2 at a");
    }

    #[test]
    fn a_write_that_only_the_relay_took_is_missed_as_well() {
        let lost =
            |_: &mut History, rows: &mut BTreeMap<String, u64>| rows.retain(|key, _| key != "3");
        assert_only(&found(lost), "lost: 3 at ?");
    }

    #[test]
    fn a_doubled_write_is_found_also_if_it_was_not_acknowledged() {
        let twice = |_: &mut History, rows: &mut BTreeMap<String, u64>| {
            rows.insert("unanswered".to_owned(), 2);
        };
        assert_only(&found(twice), "doubled: unanswered has 2 rows");
    }

    /// A write at the old site, delivered and kept, so that only its time is wrong.
    fn late(began: u64) -> Vec<String> {
        found(|history, rows| {
            history.acknowledged.push(ack("5", "a", began, 1000));
            history.streamed.push((22, "5".to_owned()));
            rows.insert("5".to_owned(), 1);
        })
    }

    #[test]
    fn a_write_at_the_old_site_after_one_at_the_new_is_found() {
        assert_only(&late(951), "two primaries: 5 at a");
    }

    #[test]
    fn an_answer_that_came_late_is_no_second_primary() {
        assert_eq!(late(949), Vec::<String>::new());
    }

    #[test]
    fn a_write_at_a_third_site_is_found() {
        let third =
            |history: &mut History, _: &mut _| history.acknowledged[1] = ack("2", "c", 110, 150);
        assert_only(&found(third), "at a third site: 2 at c");
    }

    #[test]
    fn a_write_at_the_new_site_before_the_move_or_after_its_undoing_is_found() {
        let early =
            |history: &mut History, _: &mut _| history.acknowledged[0] = ack("1", "b", 10, 20);
        assert_only(&found(early), "at a third site: 1 at b");
        let undone = |history: &mut History, _: &mut _| history.legs[1] = leg("a", "a", 100);
        assert_only(&found(undone), "at a third site: 4 at b");
    }

    #[test]
    fn a_new_site_without_a_write_is_found() {
        let silent = |history: &mut History, _: &mut _| drop(history.acknowledged.pop());
        assert_only(&found(silent), "no write was acknowledged at b");
    }

    #[test]
    fn a_stream_that_misses_a_write_or_goes_back_is_found() {
        let misses = |history: &mut History, _: &mut _| drop(history.streamed.remove(1));
        assert_only(&found(misses), "not in the stream: 2 at a");
        let back = |history: &mut History, _: &mut _| history.streamed.swap(0, 1);
        assert_only(&found(back), "the stream went back from 8 to 7");
    }

    #[test]
    fn each_move_has_its_gap() {
        let (mut history, mut rows) = sound();
        history.legs.push(leg("b", "a", 2000));
        history.legs.push(leg("a", "a", 4000));
        for (key, number, site, began) in
            [("6", 30, "b", 2100), ("7", 31, "a", 3000), ("8", 32, "a", 4100)]
        {
            history.acknowledged.push(ack(key, site, began, began + 10));
            history.streamed.push((number, key.to_owned()));
            rows.insert(key.to_owned(), 1);
        }
        let verdict = history.judge(&rows);
        assert!(verdict.is_clean(), "{verdict}");
        assert_eq!(verdict.gaps, [Some(at(800)), Some(at(900)), None]);
    }
}
