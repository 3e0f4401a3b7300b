//! The rules, and an oracle that counts in another way.

use proptest::prelude::*;

use super::*;

fn good(taken_at: &str) -> Candidate {
    Candidate { taken_at: taken_at.parse().unwrap(), is_drilled: false, flaw: None }
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// Which are kept, as a string of `k` and `-`, newest first.
fn kept(retention: &Retention, candidates: &[Candidate], zone: &TimeZone) -> String {
    let letter = |reasons: &Vec<Reason>| if reasons.is_empty() { '-' } else { 'k' };
    decide(retention, candidates, zone).iter().map(letter).collect()
}

#[test]
fn reasons_say_whether_they_count() {
    use Reason as R;
    let good = [
        R::NewestVerified,
        R::NewestDrilled,
        R::Last,
        R::Period("daily 2026-11-22".to_owned()),
        R::Within,
    ];
    let bad = [R::Unverified, R::Damaged, R::Foreign, R::Future];
    let says_no = |reason: &Reason| reason.to_string().ends_with("counts for nothing");
    assert!(good.iter().all(|reason| reason.counts() && !says_no(reason)));
    assert!(bad.iter().all(|reason| !reason.counts() && says_no(reason)));
    assert_eq!(good[3].to_string(), "daily 2026-11-22");
    assert_eq!(good[0].to_string(), "the newest verified");
}

#[test]
fn the_newest_of_each_period_is_kept() {
    let candidates: Vec<Candidate> = [
        "2026-11-22T20:00:00Z",
        "2026-11-22T08:00:00Z",
        "2026-11-21T20:00:00Z",
        "2026-11-15T20:00:00Z",
        "2026-10-31T20:00:00Z",
        "2025-12-31T20:00:00Z",
    ]
    .map(good)
    .into();
    let keep = |retention: Retention| kept(&retention, &candidates, &TimeZone::UTC);
    let none = Retention::default;
    assert_eq!(keep(Retention { last: 2, ..none() }), "kk----");
    assert_eq!(keep(Retention { daily: 2, ..none() }), "k-k---");
    assert_eq!(keep(Retention { weekly: 2, ..none() }), "k--k--");
    assert_eq!(keep(Retention { monthly: 3, ..none() }), "k---kk");
    assert_eq!(keep(Retention { yearly: 9, ..none() }), "k----k");
    let day = Some(Duration::from_secs(24 * 3600));
    assert_eq!(keep(Retention { within: day, ..none() }), "kkk---");
}

#[test]
fn a_week_belongs_to_one_year() {
    let candidates =
        ["2027-01-02T12:00:00Z", "2026-12-31T12:00:00Z", "2026-01-01T12:00:00Z"].map(good);
    let retention = Retention { weekly: 9, ..Retention::default() };
    // The first two are in 2026-W53; the third is in 2026-W01.
    assert_eq!(kept(&retention, &candidates, &TimeZone::UTC), "k-k");
}

#[test]
fn an_hour_that_comes_twice_is_two_hours() {
    let candidates =
        ["2026-10-25T01:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T00:10:00Z"].map(good);
    let retention = Retention { hourly: 9, ..Retention::default() };
    // 02:30 winter time, 02:30 summer time, 02:10 summer time.
    assert_eq!(kept(&retention, &candidates, &zone("Europe/Berlin")), "kk-");
}

#[test]
fn a_day_begins_where_the_operator_lives() {
    let candidates = ["2026-11-22T11:30:00Z", "2026-11-22T10:30:00Z"].map(good);
    let retention = Retention { daily: 9, ..Retention::default() };
    assert_eq!(kept(&retention, &candidates, &TimeZone::UTC), "k-");
    // Half past midnight, and half past eleven of the day before.
    assert_eq!(kept(&retention, &candidates, &zone("Pacific/Auckland")), "kk");
}

#[test]
fn what_counts_for_nothing_takes_no_place_and_is_not_removed() {
    let mut candidates =
        ["2026-11-22T12:00:00Z", "2026-11-21T12:00:00Z", "2026-11-20T12:00:00Z"].map(good);
    let retention = Retention { last: 1, ..Retention::default() };
    for flaw in [Reason::Unverified, Reason::Damaged, Reason::Foreign, Reason::Future] {
        candidates[0].flaw = Some(flaw);
        assert_eq!(kept(&retention, &candidates, &TimeZone::UTC), "kk-");
    }
    candidates[2].is_drilled = true;
    assert_eq!(kept(&retention, &candidates, &TimeZone::UTC), "kkk");
}

/// The answer of an operator with a calendar and a pencil: for each kept backup the rules are
/// applied one by one, by counting the distinct newer periods. Written with other arithmetic than
/// the code: days since an epoch, not names.
fn oracle(retention: &Retention, candidates: &[Candidate], zone: &TimeZone) -> String {
    let counting: Vec<&Candidate> = candidates.iter().filter(|c| c.flaw.is_none()).collect();
    let period = |at: Timestamp, kind: usize| -> i64 {
        let civil = at.to_zoned(zone.clone()).datetime();
        let days = i64::from(
            civil.date().duration_since(jiff::civil::date(1970, 1, 1)).as_hours() as i32 / 24,
        );
        match kind {
            // Hours of elapsed time, moved by the minutes of the offset: local hours never share one.
            0 => {
                (at.as_second() + i64::from(at.to_zoned(zone.clone()).offset().seconds()))
                    .div_euclid(3600)
                    * 100_000
                    + i64::from(at.to_zoned(zone.clone()).offset().seconds()) / 60
            }
            1 => days,
            // 1970-01-01 was a Thursday, so Monday is day 4 of it.
            2 => (days + 3).div_euclid(7),
            3 => i64::from(civil.year()) * 12 + i64::from(civil.month()),
            _ => i64::from(civil.year()),
        }
    };
    let wanted = retention.periods();
    let is_kept = |candidate: &Candidate| {
        if candidate.flaw.is_some() {
            return true;
        }
        let position = counting.iter().position(|c| std::ptr::eq(*c, candidate)).unwrap();
        let newer = &counting[..position];
        let is_newest_drilled = candidate.is_drilled && !newer.iter().any(|c| c.is_drilled);
        let by_period = (0..5).any(|kind| {
            let mine = period(candidate.taken_at, kind);
            let others: std::collections::HashSet<i64> =
                newer.iter().map(|c| period(c.taken_at, kind)).collect();
            !others.contains(&mine) && others.len() < wanted[kind] as usize
        });
        let age = counting[0].taken_at.as_second() - candidate.taken_at.as_second();
        let by_age = retention.within.is_some_and(|within| age as u64 <= within.as_secs());
        position == 0
            || position < retention.last as usize
            || is_newest_drilled
            || by_period
            || by_age
    };
    candidates.iter().map(|c| if is_kept(c) { 'k' } else { '-' }).collect()
}

fn any_candidate() -> impl Strategy<Value = Candidate> {
    let flaw = prop_oneof![
        6 => Just(None),
        1 => Just(Some(Reason::Unverified)),
        1 => Just(Some(Reason::Damaged)),
        1 => Just(Some(Reason::Future)),
    ];
    // Around both changes of the clocks of 2026 and the turn of a year, and anywhere in three years.
    let second = prop_oneof![
        1_774_600_000_i64..1_775_000_000,
        1_792_800_000_i64..1_793_000_000,
        1_798_000_000_i64..1_799_500_000,
        1_700_000_000_i64..1_800_000_000,
    ];
    (second, any::<bool>(), flaw).prop_map(|(second, is_drilled, flaw)| Candidate {
        taken_at: Timestamp::from_second(second).unwrap(),
        is_drilled,
        flaw,
    })
}

fn any_retention() -> impl Strategy<Value = Retention> {
    let few = || prop_oneof![Just(0_u32), 0_u32..8];
    let within = prop::option::of((0_u64..40 * 86_400).prop_map(Duration::from_secs));
    (few(), few(), few(), few(), few(), few(), within).prop_map(
        |(last, hourly, daily, weekly, monthly, yearly, within)| Retention {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            within,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_calendar_and_a_pencil_agree(
        mut candidates in prop::collection::vec(any_candidate(), 0..40),
        retention in any_retention(),
        zone_name in prop::sample::select(&["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia"][..]),
    ) {
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.taken_at));
        let zone = zone(zone_name);
        prop_assert_eq!(kept(&retention, &candidates, &zone), oracle(&retention, &candidates, &zone));
    }

    #[test]
    fn one_that_counts_for_nothing_changes_nothing(
        mut candidates in prop::collection::vec(any_candidate(), 1..30),
        retention in any_retention(),
        stranger in any_candidate(),
    ) {
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.taken_at));
        let before = kept(&retention, &candidates, &TimeZone::UTC);
        let stranger = Candidate { flaw: Some(Reason::Unverified), ..stranger };
        let at = candidates.partition_point(|candidate| candidate.taken_at > stranger.taken_at);
        candidates.insert(at, stranger);
        let mut after = kept(&retention, &candidates, &TimeZone::UTC);
        prop_assert_eq!(after.remove(at), 'k');
        prop_assert_eq!(before, after);
    }
}
