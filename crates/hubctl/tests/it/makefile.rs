//! `make backup` and `make restore`, by the Makefile that the documentation offers.

use std::process::Command;

use crate::support::{Home, Run, database_of, new_database, url};

#[test]
fn make_backs_up_and_restores() {
    let home = Home::new();
    let other = new_database();
    home.append(&format!("[sites.cluster]\ndatabase = \"{}\"\n", url(&other)));
    let makefile = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/Makefile.example");
    let make = |code: i32, arguments: &[&str]| {
        let program = assert_cmd::cargo::cargo_bin!("hubctl").display().to_string();
        let output = Command::new("make")
            .args(["--silent", "-f", makefile, &format!("HUBCTL={program}")])
            .args(arguments)
            .current_dir(home.root())
            .env("HOME", home.root())
            .output();
        let Ok(output) = output else {
            testkit::skip("make is not installed");
            return None;
        };
        let run = Run::of(&output);
        assert_eq!(run.code, Some(code), "make {arguments:?}\n{run:?}");
        Some(run)
    };
    if make(0, &["backup", "SITE=workstation"]).is_none() {
        return;
    }
    make(0, &["verify"]);
    make(0, &["backups"]).unwrap().shows("verified");
    make(2, &["restore"]).unwrap().says("make restore TO=SITE");
    // Each line says what it does before it does it.
    make(0, &["restore", "TO=cluster"]).unwrap().says("--execute");
    make(0, &["restore", "TO=cluster", "EXECUTE=yes"]);
    assert_eq!(database_of(&other).name(), other);
    home.expect(0, &["diff", "workstation", "cluster"]);
}
