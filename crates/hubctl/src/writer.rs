//! The writers of a site: programs that write to its database are stopped and started, and those
//! that hold writes back in an outbox deliver them.

use anyhow::Context as _;
use serde_json::Value;

use crate::failure::Refusal;
use crate::hook::{self, Answer, Hooked};
use crate::settings::{ProgramCommand, WriterTable};

/// Returns whether the writer is stopped, as its own command says.
pub(crate) async fn is_stopped(writer: &WriterTable, of: &Hooked<'_>) -> Answer {
    match command(writer, "stopped", writer.stopped.as_ref()) {
        Ok(command) => hook::ask(command, writer.within, of).await,
        Err(refusal) => Answer::Unknown(refusal.to_string()),
    }
}

/// Stops the writer. That it is stopped then has to be [asked](is_stopped).
pub(crate) async fn stop(writer: &WriterTable, of: &Hooked<'_>) -> anyhow::Result<()> {
    act(writer, "stop", writer.stop.as_ref(), of).await.with_context(|| failed(writer, "stop", of))
}

/// Starts the writer, which is not waited for.
pub(crate) async fn start(writer: &WriterTable, of: &Hooked<'_>) -> anyhow::Result<()> {
    let started = act(writer, "start", writer.start.as_ref(), of).await;
    started.with_context(|| failed(writer, "start", of))
}

/// Returns the number of writes in the outbox.
pub(crate) async fn pending(writer: &WriterTable, of: &Hooked<'_>) -> anyhow::Result<u64> {
    let count = async {
        let command = command(writer, "pending", writer.pending.as_ref())?;
        let printed = hook::read(command, writer.within, of).await?;
        counted(&printed).ok_or_else(|| {
            Refusal::could_not_ask(format!("`{command}` printed no count"))
                .hint("let it print a number, or JSON with a number as member `pending`")
        })
    };
    let of = of.site;
    count.await.with_context(|| {
        format!("cannot count the outbox of writer `{}` of site `{of}`", writer.name)
    })
}

/// Delivers the writes in the outbox.
pub(crate) async fn replay(writer: &WriterTable, of: &Hooked<'_>) -> anyhow::Result<()> {
    let replayed = act(writer, "replay", writer.replay.as_ref(), of).await;
    replayed.with_context(|| failed(writer, "replay", of))
}

async fn act(
    writer: &WriterTable,
    verb: &str,
    act: Option<&ProgramCommand>,
    of: &Hooked<'_>,
) -> Result<(), Refusal> {
    hook::act(command(writer, verb, act)?, writer.within, of).await
}

fn command<'a>(
    writer: &WriterTable,
    verb: &str,
    command: Option<&'a ProgramCommand>,
) -> Result<&'a ProgramCommand, Refusal> {
    command
        .ok_or_else(|| Refusal::usage(format!("writer `{}` has no command `{verb}`", writer.name)))
}

fn failed(writer: &WriterTable, verb: &str, of: &Hooked<'_>) -> String {
    format!("cannot {verb} writer `{}` of site `{}`", writer.name, of.site)
}

