//! Questions to the person at the terminal.

use std::io;
use std::thread;
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;
use tokio::sync::oneshot;

use crate::failure::Refusal;
use crate::printer::Printer;

/// Asks for a secret, and waits. `None` where there is no answer.
pub(crate) fn passphrase(question: &str) -> Option<SecretString> {
    match rpassword::prompt_password(question) {
        Ok(typed) => Some(typed.into()),
        Err(error) => {
            if error.kind() == io::ErrorKind::Interrupted {
                // Ctrl-C was typed: the signal, which ends the program, is on its way.
                thread::sleep(Duration::from_secs(5));
            }
            None
        }
    }
}

/// Asks for a line that is shown while it is typed.
pub(crate) fn line(printer: &Printer, question: &str) -> Option<SecretString> {
    printer.talk(question.trim_end());
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).ok()?;
    Some(answer.trim_end().to_owned().into())
}

/// Asks for a secret. A signal ends the question at once, and the terminal shows again what is
/// typed.
pub(crate) async fn secret(question: String) -> anyhow::Result<SecretString> {
    let _shown_again = Echo::of_terminal();
    let (answer, answered) = oneshot::channel();
    // The end of the program does not wait for a thread of its own, as it would for one of the runtime.
    thread::spawn(move || answer.send(rpassword::prompt_password(question)));
    match answered.await {
        Ok(Ok(typed)) if !typed.is_empty() => Ok(typed.into()),
        Ok(Ok(_)) => Err(Refusal::usage("no password was typed").into()),
        // Ctrl-C was typed: the signal, which ends this, is on its way.
        Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
            std::future::pending().await
        }
        _ => Err(Refusal::could_not_ask("cannot prompt for the password on the terminal").into()),
    }
}

/// The terminal as it was, restored when this is dropped.
struct Echo(Option<Termios>);

impl Echo {
    fn of_terminal() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // There is nobody to be told.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
