//! Dumps a database, verifies the archive, restores it, and finds a change made afterwards.
//!
//! Runs by itself on a throw-away server: `cargo run -p pgsnap --example dump_and_prove`.

#![allow(clippy::print_stdout)]

use fs_err::File;
use std::sync::Arc;

use pgsnap::{
    Archive, CensusOptions, DumpOptions, NoProgress, Progress, RestoreOptions, ScratchOptions,
    ScratchServer, VerifyOptions,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let progress: Arc<dyn Progress> = Arc::new(NoProgress);
    let server = ScratchServer::start(&ScratchOptions::default()).await?;
    let (hub, copy) = (server.database("hub"), server.database("copy"));
    pgsnap::execute(&server.database("postgres"), "CREATE DATABASE hub").await?;
    pgsnap::execute(&hub, "CREATE TABLE topics AS SELECT n AS id, 'topic ' || n AS title FROM generate_series(1, 1000) n").await?;

    let directory = tempfile::tempdir()?;
    let path = directory.path().join("hub.sql.gz");
    let (_, manifest) =
        pgsnap::dump(&hub, File::create(&path)?, &DumpOptions::default(), &progress).await?;
    println!("dumped {} rows of {}", manifest.census.rows(), manifest.source.database);

    let archive = Archive::open(path)?;
    let verified = pgsnap::verify(&archive, &VerifyOptions::default(), &progress)?;
    println!("verified {} rows", verified.rows);

    let restored = pgsnap::restore(&archive, &copy, &RestoreOptions::default(), &progress).await?;
    println!("restored {} rows as {}", restored.rows, restored.database);

    pgsnap::execute(&hub, "UPDATE topics SET title = 'changed' WHERE id = 7").await?;
    let now = pgsnap::census(&hub, &CensusOptions::default(), &progress).await?;
    for difference in pgsnap::compare(&manifest.census, &now).differences {
        println!("since the dump: {difference}");
    }
    Ok(())
}
