//! age plugins: programs `age-plugin-NAME` in the `PATH` that wrap and unwrap file keys for
//! recipients `age1NAME1…`.
//!
//! The protocol is C2SP/age-plugin.md. It is spoken here and not by the `age` crate, which waits
//! for a plugin as long as that likes and can end none: a token that nobody touches would hold up
//! the nightly backup for ever.

mod conversation;
mod identity;
mod process;
mod recipient;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use age_core::primitives::bech32_decode;
use secrecy::SecretString;

use crate::Error;

pub(crate) use identity::PluginIdentity;
pub(crate) use recipient::PluginRecipient;

/// The time limit of a plugin, without the time in which a person is asked. A hardware token waits
/// for its touch half a minute at most.
const LIMIT: Duration = Duration::from_secs(60);

const RECIPIENT_PREFIX: &str = "age1";
const IDENTITY_PREFIX: &str = "AGE-PLUGIN-";

/// The person in front of the program while a plugin works.
pub trait Person: Send + Sync {
    /// Shows what the plugin says, such as that a token waits to be touched.
    fn tell(&self, plugin: &str, message: &str);

    /// Asks what the plugin wants to know; a secret is not to be shown while it is typed. `None`
    /// where there is no answer.
    fn ask(&self, plugin: &str, question: &str, secret: bool) -> Option<SecretString>;
}

/// Under which conditions plugins work.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) limit: Duration,
    /// Nobody, unless told otherwise: then a plugin that asks gets no answer.
    pub(crate) person: Option<Arc<dyn Person>>,
}

impl Default for Terms {
    fn default() -> Self {
        Self { limit: LIMIT, person: None }
    }
}

/// The plugin of a recipient `age1NAME1…`, if that is what the text is.
pub(crate) fn of_recipient(text: &str) -> Option<String> {
    let name = name(text, RECIPIENT_PREFIX)?;
    is_name(&name).then_some(name)
}

/// The plugin of an identity `AGE-PLUGIN-NAME-1…`, if that is what the text is.
pub(crate) fn of_identity(text: &str) -> Option<String> {
    let name = name(text, IDENTITY_PREFIX)?.strip_suffix('-')?.to_lowercase();
    is_name(&name).then_some(name)
}

/// Returns the text between the prefix and the separator of a Bech32 text with a correct checksum.
fn name(text: &str, prefix: &str) -> Option<String> {
    bech32_decode(
        text,
        |_| (),
        |_| Ok(()),
        |human, _| human.as_str().strip_prefix(prefix).map(str::to_owned).ok_or(()),
    )
    .ok()
}

/// It becomes part of a program's name, which must not lead out of the `PATH`.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

/// The program of a plugin.
fn program(plugin: &str) -> String {
    format!("age-plugin-{plugin}")
}

fn failed(plugin: &str, problem: impl fmt::Display) -> Error {
    Error::PluginFailed { plugin: program(plugin), problem: one_line(&problem.to_string()) }
}

/// Shortens a plugin's message to one line: it is shown, so it must not steer a terminal or fill
/// it.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let shown = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    shown.take(LONGEST).collect::<String>().trim().to_owned()
}

/// The library's own error through an interface of the `age` crate that only passes those of the
/// operating system.
fn carried(error: Error) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_from_sound_texts_only() {
        // From the specification of age-plugin-yubikey and of the age crate's tests.
        let identity = "AGE-PLUGIN-FOOBAR-1QVHULF";
        assert_eq!(of_identity(identity).as_deref(), Some("foobar"));
        assert_eq!(of_identity("AGE-PLUGIN-FOOBAR-1QVHULG"), None);
        assert_eq!(of_recipient(identity), None);
        let native = age::x25519::Identity::generate().to_public().to_string();
        assert_eq!(of_recipient(&native), None);
    }

    #[test]
    fn what_a_plugin_says_stays_on_its_line() {
        assert_eq!(one_line("no\u{1b}[2J\ntoken"), "no [2J token");
        assert_eq!(one_line(&"x".repeat(1000)).len(), 300);
    }
}
