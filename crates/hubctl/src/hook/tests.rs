//! Programs that say too much, live too long, and leave others behind.

use std::path::Path;
use std::time::Instant;

use super::*;
use crate::failure::Failure;

const AMPLE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(1);
const HOME: Hooked<'_> = Hooked { site: "home", run: "r1" };

fn words(words: &[&str]) -> ProgramCommand {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    words.try_into().unwrap()
}

fn shell(text: &str) -> ProgramCommand {
    words(&["sh", "-c", text])
}

async fn process(path: &Path) -> std::path::PathBuf {
    let deadline = Instant::now() + AMPLE;
    loop {
        if let Ok(pid) = fs_err::read_to_string(path)
            && pid.ends_with('\n')
        {
            return Path::new("/proc").join(pid.trim());
        }
        assert!(Instant::now() < deadline, "{} was not written", path.display());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn lives(process: &Path) -> bool {
    let stat = fs_err::read_to_string(process.join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

async fn dies(process: &Path) {
    let deadline = Instant::now() + AMPLE;
    while lives(process) {
        assert!(Instant::now() < deadline, "{} still lives", process.display());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn it_knows_the_site_and_the_run_and_no_secret_of_ours() {
    let place = tempfile::tempdir().unwrap();
    let mut command = words(&["sh", "-c", "echo $HUBCTL_SITE $HUBCTL_RUN $PWD"]);
    command.directory = Some(place.path().to_owned());
    let printed = String::from_utf8(read(&command, AMPLE, &HOME).await.unwrap()).unwrap();
    assert_eq!(printed, format!("home r1 {}\n", place.path().display()));
    let program = prepared(&command, &HOME);
    let removed = program.as_std().get_envs().filter(|(_, value)| value.is_none());
    assert_eq!(removed.map(|(name, _)| name).collect::<Vec<_>>(), ["PGPASSWORD"]);
    // The shell expands nothing: there is none.
    let printed = read(&words(&["echo", "$HUBCTL_SITE; exit 1"]), AMPLE, &HOME).await.unwrap();
    assert_eq!(printed, b"$HUBCTL_SITE; exit 1\n");
}

#[tokio::test]
async fn a_daemon_that_keeps_the_output_keeps_nobody_and_lives() {
    let place = tempfile::tempdir().unwrap();
    let pid = place.path().join("pid");
    act(&shell(&format!("sleep 600 & echo $! > {}", pid.display())), AMPLE, &HOME).await.unwrap();
    let process = process(&pid).await;
    assert!(lives(&process));
    let killed = std::process::Command::new("kill").arg(process.file_name().unwrap()).status();
    assert!(killed.unwrap().success());
}

#[tokio::test]
async fn one_that_ignores_the_end_is_killed_with_its_children() {
    let place = tempfile::tempdir().unwrap();
    let pid = place.path().join("pid");
    let text = format!("trap '' TERM; sleep 600 & echo $! > {}; wait", pid.display());
    let refusal = act(&shell(&text), SHORT, &HOME).await.unwrap_err();
    assert_eq!(refusal.to_string(), "`sh …` did not end within 1s");
    dies(&process(&pid).await).await;
}

#[tokio::test]
async fn one_whose_caller_is_gone_is_ended() {
    let place = tempfile::tempdir().unwrap();
    let pid = place.path().join("pid");
    let text = format!("trap '' TERM; sleep 600 & echo $! > {}; wait", pid.display());
    let running = tokio::spawn(async move { act(&shell(&text), AMPLE, &HOME).await });
    let process = process(&pid).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    dies(&process).await;
}

#[tokio::test]
async fn the_end_of_a_flood_explains_a_failure() {
    let text = "seq 1000000 >&2; echo; printf '\\033[31mno such container\\n' >&2; exit 3";
    let refusal = act(&shell(text), AMPLE, &HOME).await.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "`sh …` ended with exit code 3: 999999; 1000000; [31mno such container"
    );
    // An answer is not cut.
    let refusal = read(&shell("seq 1000000"), AMPLE, &HOME).await.unwrap_err();
    assert_eq!(refusal.to_string(), "`sh …` failed: it printed more than 65536 bytes");
}

#[tokio::test]
async fn no_secret_of_an_argument_or_an_url_is_repeated() {
    let script = "echo cannot reach postgresql://hub:hunter2@h/d with $2 >&2; exit 1";
    let command = words(&["sh", "-c", script, "x", "--token", "s3cretly"]);
    let refusal = act(&command, AMPLE, &HOME).await.unwrap_err();
    let failure = Failure::of(&refusal.into()).to_string();
    assert!(
        failure.contains("cannot reach postgresql://hub:(removed)@h/d with (removed)"),
        "{failure}"
    );
    assert!(!failure.contains("hunter2") && !failure.contains("s3cretly"), "{failure}");
}
