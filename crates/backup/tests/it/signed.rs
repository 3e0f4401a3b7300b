//! Signed sidecars: what somebody else put into the vault is found, whatever he rewrote beside it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use backup::{
    AllowedSigners, Circumstances, Depth, Entry, Error, Prompt, Recipients, Retention,
    SIGNATURE_NAMESPACE, SidecarFacts, SigningKey, State, TimeZone, Vault,
};
use serde_json::{Value, json};

use crate::support::{Fixture, at, lock, read_all, seal};

const FIRST: &str = "2026-11-20T00:00:00Z";
const SECOND: &str = "2026-11-21T00:00:00Z";
const LATER: &str = "2026-12-02T00:00:00Z";

/// A vault whose entries are signed by one key, and the key of somebody else.
struct Signed {
    fixture: Fixture,
    keys: tempfile::TempDir,
    vault: Vault,
}

impl Signed {
    fn new() -> Self {
        let keys = tempfile::tempdir().unwrap();
        for name in ["operator", "stranger"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]);
            let status = keygen.arg(keys.path().join(name)).status().unwrap();
            assert!(status.success());
        }
        let fixture = Fixture::new();
        let mut signed = Self { vault: fixture.vault.clone(), fixture, keys };
        signed.vault = signed.vault_of("operator", "");
        signed
    }

    fn key(&self, name: &str) -> PathBuf {
        self.keys.path().join(name)
    }

    fn signers(&self, options: &str) -> AllowedSigners {
        let public = fs_err::read_to_string(self.key("operator.pub")).unwrap();
        let text = format!("operator {options} {public}");
        AllowedSigners::parse(&text, "signers", &TimeZone::UTC).unwrap()
    }

    fn vault_of(&self, key: &str, options: &str) -> Vault {
        let key = SigningKey::new(self.key(key), Prompt::Never);
        let vault = self.fixture.vault.clone().signing_with(key);
        vault.trusting(self.signers(options))
    }

    fn seal(&self, taken_at: &str, payload: &[u8]) -> Entry {
        seal(&self.vault, &self.fixture.recipients(), taken_at, payload)
    }

    fn verified(&self, taken_at: &str, payload: &[u8]) -> Entry {
        let entry = self.seal(taken_at, payload);
        self.vault.mark_verified(&entry, at(LATER)).unwrap()
    }

    /// The entry as the vault has it now.
    fn again(&self, entry: &Entry) -> Entry {
        let mut entries = self.vault.entries().unwrap();
        let index = entries.iter().position(|each| each.id() == entry.id());
        entries.remove(index.unwrap())
    }

    fn assert_untrusted(&self, entry: &Entry, what: &str) {
        let entry = self.again(entry);
        assert_eq!((entry.state(), entry.is_verified()), (State::Foreign, false), "{what}");
        let identities = self.fixture.identities();
        let refused = |error: Error| {
            assert!(
                matches!(error, Error::Untrusted { .. } | Error::InvalidSidecar { .. }),
                "{what}: {error}"
            );
        };
        for depth in [Depth::Quick, Depth::Sealed, Depth::Full] {
            refused(self.vault.verify(&entry, &identities, depth).unwrap_err());
        }
        refused(self.vault.open_entry(&entry, &identities).unwrap_err());
        refused(self.vault.mark_verified(&entry, at(LATER)).unwrap_err());
        let by_path = self.vault.find(entry.path().to_str().unwrap()).unwrap();
        refused(self.vault.open_entry(&by_path, &identities).unwrap_err());
    }
}

fn sidecar_of(entry: &Entry) -> PathBuf {
    let path = entry.path().to_str().unwrap();
    PathBuf::from(path.replace(".sql.gz.age", ".json"))
}

fn rewrite(entry: &Entry, change: impl FnOnce(&mut Value)) {
    let path = sidecar_of(entry);
    let mut sidecar: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    change(&mut sidecar);
    fs_err::write(path, sidecar.to_string()).unwrap();
}

