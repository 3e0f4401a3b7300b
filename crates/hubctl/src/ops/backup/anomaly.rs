//! Signs in a new backup that its source lost something.
//!
//! An empty database backs up well, and its backup opens well. So a new one is held against the
//! newest verified one, by the public facts of both: what looks wrong is kept and not marked as
//! verified, so that it does not become `latest`, takes no other's place, and is missed by
//! `hubctl fresh`, until a human looked at it and verifies it.
//!
//! A backup of another database is suspicious as well. A database of another name always counts as
//! another one. Every restore, copy and upgrade changes the server or the OID, so that these count
//! only if most tables are gone as well.

use std::collections::BTreeSet;

use backup::{Entry, Vault};
use pgsnap::Manifest;
use serde_json::{Map, Value};

use crate::damage::Damaged;
use crate::human;

/// Of half of what was there before, nobody says that it is daily business.
const PART: u64 = 2;

/// The most tables whose names are kept, as hashes.
const SAMPLE: usize = 64;

/// The smallest hashes of the names of all tables. The sidecar is clear text, so it has no names.
pub(super) fn table_sample(manifest: &Manifest) -> Vec<String> {
    let tables = manifest.census.tables.iter();
    sample(tables.map(|table| (table.name.schema.as_str(), table.name.name.as_str())))
}

fn sample<'a>(tables: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let hash = |(schema, name): (&str, &str)| {
        let hash = blake3::hash(format!("{schema}\0{name}").as_bytes());
        hash.to_hex()[..16].to_owned()
    };
    let hashes: BTreeSet<String> = tables.map(hash).collect();
    hashes.into_iter().take(SAMPLE).collect()
}

/// Counts the tables of the sample before that are still there, and those that can be compared.
fn kept(before: &Value, now: &Value) -> Option<(u64, u64)> {
    let hashes = |payload: &Value| -> Option<BTreeSet<String>> {
        let sample = payload.get("table_sample")?.as_array()?;
        let hashes = sample.iter().map(|hash| hash.as_str().map(str::to_owned));
        hashes.collect()
    };
    let (before, now) = (hashes(before)?, hashes(now)?);
    // Beyond its largest hash, a full sample says nothing.
    let full = [&before, &now].into_iter().filter(|hashes| hashes.len() >= SAMPLE);
    let end = full.filter_map(BTreeSet::last).min();
    let known = before.iter().filter(|hash| end.is_none_or(|end| *hash <= end));
    let (mut found, mut of) = (0, 0);
    for hash in known {
        of += 1;
        found += u64::from(now.contains(hash));
    }
    Some((found, of))
}

/// Returns true if both are of one database, and `None` if a server did not tell.
fn is_same_place(before: &Value, now: &Value) -> Option<bool> {
    let same = |name: &str| {
        let (before, now) = (before.get(name)?, now.get(name)?);
        (!before.is_null() && !now.is_null()).then_some(before == now)
    };
    let found = [same("system_identifier"), same("database_oid")];
    if found.contains(&Some(false)) {
        return Some(false);
    }
    found.iter().all(Option::is_some).then_some(true)
}

/// The note about a database that moved, and is the same by its name and its tables.
pub(super) fn moved(before: &Value, now: &Value) -> Option<&'static str> {
    let moved =
        is_same_place(before, now) == Some(false) && another_database(before, now).is_none();
    moved.then_some("this backup comes from another server or database than the one before it")
}

fn another_database(before: &Value, now: &Value) -> Option<String> {
    let name = |payload: &Value| payload.get("database")?.as_str().map(str::to_owned);
    if let (Some(before), Some(now)) = (name(before), name(now))
        && before != now
    {
        return Some(format!("it is of the database `{now}`, and the one before is of `{before}`"));
    }
    if is_same_place(before, now) == Some(true) {
        return None;
    }
    let (found, of) = kept(before, now)?;
    (found < of.div_ceil(PART)).then(|| {
        format!("it comes from another server or database, and has {found} of {of} tables that were there before")
    })
}

/// The rows of the tables that are declared to grow only, as the payload keeps them.
pub(super) fn append_only(manifest: &Manifest, declared: &[String]) -> Map<String, Value> {
    let rows = |declared: &String| {
        let mut tables = manifest.census.tables.iter();
        let table =
            tables.find(|table| format!("{}.{}", table.name.schema, table.name.name) == *declared);
        table.map(|table| table.rows)
    };
    let found = declared.iter().map(|declared| (declared.clone(), rows(declared).into()));
    found.collect()
}

/// The newest backup that the next one is held against.
pub(super) fn predecessor(
    vault: &Vault,
    damaged: &Damaged,
) -> Result<Option<Entry>, backup::Error> {
    vault.newest(|entry| damaged.is_good(entry))
}

