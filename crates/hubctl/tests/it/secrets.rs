//! A password goes where it must, and is seen nowhere else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Child;

use crate::support::{Home, Run, sql, tcp_url};

const CANARY: &str = "canary-7f3a9c-password";

fn home_of_canary(role: &str) -> Home {
    let home = Home::new();
    sql("postgres", &format!("CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{CANARY}'"));
    home.secret("password", CANARY);
    home
}

/// Runs to the end, and collects the argument lists of all processes meanwhile.
fn watched(mut child: Child) -> (Run, BTreeSet<String>) {
    let mut seen = BTreeSet::new();
    while child.try_wait().unwrap().is_none() {
        for process in fs_err::read_dir("/proc").unwrap().flatten() {
            let arguments = fs_err::read(process.path().join("cmdline")).unwrap_or_default();
            seen.insert(String::from_utf8_lossy(&arguments).replace('\0', " "));
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    (Run::of(&child.wait_with_output().unwrap()), seen)
}

/// All files, at whatever depth; links lead to them.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files
}

#[test]
fn a_password_shows_up_nowhere() {
    let home = home_of_canary("canary_file");
    let source = tcp_url("canary_file", &home.database);
    for arguments in [
        &["backup", &source, "--password-file", "password", "-vv"][..],
        &["backup", &source, "--password-command", "cat password", "--format", "json"],
        &["diff", &source, "latest", "--password-file", "password", "-vv"],
        &[
            "restore",
            "--to",
            &source,
            "--database",
            "canary_copy",
            "--password-file",
            "password",
            "--execute",
        ],
        &["drill", "--server", &source, "--password-file", "password"],
        &["doctor", &source, "--password-file", "password"],
    ] {
        let (run, seen) = watched(home.command(arguments).spawn().unwrap());
        assert_eq!(run.code, Some(0), "{arguments:?}\n{}{}", run.stdout, run.stderr);
        assert!(!run.stdout.contains(CANARY) && !run.stderr.contains(CANARY), "{arguments:?}");
        assert!(seen.iter().any(|line| line.contains("hubctl")), "the watch saw nothing");
        assert!(
            !seen.iter().any(|line| line.contains(CANARY)),
            "{arguments:?} in an argument list"
        );
    }
    let files = files_below(home.root());
    assert!(files.iter().any(|file| file.parent() == Some(&home.path("vault"))));
    for file in files {
        let bytes = fs_err::read(&file).unwrap();
        let has_it = String::from_utf8_lossy(&bytes).contains(CANARY);
        assert_eq!(has_it, file == home.path("password"), "{}", file.display());
    }
    // A private key is a secret as well.
    let key = fs_err::read_to_string(home.path("key.txt")).unwrap();
    let journal = fs_err::read_to_string(home.path("journal.jsonl")).unwrap();
    assert!(!journal.contains(key.trim()));
}

#[test]
fn a_wrong_password_is_not_repeated_and_could_not_ask() {
    let home = home_of_canary("canary_wrong");
    home.secret("wrong", "wrong-canary-password");
    let source = tcp_url("canary_wrong", &home.database);
    let run = home.expect(3, &["backup", &source, "--password-file", "wrong"]);
    run.says("28P01").says("hint: check user and password");
    assert!(!run.stderr.contains("wrong-canary"));
}

#[test]
fn passwords_are_found_in_their_order() {
    let home = home_of_canary("canary_order");
    let source = tcp_url("canary_order", &home.database);
    let doctor = |variables: &[(&str, &str)]| {
        let mut command = home.command(&["doctor", &source]);
        command.envs(variables.iter().copied());
        Run::of(&command.output().unwrap()).code
    };
    assert_eq!(doctor(&[]), Some(3));
    assert_eq!(doctor(&[("PGPASSWORD", CANARY)]), Some(0));
    home.secret(".pgpass", &format!("127.0.0.1:*:*:canary_order:{CANARY}"));
    assert_eq!(doctor(&[]), Some(0));
    assert_eq!(doctor(&[("PGPASSWORD", "wrong")]), Some(3));
    home.secret("other", "127.0.0.1:*:*:canary_order:wrong");
    assert_eq!(doctor(&[("PGPASSFILE", "other")]), Some(3));
}

#[test]
fn a_password_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = home_of_canary("canary_open");
    fs_err::set_permissions(home.path("password"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let source = tcp_url("canary_open", &home.database);
    let run = home.expect(2, &["backup", &source, "--password-file", "password"]);
    run.says("may be read by others (mode 644)").says("chmod 600");
}

#[test]
fn what_opens_the_targets_shows_up_nowhere() {
    use testkit::{CLOUD_PASSWORD, CLOUD_TOKEN, CLOUD_USER, Cloud, CloudEffect};
    let (home, cloud) = (Home::new(), Cloud::start().unwrap());
    home.secret("cloud-password", CLOUD_PASSWORD);
    home.secret("drop-token", CLOUD_TOKEN);
    home.secret("s3-secret", CANARY);
    home.append(&format!(
        "[targets.cloud]\nwebdav = \"{}\"\nuser = \"{CLOUD_USER}\"\npassword_file = \"cloud-password\"\n\
         [targets.drop]\nfiledrop = \"{url}\"\ntoken_file = \"drop-token\"\n\
         [targets.bucket]\ns3 = \"{url}\"\nbucket = \"b\"\naccess_key = \"AKID\"\nsecret_key_file = \"s3-secret\"\n",
        cloud.folder("backups"),
        url = cloud.url()
    ));
    home.backup();
    // A failure that names what was sent would be the place to leak; one that is not tried again is quick.
    cloud.inject("PUT", "public.php", CloudEffect::Refuse(403));
    let mut said = String::new();
    for (code, arguments) in [
        (3, &["push", "-vv"][..]),
        (3, &["push", "-vv", "--format", "json"]),
        (3, &["doctor", "-vv"]),
        (0, &["config", "show"]),
        (0, &["verify", "cloud:latest", "-vv"]),
        (0, &["pull", "cloud", "-vv"]),
        (1, &["fresh", "-vv"]),
        (3, &["backups", "--target", "bucket", "-vv"]),
    ] {
        let (run, seen) = watched(home.command(arguments).spawn().unwrap());
        assert_eq!(run.code, Some(code), "{arguments:?}\n{}", run.stderr);
        said.push_str(&run.stdout);
        said.push_str(&run.stderr);
        said.extend(seen);
    }
    said.push_str(&fs_err::read_to_string(home.path("journal.jsonl")).unwrap());
    for name in home.vault().iter().filter(|name| name.ends_with(".json")) {
        said.push_str(&fs_err::read_to_string(home.path("vault").join(name)).unwrap());
    }
    for secret in [CLOUD_PASSWORD, CLOUD_TOKEN, CANARY, "X-Amz-Signature"] {
        assert!(!said.contains(secret), "{secret} is in what was said");
    }
    assert!(said.contains("it does not allow this"), "the failure was told");
}

#[test]
fn a_password_command_that_fails_says_why_in_a_few_clean_lines() {
    let home = home_of_canary("canary_command");
    let source = tcp_url("canary_command", &home.database);
    let command = format!(
        "echo {CANARY}; echo tried {CANARY} >&2; yes 'a line of noise' | head -c 300000 >&2; \
         printf '\\033[31mno such entry\\033[0m\\n' >&2; echo 'the store is locked' >&2; exit 7"
    );
    let run = home.expect(3, &["backup", &source, "--password-command", &command]);
    run.says("the password_command failed (exit status: 7): ")
        .says("no such entry")
        .says("the store is locked")
        .says("hint: run it by hand");
    assert!(run.stderr.len() < 1000, "{}", run.stderr.len());
    assert!(!run.stderr.contains(CANARY) && !run.stderr.contains('\u{1b}'));
}

/// Whatever a URL was meant as, and wherever it stands: its password is not repeated, and nothing
/// is done.
#[test]
fn a_password_in_an_argument_is_never_repeated() {
    const SECRET: &str = "s3cret-7f3a9c";
    let home = Home::new();
    home.append("[targets.disk]\nfolder = \"disk\"\n");
    let urls = ["postgresql://u:", "u:", "//u:", "postgres:/u:", "postgresql+asyncpg://u:"]
        .map(|start| format!("{start}{SECRET}@127.0.0.1:1/db"));
    for url in &urls {
        let joined = ["--jobs=", "--format=", "--to=", "--nonsense=", "-o", "disk:"]
            .map(|option| format!("{option}{url}"));
        for arguments in [
            vec![url.as_str()],
            vec!["backup", url],
            vec!["backup", "workstation", url],
            vec!["doctor", url],
            vec!["doctor", url, "--format", "json"],
            vec!["diff", url, "latest"],
            vec!["diff", "workstation", url],
            vec!["diff", url, "latest", "--bogus"],
            vec!["verify", url],
            vec!["restore", url, "--to", "workstation"],
            vec!["restore", "--to", url],
            vec!["drill", "--server", url],
            vec!["copy", "workstation", "--to", url],
            vec!["clean", url],
            vec!["init", "--database", url, "--config", "new.toml"],
            vec!["push", url],
            vec!["pull", url],
            vec!["pull", "disk", url],
            vec!["prune", "--target", url],
            vec!["gates", url],
            vec!["approve", url],
            vec!["tunnel", "up", url],
            vec!["tunnel", "trust", url],
            vec!["journal", "verify", "--against", url],
            vec!["completions", url],
            vec!["backup", "--vault", url],
            vec!["--config", url, "doctor"],
            vec!["backup", "--jobs", url],
            vec!["backup", &joined[0]],
            vec!["doctor", &joined[1]],
            vec!["restore", &joined[2]],
            vec!["backup", &joined[3]],
            vec!["backup", &joined[4]],
            vec!["verify", &joined[5]],
        ] {
            let run = home.expect(2, &arguments);
            let said = format!("{}{}", run.stdout, run.stderr);
            assert!(!said.contains(SECRET), "{arguments:?}\n{said}");
        }
    }
    home.expect(2, &["verify", &urls[1]])
        .says("a connection URL on the command line holds a password")
        .says("start the URL with postgresql://");
    home.expect(2, &["verify", "--identity", "AGE-SECRET-KEY-1QQQ"])
        .says("a private key is on the command line");
    assert!(!home.path("journal.jsonl").exists(), "something was done");
}

#[test]
fn a_password_in_the_configuration_is_never_repeated() {
    const SECRET: &str = "s3cret-7f3a9c";
    for url in ["postgresql://u:", "u:"].map(|start| format!("{start}{SECRET}@127.0.0.1:1/db")) {
        for table in [
            format!("[sites.x]\ndatabase = \"{url}\"\n"),
            format!("[sites.\"{url}\"]\ndatabase = \"postgresql://h/d\"\n"),
            format!(
                "[gates.x]\ncondition = \"census-equal\"\na = \"{url}\"\nb = \"workstation\"\n"
            ),
            format!("[tunnels.\"{url}\"]\n"),
        ] {
            let home = Home::new();
            home.append(&table);
            for arguments in [
                &["config", "show"][..],
                &["doctor"],
                &["gates", "x"],
                &["backup", "x"],
                &["-vv", "fresh"],
            ] {
                let run = home.expect(2, arguments);
                let said = format!("{}{}", run.stdout, run.stderr);
                assert!(!said.contains(SECRET), "{arguments:?}\n{table}\n{said}");
                run.says("holds a password");
            }
        }
    }
}
