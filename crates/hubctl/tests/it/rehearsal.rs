//! A rehearsal, and moves without a service around the database.

use serde_json::Value;

use crate::support::{Home, new_database, scalar, sql, url};

/// A home with a second site, on the same server.
fn two_sites() -> (Home, String) {
    let home = Home::new();
    let spare = new_database();
    home.append(&format!(
        "[sites.spare]\ndatabase = \"{}\"\n[cutover]\nfrom = \"workstation\"\nto = \"spare\"\n",
        url(&spare)
    ));
    (home, spare)
}

fn step<'a>(report: &'a Value, id: &str) -> &'a Value {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().find(|step| step["id"] == id).unwrap()
}

#[test]
fn a_rehearsal_replaces_a_target_that_is_not_the_primary() {
    let (home, spare) = two_sites();
    sql(&home.database, "CREATE TABLE note (id int PRIMARY KEY); INSERT INTO note VALUES (1)");
    sql(&spare, "CREATE TABLE old (id int)");
    home.expect(0, &["migrate", "workstation", "spare"]).says("nothing changed");
    let rehearsal = ["migrate", "workstation", "spare", "--execute"];
    let first = home.json(0, "hubctl.migrate.v1", &rehearsal);
    assert_eq!(first["restored"]["entry"], first["backup"]["id"]);
    home.expect(0, &["diff", "workstation", "spare"]);

    sql(&home.database, "INSERT INTO note VALUES (2)");
    home.expect(0, &rehearsal);
    assert_eq!(scalar(&spare, "SELECT max(id) FROM note").as_deref(), Some("2"));
}

#[test]
fn a_database_moves_back_and_forth_and_its_former_homes_stay_closed() {
    let (home, spare) = two_sites();
    let count = |database: &str| scalar(database, "SELECT count(*) FROM note").unwrap();
    sql(&home.database, "CREATE TABLE note (id int PRIMARY KEY); INSERT INTO note VALUES (1)");
    home.expect(0, &["cutover"]).shows("(the commit point)").says("nothing changed");

    let cutover = ["cutover", "--execute"];
    for site in ["workstation", "spare"] {
        home.expect(0, &["site", "pin", site, "--execute"]);
    }
    let done = home.json(0, "hubctl.cutover.v1", &cutover);
    assert_eq!((&done["outcome"], &done["epoch"]), (&"done".into(), &1.into()), "{done:#}");
    assert_eq!(step(&done, "commit")["state"], "done");
    sql(&spare, "INSERT INTO note VALUES (2)");
    home.expect(0, &["status"]);

    // The primary is no target, and the retired one stays closed.
    home.expect(1, &["migrate", "workstation", "spare", "--execute"]).says("is the primary");
    home.expect(1, &["thaw", "workstation", "--execute"])
        .says("became the primary with epoch 1")
        .says("--abandon-epoch 1");
    home.expect(1, &cutover).says("is not the primary");

    for (epoch, arguments, at) in [
        (2, &["rollback", "--mode", "delta", "--execute"][..], &home.database),
        (3, &["cutover", "--mode", "delta", "--execute"], &spare),
        (4, &["rollback", "--execute"], &home.database),
    ] {
        let done = home.json(0, "hubctl.cutover.v1", arguments);
        assert_eq!((&done["outcome"], &done["epoch"]), (&"done".into(), &epoch.into()), "{done:#}");
        assert_eq!(count(at), epoch.to_string());
        sql(at, &format!("INSERT INTO note VALUES ({})", epoch + 1));
        home.expect(0, &["status"]);
        home.expect(0, &["site", "check"]);
    }
    home.expect(0, &["journal", "verify"]);
}

#[test]
fn a_move_that_is_stuck_past_its_commit_point_goes_back_and_opens_nothing_else() {
    let (home, _spare) = two_sites();
    let settings = fs_err::read_to_string(home.path("hubctl.toml")).unwrap();
    let with = |tables: &str| {
        fs_err::write(home.path("hubctl.toml"), format!("{settings}{tables}")).unwrap();
    };
    with("[[sites.spare.redirect]]\ncommand = [\"false\"]\ncheck = [\"false\"]\n");
    let stuck = home.json(1, "hubctl.cutover.v1", &["cutover", "--execute"]);
    assert_eq!((&stuck["outcome"], &stuck["committed"]), (&"stuck".into(), &true.into()));
    home.expect(0, &["status"]);
    home.expect(1, &["thaw", "workstation"]).says("has not ended");
    home.expect(1, &["thaw", "workstation", "--execute"]).says("has not ended");
    // Another operator, with another journal, is told by the mark at the database.
    home.expect(1, &["thaw", "workstation", "--execute", "--journal", "other.jsonl"])
        .says("became the primary with epoch 1");

    // The way back fails once, and is repeated.
    with(
        "[[sites.spare.writers]]\nname = \"api\"\nstop = [\"false\"]\nstart = [\"true\"]\nstopped = [\"false\"]\n",
    );
    let undone = home.json(1, "hubctl.cutover.v1", &["rollback", "--execute"]);
    assert_eq!((&undone["outcome"], &undone["requested"]), (&"undone".into(), &false.into()));
    with("");
    let back = home.json(0, "hubctl.cutover.v1", &["rollback", "--execute"]);
    assert_eq!((&back["outcome"], &back["to"]), (&"done".into(), &"workstation".into()));
    home.expect(0, &["status"]);
}

#[test]
fn a_vault_that_cannot_take_the_final_backup_is_an_obstacle() {
    let (home, _spare) = two_sites();
    fs_err::rename(home.path("vault"), home.path("elsewhere")).unwrap();
    home.expect(1, &["cutover"]).says("obstacle: ");
    home.expect(1, &["cutover", "--execute"]).says("undone: workstation is as it was before");
    home.expect(0, &["status"]);
}
