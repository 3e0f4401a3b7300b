//! Sites are pinned, shown and checked, and told apart from copies of themselves.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pgsnap::{Database, ScratchOptions, ScratchServer};

use crate::support::{Home, block_on, new_database, scalar, sql, url};

const PIN: [&str; 4] = ["site", "pin", "workstation", "--execute"];

fn system() -> String {
    scalar("postgres", "SELECT system_identifier FROM pg_control_system()").unwrap()
}

fn oid(database: &str) -> String {
    scalar(database, "SELECT oid FROM pg_database WHERE datname = current_database()").unwrap()
}

fn configuration(home: &Home) -> String {
    fs_err::read_to_string(home.path("hubctl.toml")).unwrap()
}

#[test]
fn a_site_is_pinned_shown_and_checked_also_behind_its_fence() {
    let home = Home::new();
    home.append("# the end\n");
    let before = configuration(&home);
    let oid = oid(&home.database);
    home.expect(1, &["site", "check"])
        .shows("no")
        .shows("workstation is not pinned")
        .says("hubctl site pin workstation --execute");
    home.expect(0, &["site", "pin", "workstation"])
        .shows("before    nothing")
        .shows(&format!("identity  system {}, database {oid}", system()))
        .says("nothing changed");
    assert_eq!(configuration(&home), before);

    let pinned = home.json(0, "hubctl.site-pin.v1", &PIN);
    assert_eq!((&pinned["executed"], &pinned["before"]), (&true.into(), &().into()));
    let line =
        format!("identity = {{ system_identifier = \"{}\", database_oid = {oid} }}\n", system());
    let after = configuration(&home);
    assert!(after.contains(&line), "{after}");
    assert_eq!(after.replace(&line, ""), before);
    home.expect(0, &PIN).says("workstation was pinned already");
    assert_eq!(configuration(&home), after);

    home.expect(0, &["freeze", "workstation", "--execute"]);
    let shown = home.json(0, "hubctl.site.v1", &["site", "show", "workstation"]);
    let site = &shown["sites"][0];
    assert_eq!(site["live"], site["pinned"]);
    assert_eq!((&site["live"], &site["error"]), (&pinned["identity"], &().into()));
    let behind = site["fence"]["behind"].as_str().unwrap();
    home.expect(0, &["site", "show"]).shows("PostgreSQL 1").shows(", pinned").shows(behind);
    home.expect(0, &["site", "check", "workstation"]).shows("ok");
    home.expect(0, &["site", "pin", "workstation"]).says("pinned already");
}

#[test]
fn the_writers_of_a_site_are_asked_and_one_that_cannot_be_asked_is_told() {
    let home = Home::new();
    let text = configuration(&home);
    let writers = r#"[[sites.workstation.writers]]
name = "api"
stop = ["false"]
start = ["false"]
stopped = ["true"]
[[sites.workstation.writers]]
name = "relay"
pending = ["echo", "3"]
replay = ["false"]
[vault]"#;
    let of_writers = |writers: &str| {
        fs_err::write(home.path("hubctl.toml"), text.replace("[vault]", writers)).unwrap();
    };
    of_writers(writers);
    home.expect(0, &["site", "show"]).shows("api: stopped").shows("relay: 3 pending writes");
    of_writers(&writers.replace("\"true\"", "\"/nowhere/at-all\""));
    let shown = home.json(3, "hubctl.site.v1", &["site", "show"]);
    let [api, relay] = &shown["sites"][0]["writers"].as_array().unwrap()[..] else {
        panic!("{shown}");
    };
    assert_eq!((&api["stopped"], &relay["pending"]), (&().into(), &3.into()));
    assert!(api["error"].as_str().unwrap().contains("cannot be started"), "{api}");
}

#[test]
fn a_database_that_was_made_anew_is_another_one_until_it_is_pinned_again() {
    let home = Home::new();
    home.expect(0, &PIN);
    let (name, old) = (&home.database, oid(&home.database));
    sql("postgres", &format!("DROP DATABASE {name}"));
    home.expect(1, &["site", "check"]).shows("has no database").says("--replace");
    home.expect(1, &PIN).says(&format!("database {old}, and this is system"));
    sql("postgres", &format!("CREATE DATABASE {name}"));
    let new = oid(name);
    home.expect(1, &["site", "check"]).shows(&format!("pinned to number {old}")).shows(&new);
    let before = configuration(&home);
    home.expect(1, &PIN).says(&format!("database {old}, and this is")).says(&new);
    assert_eq!(configuration(&home), before);
    home.expect(0, &[&PIN[..], &["--replace"]].concat()).says(&new);
    assert_eq!(configuration(&home), before.replace(&old, &new));
    home.expect(0, &["site", "check"]);
}

#[test]
fn a_site_without_a_database_is_pinned_to_its_server() {
    let home = Home::new();
    sql("postgres", &format!("DROP DATABASE {}", home.database));
    home.expect(0, &PIN);
    let line = format!("identity = {{ system_identifier = \"{}\" }}", system());
    assert!(configuration(&home).contains(&line), "{}", configuration(&home));
    home.expect(0, &["site", "check"]);
}

