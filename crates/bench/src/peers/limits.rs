//! The time the parts take alone: the least that any program could need on this machine.

use super::run::Run;
use super::stage::{SOURCE, Stage};

/// The parts, each once, as a Markdown table; nothing where no peer left a directory to load from.
pub(crate) fn measure(stage: &Stage) -> String {
    if !stage.path("peer.dir").exists() {
        return String::new();
    }
    let gunzip = stage.decrypt("peer.sql.gz.age");
    stage.shell(&format!("{gunzip} > plain.sql"));
    let shell = |line: &str| stage.shell(line);
    let section =
        |section: &str| shell(&format!("pg_restore -e --section={section} -d theirs peer.dir"));
    stage.create("theirs");
    section("pre-data");
    let parts: Vec<(&str, Run)> = vec![
        (
            "reading all rows, one session (`pg_dump --data-only > /dev/null`)",
            shell(&format!("pg_dump --data-only {SOURCE} > /dev/null")),
        ),
        (
            "the definitions alone (`pg_dump --schema-only`)",
            shell(&format!("pg_dump --schema-only {SOURCE} > /dev/null")),
        ),
        ("compression alone, one process (`gzip -6`)", shell("gzip -6 < plain.sql > /dev/null")),
        (
            "encryption alone (`age`)",
            shell(&format!("age -r {} < plain.sql > /dev/null", stage.recipient)),
        ),
        ("loading all rows, one session (`pg_restore --section=data`)", section("data")),
        (
            "indexes, keys and all else after the rows, one session (`pg_restore --section=post-data`)",
            section("post-data"),
        ),
    ];
    stage.clean(&["theirs"]);
    let mut text = "\n| part alone, once | wall |\n|---|---|\n".to_owned();
    for (what, run) in parts {
        text.push_str(&format!("| {what} | {:.2} s |\n", run.seconds));
    }
    text
}