#[test]
fn a_signature_stays_while_the_state_changes() {
    let signed = Signed::new();
    let entry = signed.verified(FIRST, b"the payload");
    let signature = entry.sidecar().unwrap().signature.clone().unwrap();
    let entry = signed.vault.mark_drilled(&entry, at(LATER)).unwrap();
    assert_eq!(entry.state(), State::Drilled);
    assert_eq!(entry.sidecar().unwrap().signature.as_ref(), Some(&signature));
    let identities = signed.fixture.identities();
    signed.vault.verify(&entry, &identities, Depth::Full).unwrap();
    assert_eq!(signed.vault.find("latest").unwrap().id(), entry.id());
    assert_eq!(read_all(signed.vault.open_entry(&entry, &identities).unwrap()), b"the payload");
    // Who does not ask for signatures sees an entry like any other.
    signed.fixture.vault.verify(&entry, &identities, Depth::Sealed).unwrap();
}

#[test]
fn what_was_sealed_without_a_signature_does_not_count() {
    let signed = Signed::new();
    let entry = signed.fixture.seal(FIRST, b"x");
    signed.fixture.vault.mark_verified(&entry, at(LATER)).unwrap();
    signed.assert_untrusted(&entry, "unsigned");
    fs_err::remove_file(sidecar_of(&entry)).unwrap();
    signed.assert_untrusted(&entry, "without a sidecar");
    assert!(matches!(signed.vault.find("latest"), Err(Error::NothingVerified { .. })));
}

#[test]
fn a_swapped_file_is_found_also_with_a_rewritten_sidecar() {
    let signed = Signed::new();
    let entry = signed.verified(FIRST, b"the true payload");
    // Whoever knows the public keys can seal something else, and describe it.
    let forger = tempfile::tempdir().unwrap();
    let forgery = Vault::open(forger.path(), "state-hub").unwrap();
    let stranger = SigningKey::new(signed.key("stranger"), Prompt::Never);
    let recipients = signed.fixture.recipients();
    let forged =
        seal(&forgery.clone().signing_with(stranger), &recipients, FIRST, b"another payload!");
    forgery.mark_verified(&forged, at(LATER)).unwrap();
    let true_signature = entry.sidecar().unwrap().signature.clone().unwrap();
    fs_err::copy(forged.path(), entry.path()).unwrap();
    // The file alone is another one than the signed sidecar tells of.
    let identities = signed.fixture.identities();
    for depth in [Depth::Quick, Depth::Sealed, Depth::Full] {
        let error = signed.vault.verify(&signed.again(&entry), &identities, depth).unwrap_err();
        assert!(
            // Where it is padded otherwise, its length tells already.
            matches!(
                error,
                Error::NotAsSealed { .. }
                    | Error::HashDiffers { .. }
                    | Error::SizeDiffers { .. }
                    | Error::Truncated { .. }
            ),
            "{error}"
        );
    }
    fs_err::copy(sidecar_of(&forged), sidecar_of(&entry)).unwrap();
    signed.assert_untrusted(&entry, "signed by a stranger");
    rewrite(&entry, |sidecar| {
        sidecar["signature"] = json!(true_signature);
    });
    signed.assert_untrusted(&entry, "with the signature of the true one");
    rewrite(&entry, |sidecar| {
        sidecar.as_object_mut().unwrap().remove("signature");
    });
    signed.assert_untrusted(&entry, "without a signature");
}

