//! Pipes, links and strangers' files in every place where the program expects a file.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{Home, Run};

/// No command here takes so long; one that waits for a pipe takes for ever.
const HANGS: Duration = Duration::from_secs(60);

/// Runs hubctl, which must end by itself.
#[track_caller]
fn run(home: &Home, arguments: &[&str]) -> Run {
    let mut child = home.command(arguments).spawn().unwrap();
    let deadline = Instant::now() + HANGS;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("hubctl {arguments:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Run::of(&child.wait_with_output().unwrap())
}

#[track_caller]
fn refused(home: &Home, code: i32, arguments: &[&str], fact: &str) {
    let run = run(home, arguments);
    assert_eq!(run.code, Some(code), "{arguments:?}\n{}", run.stderr);
    run.says(fact);
}

fn replace_by_pipe(path: &Path) {
    let _ = fs_err::remove_file(path);
    testkit::pipe(path);
}

const PIPE: &str = "is a pipe, not a regular file";

#[test]
fn a_pipe_in_the_place_of_a_configured_file_is_refused_at_once() {
    let home = Home::new();
    let public = home.generate_key("other.txt");
    let recipients = format!("recipients = [\"{public}\"]\n");
    testkit::pipe(&home.path("pipe"));
    let site = |line: &str| {
        format!("[sites.other]\ndatabase = \"postgresql://hub@127.0.0.1:1/x\"\n{line} = \"pipe\"\n")
    };
    let cases = [
        ("identities = [\"pipe\"]\n", String::new(), &["verify", "latest"][..]),
        ("recipients_file = \"pipe\"\n", String::new(), &["backup"]),
        ("passphrase_file = \"pipe\"\n", String::new(), &["backup"]),
        ("", site("password_file"), &["diff", "other", "workstation"]),
        ("", site("passfile"), &["diff", "other", "workstation"]),
        ("", "[backup]\nallowed_signers = \"pipe\"\n".to_owned(), &["backups"]),
    ];
    for (vault, tables, arguments) in cases {
        let vault = if vault.contains("recipients") {
            vault.to_owned()
        } else {
            format!("{recipients}{vault}")
        };
        home.configure(&vault, &tables);
        refused(&home, 2, arguments, PIPE);
    }
    refused(&home, 2, &["--config", "pipe", "backups"], PIPE);
}

#[test]
fn a_pipe_in_the_vault_or_as_journal_is_refused_at_once() {
    let home = Home::new();
    home.backup();
    let name = home.vault().into_iter().find(|name| name.ends_with(".json")).unwrap();
    let sidecar = home.path("vault").join(name);
    let text = fs_err::read(&sidecar).unwrap();
    replace_by_pipe(&sidecar);
    let shown = run(&home, &["backups"]);
    assert!(format!("{}{}", shown.stdout, shown.stderr).contains(PIPE), "{shown:?}");
    fs_err::remove_file(&sidecar).unwrap();
    fs_err::write(&sidecar, text).unwrap();

    let pruning = home.path("vault").join(".state-hub.sql.gz.age.pruning");
    testkit::pipe(&pruning);
    refused(&home, 3, &["backups"], PIPE);
    fs_err::remove_file(&pruning).unwrap();

    replace_by_pipe(&home.path("journal.jsonl"));
    refused(&home, 3, &["journal", "verify"], PIPE);
    refused(&home, 3, &["backup"], PIPE);
}

#[test]
fn nothing_is_written_through_a_planted_link() {
    let home = Home::new();
    let victim = home.secret("victim", "precious");
    let lock = home.path("vault").join(".state-hub.lock");
    fs_err::os::unix::fs::symlink(&victim, &lock).unwrap();
    refused(&home, 3, &["backup"], "is a symbolic link, not a regular file");
    fs_err::remove_file(&lock).unwrap();

    fs_err::create_dir(home.path("man")).unwrap();
    let page = home.path("man/hubctl-backup.1");
    fs_err::os::unix::fs::symlink(&victim, &page).unwrap();
    refused(&home, 3, &["man", "man"], "is a symbolic link, not a regular file");
    fs_err::remove_file(&page).unwrap();
    home.expect(0, &["man", "man"]);
    assert!(fs_err::read_to_string(&page).unwrap().contains("hubctl\\-backup"));

    assert_eq!(fs_err::read_to_string(&victim).unwrap(), "precious\n");
}

#[test]
fn what_others_may_change_is_refused() {
    let home = Home::new();
    home.backup();
    let mode = |name: &str, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        fs_err::set_permissions(home.path(name), permissions).unwrap();
    };
    for (name, code, arguments) in [
        ("hubctl.toml", 2, &["backups"][..]),
        ("key.txt", 2, &["verify", "latest"]),
        ("journal.jsonl", 3, &["journal", "verify"]),
    ] {
        mode(name, 0o602);
        refused(&home, code, arguments, "may be changed by others (mode 602)");
        mode(name, 0o600);
    }
    mode(".", 0o777);
    refused(&home, 2, &["backups"], "may be changed by others (mode 777)");
    mode(".", 0o700);
    home.expect(0, &["backups"]);
}

#[test]
fn a_configuration_that_is_a_link_into_a_trusted_place_is_fine() {
    let home = Home::new();
    fs_err::create_dir(home.path("dotfiles")).unwrap();
    fs_err::rename(home.path("hubctl.toml"), home.path("dotfiles/hubctl.toml")).unwrap();
    fs_err::os::unix::fs::symlink("dotfiles/hubctl.toml", home.path("hubctl.toml")).unwrap();
    home.expect(0, &["config", "show"]);
}

#[test]
fn a_sidecar_of_six_gigabytes_is_refused_unread() {
    let home = Home::new();
    home.backup();
    let name = home.vault().into_iter().find(|name| name.ends_with(".json")).unwrap();
    let file = fs_err::OpenOptions::new().write(true).open(home.path("vault").join(name)).unwrap();
    file.set_len(6 << 30).unwrap();
    let shown = run(&home, &["backups"]);
    assert!(format!("{}{}", shown.stdout, shown.stderr).contains("larger than"), "{shown:?}");
}