/// A number, alone or as a member of JSON.
fn counted(printed: &[u8]) -> Option<u64> {
    match serde_json::from_slice(printed).ok()? {
        Value::Number(count) => count.as_u64(),
        Value::Object(members) => members.get("pending")?.as_u64(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::failure::Failure;

    const HOME: Hooked<'_> = Hooked { site: "home", run: "r1" };

    fn writer(commands: &str) -> WriterTable {
        toml::from_str(&format!("name = 'api'\n{commands}")).unwrap()
    }

    fn failure(error: &anyhow::Error) -> (String, Exit) {
        let failure = Failure::of(error);
        (failure.to_string(), failure.exit)
    }

    #[tokio::test]
    async fn a_writer_is_stopped_and_started_by_its_own_commands() {
        let place = tempfile::tempdir().unwrap();
        let running = place.path().join("running").display().to_string();
        let api = writer(&format!(
            "stop = ['rm', '{running}']\nstart = ['touch', '{running}']\nstopped = ['test', '!', '-e', '{running}']"
        ));
        assert_eq!(is_stopped(&api, &HOME).await, Answer::Yes);
        start(&api, &HOME).await.unwrap();
        assert_eq!(is_stopped(&api, &HOME).await, Answer::No);
        stop(&api, &HOME).await.unwrap();
        assert_eq!(is_stopped(&api, &HOME).await, Answer::Yes);
        let (said, exit) = failure(&stop(&api, &HOME).await.unwrap_err());
        assert_eq!(exit, Exit::No);
        assert!(said.starts_with("error: cannot stop writer `api` of site `home`\n"), "{said}");
        assert!(said.contains("caused by: `rm …` ended with exit code 1: rm: "), "{said}");
        assert!(said.contains("HUBCTL_SITE=home"), "{said}");
    }

    #[tokio::test]
    async fn what_is_neither_yes_nor_no_is_unknown() {
        let stopped = |command: &str| writer(&format!("stopped = {command}"));
        for (command, said) in [
            ("['sh', '-c', 'echo no daemon >&2; exit 2']", "ended with exit code 2: no daemon"),
            ("['sh', '-c', 'kill -9 $$']", "was ended by signal 9"),
            ("['/nowhere/at-all']", "cannot be started"),
            ("['sleep', '600']\nwithin = '300ms'", "did not end within 300ms"),
        ] {
            let answer = is_stopped(&stopped(command), &HOME).await;
            let Answer::Unknown(reason) = &answer else { panic!("{command}: {answer:?}") };
            assert!(reason.contains(said), "{reason}");
        }
        let Answer::Unknown(reason) = is_stopped(&writer(""), &HOME).await else { panic!() };
        assert_eq!(reason, "writer `api` has no command `stopped`");
    }

    #[tokio::test]
    async fn a_stop_that_takes_too_long_may_be_tried_again() {
        let slow = writer("stop = ['sh', '-c', 'echo waiting >&2; sleep 600']\nwithin = '500ms'");
        let (said, exit) = failure(&stop(&slow, &HOME).await.unwrap_err());
        assert_eq!(exit, Exit::CouldNotAsk);
        assert!(said.contains("did not end within 500ms: waiting"), "{said}");
    }

    #[tokio::test]
    async fn an_outbox_is_counted_and_replayed() {
        let place = tempfile::tempdir().unwrap();
        let outbox = place.path().join("outbox").display().to_string();
        let relay = writer(&format!(
            "pending = ['wc', '-l', '{outbox}']\nreplay = ['sh', '-c', ': > {outbox}']"
        ));
        fs_err::write(&outbox, "a\nb\n").unwrap();
        // `wc` prints the name as well, which is no count.
        let (said, exit) = failure(&pending(&relay, &HOME).await.unwrap_err());
        assert_eq!(exit, Exit::CouldNotAsk);
        assert!(said.contains("`wc …` printed no count"), "{said}");
        let pending_of = |command: &str| writer(&format!("pending = ['sh', '-c', '{command}']"));
        assert_eq!(pending(&pending_of(&format!("wc -l < {outbox}")), &HOME).await.unwrap(), 2);
        replay(&relay, &HOME).await.unwrap();
        assert_eq!(pending(&pending_of(&format!("wc -l < {outbox}")), &HOME).await.unwrap(), 0);
        let error = pending(&pending_of("yes 1"), &HOME).await.unwrap_err();
        assert!(failure(&error).0.contains("printed more than 65536 bytes"), "{error:?}");
        let error = pending(&pending_of("echo 3; exit 1"), &HOME).await.unwrap_err();
        assert!(failure(&error).0.contains("exit code 1: 3"), "{error:?}");
    }

    #[test]
    fn a_count_is_a_number_alone_or_in_json() {
        assert_eq!(counted(b" 7\n"), Some(7));
        assert_eq!(counted(br#"{"total": 9, "pending": 7}"#), Some(7));
        for text in [
            "",
            "seven",
            "-1",
            "1.5",
            "7 8",
            "[7]",
            r#"{"pending": "7"}"#,
            r#"{"pending": -1}"#,
            "{}",
        ] {
            assert_eq!(counted(text.as_bytes()), None, "{text}");
        }
    }
}