#[test]
fn another_server_and_one_that_does_not_answer_are_told() {
    let home = Home::new();
    home.expect(0, &PIN);
    let server = block_on(ScratchServer::start(&ScratchOptions::default())).unwrap();
    let elsewhere =
        format!("postgresql:///{}?host={}", home.database, server.directory().display());
    let text = configuration(&home);
    let swapped = text.replace(&url(&home.database), &format!("{elsewhere}&user=postgres"));
    fs_err::write(home.path("hubctl.toml"), swapped).unwrap();
    home.expect(1, &["site", "check"]).shows("leads to another server").says("check the address");
    home.expect(1, &[&PIN[..], &["--format", "json"]].concat()).says("is pinned to system");

    let silent = text.replace(&url(&home.database), "postgresql://hub@127.0.0.1:1/hub");
    fs_err::write(home.path("hubctl.toml"), silent).unwrap();
    home.expect(3, &["site", "check"]).shows("unknown");
    home.expect(3, &["site", "show"]).shows("error");
    home.expect(3, &PIN);
    home.expect(2, &["site", "check", "nowhere"]).says("there is no site `nowhere`");
    home.expect(2, &["site", "pin", &url(&home.database)]).says("there is no site");
}

#[test]
fn two_names_of_one_database_are_refused_and_two_databases_of_one_server_are_not() {
    let home = Home::new();
    let twin = url(&home.database);
    let neighbour = url(&new_database());
    home.append(&format!(
        "[sites.neighbour]\ndatabase = \"{neighbour}\"\n[sites.twin]\ndatabase = \"{twin}\"\n"
    ));
    home.expect(0, &PIN);
    home.expect(0, &["site", "pin", "neighbour", "--execute"]);
    home.expect(1, &["site", "pin", "twin", "--execute"]).says("workstation is pinned to");
    let checked = home.json(1, "hubctl.site-check.v1", &["site", "check"]);
    let pairs = checked["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 1, "{checked}");
    assert_eq!(pairs[0]["fact"], "twin and workstation are one database");
    home.expect(0, &["site", "check", "neighbour"]);
}

/// A second server that was made of the files of another one.
struct PhysicalCopy {
    process: Child,
    directory: PathBuf,
}

impl PhysicalCopy {
    fn of(server: &ScratchServer) -> Self {
        /// Ends the server when its standard input ends, which is when the test does.
        const SCRIPT: &str = r#"
            mkdir "$2" && cp -a "$1/data" "$2/data" && rm "$2/data/postmaster.pid" || exit
            "$3/postgres" -D "$2/data" -k "$2" -p 5432 -c listen_addresses= -c fsync=off & server=$!
            read -r _; kill -INT "$server"; wait "$server""#;
        let ask = |query: &str| {
            block_on(pgsnap::query_scalar(&server.database("postgres"), query)).unwrap().unwrap()
        };
        block_on(pgsnap::execute(&server.database("postgres"), "CHECKPOINT")).unwrap();
        let binaries = ask("SELECT setting FROM pg_config WHERE name = 'BINDIR'");
        let directory = server.directory().join("copy");
        let owner = fs_err::metadata(server.directory().join("data")).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "sh"]).arg(server.directory()).arg(&directory).arg(binaries);
        if owner.uid() != fs_err::metadata("/proc/self").unwrap().uid() {
            shell.uid(owner.uid()).gid(owner.gid());
        }
        shell.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let copy = Self { process: shell.process_group(0).spawn().unwrap(), directory };
        copy.wait_until_it_answers();
        copy
    }

    fn wait_until_it_answers(&self) {
        for _ in 0..1500 {
            if block_on(pgsnap::query_scalar(&self.database("postgres"), "SELECT 1")).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("the copy in {} does not answer", self.directory.display());
    }

    fn database(&self, name: &str) -> Database {
        Database::from_url(&address(&self.directory, name)).unwrap()
    }
}

impl Drop for PhysicalCopy {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn address(directory: &Path, name: &str) -> String {
    format!("postgresql:///{name}?host={}&user=postgres", directory.display())
}

#[test]
fn a_physical_copy_is_told_from_its_original_by_a_live_test() {
    let home = Home::new();
    let server = block_on(ScratchServer::start(&ScratchOptions::default())).unwrap();
    block_on(pgsnap::execute(&server.database("postgres"), "CREATE DATABASE hub")).unwrap();
    let copy = PhysicalCopy::of(&server);
    block_on(pgsnap::execute(&server.database("postgres"), "CREATE DATABASE later")).unwrap();
    for (site, directory, name) in [
        ("original", server.directory(), "hub"),
        ("copied", &copy.directory, "hub"),
        ("later", server.directory(), "later"),
    ] {
        let url = address(directory, name);
        home.append(&format!("[sites.{site}]\ndatabase = \"{url}\"\n"));
    }
    home.expect(0, &["site", "pin", "original", "--execute"]);
    home.expect(1, &["site", "pin", "copied", "--execute"]).says("original is pinned to");
    let checked = home.json(1, "hubctl.site-check.v1", &["site", "check"]);
    let pairs = checked["pairs"].as_array().unwrap();
    let names: Vec<_> = pairs.iter().map(|pair| (&pair["a"], &pair["b"])).collect();
    assert_eq!(
        names,
        [(&"copied".into(), &"later".into()), (&"copied".into(), &"original".into())]
    );
    for pair in pairs {
        let fact = pair["fact"].as_str().unwrap();
        assert!(fact.contains("one is a physical copy or a standby of the other"), "{fact}");
    }
}
