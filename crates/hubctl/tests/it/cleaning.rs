//! Databases that restores kept, and how they are let go.

use crate::support::{Home, database_of, scalar, sql, url};

fn kept(database: &str) -> Option<String> {
    let query = format!("SELECT count(*) FROM pg_database WHERE datname LIKE '{database}\\_\\_%'");
    scalar("postgres", &query)
}

#[test]
fn a_kept_database_of_a_name_that_was_cut_belongs_to_nobody() {
    let home = Home::new();
    let stem = format!("{:a<36}", home.database);
    let (long, kept) = (format!("{stem}_one"), format!("{stem}__before_202612010000000000"));
    for name in [&stem, &long, &kept] {
        sql("postgres", &format!("CREATE DATABASE \"{name}\""));
    }
    for name in [&stem, &long] {
        let cleaned = home.expect(0, &["clean", &url(name), "--execute"]);
        assert!(!cleaned.stdout.contains("__before_"), "{}", cleaned.stdout);
    }
    assert!(scalar(&kept, "SELECT 1").is_some(), "it may be that of `{stem}_two`");
}

#[test]
fn kept_databases_are_listed_and_dropped_on_request_only() {
    let home = Home::new();
    let key = home.generate_key("key.txt");
    home.configure(&format!("recipients = [\"{key}\"]\nidentities = [\"key.txt\"]\n"), "");
    home.backup();
    let copy = format!("{}_copy", home.database);
    let restore = ["restore", "--to", "workstation", "--database", &copy, "--execute"];
    for _ in 0..3 {
        home.expect(0, &restore);
    }
    // Somebody else's, of a similar name.
    sql("postgres", &format!("CREATE DATABASE \"{copy}__before_mine\""));
    assert_eq!(kept(&copy).as_deref(), Some("3"));

    let site = url(&copy);
    let listed = home.expect(0, &["clean", &site]);
    listed.shows("__before_2").says("Dry run");
    assert!(!listed.stdout.contains("before_mine"), "{}", listed.stdout);
    home.expect(0, &["clean", &site, "--older-than", "7days", "--execute"]);
    assert_eq!(kept(&copy).as_deref(), Some("3"));

    home.expect(0, &["clean", &site, "--execute"]);
    assert_eq!(kept(&copy).as_deref(), Some("1"), "somebody else's stays");
    assert_eq!(home.journal("clean").len(), 1);
    assert!(database_of(&copy).name() == copy && scalar(&copy, "SELECT 1").is_some());

    // Without the database itself, what was kept may be all there is.
    home.expect(0, &restore);
    sql("postgres", &format!("ALTER DATABASE \"{copy}\" RENAME TO \"{copy}_gone\""));
    let refused = home.hubctl(&["clean", &site, "--execute"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert_eq!(kept(&copy).as_deref(), Some("2"));
}
