//! Fences a database, shows that clients are refused, reads behind the fence, and takes it down.
//!
//! Runs by itself on a throw-away server: `cargo run -p pgsnap --example fence`.

#![allow(clippy::print_stdout)]

use std::sync::Arc;

use pgsnap::{
    CensusOptions, FenceOptions, NoProgress, Progress, ScratchOptions, ScratchServer,
    UnfenceOptions, fence, plan_fence, unfence,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let progress: Arc<dyn Progress> = Arc::new(NoProgress);
    let server = ScratchServer::start(&ScratchOptions::default()).await?;
    let hub = server.database("hub");
    pgsnap::execute(&server.database("postgres"), "CREATE DATABASE hub").await?;
    pgsnap::execute(&hub, "CREATE TABLE topics AS SELECT generate_series(1, 1000) AS id").await?;

    let plan = plan_fence(&hub, &FenceOptions::default()).await?;
    println!("{} obstacles", plan.obstacles.len());

    let directory = tempfile::tempdir()?;
    let record = directory.path().join("hub.fence.json");
    let fenced = fence(&hub, &record, &FenceOptions::default()).await?;
    println!("fenced {}", fenced.record.database);

    let write = pgsnap::execute(&hub, "DELETE FROM topics").await;
    let refusal = write.err().and_then(|error| error.sqlstate().map(str::to_owned));
    println!("a client gets {}", refusal.unwrap_or_default());

    let behind = fenced.database(&hub);
    let census = pgsnap::census(&behind, &CensusOptions::default(), &progress).await?;
    println!("{} rows behind the fence", census.rows());

    // The file is lost: the server's own record is enough.
    directory.close()?;
    unfence(&hub, &UnfenceOptions::default()).await?;
    pgsnap::execute(&hub, "INSERT INTO topics VALUES (1001)").await?;
    println!("written again");
    Ok(())
}
