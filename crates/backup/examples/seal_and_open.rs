//! Seals a payload for two keys, verifies it, and reads a part of it back with the one that is at
//! hand.
//!
//! `cargo run -p backup --example seal_and_open`

#![allow(clippy::print_stdout)]

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use backup::{
    Depth, Identities, Recipients, SecretString, SidecarFacts, Timestamp, Vault, VaultOptions,
};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    // In real life the keys come from `age-keygen`, and the escrow key is not on this machine.
    let daily = age::x25519::Identity::generate();
    let escrow = age::x25519::Identity::generate();
    let mut recipients = Recipients::new();
    recipients.add(&daily.to_public().to_string())?;
    recipients.add(&escrow.to_public().to_string())?;

    let directory = tempfile::tempdir()?;
    let mut options = VaultOptions::default();
    options.create = true;
    options.suffix = ".txt.age".to_owned();
    let vault = Vault::open_with(directory.path().join("vault"), "example", &options)?;

    // The lock keeps a second run out. What is written is encrypted, counted and hashed as it passes.
    let lock = vault.lock()?;
    for leftover in vault.clean_leftovers(&lock)? {
        println!("removed {}", leftover.path.display());
    }
    let mut sealing = vault.begin(&lock, &recipients, Timestamp::now())?;
    for line in 0..100_000 {
        writeln!(sealing, "line {line:05}")?;
    }
    let facts =
        SidecarFacts::new(Timestamp::now()).payload(serde_json::json!({ "lines": 100_000 }));
    let entry = sealing.commit(facts)?;
    println!("sealed {} ({} bytes)", entry.id(), entry.sealed_bytes());

    // Only a verified entry becomes `latest`.
    let mut identities = Identities::new();
    let secret: SecretString = daily.to_string();
    identities.add_text(&secret, "generated above");
    let verification = vault.verify(&entry, &identities, Depth::Full)?;
    let entry = vault.mark_verified(&entry, Timestamp::now())?;
    println!("{}: {:?} bytes of clear text", entry.state(), verification.clear_bytes);

    // Any place of the clear text can be read without decrypting what lies before it.
    let mut clear = vault.open_entry(&vault.find("latest")?, &identities)?;
    clear.seek(SeekFrom::Start(11 * 50_000))?;
    let mut line = [0; 10];
    clear.read_exact(&mut line)?;
    println!("{}", String::from_utf8_lossy(&line));
    assert_eq!(&line, b"line 50000");
    Ok(())
}
