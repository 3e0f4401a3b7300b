//! `hubctl approve`: a person at a terminal agrees, and nobody else.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{Home, Run, new_database, url};

/// A gate that only waits for people, one that is closed anyway, and the people.
fn home() -> (Home, std::net::TcpListener) {
    let home = Home::with_database("none".to_owned());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    home.append(&format!(
        r#"
[approval]
key = "alice"
[gates.room]
condition = "disk"
path = "."
free = "1B"
[gates.free]
condition = "port"
address = "{}"
[gates.T05]
all = ["room"]
approval = {{ signers = "approvers", expires = "4h", consequences = ["the database moves"], way_back = "hubctl rollback" }}
[gates.both]
all = ["room"]
approval = {{ signers = "approvers", expires = "4h", persons = 2 }}
[gates.closed]
all = ["free"]
approval = {{ signers = "approvers", expires = "4h" }}
"#,
        taken.local_addr().unwrap()
    ));
    let mut approvers = String::new();
    for name in ["alice", "bob"] {
        let public = key(&home, name);
        approvers
            .push_str(&format!("{name}@example.org namespaces=\"hubctl-approval\" {public}\n"));
    }
    key(&home, "mallory");
    fs_err::write(home.path("approvers"), approvers).unwrap();
    (home, taken)
}

fn key(home: &Home, name: &str) -> String {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
        .arg(home.path(name))
        .status()
        .unwrap();
    assert!(made.success());
    fs_err::read_to_string(home.path(&format!("{name}.pub"))).unwrap().trim().to_owned()
}

/// At a terminal, where this is typed; what is said there is its stdout.
fn at_a_terminal(home: &Home, arguments: &str, typed: &str) -> Run {
    let hubctl = assert_cmd::cargo::cargo_bin!("hubctl");
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!("{} {arguments}", hubctl.display()))
        .arg("/dev/null")
        .current_dir(home.root())
        .env("HOME", home.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    Run::of(&output)
}

fn files(home: &Home) -> usize {
    fs_err::read_dir(home.path("approvals")).map_or(0, Iterator::count)
}

#[test]
fn a_person_agrees_and_takes_it_back() {
    let (home, _taken) = home();
    home.expect(4, &["gates", "T05"]).shows("not approved yet");
    let run = at_a_terminal(&home, "approve T05", "T05\n");
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    for shown in ["the database moves", "hubctl rollback", "\"free\"", "alice@example.org"] {
        run.shows(shown);
    }
    home.expect(0, &["gates", "T05"]).shows("approved by alice@example.org");
    assert_eq!(files(&home), 1);
    let record = &home.journal("approve")[0];
    assert_eq!(record.evidence["principal"], "alice@example.org");

    // Whoever judges the bundle sees who agreed, without asking anybody here.
    home.expect(0, &["gates", "T05", "--bundle", "b.tar.gz"]);
    let elsewhere = Home::with_database("none".to_owned());
    fs_err::copy(home.path("b.tar.gz"), elsewhere.path("b.tar.gz")).unwrap();
    elsewhere
        .expect(0, &["gates", "evaluate", "--from", "b.tar.gz"])
        .shows("approved by alice@example.org");

    // What happened to it since then is for whoever asks the gate, and evidence alone holds nobody's name.
    let evidence = Command::new("tar")
        .args(["-xzOf", "b.tar.gz", "evidence.json"])
        .current_dir(home.root())
        .output()
        .unwrap();
    fs_err::write(home.path("evidence.json"), evidence.stdout).unwrap();
    home.expect(4, &["gates", "evaluate", "--from", "evidence.json", "T05"])
        .shows("not approved yet");

    // Another plan is another thing to agree to.
    let config = fs_err::read_to_string(home.path("hubctl.toml")).unwrap();
    fs_err::write(home.path("hubctl.toml"), config.replace("free = \"1B\"", "free = \"2B\""))
        .unwrap();
    home.expect(4, &["gates", "T05"]);
    fs_err::write(home.path("hubctl.toml"), config).unwrap();
    home.expect(0, &["gates", "T05"]);

    let run = at_a_terminal(&home, "approve T05 --revoke --key bob", "T05\n");
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    home.expect(4, &["gates", "T05"]);
    // A revocation that is damaged revokes, also from a bundle.
    let revocation = fs_err::read_dir(home.path("approvals"))
        .unwrap()
        .map(|item| item.unwrap().path())
        .find(|path| path.to_str().unwrap().ends_with(".revoked.json"))
        .unwrap();
    fs_err::write(revocation, [0xff; 10]).unwrap();
    home.expect(4, &["gates", "T05", "--bundle", "c.tar.gz"]);
    home.expect(4, &["gates", "evaluate", "--from", "c.tar.gz"]).shows("it was revoked");
}