/// Returns the anomalies of a payload, compared with the one before.
pub(super) fn anomalies(before: &Value, now: &Value) -> Vec<String> {
    let mut anomalies: Vec<String> = another_database(before, now).into_iter().collect();
    let both = |name: &str| Some((before.get(name)?.as_u64()?, now.get(name)?.as_u64()?));
    if let Some((before, now)) = both("tables").filter(|(before, now)| now < before) {
        let tables = human::plural(before, "table");
        anomalies.push(format!("it has {now} of {tables} that were there before"));
    }
    for (name, word) in [("rows", "rows"), ("bytes", "bytes of rows")] {
        let halved = both(name).filter(|(before, now)| *now < before.div_ceil(PART));
        if let Some((before, now)) = halved {
            let (before, now) = (human::number(before), human::number(now));
            anomalies.push(format!("it has {now} {word}, and {before} were there before"));
        }
    }
    let declared = now.get("append_only").and_then(Value::as_object);
    for (table, now) in declared.into_iter().flatten() {
        let before = before.get("append_only").and_then(|tables| tables.get(table)?.as_u64());
        match (before, now.as_u64()) {
            (_, None) => {
                anomalies.push(format!("the table {table}, declared append-only, is not in it"));
            }
            (Some(before), Some(now)) if now < before => {
                let (before, now) = (human::number(before), human::number(now));
                anomalies.push(format!(
                    "{table}, declared append-only, has {now} rows, and {before} were there before"
                ));
            }
            _ => {}
        }
    }
    anomalies
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(now: &Value) -> Vec<String> {
        let before = json!({ "tables": 14, "rows": 1001, "bytes": 5000, "append_only": { "public.events": 700 } });
        anomalies(&before, now)
    }

    #[test]
    fn growth_and_small_losses_are_daily_business() {
        assert!(found(&json!({ "tables": 15, "rows": 501, "bytes": 2500, "append_only": { "public.events": 700 } })).is_empty());
        assert!(found(&json!({})).is_empty());
        assert!(
            anomalies(
                &Value::Null,
                &json!({ "tables": 0, "rows": 0, "append_only": { "public.new": 0 } })
            )
            .is_empty()
        );
    }

    #[test]
    fn what_got_lost_is_named() {
        let lost = found(
            &json!({ "tables": 13, "rows": 500, "bytes": 2499, "append_only": { "public.events": 699, "public.gone": null } }),
        );
        insta::assert_snapshot!(lost.join("\n"), @r"
        it has 13 of 14 tables that were there before
        it has 500 rows, and 1,001 were there before
        it has 2,499 bytes of rows, and 5,000 were there before
        public.events, declared append-only, has 699 rows, and 700 were there before
        the table public.gone, declared append-only, is not in it
        ");
    }

    /// A payload of a database on a server, with these tables.
    fn of(name: &str, (server, oid): (Option<&str>, u32), tables: std::ops::Range<usize>) -> Value {
        let names: Vec<String> = tables.map(|number| format!("table {number}")).collect();
        let sample = sample(names.iter().map(|name| ("public", name.as_str())));
        json!({ "database": name, "system_identifier": server, "database_oid": oid, "tables": names.len(), "table_sample": sample })
    }

    const HERE: (Option<&str>, u32) = (Some("7"), 16384);
    const THERE: (Option<&str>, u32) = (Some("8"), 16384);
    const UNTOLD: (Option<&str>, u32) = (None, 16384);

    #[test]
    fn another_database_is_suspicious() {
        let before = of("hub", HERE, 0..14);
        let found = |now| anomalies(&before, &now).join("\n");
        insta::assert_snapshot!([
            found(of("other", HERE, 0..14)),
            found(of("hub", THERE, 8..30)),
            found(of("hub", (Some("7"), 20000), 100..120)),
            found(of("hub", UNTOLD, 100..120)),
        ].join("\n"), @r"
        it is of the database `other`, and the one before is of `hub`
        it comes from another server or database, and has 6 of 14 tables that were there before
        it comes from another server or database, and has 0 of 14 tables that were there before
        it comes from another server or database, and has 0 of 14 tables that were there before
        ");
        // Of large databases a part of the tables tells it.
        let large = of("hub", HERE, 0..2000);
        assert!(!anomalies(&large, &of("hub", THERE, 1600..4000)).is_empty());
        assert!(anomalies(&large, &of("hub", THERE, 400..4000)).is_empty());
    }

    #[test]
    fn a_database_that_moved_is_the_same() {
        let before = of("hub", HERE, 0..14);
        for (now, is_moved) in [
            (of("hub", HERE, 0..14), false),
            // A restore or an upgrade, and a few tables that came and went.
            (of("hub", THERE, 0..14), true),
            (of("hub", (Some("7"), 20000), 4..20), true),
            // The same database after its tables were renamed.
            (of("hub", HERE, 100..114), false),
            (of("hub", UNTOLD, 0..14), false),
            // What an older program recorded.
            (json!({ "database": "hub", "system_identifier": "7", "tables": 14 }), false),
        ] {
            assert!(anomalies(&before, &now).is_empty(), "{now}");
            assert_eq!(moved(&before, &now).is_some(), is_moved, "{now}");
        }
        assert!(moved(&Value::Null, &before).is_none());
    }
}
