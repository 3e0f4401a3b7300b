//! `hubctl demo --tunnel`: a forward that survives the death of its server.

use std::time::Duration;

use pgsnap::{ScratchOptions, ScratchServer};
use tokio::sync::broadcast::Receiver;
use tunnel::{Endpoint, Event, Forward, PostgresProbe, Probe, Question, Supervisor, Tunnel};

use crate::context::Context;
use crate::demo::{Sshd, free_port};
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::ops::TunnelEvent;

/// Every step here takes a second or two.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let printer = &context.printer;
    let directory = tempfile::Builder::new().prefix("hubctl-demo").tempdir()?;
    printer.say("Starting a database, and an SSH server of our own in front of it …");
    let database = ScratchServer::start(&ScratchOptions::default()).await?;
    let mut sshd = Sshd::start(directory.path()).await?;

    let supervisor = Supervisor::open(directory.path().join("run"))?;
    let mut events = supervisor.events();
    let local = Endpoint::tcp("127.0.0.1", free_port()?);
    let socket = database.directory().join(format!(".s.PGSQL.{}", database.port()));
    let mut probe = PostgresProbe::default();
    (probe.user, probe.database) = (Some("postgres".to_owned()), Some("postgres".to_owned()));
    let forward = Forward::to(local, Endpoint::unix(socket)).with_probe(
        Probe::new(Question::Postgres(probe))
            .every(Duration::from_millis(500), Duration::from_secs(2)),
    );
    let mut tunnel = Tunnel::new("node1").with_forward(forward);
    tunnel.ssh_config = Some(sshd.path("ssh_config"));
    supervisor.start("hub", tunnel).await?;
    until(context, &mut events, "up").await?;
    let status = supervisor.settled("hub", PATIENCE).await?;
    let forward = &status.forwards[0];
    printer.say(format_args!(
        "Bytes come back from PostgreSQL {} in {:.1} ms: that, and not an open port, is what `up` means.\n\nNow the SSH server is killed, with its sessions …",
        forward.identity.as_deref().unwrap_or("?"),
        forward.round_trip_ms.unwrap_or_default()
    ));
    sshd.kill().await;
    until(context, &mut events, "backoff").await?;
    printer
        .say("… and comes back after two seconds. The port stayed bound; new connections waited.");
    tokio::time::sleep(Duration::from_secs(2)).await;
    sshd.listen().await?;
    until(context, &mut events, "up").await?;
    let status = supervisor.settled("hub", PATIENCE).await?;
    printer.say(format_args!("{} ssh were started in all.", status.starts));
    supervisor.close().await;
    Ok(Exit::Yes)
}

/// Prints changes, as `hubctl tunnel status --watch` does, until the forward is in this state.
async fn until(context: &Context, events: &mut Receiver<Event>, word: &str) -> anyhow::Result<()> {
    let wait = async {
        loop {
            let event = TunnelEvent(events.recv().await?);
            context.printer.line(&event, ToString::to_string)?;
            if event.0.state.word() == word {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.map_err(|_| {
        Refusal::no(format!("the forward was not `{word}` within {} s", PATIENCE.as_secs()))
    })?
}
