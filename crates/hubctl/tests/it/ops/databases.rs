//! Operations on databases.

use std::sync::Arc;

use hubctl::ops::{
    self, BackupOrder, CopyOrder, DrillOrder, Ops, PlannedRestore, RestoreOrder, VerifyOrder,
};
use journal::evidence::{Depth, Verdict};

use super::{Heard, json, settings};
use crate::support::{Home, block_on, scalar, sql, url};

#[test]
fn a_backup_is_taken_verified_drilled_and_restored_without_a_command() {
    let home = Home::new();
    home.append("[drill]\nchecks = [{ name = \"one\", sql = \"SELECT 1\", expect = \"1\" }]\n");
    let heard = Arc::new(Heard::default());
    let ops = Ops::new(settings(&home)).with_console(heard.clone());
    let taken = block_on(ops::backup(&ops, BackupOrder::default())).unwrap();

    let order = VerifyOrder { full: true, ..VerifyOrder::default() };
    let verified = block_on(ops::verify(&ops, order)).unwrap();
    assert_eq!((&verified.id, verified.depth, verified.archive), (&taken.id, Depth::Full, true));

    let drilled = block_on(ops::drill(&ops, DrillOrder::default())).unwrap();
    assert_eq!(drilled.verdict, Verdict::Passed, "{drilled:?}");
    assert!(drilled.kept.is_none() && drilled.checks[0].passed);
    assert_eq!(Some(drilled.rows), verified.rows);

    let restored = format!("{}_restored", home.database);
    let order = || RestoreOrder::to(url(&restored));
    let plan = block_on(ops::plan_restore(&ops, order())).unwrap();
    assert!(plan.is_clear() && json(&plan)["plan"]["obstacles"].is_array());
    let PlannedRestore::Plan(planned) = &plan.planned else { panic!("{plan:?}") };
    assert_eq!((planned.tables, planned.rows), (drilled.tables.len() as u64, drilled.rows));
    assert!(home.journal("restore").is_empty());
    let report = block_on(ops::restore(&ops, order())).unwrap();
    assert_eq!((report.database(), &report.entry), (&*restored, &taken.id));
    assert_eq!(json(&report)["restored"]["rows"], drilled.rows);
    assert!(heard.facts().iter().any(|fact| fact.contains("found equal to the manifest")));
    assert_eq!(home.journal("restore").len(), 1);
}

#[test]
fn a_drill_hands_over_the_copy_that_is_kept_once_its_verdict_is_on_record() {
    let home = Home::new();
    home.backup();
    let ops = Ops::new(settings(&home));
    let order = DrillOrder { keep: true, ..DrillOrder::default() };
    let drilled = block_on(ops::drill(&ops, order)).unwrap();
    let copy = drilled.kept.unwrap();
    assert_eq!(home.journal("drill").len(), 1);
    let count = "SELECT count(*) FROM topics";
    let found = block_on(pgsnap::query_scalar(copy.database(), count)).unwrap();
    assert_eq!(found, scalar(&home.database, count));
    let directory = copy.directory().to_owned();
    assert!(directory.exists());
    drop(copy);
    assert!(!directory.exists());
}

#[test]
fn a_database_is_copied_without_a_command() {
    let home = Home::new();
    let ops = Ops::new(settings(&home));
    let copy = format!("{}_copy", home.database);
    let order = || CopyOrder::new("workstation", url(&copy));
    let plan = block_on(ops::plan_copy(&ops, order())).unwrap();
    assert!(plan.is_clear() && !plan.executed && plan.plan.tables > 0);
    let copied = block_on(ops::copy(&ops, order())).unwrap();
    assert_eq!((&*copied.from, &*copied.source.database), ("workstation", &*home.database));
    let count = "SELECT count(*) FROM token_events";
    assert_eq!(scalar(&copy, count), scalar(&home.database, count));
    sql("postgres", &format!("DROP DATABASE {copy}"));
}
