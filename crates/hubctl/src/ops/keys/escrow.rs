//! A challenge for a key that is kept elsewhere, and the answer to it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use journal::evidence;
use serde::{Deserialize, Serialize};

use crate::failure::Refusal;
use crate::keys;
use crate::ops::{Ops, Report};
use crate::settings::Settings;

/// The file for a challenge.
#[derive(Debug, Clone, Default)]
pub struct EscrowChallengeOrder {
    /// A file that does not exist yet.
    pub file: PathBuf,
}

/// A challenge that was written.
#[derive(Debug, Clone, Serialize)]
pub struct EscrowChallengeReport {
    /// The file that only the escrow key opens.
    pub path: String,
    /// The public key that it is sealed for.
    pub recipient: String,
}

/// An answer to the challenge.
#[derive(Debug, Clone, Default)]
pub struct EscrowAnswerOrder {
    /// The code in the opened challenge.
    pub code: String,
}

/// The result of an answer to the challenge.
#[derive(Debug, Clone, Serialize)]
pub struct EscrowAnswerReport {
    /// The public key that the challenge was sealed for.
    pub recipient: String,
    /// True if the code is that of the challenge.
    pub passed: bool,
}

impl Report for EscrowChallengeReport {
    const SCHEMA: &'static str = "hubctl.escrow-test.v1";
}

impl Report for EscrowAnswerReport {
    const SCHEMA: &'static str = "hubctl.escrow-test.v1";
}

/// Letters that are not taken for one another when they are read aloud or copied by hand. There are
/// 32, so that a byte has no preference.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// The length that a remembered challenge never reaches.
const LARGEST: u64 = 64 * 1024;

/// A challenge as it is remembered: without its code.
#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    recipient: String,
    code_blake3: String,
}

/// Writes a challenge for the recipient whose key is not on this machine, and remembers the hash of
/// its code.
///
/// # Errors
/// No such recipient, or several; a file that exists or cannot be written; no home directory to
/// remember the challenge in.
pub fn escrow_challenge(
    ops: &Ops,
    order: EscrowChallengeOrder,
) -> anyhow::Result<EscrowChallengeReport> {
    let recipient = absent_recipient(ops)?;
    let code = code()?;
    write_challenge(&order.file, &recipient, &code)?;
    let pending = Pending { recipient: recipient.clone(), code_blake3: hash(&code) };
    let kept = place(ops.settings())?;
    if let Some(directory) = kept.parent() {
        fs_err::create_dir_all(directory)?;
    }
    regularfile::replace(&kept, serde_json::to_vec(&pending)?)?;
    Ok(EscrowChallengeReport { path: order.file.display().to_string(), recipient })
}

/// Returns the only recipient whose key is not on this machine.
fn absent_recipient(ops: &Ops) -> anyhow::Result<String> {
    let (settings, console) = (ops.settings(), ops.console());
    let passphrase = keys::passphrase(settings, &**console)?;
    let recipients = keys::recipients(settings, passphrase.as_ref())?;
    let identities = keys::identities(settings, passphrase, console)?;
    match keys::absent(&recipients, &identities).as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Refusal::no(keys::NO_ESCROW).hint(keys::ESCROW_HINT).into()),
        _ => {
            let hint = "name the one to test with --recipient";
            let fact = "the keys of several recipients are kept elsewhere";
            Err(Refusal::usage(fact).hint(hint).into())
        }
    }
}

fn write_challenge(path: &Path, recipient: &str, code: &str) -> anyhow::Result<()> {
    let challenge = format!(
        "This file was opened with the key of\n{recipient}\n\nThe code is {code}\nTell it on the machine that made it: hubctl keys escrow-test --code {code}\n"
    );
    let mut one = backup::Recipients::new();
    one.add(recipient)?;
    let mut file = regularfile::Options::new_file().mode(0o644).open(path)?;
    file.write_all(&one.seal(challenge.as_bytes())?)?;
    file.sync_all()?;
    Ok(())
}

/// Compares a code with that of the challenge, and records the result.
///
/// # Errors
/// No challenge was made on this machine, or it cannot be read or removed; a journal that cannot be
/// written. A wrong code is in the report.
pub fn escrow_answer(ops: &Ops, order: EscrowAnswerOrder) -> anyhow::Result<EscrowAnswerReport> {
    let kept = place(ops.settings())?;
    let Ok(bytes) = regularfile::read(&kept, LARGEST) else {
        return Err(Refusal::usage("no challenge was made on this machine")
            .hint("make one with `hubctl keys escrow-test --make FILE`")
            .into());
    };
    let pending: Pending = serde_json::from_slice(&bytes)?;
    let passed = hash(&order.code.trim().to_ascii_uppercase()) == pending.code_blake3;
    let act = ops.act(&pending.recipient)?;
    act.answer(passed, &evidence::EscrowTest { recipient: pending.recipient.clone() })?;
    if passed {
        // The code was told; a second answer would prove nothing.
        fs_err::remove_file(&kept)?;
    }
    Ok(EscrowAnswerReport { recipient: pending.recipient, passed })
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
    let home = settings
        .state_home
        .as_ref()
        .ok_or_else(|| Refusal::usage("there is no home directory to remember the challenge in"))?;
    let service = settings.service.as_ref();
    let service = service.map_or("backup", |service| service.value.as_str());
    Ok(home.join("hubctl").join(format!("escrow-{service}.json")))
}