#[test]
fn every_signed_field_is_signed() {
    let signed = Signed::new();
    let entry = signed.verified(FIRST, b"x");
    let original = fs_err::read(sidecar_of(&entry)).unwrap();
    let changes: [(&str, Value); 9] = [
        ("/sealed_at", json!("2026-12-01T00:00:01Z")),
        ("/taken_at", json!("2026-11-20T00:00:00.5Z")),
        ("/clear_bytes", json!(2)),
        ("/sealed_bytes", json!(1)),
        ("/sha256", json!("0".repeat(64))),
        ("/recipients/0/recipient", json!("age1other")),
        ("/recipients/0/stanzas/0", json!("0".repeat(64))),
        ("/anchor", json!("13:of-a-journal")),
        ("/anchor", json!(null)),
    ];
    for (field, value) in changes {
        rewrite(&entry, |sidecar| {
            *sidecar.pointer_mut(field).unwrap() = value;
        });
        signed.assert_untrusted(&entry, field);
        fs_err::write(sidecar_of(&entry), &original).unwrap();
    }
    signed.vault.verify(&signed.again(&entry), &signed.fixture.identities(), Depth::Full).unwrap();
}

#[test]
fn an_old_backup_under_a_new_name_is_found() {
    let signed = Signed::new();
    let old = signed.verified(FIRST, b"old");
    let new = signed.verified(SECOND, b"new");
    fs_err::copy(old.path(), new.path()).unwrap();
    fs_err::copy(sidecar_of(&old), sidecar_of(&new)).unwrap();
    signed.assert_untrusted(&new, "as it was");
    let name = new.path().file_name().unwrap().to_str().unwrap().to_owned();
    rewrite(&new, |sidecar| {
        sidecar["file"] = json!(name);
        sidecar["taken_at"] = json!(SECOND);
    });
    signed.assert_untrusted(&new, "with its name and time rewritten");
    assert_eq!(signed.vault.find("latest").unwrap().id(), old.id());
}

#[test]
fn what_is_not_trusted_is_neither_counted_nor_removed() {
    let signed = Signed::new();
    let good = signed.verified(FIRST, b"good");
    let bad = signed.fixture.seal(SECOND, b"bad");
    signed.fixture.vault.mark_verified(&bad, at(LATER)).unwrap();
    let retention: Retention = serde_json::from_value(json!({"last": 1})).unwrap();
    let circumstances = Circumstances::at(at("2026-12-10T00:00:00Z"), TimeZone::UTC);
    let plan = signed.vault.plan(&retention, &circumstances).unwrap();
    assert_eq!(plan.removals().count(), 0);
    assert_eq!(signed.vault.find("latest").unwrap().id(), good.id());
}

#[test]
fn copies_and_what_is_sealed_anew_are_signed() {
    let signed = Signed::new();
    let entry = signed.verified(FIRST, b"the payload");
    let elsewhere = tempfile::tempdir().unwrap();
    let to = Vault::open(elsewhere.path(), "state-hub").unwrap().trusting(signed.signers(""));
    let lock = lock(&to);
    let copy = signed.vault.copy_to(&entry, &to, &lock).unwrap();
    to.verify(&copy, &signed.fixture.identities(), Depth::Full).unwrap();

    let next = age::x25519::Identity::generate();
    let mut recipients = Recipients::new();
    recipients.add(&next.to_public().to_string()).unwrap();
    let mut both = signed.fixture.identities();
    both.add_text(&next.to_string(), "next");
    let lock = crate::support::lock(&signed.vault);
    let new = signed.vault.rekey(&lock, &entry, &both, &recipients, at(LATER)).unwrap();
    assert_ne!(new.sidecar().unwrap().signature, entry.sidecar().unwrap().signature);
    signed.vault.verify(&new, &both, Depth::Full).unwrap();
    assert_eq!(signed.vault.find("latest").unwrap().id(), new.id());
}

