//! An age plugin for tests, made with the `age-plugin` crate: it speaks the real protocol and keeps
//! no secret at all.
//!
//! A test binary is its own plugin: [`AgePlugin::install`] writes a script `age-plugin-testkit`
//! that runs one ignored test of the calling binary, and that test calls [`AgePlugin::serve`].

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use age_core::format::{FileKey, Stanza};
use age_core::primitives::bech32_encode;
use age_core::secrecy::ExposeSecret as _;
use age_plugin::{Callbacks, PluginHandler, identity, recipient, run_state_machine};
use bech32::Hrp;
use rustix::process::{Signal, getpid, kill_process};

const TAG: &str = "testkit";
/// "Encrypts" the file key: everybody can undo it.
const MASK: u8 = 0x5a;
/// The secret that [`AgePlugin::Asks`] wants.
const PIN: &str = "123456";

/// The behaviour of the plugin with a file that was sealed for its recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AgePlugin {
    /// It opens it.
    Works,
    /// It writes its process id to `hanging` in the directory that it was installed in, and does
    /// nothing for a long time.
    Hangs,
    /// It ends in the middle.
    Dies,
    /// It says that it wants a secret, and opens the file for the right one, 123456.
    Asks,
    /// It says no.
    Refuses,
}

impl AgePlugin {
    const ALL: [Self; 5] = [Self::Works, Self::Hangs, Self::Dies, Self::Asks, Self::Refuses];

    /// The recipient, which wraps in any case.
    #[must_use]
    pub fn recipient(self) -> String {
        bech32_encode(Hrp::parse_unchecked("age1testkit"), &[self as u8])
    }

    /// The identity that belongs to the recipient.
    #[must_use]
    pub fn identity(self) -> String {
        bech32_encode(Hrp::parse_unchecked("age-plugin-testkit-"), &[self as u8]).to_uppercase()
    }

    /// Writes `age-plugin-testkit` into a directory for the `PATH`. `test` is the full name of the
    /// ignored test that calls [`serve`](Self::serve).
    ///
    /// # Errors
    /// If the script cannot be written.
    pub fn install(directory: &Path, test: &str) -> io::Result<()> {
        let program = std::env::current_exe()?;
        let script = format!(
            "#!/bin/sh\nAGE_PLUGIN=\"${{1#--age-plugin=}}\" AGE_PLUGIN_HOME='{}'; export AGE_PLUGIN AGE_PLUGIN_HOME\n\
             exec 3>&1 >/dev/null\nexec '{}' --exact {test} --ignored --nocapture --test-threads=1\n",
            directory.display(),
            program.display()
        );
        let path = directory.join("age-plugin-testkit");
        fs_err::write(&path, script)?;
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
    }

    /// Is the plugin, if this process was started as one.
    ///
    /// # Errors
    /// Those of the protocol.
    pub fn serve() -> io::Result<()> {
        let Ok(machine) = std::env::var("AGE_PLUGIN") else {
            return Ok(());
        };
        // The harness has written to its own stdout by now; the client listens to the third descriptor.
        let client = fs_err::OpenOptions::new().write(true).open("/dev/fd/3")?;
        rustix::stdio::dup2_stdout(&client)?;
        run_state_machine(&machine, Handler)
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|manner| bytes == [*manner as u8])
    }
}

struct Handler;

impl PluginHandler for Handler {
    type RecipientV1 = Plugin;
    type IdentityV1 = Plugin;

    fn recipient_v1(self) -> io::Result<Plugin> {
        Ok(Plugin::default())
    }

    fn identity_v1(self) -> io::Result<Plugin> {
        Ok(Plugin::default())
    }
}

#[derive(Default)]
struct Plugin {
    manners: Vec<AgePlugin>,
}

impl recipient::RecipientPluginV1 for Plugin {
    fn add_recipient(
        &mut self,
        index: usize,
        _: &str,
        bytes: &[u8],
    ) -> Result<(), recipient::Error> {
        let message = "no recipient of the test plugin".to_owned();
        let manner = AgePlugin::of(bytes).ok_or(recipient::Error::Recipient { index, message })?;
        self.manners.push(manner);
        Ok(())
    }

    fn add_identity(&mut self, index: usize, _: &str, _: &[u8]) -> Result<(), recipient::Error> {
        let message = "the test plugin seals for recipients only".to_owned();
        Err(recipient::Error::Identity { index, message })
    }

    fn labels(&mut self) -> HashSet<String> {
        HashSet::new()
    }

    fn wrap_file_keys(
        &mut self,
        file_keys: Vec<FileKey>,
        _: impl Callbacks<recipient::Error>,
    ) -> io::Result<Result<Vec<Vec<Stanza>>, Vec<recipient::Error>>> {
        let wrap = |key: &FileKey, manner: &AgePlugin| Stanza {
            tag: TAG.to_owned(),
            args: vec![(*manner as u8).to_string()],
            body: key.expose_secret().iter().map(|byte| byte ^ MASK).collect(),
        };
        let of_file = |key| self.manners.iter().map(|manner| wrap(key, manner)).collect();
        Ok(Ok(file_keys.iter().map(of_file).collect()))
    }
}

impl identity::IdentityPluginV1 for Plugin {
    fn add_identity(&mut self, index: usize, _: &str, bytes: &[u8]) -> Result<(), identity::Error> {
        let message = "no identity of the test plugin".to_owned();
        let manner = AgePlugin::of(bytes).ok_or(identity::Error::Identity { index, message })?;
        self.manners.push(manner);
        Ok(())
    }

    fn unwrap_file_keys(
        &mut self,
        files: Vec<Vec<Stanza>>,
        mut callbacks: impl Callbacks<identity::Error>,
    ) -> io::Result<HashMap<usize, Result<FileKey, Vec<identity::Error>>>> {
        let mut opened = HashMap::new();
        for (file, stanzas) in files.iter().enumerate() {
            for manner in &self.manners {
                let number = (*manner as u8).to_string();
                let is_mine = |stanza: &&Stanza| stanza.tag == TAG && stanza.args == [&*number];
                if let Some(stanza) = stanzas.iter().find(is_mine) {
                    opened.insert(file, open(*manner, stanza, &mut callbacks)?);
                }
            }
        }
        Ok(opened)
    }
}

fn open(
    manner: AgePlugin,
    stanza: &Stanza,
    callbacks: &mut impl Callbacks<identity::Error>,
) -> io::Result<Result<FileKey, Vec<identity::Error>>> {
    let refuse = |message: &str| {
        let message = message.to_owned();
        Ok(Err(vec![identity::Error::Internal { message }]))
    };
    match manner {
        AgePlugin::Works => {}
        AgePlugin::Hangs => {
            let home = std::env::var("AGE_PLUGIN_HOME").map_err(io::Error::other)?;
            let path = Path::new(&home).join("hanging");
            fs_err::write(path, std::process::id().to_string())?;
            std::thread::sleep(Duration::from_secs(600));
        }
        AgePlugin::Dies => kill_process(getpid(), Signal::KILL)?,
        AgePlugin::Asks => {
            let _ = callbacks.message("touch the token\u{1b}[2J")?;
            match callbacks.request_secret("PIN?")? {
                Ok(pin) if pin.expose_secret() == PIN => {}
                _ => return refuse("no or a wrong PIN"),
            }
        }
        AgePlugin::Refuses => return refuse("the token is\nnot here"),
    }
    Ok(Ok(FileKey::init_with_mut(|key| {
        for (to, from) in key.iter_mut().zip(&stanza.body) {
            *to = from ^ MASK;
        }
    })))
}
