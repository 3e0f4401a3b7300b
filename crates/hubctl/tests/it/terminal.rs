//! A person at a terminal: passwords are asked for, progress fits, and no half line is left.

use testkit::{Terminal, screen};

use crate::support::{Home, block_on, database_of, sql, tcp_url, wait_for};

const PASSWORD: &str = "typed-7f3a9c";

impl Home {
    fn terminal(&self, arguments: &[&str], columns: u16) -> Terminal {
        Terminal::run(&self.command(arguments), columns).unwrap()
    }
}

/// A session that keeps the table, so that a backup waits for it.
fn hold(home: &Home) -> tokio::task::JoinHandle<()> {
    let database = database_of(&home.database);
    let held = crate::support::spawn(async move {
        let keep = "BEGIN; LOCK TABLE public.topics; SELECT pg_sleep(120)";
        let _ = pgsnap::execute(&database, keep).await;
    });
    wait_for(
        &home.database,
        "SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'public.topics'::regclass)",
    );
    held
}

/// Lets it go.
fn release(home: &Home) {
    sql(
        "postgres",
        &format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND query LIKE 'BEGIN; LOCK%'",
            home.database
        ),
    );
}

/// No line that progress drew is left, nor a part of one.
#[track_caller]
fn is_clean(drawn: &str, columns: u16) -> Vec<String> {
    let left = screen(drawn, columns);
    for line in &left {
        let is_progress =
            ["(1 of ", "(2 of ", "⠋", "⠙", "⠹", "⠸"].iter().any(|part| line.contains(part));
        assert!(!is_progress, "{left:#?}\n{drawn:?}");
    }
    assert_eq!(left.last().map(String::as_str), Some(""), "{left:#?}");
    left
}

/// No line that progress drew is wider than the terminal: it would wrap, and stay.
#[track_caller]
fn fits(drawn: &str, columns: u16) {
    let phases = [" of 2)", " of 6)"];
    let lines =
        drawn.split(['\r', '\n']).filter(|line| phases.iter().any(|phase| line.contains(phase)));
    let widest = lines.map(|line| {
        let shown = screen(line, u16::MAX).concat();
        // The terminal itself shows the key that interrupts.
        shown.trim_end().trim_end_matches("^C").chars().count()
    });
    let widest = widest.max().unwrap_or_default();
    assert!(widest > 0, "nothing was drawn: {drawn:?}");
    assert!(widest < usize::from(columns), "{widest} of {columns}: {drawn:?}");
}

#[test]
fn a_password_is_asked_for_on_a_terminal() {
    let home = Home::new();
    sql("postgres", &format!("CREATE ROLE of_terminal LOGIN SUPERUSER PASSWORD '{PASSWORD}'"));
    let source = tcp_url("of_terminal", &home.database);
    let mut terminal = home.terminal(&["backup", &source], 100);
    terminal.wait_for("Password for of_terminal@127.0.0.1");
    terminal.keys(&format!("{PASSWORD}\r")).unwrap();
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.drawn);
    assert!(!ended.drawn.contains(PASSWORD), "{}", ended.drawn);
    assert!(ended.drawn.contains(".sql.gz.age"), "{}", ended.drawn);
    is_clean(&ended.drawn, 100);

    let mut terminal = home.terminal(&["backup", &source], 100);
    terminal.wait_for("Password for");
    terminal.keys("not it\r").unwrap();
    let ended = terminal.end();
    assert_eq!(ended.code, Some(3), "{}", ended.drawn);
    assert!(ended.drawn.contains("28P01"), "{}", ended.drawn);

    for (arguments, question) in [
        (&["backup", &source][..], "Password for"),
        (&["backup", "--passphrase"], "Passphrase to seal with"),
    ] {
        let mut terminal = home.terminal(arguments, 100);
        terminal.wait_for(question);
        terminal.keys("\x03").unwrap();
        let ended = terminal.end();
        assert_eq!(ended.code, Some(130), "{}", ended.drawn);
        assert!(ended.drawn.contains("interrupted; "), "{}", ended.drawn);
    }
    assert_eq!(home.vault().iter().filter(|name| name.ends_with("Z.sql.gz.age")).count(), 1);
}

#[test]
fn progress_fits_the_terminal() {
    let home = Home::new();
    home.backup();
    for columns in [40, 60, 80, 100] {
        for arguments in
            [&["drill"][..], &["backup"], &["verify", "--full"], &["diff", "workstation", "latest"]]
        {
            let ended = home.terminal(arguments, columns).end();
            assert_eq!(ended.code, Some(0), "{}", ended.drawn);
            is_clean(&ended.drawn, columns);
            if arguments[0] == "drill" {
                fits(&ended.drawn, columns);
            }
        }
    }
}

#[test]
fn no_half_line_is_left_when_a_command_is_interrupted_or_fails() {
    let home = Home::new();
    for columns in [40, 100] {
        let held = hold(&home);
        let mut terminal = home.terminal(&["backup"], columns);
        terminal.wait_for("(1 of 2)");
        terminal.keys("\x03").unwrap();
        let ended = terminal.end();
        assert_eq!(ended.code, Some(130), "{}", ended.drawn);
        fits(&ended.drawn, columns);
        let left = is_clean(&ended.drawn, columns);
        assert!(left.iter().any(|line| line.starts_with("interrupted; ")), "{left:#?}");

        let terminal = home.terminal(&["backup"], columns);
        terminal.wait_for("(1 of 2)");
        sql(
            "postgres",
            &format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND application_name LIKE '%hubctl%' OR datname = '{}' AND wait_event_type = 'Lock'",
                home.database, home.database
            ),
        );
        let ended = terminal.end();
        assert_eq!(ended.code, Some(3), "{}", ended.drawn);
        let left = is_clean(&ended.drawn, columns);
        assert!(left.iter().any(|line| line.starts_with("error: ")), "{left:#?}");
        release(&home);
        let _ = block_on(held);
    }
}

#[test]
fn progress_follows_the_width_of_the_terminal() {
    let home = Home::new();
    let held = hold(&home);
    let terminal = home.terminal(&["backup"], 100);
    terminal.wait_for("(1 of 2)");
    terminal.resize(24).unwrap();
    let before = terminal.drawn().len();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let after = terminal.drawn().split_off(before);
    fits(&after, 24);
    release(&home);
    let _ = block_on(held);
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.drawn);
    is_clean(&ended.drawn, 24);
}
