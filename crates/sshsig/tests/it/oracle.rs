//! The same questions to `ssh-keygen -Y verify` and to us: the answers are the same.

use proptest::prelude::*;
use proptest::sample::select;
use sshsig::{Prompt, TimeZone, Timestamp};

use crate::support::{Asked, Bench, MESSAGE, NAMESPACE, at, parse, public, sign};

#[test]
fn principals_namespaces_and_validity() {
    let bench = Bench::new();
    let (anna, ben) = (bench.ed25519("anna"), bench.ed25519("ben"));
    let (key, other) = (public(&anna), public(&ben));
    let signature = sign(&anna);
    for (line, expected) in [
        (format!("anna {key}"), true),
        (format!("ben {key}"), false),
        (format!("ann? {key}"), true),
        (format!("*,!anna {key}"), false),
        (format!("*,!ben {key}"), true),
        (format!("!ben {key}"), false),
        (format!("ben,anna {key} comment with blanks"), true),
        (format!("  \"anna\"\t{key}"), true),
        (format!("anna {other}"), false),
        (format!("anna {other}\nanna {key}"), true),
        (format!("ben {key}\nanna {key}"), true),
        (format!("# anna {key}"), false),
        (format!("anna namespaces=\"{NAMESPACE}\" {key}"), true),
        (format!("anna namespaces=\"git,hub-*\" {key}"), true),
        (format!("anna namespaces=\"*,!{NAMESPACE}\" {key}"), false),
        (format!("anna namespaces=\"git\" {key}"), false),
        (format!("anna NAMESPACES=\"{NAMESPACE}\",valid-after=\"20260101\" {key}"), true),
        (format!("anna valid-after=\"20261121120000Z\" {key}"), true),
        (format!("anna valid-after=\"20261121120001Z\" {key}"), false),
        (format!("anna valid-before=\"20261121120000Z\" {key}"), true),
        (format!("anna valid-before=\"20261121115959Z\" {key}"), false),
        (format!("anna valid-after=\"20261121\",valid-before=\"20261122\" {key}"), true),
        (format!("anna valid-after=\"20261122\",valid-before=\"20261121\" {key}"), false),
        (format!("anna cert-authority {key}"), false),
        (format!("anna surprise {key}"), false),
        (format!("anna namespaces=\"a\",namespaces=\"hub-test\" {key}"), false),
        (key.clone(), false),
    ] {
        let asked = Asked::of(&signature);
        let ours = asked.ours(&line);
        assert_eq!(ours.is_ok(), expected, "{line}: {ours:?}");
        assert_eq!(bench.oracle(&line, &asked), expected, "{line}");
    }
}

#[test]
fn a_signature_is_of_one_message_for_one_namespace() {
    let bench = Bench::new();
    let key = bench.ed25519("anna");
    let signers = format!("anna {}", public(&key));
    let signature = sign(&key);
    for (namespace, message, expected) in [
        (NAMESPACE, MESSAGE, true),
        ("hub-tesT", MESSAGE, false),
        ("file", MESSAGE, false),
        (NAMESPACE, &MESSAGE[1..], false),
        (NAMESPACE, b"", false),
    ] {
        let mut asked = Asked::of(&signature);
        (asked.namespace, asked.message) = (namespace, message);
        assert_eq!(asked.ours(&signers).is_ok(), expected);
        assert_eq!(bench.oracle(&signers, &asked), expected);
    }
}

/// A wrong line behind the one that allows hides nothing from OpenSSH, and makes us refuse the
/// file.
#[test]
fn a_line_that_cannot_be_understood_refuses_the_file() {
    let bench = Bench::new();
    let key = bench.ed25519("anna");
    let signature = sign(&key);
    let signers = format!("anna {}\nben cert-authority {0}\n", public(&key));
    let asked = Asked::of(&signature);
    assert!(bench.oracle(&signers, &asked));
    let error = asked.ours(&signers).unwrap_err();
    assert!(
        error.to_string().contains("signers cannot be used: line 2: `cert-authority`"),
        "{error}"
    );
}

#[test]
fn times_without_a_zone_are_of_the_given_one() {
    let bench = Bench::new();
    let key = bench.ed25519("anna");
    let signers = format!("anna valid-after=\"202611211200\" {}", public(&key));
    let signature = sign(&key);
    let east = TimeZone::fixed(jiff::tz::offset(2));
    let verified = |zone: &TimeZone, time: &str| {
        let signers = sshsig::AllowedSigners::parse(&signers, "signers", zone).unwrap();
        signers.verify(NAMESPACE, MESSAGE, &signature, at(time)).is_ok()
    };
    assert!(!verified(&TimeZone::UTC, "2026-11-21T11:00:00Z"));
    assert!(verified(&east, "2026-11-21T11:00:00Z"));
    assert!(!verified(&east, "2026-11-21T09:59:59Z"));
}

fn patterns() -> impl Strategy<Value = String> {
    let pattern = "!?[ab*?]{1,4}";
    prop::collection::vec(pattern, 1..4).prop_map(|list| list.join(","))
}

fn moment() -> impl Strategy<Value = i64> {
    // Around noon of the day that everything in these tests happens on.
    (-3i64..=3).prop_map(|seconds| 1_795_262_400 + seconds)
}

fn options() -> impl Strategy<Value = String> {
    let time = |seconds: i64| {
        Timestamp::from_second(seconds).unwrap().strftime("%Y%m%d%H%M%SZ").to_string()
    };
    let option = prop_oneof![
        patterns().prop_map(|list| format!("namespaces=\"{list}\"")),
        moment().prop_map(move |at| format!("valid-after=\"{}\"", time(at))),
        moment().prop_map(move |at| format!("valid-before=\"{}\"", time(at))),
    ];
    prop::collection::vec(option, 0..4).prop_map(|options| options.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_file_means_the_same_to_both(
        lines in prop::collection::vec((patterns(), options(), any::<bool>()), 1..4),
        principal in "[ab]{1,3}",
        namespace in select(vec!["a", "ab", "bab"]),
        seconds in moment(),
    ) {
        thread_local! {
            static KEYS: (Bench, [String; 2], Vec<(&'static str, String)>) = {
                let bench = Bench::new();
                let keys = [bench.ed25519("one"), bench.ed25519("two")];
                let signed = ["a", "ab", "bab"].map(|namespace| {
                    (namespace, sshsig::sign(&keys[0], namespace, MESSAGE, Prompt::Never).unwrap())
                });
                (bench, keys.map(|key| public(&key)), signed.into())
            };
        }
        KEYS.with(|(bench, keys, signed)| {
            let text: String = lines.iter().map(|(principals, options, is_ours)| {
                format!("{principals} {options} {}\n", keys[usize::from(!is_ours)])
            }).collect();
            let signature = &signed.iter().find(|(name, _)| *name == namespace).unwrap().1;
            let at = Timestamp::from_second(seconds).unwrap();
            let asked = Asked { principal: &principal, namespace, message: MESSAGE, signature, at };
            let theirs = bench.oracle(&text, &asked);
            // They read only as far as they have to; we refuse a file that is wrong anywhere.
            if parse(&text).is_ok() {
                prop_assert_eq!(asked.ours(&text).is_ok(), theirs, "{}", text);
            } else {
                prop_assert!(asked.ours(&text).is_err());
            }
            Ok(())
        })?;
    }
}
