//! The shipped example runs, and says what it should.

use std::path::Path;
use std::process::Command;

/// Runs an example as a reader of the crate would, with the profile and the target directory of
/// this test.
fn run(example: &str) -> String {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    // What the example needs was just built or downloaded for this test.
    cargo
        .args(["run", "--quiet", "--offline", "--example", example])
        .arg("--target-dir")
        .arg(target);
    cargo.args((!cfg!(debug_assertions)).then_some("--release"));
    let output = cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    stdout
}

#[test]
fn dump_and_prove_runs() {
    assert_eq!(
        run("dump_and_prove").lines().collect::<Vec<_>>(),
        [
            "dumped 1000 rows of hub",
            "verified 1000 rows",
            "restored 1000 rows as copy",
            "since the dump: table \"public\".\"topics\": same row count, different contents (1 of 1 key ranges)",
        ]
    );
}

#[test]
fn fence_runs() {
    assert_eq!(
        run("fence").lines().collect::<Vec<_>>(),
        [
            "0 obstacles",
            "fenced hub",
            "a client gets 3D000",
            "1000 rows behind the fence",
            "written again",
        ]
    );
}
