//! The newest copy at each target, in bounded time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use backup::{Entry, Vault};
use jiff::Timestamp;

use super::is_past;
use crate::damage::Damaged;
use crate::failure::Refusal;
use crate::human;
use crate::settings::Settings;
use crate::targets;

/// The answer of a target: its newest copy.
pub(super) type Asked = anyhow::Result<Option<Entry>>;

/// Asks each target for its newest good copy.
///
/// All targets are asked at the same time, and each one only
/// until its time is over: a disk that is gone may keep its thread for ever.
pub(super) fn copies(
    settings: &Settings,
    vault: &Vault,
    damaged: Damaged,
    now: Timestamp,
    patience: Duration,
) -> Vec<(String, Asked)> {
    /// The limits of a target speak first, since they know what it was doing.
    const GRACE: Duration = Duration::from_secs(2);
    let until = Instant::now() + patience;
    let damaged = Arc::new(damaged);
    let ask = |name: &String| {
        let (sender, receiver) = sync_channel(1);
        let (settings, vault, damaged) = (settings.clone(), vault.clone(), Arc::clone(&damaged));
        let asked = name.clone();
        thread::spawn(move || {
            // Nobody listens any more where this comes too late.
            let _ = sender.send(copy(&settings, &vault, &damaged, &asked, (now, until)));
        });
        (name.clone(), receiver)
    };
    let asked: Vec<(String, Receiver<Asked>)> = settings.targets.keys().map(ask).collect();
    let late = || {
        let allowed = human::duration(patience);
        let fact = format!("it did not answer within {allowed}");
        Refusal::could_not_ask(fact).hint("check the target and the network; is its disk mounted?")
    };
    let answers = asked.into_iter().map(|(name, answer)| {
        let left = (until + GRACE).saturating_duration_since(Instant::now());
        let answer = answer.recv_timeout(left);
        (name, answer.unwrap_or_else(|_| Err(late().into())))
    });
    answers.collect()
}

fn copy(
    settings: &Settings,
    vault: &Vault,
    damaged: &Damaged,
    name: &str,
    (now, until): (Timestamp, Instant),
) -> Asked {
    let opened = targets::open_until(settings, name, vault, Some(until))?;
    let newest =
        opened.newest(name, vault, |entry| is_past(entry, now) && damaged.is_good(entry))?;
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::exit::Exit;
    use crate::failure::Failure;
    use crate::settings::Overrides;

    /// A server that sends a byte now and then, or none at all; it ends with the test.
    fn deaf(drips: bool) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    let _ = stream.read(&mut [0; 4096]);
                    let _ = stream.write_all(b"HTTP/1.1 207 x\r\n\r\n");
                    while !drips || stream.write_all(b" ").is_ok() {
                        thread::sleep(Duration::from_millis(50));
                    }
                });
            }
        });
        port
    }

    #[test]
    fn targets_that_drip_or_hang_are_unknown_in_bounded_time() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("hubctl.toml");
        let target = |name, drips| {
            let port = deaf(drips);
            format!("[targets.{name}]\nwebdav = \"http://127.0.0.1:{port}/\"\n")
        };
        let text = [target("drips", true), target("hangs", false)].concat();
        fs_err::write(&config, text).unwrap();
        let settings = Settings::load(Some(&config), Overrides::default()).unwrap();
        let vault = Vault::open(directory.path(), "hub").unwrap();
        let (now, patience) = (Timestamp::now(), Duration::from_millis(500));
        let begun = Instant::now();
        let asked = copies(&settings, &vault, Damaged::default(), now, patience);
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(asked.len(), 2);
        for (name, answer) in asked {
            let failure = Failure::of(&answer.unwrap_err());
            assert_eq!(failure.exit, Exit::CouldNotAsk, "{name}: {failure}");
        }
    }
}
