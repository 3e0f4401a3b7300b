//! Completions in real shells.

use std::process::Command;

use testkit::Terminal;

use crate::support::{Home, Run};

fn home_with_names() -> Home {
    let home = Home::new();
    home.append(
        "[targets.disk]\nfolder = \"disk\"\n\
         [gates.room]\ncondition = \"disk\"\npath = \"/\"\nfree = \"1KB\"\n\
         [tunnels.hub]\ndestination = \"node1\"\n[[tunnels.hub.forwards]]\nlocal = \"127.0.0.1:8000\"\ntarget = \"10.0.0.1:80\"\n",
    );
    home
}

/// A shell that has read the completions, with the program in its `PATH`.
fn shell(home: &Home, program: &str, arguments: &[&str]) -> Command {
    let hubctl = std::path::PathBuf::from(home.command(&[]).get_program());
    let path = format!("{}:/usr/bin:/bin", hubctl.parent().unwrap().display());
    let mut shell = Command::new(program);
    shell
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .env("HOME", home.root())
        .current_dir(home.root());
    shell
}

/// Returns the completions of bash after these words, the last of which is being typed.
fn offered(home: &Home, words: &[&str]) -> Vec<String> {
    const ASK: &str = "source <(hubctl completions bash); function=$(complete -p hubctl | grep -o '_hubctl[a-z_]*')\n\
        COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9; COMP_LINE=\"$*\"; COMP_POINT=${#COMP_LINE}\n\
        $function hubctl \"${@: -1}\" \"${@: -2:1}\" 2>/dev/null; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut shell = shell(home, "bash", &["--norc", "-c", ASK, "bash"]);
    let run = Run::of(&shell.args(words).output().unwrap());
    run.stdout.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn bash_completes_the_names_of_the_configuration_after_every_command() {
    let home = home_with_names();
    let backup = home.backup();
    let file = backup.file_name().unwrap().to_str().unwrap();
    let id = file.strip_prefix("state-hub-").unwrap().strip_suffix(".sql.gz.age").unwrap();
    for (words, expected) in [
        (&["backup", ""][..], "workstation"),
        (&["doctor", "w"], "workstation"),
        (&["clean", ""], "workstation"),
        (&["copy", ""], "workstation"),
        (&["copy", "workstation", "--to", ""], "workstation"),
        (&["restore", "--to", ""], "workstation"),
        (&["drill", "--server", "work"], "workstation"),
        (&["diff", ""], "workstation"),
        (&["diff", "workstation", "la"], "latest"),
        (&["verify", ""], id),
        (&["restore", "20"], id),
        (&["drill", ""], "latest"),
        (&["rekey", ""], id),
        (&["pull", "disk", ""], id),
        (&["push", ""], "disk"),
        (&["pull", "d"], "disk"),
        (&["prune", "--target", ""], "disk"),
        (&["backups", "--target", ""], "disk"),
        (&["gates", "r"], "room"),
        (&["approve", ""], "room"),
        (&["tunnel", "up", ""], "hub"),
        (&["tunnel", "check", "h"], "hub"),
        (&["tunnel", "trust", ""], "hub"),
        (&["tunnel", "logs", ""], "hub"),
        (&["ba"], "backups"),
        (&["--form"], "--format"),
        (&["--format", "js"], "json"),
    ] {
        let words = [&["hubctl"], words].concat();
        let offered = offered(&home, &words);
        assert!(offered.iter().any(|word| word == expected), "{words:?}: {offered:?}");
    }
}

/// With readline, which takes a colon for the end of a word.
#[test]
fn bash_completes_as_it_is_typed() {
    let home = home_with_names();
    home.backup();
    for (typed, expected) in [
        ("tunnel up h", "tunnel up hub"),
        ("backup work", "backup workstation"),
        ("verify lat", "verify latest"),
        ("verify disk:la", "verify disk:latest"),
        ("verify disk:", "verify disk:latest"),
        ("restore --to=work", "restore --to=workstation"),
        ("pull d", "pull disk"),
    ] {
        let mut terminal = Terminal::run(&shell(&home, "bash", &["--norc", "-i"]), 200).unwrap();
        // The command is a function here; the completions know where the program is.
        terminal
            .keys("source <(hubctl completions bash); PS1='$ '; hubctl() { echo \"<$*>\"; }; echo rea''dy\r")
            .unwrap();
        terminal.wait_for("ready\r\n");
        // The shell reads the end of the line after it has completed it.
        terminal.keys(&format!("hubctl {typed}\t\rexit\r")).unwrap();
        let ended = terminal.end();
        let line = format!("<{expected}>");
        assert!(ended.drawn.contains(&line), "{typed}: no {line} in {}", ended.drawn);
    }
}
