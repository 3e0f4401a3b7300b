//! Appends two records to a journal, verifies it, and shows how an edit is found.
//!
//! Run it with `cargo run -p gates --example append_and_verify`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::SystemTime;

use journal::{Journal, NewRecord, Outcome};
use serde_json::json;

// Visible to the test that runs this file.
pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let journal = Journal::open(directory.path().join("journal.jsonl"))?;

    let entry = "state-hub-20261121T161200Z";
    for (kind, evidence) in [
        ("backup", json!({ "tables": 14, "rows": 120_345 })),
        ("drill", json!({ "restored": true, "seconds": 8.25 })),
    ] {
        let new = NewRecord::new(SystemTime::now(), kind, Outcome::Done, entry)
            .with_host("workstation")
            .with_evidence(evidence);
        let appended = journal.append(new)?;
        println!("appended {}", appended.record.head());
    }

    for record in journal.read()? {
        println!("{} {} {} {}", record.seq, record.kind, record.outcome, record.subject);
    }
    let head = journal.verify()?.head.ok_or("the journal is empty")?;
    println!("verified up to {head}");

    let text = fs_err::read_to_string(journal.path())?;
    fs_err::write(journal.path(), text.replace("120345", "120346"))?;
    let error = journal.verify_against(&head).expect_err("an edit is found");
    println!("after an edit: {error}");
    Ok(())
}