#[test]
fn a_file_of_signers_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let (home, _taken) = home();
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        fs_err::set_permissions(home.path("approvers"), permissions).unwrap();
    };
    mode(0o666);
    home.expect(3, &["gates", "T05", "--bundle", "b.tar.gz"]).shows("its approvals cannot be read");
    home.expect(3, &["gates", "evaluate", "--from", "b.tar.gz"])
        .shows("its approvals cannot be read");
    mode(0o644);
}

#[test]
fn nobody_agrees_without_reading_and_typing() {
    let (home, _taken) = home();
    home.expect(2, &["approve", "T05"]).says("needs a terminal");
    for typed in ["\n", "y\n", "yes\n", "t05\n", "T05 \n", "both\n"] {
        let run = at_a_terminal(&home, "approve T05", typed);
        assert_eq!(run.code, Some(1), "{typed:?}: {}", run.stdout);
        run.shows("it was not confirmed, and nothing was signed");
    }
    assert_eq!(files(&home), 0);
}

#[test]
fn strangers_and_closed_gates_are_refused_before_anybody_is_asked() {
    let (home, _taken) = home();
    let stranger = at_a_terminal(&home, "approve T05 --key mallory", "T05\n");
    assert_eq!(stranger.code, Some(1), "{}", stranger.stdout);
    stranger.shows("which is no key of an allowed signer");
    let alias = at_a_terminal(&home, "approve T05 --as bob@example.org", "T05\n");
    assert_eq!(alias.code, Some(1), "{}", alias.stdout);
    alias.shows("the key is not of `bob@example.org`");
    let closed = at_a_terminal(&home, "approve closed", "closed\n");
    assert_eq!(closed.code, Some(1), "{}", closed.stdout);
    closed.shows("is closed");
    let needless = at_a_terminal(&home, "approve room", "room\n");
    assert_eq!(needless.code, Some(2), "{}", needless.stdout);
    needless.shows("needs no approval");
    assert_eq!(files(&home), 0);
}

#[test]
fn two_people_are_two_people() {
    let (home, _taken) = home();
    for _ in 0..2 {
        let run = at_a_terminal(&home, "approve both", "both\n");
        assert_eq!(run.code, Some(0), "{}", run.stdout);
        home.expect(4, &["gates", "both"]).shows("1 of 2 people");
    }
    let run = at_a_terminal(&home, "approve both --key bob", "both\n");
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    home.expect(0, &["gates", "both"]).shows("alice@example.org, bob@example.org");
}

#[test]
fn an_approval_is_void_once_what_its_gate_rests_on_is_another() {
    let (home, _taken) = home();
    fs_err::write(home.path("check.sh"), "exit 0\n").unwrap();
    home.append(
        r#"
[gates.checked]
condition = "script"
run = ["sh", "check.sh"]
scope = "nothing"
expires = "1h"
[gates.T06]
all = ["checked"]
approval = { signers = "approvers", expires = "4h" }
"#,
    );
    home.expect(4, &["gates", "T06"]);
    let run = at_a_terminal(&home, "approve T06", "T06\n");
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    home.expect(0, &["gates", "T06"]);
    fs_err::write(home.path("check.sh"), "true\n").unwrap();
    home.expect(4, &["gates", "T06"]).shows("its approval is void: it is for another plan");
}

#[test]
fn an_approval_is_void_once_a_site_is_another_database() {
    let (home, _taken) = home();
    let [a, b, elsewhere] = [(); 3].map(|()| new_database());
    home.append(&format!(
        "[sites.a]\ndatabase = \"{}\"\n[sites.b]\ndatabase = \"{}\"\n\
         [gates.moved]\ncondition = \"census-equal\"\na = \"a\"\nb = \"b\"\n\
         [gates.T07]\nall = [\"moved\"]\napproval = {{ signers = \"approvers\", expires = \"4h\" }}\n",
        url(&a),
        url(&b)
    ));
    let run = at_a_terminal(&home, "approve T07", "T07\n");
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    home.expect(0, &["gates", "T07"]);
    let config = fs_err::read_to_string(home.path("hubctl.toml")).unwrap();
    let redirected = config.replace(&url(&b), &url(&elsewhere));
    assert_ne!(config, redirected);
    fs_err::write(home.path("hubctl.toml"), redirected).unwrap();
    // It holds the same rows, so that nothing but the plan is another.
    home.expect(0, &["gates", "moved"]).shows("are equal");
    home.expect(4, &["gates", "T07"]).shows("its approval is void: it is for another plan");
    fs_err::write(home.path("hubctl.toml"), config).unwrap();
    home.expect(0, &["gates", "T07"]);
}

#[test]
fn an_approval_does_not_count_while_the_clock_is_behind_the_journal() {
    let (home, _taken) = home();
    let run = at_a_terminal(&home, "approve T05", "T05\n");
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    let record = journal::NewRecord::new(later, "note", journal::Outcome::Done, "later");
    let journal = journal::Journal::open(home.path("journal.jsonl")).unwrap();
    journal.append(record).unwrap();
    home.expect(3, &["gates", "T05"]).shows("the newest record of the journal is of");
}
