//! The revisions of the service's schema.

use super::{alembic, empty_database, migrated_database};
use crate::support::{scalar, sql};

#[test]
fn migrations_lead_from_nothing_to_what_the_models_say() {
    let database = empty_database();
    if alembic(&database, &["upgrade", "head"]).is_none() {
        return;
    }
    let current = alembic(&database, &["current"]).unwrap();
    assert!(current.trim_end().ends_with("(head)"), "{current}");
    assert_eq!(current, alembic(&database, &["heads"]).unwrap());
    let check = alembic(&database, &["check"]).unwrap();
    assert!(check.contains("No new upgrade operations detected"), "{check}");

    let objects = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace \
                   AND relname NOT LIKE 'alembic%'";
    assert_ne!(scalar(&database, objects).as_deref(), Some("0"));
    alembic(&database, &["downgrade", "base"]).unwrap();
    assert_eq!(scalar(&database, objects).as_deref(), Some("0"));
    alembic(&database, &["upgrade", "head"]).unwrap();
    assert_eq!(alembic(&database, &["current"]).unwrap(), current);
}

#[test]
fn migrations_carry_the_rows_along() {
    let database = empty_database();
    if alembic(&database, &["upgrade", "progress_events_0002"]).is_none() {
        return;
    }
    sql(
        &database,
        "INSERT INTO tasks (title, status) VALUES ('a', 'blocked'), ('b', 'in_progress'), ('c', 'done')",
    );
    let tasks = "SELECT string_agg(title || status || priority, ' ' ORDER BY title) FROM tasks";
    alembic(&database, &["upgrade", "head"]).unwrap();
    let expected = "ablocked1 bin_progress2 cdone3";
    assert_eq!(scalar(&database, tasks).as_deref(), Some(expected));
    alembic(&database, &["downgrade", "task_priority_0003"]).unwrap();
    assert_eq!(scalar(&database, tasks).as_deref(), Some(expected));
}

#[test]
fn a_revision_that_fails_leaves_the_one_before() {
    let Some(database) = migrated_database() else {
        return;
    };
    alembic(&database, &["downgrade", "task_priority_0003"]).unwrap();
    sql(&database, "INSERT INTO tasks (title, status) VALUES ('a', 'of no kind')");
    let failed = testkit::StateHub::alembic(&crate::support::url(&database), &["upgrade", "head"]);
    let failed = failed.unwrap_err().to_string();
    assert!(failed.contains("of no kind"), "{failed}");
    let current = alembic(&database, &["current"]).unwrap();
    assert_eq!(current.trim_end(), "task_priority_0003");
}
