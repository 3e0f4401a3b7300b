//! `hubctl gates`: what it prints, and with which exit code it ends. Clusters are in the tests of
//! the library.

use crate::support::Home;

/// Gates that need no database: one of each answer, where `port` is taken.
fn tables(port: u16) -> String {
    format!(
        r#"
[clusters.home]
kubeconfig = "nowhere"
context = "home"
uid = "4c21"
[gates.room]
condition = "disk"
path = "."
free = "1B"
[gates.free]
condition = "port"
address = "127.0.0.1:{port}"
[gates.nodes]
cluster = "home"
condition = "nodes"
ready = 3
[gates.steady]
condition = "disk"
path = "."
free = "1B"
stable_for = "1h"
[gates.agreed]
all = ["room"]
approval = {{ signers = "approvers", expires = "4h" }}
"#
    )
}

fn home() -> (Home, std::net::TcpListener) {
    let home = Home::with_database("none".to_owned());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    home.append(&tables(listener.local_addr().unwrap().port()));
    // Nobody may approve: a file of signers that is there, and empty.
    fs_err::write(home.path("approvers"), "").unwrap();
    (home, listener)
}

#[test]
fn each_answer_has_its_exit_code_and_the_worst_decides() {
    let (home, _taken) = home();
    for (code, names) in [
        (0, &["room"][..]),
        (1, &["free"]),
        (3, &["nodes"]),
        (3, &["steady"]),
        (4, &["agreed"]),
        (4, &["agreed", "room"]),
        (3, &["agreed", "nodes"]),
        (1, &["agreed", "nodes", "free"]),
        (1, &[]),
    ] {
        home.expect(code, &[&["gates"], names].concat());
    }
    home.expect(2, &["gates", "nobody"]).says("no gate `nobody` is configured");
}

#[test]
fn what_does_not_pass_says_what_to_do_and_where_to_read() {
    let (home, _taken) = home();
    let run = home.expect(1, &["gates", "free", "agreed"]);
    run.shows("✗ FAIL").shows("is already in use").shows("! needs approval");
    run.says("(docs/gates/port.md)").says("hubctl approve agreed").says("(docs/guide/gates.md)");
    let json = home.json(3, "hubctl.gates.v1", &["gates", "nodes"]);
    let gate = &json["gates"][0];
    assert_eq!((&json["answer"], &gate["answer"]), (&"unknown".into(), &"unknown".into()));
    assert!(gate["reason"].as_str().unwrap().contains("kubeconfig"), "{gate}");
}

#[test]
fn a_bundle_is_judged_the_same_elsewhere() {
    let (home, taken) = home();
    home.expect(1, &["gates", "--bundle", "b.tar.gz", "--junit", "r.xml"]);
    let before = home.json(1, "hubctl.gates.v1", &["gates", "evaluate", "--from", "b.tar.gz"]);
    // It is free now, and nobody asks.
    drop(taken);
    let elsewhere = Home::with_database("none".to_owned());
    fs_err::copy(home.path("b.tar.gz"), elsewhere.path("b.tar.gz")).unwrap();
    let after = elsewhere.json(1, "hubctl.gates.v1", &["gates", "evaluate", "--from", "b.tar.gz"]);
    assert_eq!(before, after);
    home.expect(0, &["gates", "free"]);
    let junit = fs_err::read_to_string(home.path("r.xml")).unwrap();
    assert!(junit.contains("failures=\"1\" errors=\"1\" skipped=\"2\""), "{junit}");
    elsewhere.expect(2, &["gates", "evaluate", "--from", "hubctl.toml"]);
}

#[test]
fn waiting_ends_when_the_gate_opens() {
    let home = Home::with_database("none".to_owned());
    home.append(
        "[gates.opens]\ncondition = \"script\"\nrun = [\"sh\", \"-c\", \"echo >> asked; test -e open\"]\nscope = \"nothing\"\nexpires = \"1h\"\n",
    );
    let mut waiting =
        home.command(&["gates", "opens", "--wait", "60s", "--every", "100ms"]).spawn().unwrap();
    // Closed when it was asked first, or it would not have waited.
    let asked = || fs_err::read_to_string(home.path("asked")).map_or(0, |text| text.len());
    while asked() < 2 {
        assert_eq!(waiting.try_wait().unwrap(), None, "it does not wait");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    fs_err::write(home.path("open"), "").unwrap();
    let run = crate::support::Run::of(&waiting.wait_with_output().unwrap());
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn a_script_runs_once_while_its_success_stands_and_is_in_the_journal() {
    let home = Home::with_database("none".to_owned());
    home.append(
        "[gates.ha]\ncondition = \"script\"\nrun = [\"sh\", \"-c\", \"echo secret-$((6*7)); echo run >> runs\"]\nscope = \"nothing\"\nexpires = \"1h\"\n",
    );
    home.expect(0, &["gates"]).shows("which proves: nothing");
    home.expect(0, &["gates"]);
    assert_eq!(fs_err::read_to_string(home.path("runs")).unwrap().lines().count(), 1);
    let records = home.journal("gate-script");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].outcome, journal::Outcome::Done);
    let journal = fs_err::read_to_string(home.path("journal.jsonl")).unwrap();
    assert!(
        journal.contains("6*7") && !journal.contains("secret-42"),
        "the command is there, its output is not: {journal}"
    );
}