#[test]
fn an_unsigned_copy_elsewhere_is_neither_opened_nor_fetched() {
    let signed = Signed::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let careless = Vault::open(elsewhere.path(), "state-hub").unwrap();
    let forged = seal(&careless, &signed.fixture.recipients(), FIRST, b"forged");
    careless.mark_verified(&forged, at(LATER)).unwrap();
    let identities = signed.fixture.identities();
    let there = careless.clone().trusting_as(&signed.vault);
    let listed = there.entries().unwrap().remove(0);
    let lock = lock(&signed.vault);
    // Also where it was found by somebody who does not ask for signatures.
    for entry in [&listed, &forged] {
        for error in [
            signed.vault.open_entry(entry, &identities).unwrap_err(),
            signed.vault.verify(entry, &identities, Depth::Quick).unwrap_err(),
            there.copy_to(entry, &signed.vault, &lock).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Untrusted { .. }), "{error}");
        }
    }
    assert_eq!(listed.state(), State::Foreign);
    assert_eq!(signed.fixture.names(), Vec::<String>::new());
}

#[test]
fn a_key_that_would_not_count_seals_nothing() {
    let signed = Signed::new();
    let recipients = signed.fixture.recipients();
    let begin = |vault: &Vault| {
        let lock = lock(vault);
        vault.begin(&lock, &recipients, at(FIRST)).map(drop).unwrap_err()
    };
    let none = signed.fixture.vault.clone().trusting(signed.signers(""));
    assert!(matches!(begin(&none), Error::NoSigningKey));
    let stranger = begin(&signed.vault_of("stranger", ""));
    assert!(matches!(stranger, Error::Signing(_)), "{stranger}");
    let purpose = begin(&signed.vault_of("operator", "namespaces=\"git\""));
    assert!(matches!(purpose, Error::Signing(_)), "{purpose}");
    // A key that goes away meanwhile leaves nothing behind, either.
    let lock = lock(&signed.vault);
    let mut sealing = signed.vault.begin(&lock, &recipients, at(FIRST)).unwrap();
    sealing.write_all(b"x").unwrap();
    fs_err::remove_file(signed.key("operator")).unwrap();
    fs_err::remove_file(signed.key("operator.pub")).unwrap();
    let error = sealing.commit(SidecarFacts::new(at(LATER))).unwrap_err();
    assert!(matches!(error, Error::Signing(_)), "{error}");
    assert_eq!(signed.fixture.names(), Vec::<String>::new());
}

#[test]
fn a_backup_outlives_the_time_of_its_key() {
    let signed = Signed::new();
    let entry = signed.verified(FIRST, b"x");
    let trusting = |options: &str| signed.fixture.vault.clone().trusting(signed.signers(options));
    let state = |vault: &Vault| vault.find(entry.id()).unwrap().state();
    assert_eq!(state(&trusting("valid-before=\"20261202\"")), State::Verified);
    assert_eq!(state(&trusting("valid-before=\"20261130\"")), State::Foreign);
}

#[test]
fn the_private_key_is_in_no_file_of_the_vault() {
    let signed = Signed::new();
    signed.verified(FIRST, b"x");
    let key = fs_err::read_to_string(signed.key("operator")).unwrap();
    let secret = key.lines().nth(3).unwrap();
    for name in signed.fixture.names() {
        let bytes = fs_err::read(signed.fixture.path().join(&name)).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{name}");
    }
}

/// The page's own recipe, with nothing of ours.
#[test]
fn the_page_verifies_with_stock_tools() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/sidecar.md");
    let page = fs_err::read_to_string(page).unwrap();
    let script = page.split("```bash\n").nth(1).unwrap().split("```").next().unwrap();
    let signed = Signed::new();
    let entry = signed.verified(FIRST, b"x");
    let signers = signed.key("signers");
    let public = fs_err::read_to_string(signed.key("operator.pub")).unwrap();
    fs_err::write(&signers, format!("operator namespaces=\"{SIGNATURE_NAMESPACE}\" {public}"))
        .unwrap();
    let run = || {
        let mut bash = Command::new("bash");
        bash.args(["-c", script, "verify"]).arg(sidecar_of(&entry)).arg(&signers);
        bash.arg("operator").output().unwrap()
    };
    let output = run();
    assert!(output.status.success(), "{output:?}");
    rewrite(&entry, |sidecar| sidecar["clear_bytes"] = json!(2));
    assert!(!run().status.success());
}
