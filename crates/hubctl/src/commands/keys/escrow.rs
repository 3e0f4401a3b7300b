//! `hubctl keys escrow-test`: a challenge for a key that is kept elsewhere, and the answer to it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::act::Act;
use crate::context::Context;
use crate::environment as env;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::keys;
use crate::printer::answer as exit;
use crate::settings::Settings;

/// Letters that are not taken for one another when they are read aloud or copied by hand. There are
/// 32, so that a byte has no preference.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// What is remembered is shorter.
const LARGEST: u64 = 64 * 1024;

/// What is remembered of a challenge: not its code.
#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    recipient: String,
    code_blake3: String,
}

#[derive(Debug, Serialize)]
struct Made<'a> {
    path: String,
    recipient: &'a str,
}

#[derive(Debug, Serialize)]
struct Answered<'a> {
    recipient: &'a str,
    passed: bool,
}

/// Writes a challenge for the recipient whose key is not here.
pub(super) fn make(context: &Context, settings: &Settings, path: &Path) -> anyhow::Result<Exit> {
    let passphrase = keys::passphrase(settings, &context.printer)?;
    let recipients = keys::recipients(settings, passphrase.as_ref())?;
    let identities = keys::identities(settings, passphrase, &context.console())?;
    let absent = keys::absent(&recipients, &identities);
    let recipient = match absent.as_slice() {
        [only] => only,
        [] => return Err(Refusal::no(keys::NO_ESCROW).hint(keys::ESCROW_HINT).into()),
        _ => {
            let hint = "name the one to test with --recipient";
            let fact = "the keys of several recipients are kept elsewhere";
            return Err(Refusal::usage(fact).hint(hint).into());
        }
    };
    let code = code()?;
    let challenge = format!(
        "This file was opened with the key of\n{recipient}\n\nThe code is {code}\nTell it on the machine that made it: hubctl keys escrow-test --code {code}\n"
    );
    let mut one = backup::Recipients::new();
    one.add(recipient)?;
    let mut file = regularfile::Options::new_file().mode(0o644).open(path)?;
    file.write_all(&one.seal(challenge.as_bytes())?)?;
    file.sync_all()?;
    let pending = Pending { recipient: recipient.clone(), code_blake3: hash(&code) };
    let kept = place(settings)?;
    if let Some(directory) = kept.parent() {
        fs_err::create_dir_all(directory)?;
    }
    regularfile::replace(&kept, serde_json::to_vec(&pending)?)?;
    let made = Made { path: path.display().to_string(), recipient };
    context.printer.result("hubctl.escrow-test.v1", &made, || {
        format!(
            "{} was written for {recipient}\ntake it to where that key is, open it with `age -d -i KEY {}`, and bring back the code in it",
            made.path, made.path
        )
    })?;
    Ok(Exit::Yes)
}

/// Compares a code with that of the challenge, and records the result.
pub(super) fn answer(context: &Context, settings: &Settings, code: &str) -> anyhow::Result<Exit> {
    let kept = place(settings)?;
    let Ok(bytes) = regularfile::read(&kept, LARGEST) else {
        return Err(Refusal::usage("no challenge was made on this machine")
            .hint("make one with `hubctl keys escrow-test --make FILE`")
            .into());
    };
    let pending: Pending = serde_json::from_slice(&bytes)?;
    let passed = hash(&code.trim().to_ascii_uppercase()) == pending.code_blake3;
    let act = Act::begin(settings, context.console(), "escrow-test", &pending.recipient)?;
    act.answer(passed, json!({ "recipient": pending.recipient }))?;
    if passed {
        // The code was told; a second answer would prove nothing.
        fs_err::remove_file(&kept)?;
    }
    let answered = Answered { recipient: &pending.recipient, passed };
    context.printer.result("hubctl.escrow-test.v1", &answered, || {
        if passed {
            format!("the key of {} is good", pending.recipient)
        } else {
            "that is not the code of the challenge".to_owned()
        }
    })?;
    Ok(exit(passed))
}

/// 80 bits: its hash, which is kept, does not tell it.
fn code() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let letter = |byte: &u8| char::from(LETTERS[usize::from(byte % 32)]);
    let groups = bytes.chunks(4).map(|group| group.iter().map(letter).collect::<String>());
    Ok(groups.collect::<Vec<_>>().join("-"))
}

fn hash(code: &str) -> String {
    blake3::hash(code.as_bytes()).to_hex().to_string()
}

/// Beside the default journal: it is about this machine, and not worth a backup.
fn place(settings: &Settings) -> anyhow::Result<PathBuf> {
    let home = env::state_home()
        .ok_or_else(|| Refusal::usage("there is no home directory to remember the challenge in"))?;
    let service = settings.service.as_ref();
    let service = service.map_or("backup", |service| service.value.as_str());
    Ok(home.join("hubctl").join(format!("escrow-{service}.json")))
}