#[test]
fn backups_and_tunnels_are_answered_by_hubctl_itself() {
    let home = Home::with_database("none".to_owned());
    home.append("[gates.fresh]\ncondition = \"backup-fresh\"\n[gates.up]\ncondition = \"tunnel-up\"\ntunnel = \"hub\"\n");
    home.expect(1, &["gates", "fresh"]).shows("no verified backup");
    home.expect(1, &["gates", "up"]).shows("no supervisor");
    fs_err::remove_dir(home.path("vault")).unwrap();
    home.expect(3, &["gates", "fresh"]).shows("UNKNOWN");
}

#[test]
fn the_profiles_are_understood() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/profiles");
    let mut profiles = 0;
    for entry in fs_err::read_dir(root).unwrap() {
        let home = Home::with_database("none".to_owned());
        home.append(&fs_err::read_to_string(entry.unwrap().path()).unwrap());
        home.expect(0, &["config", "show"]);
        home.expect(2, &["gates", "nobody"]).says("`T05`");
        profiles += 1;
    }
    assert_eq!(profiles, 2);
}

#[test]
fn databases_and_backups_are_compared_by_a_gate() {
    let home = Home::new();
    home.append(
        "[gates.moved]\ncondition = \"census-equal\"\na = \"workstation\"\nb = \"latest\"\n\
         [gates.counted]\ncondition = \"census-equal\"\na = \"workstation\"\nb = \"latest\"\ncounts = true\n",
    );
    home.backup();
    home.expect(0, &["gates"]).shows("are equal");
    let first = "SELECT id FROM topics ORDER BY id LIMIT 1";
    let change = format!("UPDATE topics SET title = title || '!' WHERE id = ({first})");
    crate::support::sql(&home.database, &change);
    home.expect(1, &["gates", "moved"]).shows("1 difference").says("hubctl diff");
    home.expect(0, &["gates", "counted"]);
    fs_err::remove_file(home.path("key.txt")).unwrap();
    home.expect(3, &["gates", "moved"]).shows("UNKNOWN");
}

#[test]
fn the_doctor_asks_whether_clusters_are_the_ones_that_are_meant() {
    let home = Home::new();
    home.backup();
    home.expect(0, &["doctor"]);
    home.append("[clusters.home]\nkubeconfig = \"nowhere\"\ncontext = \"home\"\nuid = \"4c21\"\n");
    home.expect(3, &["doctor"]).shows("cluster home").shows("unknown");
}

#[test]
fn a_database_compared_with_itself_proves_nothing() {
    let home = Home::new();
    home.append(&format!(
        "[sites.again]\ndatabase = \"{}&application_name=again\"\n[gates.moved]\ncondition = \"census-equal\"\na = \"workstation\"\nb = \"again\"\n",
        crate::support::url(&home.database)
    ));
    home.expect(1, &["gates", "moved"]).shows("are one and the same, so nothing was compared");
}

/// Answers everything with 200, and with what was asked.
fn echo() -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = vec![0; 4096];
            let count = stream.read(&mut request).unwrap();
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {count}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&request[..count]).unwrap();
        }
    });
    address
}

