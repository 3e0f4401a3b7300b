//! What about a new backup looks as if its source had lost something.
//!
//! An empty database backs up well, and its backup opens well. So a new one is held against the newest verified one, by the public facts of both:
//! what looks wrong is kept and not marked as verified, so that it does not become `latest`, takes no other's place, and is missed by
//! `hubctl fresh`, until a human looked at it and verifies it.

use backup::{Entry, Vault};
use pgsnap::Manifest;
use serde_json::{Map, Value};

use crate::damage::Damaged;
use crate::human;

/// Of half of what was there before, nobody says that it is daily business.
const PART: u64 = 2;

/// The rows of the tables that are declared to grow only, as the payload keeps them.
pub(super) fn append_only(manifest: &Manifest, declared: &[String]) -> Map<String, Value> {
    let rows = |declared: &String| {
        let mut tables = manifest.census.tables.iter();
        let table =
            tables.find(|table| format!("{}.{}", table.name.schema, table.name.name) == *declared);
        table.map(|table| table.rows)
    };
    let found = declared
        .iter()
        .map(|declared| (declared.clone(), rows(declared).into()));
    found.collect()
}

/// The newest backup that the next one is held against.
pub(super) fn predecessor(
    vault: &Vault,
    damaged: &Damaged,
) -> Result<Option<Entry>, backup::Error> {
    Ok(vault
        .entries()?
        .into_iter()
        .find(|entry| damaged.is_good(entry)))
}

/// What is wrong with a payload, next to the one before.
pub(super) fn anomalies(before: &Value, now: &Value) -> Vec<String> {
    let mut anomalies = Vec::new();
    let both = |name: &str| Some((before.get(name)?.as_u64()?, now.get(name)?.as_u64()?));
    if let Some((before, now)) = both("tables").filter(|(before, now)| now < before) {
        let tables = human::plural(before, "table");
        anomalies.push(format!("it has {now} of {tables} that were there before"));
    }
    for (name, word) in [("rows", "rows"), ("bytes", "bytes of rows")] {
        let halved = both(name).filter(|(before, now)| *now < before.div_ceil(PART));
        if let Some((before, now)) = halved {
            let (before, now) = (human::number(before), human::number(now));
            anomalies.push(format!(
                "it has {now} {word}, and {before} were there before"
            ));
        }
    }
    let declared = now.get("append_only").and_then(Value::as_object);
    for (table, now) in declared.into_iter().flatten() {
        let before = before
            .get("append_only")
            .and_then(|tables| tables.get(table)?.as_u64());
        match (before, now.as_u64()) {
            (_, None) => anomalies.push(format!(
                "the table {table}, declared append-only, is not in it"
            )),
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
        it has 500 rows, and 1 001 were there before
        it has 2 499 bytes of rows, and 5 000 were there before
        public.events, declared append-only, has 699 rows, and 700 were there before
        the table public.gone, declared append-only, is not in it
        ");
    }
}
