//! Every kind of key that signs, verified by both, and the kinds that are refused.

use std::process::Command;

use crate::support::{Asked, Bench, MESSAGE, NAMESPACE, fingerprint, public, run, sign};

#[test]
fn what_we_let_sign_both_verify() {
    let bench = Bench::new();
    for (name, kind) in [
        ("ed25519", &["-t", "ed25519"][..]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("p521", &["-t", "ecdsa", "-b", "521"]),
        ("rsa", &["-t", "rsa", "-b", "3072"]),
        ("pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
    ] {
        let key = bench.key(name, kind);
        let signers = format!("anna {}\n", public(&key));
        let signature = sign(&key);
        let asked = Asked::of(&signature);
        let signer = asked.ours(&signers).unwrap();
        assert_eq!(signer.fingerprint, fingerprint(&key), "{name}");
        assert_eq!(signer.name(), Some("anna"));
        assert!(bench.oracle(&signers, &asked), "{name}");
        // `ssh-keygen -l` prints the same fingerprint.
        let listed = run(Command::new("ssh-keygen").arg("-l").arg("-f").arg(&key));
        assert!(listed.contains(&signer.fingerprint), "{listed}");
    }
}

#[test]
fn both_hashes_of_the_message_verify() {
    let bench = Bench::new();
    for (name, kind) in [("ed25519", ["-t", "ed25519"]), ("rsa", ["-t", "rsa"])] {
        let key = bench.key(name, &kind);
        let signers = format!("anna {}\n", public(&key));
        for hash in ["sha256", "sha512"] {
            let file = bench.path(hash);
            fs_err::write(&file, MESSAGE).unwrap();
            let sig = bench.path(&format!("{hash}.sig"));
            let _ = fs_err::remove_file(&sig);
            let option = format!("-Ohashalg={hash}");
            let mut command = Command::new("ssh-keygen");
            command.args(["-Y", "sign", "-n", NAMESPACE, &option, "-f"]);
            run(command.arg(&key).arg(&file));
            let signature = fs_err::read_to_string(sig).unwrap();
            Asked::of(&signature).ours(&signers).unwrap();
        }
    }
}

#[test]
fn short_rsa_keys_are_refused() {
    let bench = Bench::new();
    let key = bench.key("short", &["-t", "rsa", "-b", "1024"]);
    let error = sshsig::sign(&key, NAMESPACE, MESSAGE, sshsig::Prompt::Never).unwrap_err();
    assert!(error.to_string().contains("1024 bits"), "{error}");
}

#[test]
fn a_key_tells_its_public_half_without_its_passphrase() {
    let bench = Bench::new();
    let locked = bench.key("locked", &["-t", "ed25519", "-N", "canary"]);
    let public = fingerprint(&locked.with_extension("pub"));
    fs_err::remove_file(locked.with_extension("pub")).unwrap();
    assert_eq!(fingerprint(&locked), public);

    let old = bench.key("old", &["-t", "rsa", "-m", "PEM"]);
    assert_eq!(fingerprint(&old), fingerprint(&old.with_extension("pub")));
    fs_err::remove_file(old.with_extension("pub")).unwrap();
    let error = sshsig::PublicKey::of_file(&old).unwrap_err();
    assert!(matches!(error, sshsig::Error::NoPublicKey { .. }), "{error}");
}

/// The same signature under the name that stands for SHA-1.
#[test]
fn sha_1_is_refused() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let bench = Bench::new();
    let key = bench.key("rsa", &["-t", "rsa", "-b", "2048"]);
    let signature = sign(&key);
    let body: String = signature.lines().filter(|line| !line.starts_with('-')).collect();
    let bytes = STANDARD.decode(body).unwrap();
    // The last part: its length, the name with its length, and the signature of 256 bytes with its length.
    let (before, last) = bytes.split_at(bytes.len() - (4 + 4 + 12 + 4 + 256));
    assert_eq!(&last[8..20], b"rsa-sha2-512");
    let length = (4 + 7 + 4 + 256u32).to_be_bytes();
    let renamed = [before, &length, &[0, 0, 0, 7], b"ssh-rsa", &last[20..]].concat();
    let text = STANDARD.encode(renamed);
    let lines: Vec<_> =
        text.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let body = lines.join("\n");
    let forged = format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n");
    let signers = format!("anna {}\n", public(&key));
    let asked = Asked::of(&forged);
    assert!(!bench.oracle(&signers, &asked));
    assert_eq!(asked.ours(&signers).unwrap_err().class(), sshsig::ErrorClass::No);
}
