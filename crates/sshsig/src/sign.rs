//! Making a signature, which `ssh-keygen` does: it knows agents, passphrases and hardware.

use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::key::LARGEST;
use crate::signature::Signature;
use crate::{Error, Result};

/// The time limit for a key that cannot ask a person.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// The presence of a person who can type a passphrase or touch a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// `ssh-keygen` may ask on the terminal, and is waited for without a limit.
    Allowed,
    /// It may ask nobody, and has a minute.
    Never,
}

/// Signs the bytes for a namespace with the key in a file, private or, where an agent has the other
/// half, public; returns the armored signature.
///
/// # Errors
/// [`Error::NoKeygen`], [`Error::NotSigned`], [`Error::NoAnswer`], and [`Error::Io`].
pub fn sign(
    key: impl AsRef<Path>,
    namespace: &str,
    message: &[u8],
    prompt: Prompt,
) -> Result<String> {
    let key = key.as_ref();
    // Not through its standard input: without a terminal, ssh-keygen takes the passphrase from there.
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("message");
    regularfile::create(&file, message)?;
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "sign", "-n", namespace, "-f"]).arg(key).arg(&file);
    let not_signed = |said: String| Error::NotSigned { path: key.to_owned(), said };
    tracing::info!(key = %key.display(), "signing for {namespace}");
    match run(command, prompt)? {
        None => {
            return Err(Error::NoAnswer { path: key.to_owned(), seconds: PATIENCE.as_secs() });
        }
        Some((status, said)) if !status.success() => {
            return Err(not_signed(last_line(&said, status)));
        }
        Some(_) => {}
    }
    let armored = regularfile::read_to_string(directory.path().join("message.sig"), LARGEST)?;
    // What would be refused later is refused now.
    Signature::parse(&armored)
        .and_then(|made| made.check(namespace, message))
        .map_err(|error| not_signed(error.to_string()))?;
    Ok(armored)
}

/// Runs it to its end; nothing where it took too long. What it says is kept where nobody is there
/// to read it.
fn run(mut command: Command, prompt: Prompt) -> Result<Option<(ExitStatus, String)>> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let may_ask = prompt == Prompt::Allowed;
    if !may_ask {
        // OpenSSH asks this program then, and not the terminal, and takes its failure for an empty passphrase.
        command.env("SSH_ASKPASS_REQUIRE", "force");
        command.env("SSH_ASKPASS", "false");
    }
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NoKeygen,
        _ => Error::Io(error),
    })?;
    let mut stderr = child.stderr.take().expect("it was asked for");
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        // What cannot be read is missing in a message, and nowhere else.
        let _ = stderr.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    });
    let Some(status) = wait(&mut child, (!may_ask).then_some(PATIENCE))? else {
        return Ok(None);
    };
    let said = reader.join().unwrap_or_default();
    Ok(Some((status, said)))
}

fn wait(child: &mut Child, limit: Option<Duration>) -> Result<Option<ExitStatus>> {
    let Some(limit) = limit else {
        return Ok(Some(child.wait()?));
    };
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// The last thing that it said, which is why it gave up.
fn last_line(said: &str, status: ExitStatus) -> String {
    let line = said.lines().rev().find(|line| !line.trim().is_empty());
    line.map_or_else(|| status.to_string(), |line| line.trim().to_owned())
}
