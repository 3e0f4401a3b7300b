//! The worth of an approval: only the signature of an allowed signer over exactly this counts.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gates::{
    APPROVAL_NAMESPACE, ApprovalRequest, Approvals, Approver, Error, Hash, Policy, Standing,
    VoidReason,
};
use jiff::Timestamp;
use proptest::prelude::*;
use sshsig::{AllowedSigners, Prompt, TimeZone};
use tempfile::TempDir;

const MARK: &str = ",\"signature\":\"";
const HOUR: Duration = Duration::from_secs(3600);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    at("2026-11-21T12:00:00Z")
}

fn request() -> ApprovalRequest {
    ApprovalRequest {
        gate: "T05".to_owned(),
        plan: "swap state-hub to the cluster".to_owned(),
        subjects: vec!["database state_hub".to_owned()],
        evidence_summary: vec!["14 tables, 120345 rows, equal".to_owned()],
        evidence_hash: Hash::of(b"the evidence"),
        consequences: vec!["writes go to the cluster".to_owned()],
        way_back: "hubctl rollback".to_owned(),
    }
}

/// A directory of approvals, and people with keys.
struct Desk {
    directory: TempDir,
    approvals: Approvals,
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let approvals = Approvals::open(directory.path().join("deep/approvals")).unwrap();
        let desk = Self { directory, approvals };
        for name in ["anna", "ben", "eve"] {
            desk.key(name);
        }
        desk
    }

    fn key(&self, name: &str) {
        let status = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(self.key_of(name))
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn key_of(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn line(&self, principals: &str, key: &str) -> String {
        let text = fs_err::read_to_string(self.key_of(key).with_extension("pub")).unwrap();
        let key: Vec<_> = text.split_whitespace().take(2).collect();
        format!("{principals} {}\n", key.join(" "))
    }

    fn policy_of(&self, lines: &str, persons: usize) -> Policy {
        Policy {
            signers: AllowedSigners::parse(lines, "signers", &TimeZone::UTC).unwrap(),
            persons: NonZeroUsize::new(persons).unwrap(),
            longest: 4 * HOUR,
        }
    }

    /// Anna and Ben may approve, Eve may not.
    fn policy(&self, persons: usize) -> Policy {
        let lines = self.line("anna", "anna") + &self.line("ben", "ben");
        self.policy_of(&lines, persons)
    }

    fn approve_as(&self, name: &str, key: &str, policy: &Policy) -> Result<PathBuf, Error> {
        let key = self.key_of(key);
        let approver = Approver { principal: name, key: &key, prompt: Prompt::Never };
        self.approvals.approve(&request(), approver, noon(), noon() + HOUR, policy)
    }

    fn approve(&self, name: &str) -> PathBuf {
        self.approve_as(name, name, &self.policy(1)).unwrap()
    }

    fn revoke(&self, name: &str) -> Vec<PathBuf> {
        let key = self.key_of(name);
        let approver = Approver { principal: name, key: &key, prompt: Prompt::Never };
        let at = noon() + Duration::from_secs(60);
        self.approvals.revoke("T05", approver, at, &self.policy(1)).unwrap()
    }

    fn judge(&self, policy: &Policy) -> Standing {
        self.judge_at(noon() + Duration::from_secs(120), policy)
    }

    fn judge_at(&self, now: Timestamp, policy: &Policy) -> Standing {
        self.try_judge_at(now, policy).unwrap()
    }

    fn try_judge_at(&self, now: Timestamp, policy: &Policy) -> Result<Standing, Error> {
        let request = request();
        self.approvals.judge(&request.gate, request.plan_hash(), request.evidence_hash, now, policy)
    }

    /// Signs an edited statement again, as somebody with the key `key` could.
    fn resign(&self, file: &Path, key: &str, namespace: &str, edit: impl Fn(String) -> String) {
        let text = fs_err::read_to_string(file).unwrap();
        let statement = edit(text.split_once(MARK).unwrap().0.to_owned());
        let key = self.key_of(key);
        let signature = sshsig::sign(key, namespace, statement.as_bytes(), Prompt::Never).unwrap();
        let signature = signature.replace('\n', "\\n");
        fs_err::write(file, format!("{statement}{MARK}{signature}\"}}\n")).unwrap();
    }
}

fn is_void(standing: &Standing, expected: fn(&VoidReason) -> bool) -> bool {
    matches!(standing, Standing::Void { why } if expected(why))
}

#[test]
fn an_approval_counts_until_it_ends() {
    let desk = Desk::new();
    let policy = desk.policy(1);
    assert_eq!(desk.judge(&policy), Standing::Missing { have: 0, need: 1 });
    let path = desk.approve("anna");
    let Standing::Granted { by, until } = desk.judge(&policy) else {
        panic!("{:?}", desk.judge(&policy));
    };
    assert_eq!((by.len(), &*by[0].principal, until), (1, "anna", noon() + HOUR));
    assert!(matches!(desk.judge_at(noon(), &policy), Standing::Granted { .. }));
    let last = noon() + HOUR - Duration::from_nanos(1);
    assert!(matches!(desk.judge_at(last, &policy), Standing::Granted { .. }));
    assert_eq!(desk.judge_at(noon() + HOUR, &policy), Standing::Expired { at: noon() + HOUR });
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs_err::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

/// A user who may write to the directory may remove a revocation, and reading a pipe never ends.
#[test]
fn approvals_that_are_no_files_or_in_others_hands_are_not_judged() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = Desk::new();
    let policy = desk.policy(1);
    let file = desk.approve("anna");
    let later = noon() + Duration::from_secs(120);
    let refused = |fact: &str| {
        let error = desk.try_judge_at(later, &policy).unwrap_err();
        assert!(error.to_string().contains(fact), "{error}");
        assert!(error.hint().is_some());
    };
    let directory = desk.approvals.directory();
    for (path, mode) in [(directory, 0o777), (&*file, 0o602)] {
        let before = fs_err::metadata(path).unwrap().permissions();
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        refused("may be changed by others");
        fs_err::set_permissions(path, before).unwrap();
    }
    let revocation = file.with_extension("revoked.json");
    testkit::pipe(&revocation);
    assert!(is_void(&desk.judge(&policy), |flaw| matches!(flaw, VoidReason::Revoked { by: None })));
    fs_err::remove_file(revocation).unwrap();
    fs_err::rename(&file, directory.join("elsewhere")).unwrap();
    fs_err::os::unix::fs::symlink("elsewhere", &file).unwrap();
    refused("is a symbolic link, not a regular file");
    fs_err::remove_file(&file).unwrap();
    testkit::pipe(&file);
    refused("is a pipe, not a regular file");
    fs_err::remove_file(&file).unwrap();
    fs_err::rename(directory.join("elsewhere"), &file).unwrap();
    assert!(matches!(desk.judge(&policy), Standing::Granted { .. }));
    // What is planted as unfinished goes like any other.
    let planted = directory.join(".T05-0.partial");
    testkit::pipe(&planted);
    assert_eq!(desk.approvals.clean().unwrap(), [planted]);
}

/// Every way to an approval without the right signature over the right things.
#[test]
fn nothing_else_counts() {
    type Attack = (&'static str, fn(&Desk, &Path), fn(&VoidReason) -> bool);
    let attacks: [Attack; 14] = [
        (
            "unsigned",
            |_, file| {
                let text = fs_err::read_to_string(file).unwrap();
                let statement = text.split_once(MARK).unwrap().0;
                fs_err::write(file, format!("{statement}}}\n")).unwrap();
            },
            |flaw| matches!(flaw, VoidReason::Damaged { .. }),
        ),
        (
            "empty",
            |_, file| fs_err::write(file, "").unwrap(),
            |flaw| matches!(flaw, VoidReason::Damaged { .. }),
        ),
        (
            "empty signature",
            |_, file| {
                let text = fs_err::read_to_string(file).unwrap();
                let statement = text.split_once(MARK).unwrap().0;
                fs_err::write(file, format!("{statement}{MARK}\"}}\n")).unwrap();
            },
            |flaw| matches!(flaw, VoidReason::NotSigned { .. }),
        ),
        (
            "edited",
            |_, file| {
                let text = fs_err::read_to_string(file).unwrap();
                fs_err::write(file, text.replace("T13:00", "T14:00")).unwrap();
            },
            |flaw| matches!(flaw, VoidReason::NotSigned { .. }),
        ),
        (
            "by a stranger",
            |desk, file| desk.resign(file, "eve", APPROVAL_NAMESPACE, |it| it),
            |flaw| matches!(flaw, VoidReason::NotSigned { reason } if reason.contains("no key of an allowed signer")),
        ),
        (
            "in another's name",
            |desk, file| desk.resign(file, "ben", APPROVAL_NAMESPACE, |it| it),
            |flaw| matches!(flaw, VoidReason::NotSigned { reason } if reason.contains("not of `anna`")),
        ),
        (
            "for another purpose",
            |desk, file| desk.resign(file, "anna", "hubctl-backup", |it| it),
            |flaw| matches!(flaw, VoidReason::NotSigned { reason } if reason.contains("`hubctl-backup`")),
        ),
        (
            "another gate",
            |desk, file| {
                desk.resign(file, "anna", APPROVAL_NAMESPACE, |it| {
                    it.replace("\"T05\"", "\"T06\"")
                });
            },
            |flaw| *flaw == VoidReason::OtherGate,
        ),
        (
            "another plan",
            |desk, file| {
                let (right, other) = (request().plan_hash().to_string(), Hash::of(b"").to_string());
                desk.resign(file, "anna", APPROVAL_NAMESPACE, |it| it.replace(&right, &other));
            },
            |flaw| *flaw == VoidReason::OtherPlan,
        ),
        (
            "another plan than was shown",
            |desk, file| {
                desk.resign(file, "anna", APPROVAL_NAMESPACE, |it| {
                    it.replace("the cluster\",\"sub", "the moon\",\"sub")
                });
            },
            |flaw| *flaw == VoidReason::OtherPlan,
        ),
        (
            "from the future",
            |desk, file| {
                desk.resign(file, "anna", APPROVAL_NAMESPACE, |it| {
                    it.replace("T12:00:00Z", "T12:30:00Z")
                });
            },
            |flaw| matches!(flaw, VoidReason::Future { .. }),
        ),
        (
            "for too long",
            |desk, file| {
                desk.resign(file, "anna", APPROVAL_NAMESPACE, |it| {
                    it.replace("T13:00:00Z", "T16:00:01Z")
                });
            },
            |flaw| *flaw == VoidReason::Duration,
        ),
        (
            "backwards",
            |desk, file| {
                desk.resign(file, "anna", APPROVAL_NAMESPACE, |it| {
                    it.replace("T13:00:00Z", "T11:00:00Z")
                });
            },
            |flaw| *flaw == VoidReason::Duration,
        ),
        (
            "with more in it",
            |desk, file| {
                desk.resign(file, "anna", APPROVAL_NAMESPACE, |it| format!("{it},\"persons\":2"));
            },
            |flaw| matches!(flaw, VoidReason::Damaged { .. }),
        ),
    ];
    for (name, attack, expected) in attacks {
        let desk = Desk::new();
        let policy = desk.policy(1);
        let file = desk.approve("anna");
        assert!(matches!(desk.judge(&policy), Standing::Granted { .. }));
        attack(&desk, &file);
        let standing = desk.judge(&policy);
        assert!(is_void(&standing, expected), "{name}: {standing:?}");
    }
}

#[test]
fn what_was_approved_is_approved_there_only() {
    let desk = Desk::new();
    let policy = desk.policy(1);
    let file = desk.approve("anna");
    let (request, now) = (request(), noon());
    let judge = |gate: &str, plan: Hash, evidence: Hash| {
        desk.approvals.judge(gate, plan, evidence, now, &policy).unwrap()
    };
    let other = Hash::of(b"other");
    let evidence = judge("T05", request.plan_hash(), other);
    assert!(is_void(&evidence, |flaw| *flaw == VoidReason::OtherEvidence), "{evidence:?}");
    let plan = judge("T05", other, request.evidence_hash);
    assert!(is_void(&plan, |flaw| *flaw == VoidReason::OtherPlan), "{plan:?}");
    let gate = judge("T06", request.plan_hash(), request.evidence_hash);
    assert_eq!(gate, Standing::Missing { have: 0, need: 1 });
    // The same file, named after another gate, or given another id.
    let name = file.file_name().unwrap().to_str().unwrap();
    fs_err::copy(&file, file.with_file_name(name.replace("T05", "T06"))).unwrap();
    let renamed = judge("T06", request.plan_hash(), request.evidence_hash);
    assert!(is_void(&renamed, |flaw| *flaw == VoidReason::OtherGate), "{renamed:?}");
    fs_err::rename(&file, file.with_file_name(format!("T05-{}.json", "0".repeat(32)))).unwrap();
    let renamed = judge("T05", request.plan_hash(), request.evidence_hash);
    assert!(is_void(&renamed, |flaw| *flaw == VoidReason::OtherGate), "{renamed:?}");
}

#[test]
fn two_people_have_two_names_and_two_keys() {
    let desk = Desk::new();
    desk.key("anna2");
    let lines = desk.line("anna", "anna")
        + &desk.line("anna", "anna2")
        + &desk.line("ben", "ben")
        + &desk.line("ben", "anna2");
    let policy = desk.policy_of(&lines, 2);
    let approve = |name, key| desk.approve_as(name, key, &policy).unwrap();
    let missing = Standing::Missing { have: 1, need: 2 };
    approve("anna", "anna");
    assert_eq!(desk.judge(&policy), missing);
    approve("anna", "anna");
    assert_eq!(desk.judge(&policy), missing, "the same again");
    let second = approve("anna", "anna2");
    assert_eq!(desk.judge(&policy), missing, "two keys of one");
    let shared = approve("ben", "anna2");
    assert_eq!(desk.judge(&policy), missing, "two names, and a key that both have");
    fs_err::remove_file(second).unwrap();
    fs_err::remove_file(shared).unwrap();
    approve("ben", "ben");
    let Standing::Granted { by, .. } = desk.judge(&policy) else {
        panic!("{:?}", desk.judge(&policy));
    };
    assert_eq!(by.len(), 3);
    desk.revoke("ben");
    assert!(is_void(&desk.judge(&policy), |flaw| matches!(flaw, VoidReason::Revoked { .. })));
}

#[test]
fn a_revocation_stays_whatever_becomes_of_it() {
    let desk = Desk::new();
    let policy = desk.policy(1);
    assert_eq!(desk.revoke("ben"), Vec::<PathBuf>::new());
    desk.approve("anna");
    let revocation = desk.revoke("ben").remove(0);
    assert_eq!(
        desk.judge(&policy),
        Standing::Void { why: VoidReason::Revoked { by: Some("ben".to_owned()) } }
    );
    assert_eq!(desk.revoke("anna"), Vec::<PathBuf>::new(), "nothing is left to revoke");
    let text = fs_err::read(&revocation).unwrap();
    for damage in [&b""[..], b"{}", &text[..100], b"\xff"] {
        fs_err::write(&revocation, damage).unwrap();
        assert_eq!(desk.judge(&policy), Standing::Void { why: VoidReason::Revoked { by: None } });
    }
    // A new approval is another one.
    desk.approve("anna");
    assert!(matches!(desk.judge(&policy), Standing::Granted { .. }));
}

#[test]
fn a_key_counts_when_it_signed_and_when_it_is_asked() {
    let desk = Desk::new();
    desk.approve("anna");
    let limited = |options: &str| {
        let line = desk.line("anna", "anna").replacen("anna ", &format!("anna {options} "), 1);
        desk.judge(&desk.policy_of(&line, 1))
    };
    assert!(matches!(limited("namespaces=\"hubctl-*\""), Standing::Granted { .. }));
    for options in [
        "namespaces=\"git\"",
        "valid-before=\"20261121120100Z\"",
        "valid-after=\"20261121120100Z\"",
    ] {
        let standing = limited(options);
        assert!(
            is_void(&standing, |flaw| matches!(flaw, VoidReason::NotSigned { .. })),
            "{options}: {standing:?}"
        );
    }
    let nobody = desk.judge(&desk.policy_of("", 1));
    assert!(is_void(&nobody, |flaw| matches!(flaw, VoidReason::NotSigned { .. })), "{nobody:?}");
}

#[test]
fn what_would_not_count_is_not_signed() {
    let desk = Desk::new();
    let policy = desk.policy(1);
    let refused = |name, key| desk.approve_as(name, key, &policy).unwrap_err();
    assert!(matches!(refused("eve", "eve"), Error::Signature(_)));
    assert!(matches!(refused("anna", "ben"), Error::Signature(_)));
    let mut short = policy.clone();
    short.longest = HOUR / 2;
    let error = desk.approve_as("anna", "anna", &short).unwrap_err();
    assert!(matches!(error, Error::InvalidApproval { .. }), "{error}");
    for gate in ["", "../x", "a/b", ".a", "a b", "ä", &"a".repeat(65)] {
        let judged = desk.approvals.judge(gate, Hash::GENESIS, Hash::GENESIS, noon(), &policy);
        assert!(matches!(judged, Err(Error::InvalidGate { .. })), "{gate}");
    }
    assert_eq!(fs_err::read_dir(desk.approvals.directory()).unwrap().count(), 0);
}

#[test]
fn an_unknown_version_of_an_approval_is_refused_with_a_hint() {
    let desk = Desk::new();
    let policy = desk.policy(1);
    let file = desk.approve("anna");
    let edit = |text: String| text.replace("hubctl-approval/1", "hubctl-approval/2");
    desk.resign(&file, "anna", APPROVAL_NAMESPACE, edit);
    let request = request();
    let judged =
        desk.approvals.judge("T05", request.plan_hash(), request.evidence_hash, noon(), &policy);
    let error = judged.unwrap_err();
    assert!(
        matches!(&error, Error::UnknownApproval { format, .. } if format == "hubctl-approval/2")
    );
    assert!(error.hint().unwrap().contains("newer"));
}

#[test]
fn left_over_files_are_ignored_and_cleaned_unless_somebody_writes_them() {
    let desk = Desk::new();
    let file = desk.approve("anna");
    let name = file.file_name().unwrap().to_str().unwrap();
    let left = file.with_file_name(format!(".{name}.x1.partial"));
    let busy = file.with_file_name(format!(".{name}.x2.partial"));
    fs_err::copy(&file, &left).unwrap();
    let writer = fs_err::File::create(&busy).unwrap();
    writer.file().lock().unwrap();
    fs_err::remove_file(&file).unwrap();
    assert_eq!(desk.judge(&desk.policy(1)), Standing::Missing { have: 0, need: 1 });
    assert_eq!(desk.approvals.clean().unwrap(), [left]);
    drop(writer);
    desk.approve("ben");
    assert!(!busy.exists());
}

/// The page's own recipe, with nothing of ours.
#[test]
fn the_page_verifies_with_stock_tools() {
    let page = fs_err::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/formats/approval.md"
    ))
    .unwrap();
    let script = page.split("```bash\n").nth(1).unwrap().split("```").next().unwrap();
    let desk = Desk::new();
    let file = desk.approve("anna");
    let signers = desk.directory.path().join("signers");
    fs_err::write(&signers, desk.line("anna", "anna")).unwrap();
    let run = || {
        let mut bash = Command::new("bash");
        bash.args(["-c", script, "verify"]).arg(&file).arg(&signers).arg("anna");
        bash.output().unwrap()
    };
    let output = run();
    assert!(output.status.success(), "{output:?}");
    let text = fs_err::read_to_string(&file).unwrap();
    fs_err::write(&file, text.replace("T13:00", "T14:00")).unwrap();
    assert!(!run().status.success());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each case tries hundreds of bits, all over the file; together with the others, most of them.
    #[test]
    fn any_flipped_bit_voids_it(offset in 0usize..16) {
        let desk = Desk::new();
        let policy = desk.policy(1);
        let file = desk.approve("anna");
        let bytes = fs_err::read(&file).unwrap();
        for bit in (offset..bytes.len() * 8).step_by(16) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs_err::write(&file, flipped).unwrap();
            let request = request();
            let judged = desk.approvals.judge("T05", request.plan_hash(), request.evidence_hash, noon(), &policy);
            let is_refused = matches!(judged, Ok(Standing::Void { .. }) | Err(Error::UnknownApproval { .. }));
            prop_assert!(is_refused, "bit {}: {:?}", bit, judged);
        }
    }
}