#[test]
fn secrets_in_gates_and_places_are_shown_and_kept_nowhere() {
    const CANARY: &str = "canary-5d1c";
    let home = Home::with_database("none".to_owned());
    let address = echo();
    home.append(&format!(
        "[targets.cloud]\nwebdav = \"https://c.example/dav\"\n\
         [gates.answers]\ncondition = \"http\"\nurl = \"http://{address}/health?token={CANARY}\"\nexpect = \"GET /health\"\n\
         [gates.checked]\ncondition = \"script\"\nrun = [\"echo\", \"--password\", \"{CANARY}\", \"http://h/?token={CANARY}\"]\n\
         scope = \"postgresql://hub:{CANARY}@h/d answers\"\nexpires = \"1h\"\n\
         [gates.agreed]\nall = [\"answers\"]\napproval = {{ signers = \"approvers\", expires = \"1h\", way_back = \"psql postgresql://hub:{CANARY}@h/d\" }}\n"
    ));
    fs_err::write(home.path("approvers"), "").unwrap();
    let mut said = String::new();
    for (code, arguments) in [
        (Some(0), &["gates", "answers", "checked", "-vv"][..]),
        (Some(4), &["gates", "agreed", "--format", "json"]),
        (Some(4), &["gates", "--bundle", "b.tar.gz", "--junit", "r.xml"]),
        (Some(4), &["gates", "evaluate", "--from", "b.tar.gz"]),
        (Some(0), &["config", "show"]),
        (None, &["doctor", "-vv"]),
        (None, &["push", "-vv"]),
    ] {
        let run = home.hubctl(arguments);
        assert!(code.is_none() || run.code == code, "{arguments:?}: {run:?}");
        said.push_str(&run.stdout);
        said.push_str(&run.stderr);
    }
    let unpacked = std::process::Command::new("tar")
        .args(["-xzOf", "b.tar.gz"])
        .current_dir(home.root())
        .output()
        .unwrap();
    let unpacked = String::from_utf8(unpacked.stdout).unwrap();
    assert!(unpacked.contains("GET /health"), "the answer is in the bundle");
    said.push_str(&unpacked);
    for file in ["r.xml", "journal.jsonl"] {
        said.push_str(&fs_err::read_to_string(home.path(file)).unwrap());
    }
    assert!(said.contains("(removed-") && said.contains("c.example"), "{said}");
    let leak = said.lines().find(|line| line.contains(CANARY));
    assert_eq!(leak, None);
    home.append(&format!("[targets.other]\nwebdav = \"https://hub:{CANARY}@d.example/dav\"\n"));
    let refused = home.expect(2, &["push", "-vv"]);
    refused.says("holds a user or a password");
    assert!(!format!("{refused:?}").contains(CANARY), "{refused:?}");
}

#[test]
fn a_bundle_that_is_none_is_refused_in_bounded_memory() {
    let home = Home::with_database("none".to_owned());
    let packed = std::process::Command::new("sh")
        .args([
            "-c",
            "truncate -s 300M evidence.json && tar -czf b.tar.gz evidence.json && rm evidence.json",
        ])
        .current_dir(home.root())
        .status()
        .unwrap();
    assert!(packed.success());
    home.expect(2, &["gates", "evaluate", "--from", "b.tar.gz"]).says("more than 256 MiB");
}

#[test]
fn a_program_of_a_kubeconfig_that_hangs_does_not_keep_a_signal_waiting() {
    let home = Home::with_database("none".to_owned());
    home.append("[clusters.home]\nkubeconfig = \"kubeconfig\"\ncontext = \"home\"\nuid = \"4c21\"\n[gates.nodes]\ncluster = \"home\"\ncondition = \"nodes\"\nready = 3\n");
    let plugin = "echo $$ > pid; sleep 600 & wait";
    let kubeconfig = format!(
        r#"{{"clusters":[{{"name":"c","cluster":{{"server":"https://127.0.0.1:1"}}}}],"users":[{{"name":"u","user":{{"exec":{{"apiVersion":"client.authentication.k8s.io/v1","command":"sh","args":["-c","{plugin}"]}}}}}}],"contexts":[{{"name":"home","context":{{"cluster":"c","user":"u"}}}}]}}"#
    );
    fs_err::write(home.path("kubeconfig"), kubeconfig).unwrap();
    let running = home.command(&["gates"]).spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while fs_err::read_to_string(home.path("pid")).map_or(0, |pid| pid.len()) == 0 {
        assert!(std::time::Instant::now() < deadline, "it has not begun");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let begun = std::time::Instant::now();
    let id = running.id().to_string();
    let sent = std::process::Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.unwrap().success());
    let run = crate::support::Run::of(&running.wait_with_output().unwrap());
    assert_eq!(run.code, Some(130), "{run:?}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(3), "{:?}", begun.elapsed());
    let pid = fs_err::read_to_string(home.path("pid")).unwrap();
    let process = std::path::Path::new("/proc").join(pid.trim());
    while process.exists() {
        assert!(std::time::Instant::now() < deadline, "its program is left");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
