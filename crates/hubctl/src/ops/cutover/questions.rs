//! The questions of a move: each returns evidence of a yes, or the reason of a no as an error.

use gates::Answer;
use pgsnap::{CensusOptions, CopyOptions, FenceOptions, Identity, LocatedDatabase, QuietOptions};
use serde_json::{Value, json};

use super::Migration;
use super::migration::{Home, databases};
use super::steps::outboxes_of;
use crate::failure::{Refusal, name_flags};
use crate::hook;
use crate::keys;
use crate::ops::{self, GatesOrder, phases};
use crate::probe;
use crate::settings::CutoverMode;
use crate::store;

/// Something in the way of a move, and its remedy.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CutoverObstacle {
    /// The obstacle.
    pub problem: String,
    /// The remedy.
    pub remedy: String,
}

impl CutoverObstacle {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }

    fn of(refusal: &anyhow::Error) -> Self {
        let failure = super::step::failure_of(refusal);
        Self::new(failure.reason, failure.hint.unwrap_or_default())
    }
}

/// Both sites are the servers and databases that they were when the run began, and were pinned to.
pub(super) async fn pins(migration: &Migration) -> anyhow::Result<Value> {
    let source = require_same(&migration.from).await?;
    let target = require_same(&migration.to).await?;
    let (from, to) = (&migration.from, &migration.to);
    if source.system_identifier.is_some()
        && source.system_identifier == target.system_identifier
        && from.database().name() == to.database().name()
    {
        return Err(Refusal::no(format!(
            "{} and {} are one server, or one is a physical copy of the other",
            from.name, to.name
        ))
        .hint("compare them with `hubctl site show`; a move needs two servers, or two names")
        .into());
    }
    // Before the commit point, no other run can have begun this epoch or a later one.
    let run = migration.id.to_string();
    let known = databases(&source).chain(databases(&target));
    let mut markers = known.filter_map(LocatedDatabase::own_marker);
    if let Some(marker) =
        markers.find(|marker| marker.epoch >= migration.epoch && marker.run != run)
    {
        let (site, epoch) = (&marker.site, marker.epoch);
        return Err(Refusal::no(format!("another cutover has begun epoch {epoch} at {site}"))
            .hint("`hubctl status` tells which site is the primary")
            .into());
    }
    Ok(json!({ "source": source.system_identifier, "target": target.system_identifier }))
}

/// Refuses another server than the one that the run began with, and was pinned to.
pub(super) async fn require_same(home: &Home) -> anyhow::Result<Identity> {
    let identity = home.identify().await?;
    let name = &home.name;
    let refused = |was: &str, is: &str| {
        Refusal::no(format!("{name} is server {is}, and was {was}")).hint(
            "the address leads to another server: mend it, and compare with `hubctl site show`",
        )
    };
    let pinned = home.settings.identity.as_ref().map(|pin| pin.system_identifier.as_str());
    let begun = home.begun_as.system_identifier.as_deref();
    for expected in pinned.into_iter().chain(begun) {
        match identity.system_identifier.as_deref() {
            Some(found) if found == expected => {}
            Some(found) => return Err(refused(expected, found).into()),
            None => {
                return Err(Refusal::could_not_ask(format!(
                    "the role of {name} may not read the system identifier of its server"
                ))
                .hint("grant it EXECUTE on pg_control_system()")
                .into());
            }
        }
    }
    Ok(identity)
}

/// The gates of `[cutover]` pass.
pub(super) async fn gates(migration: &Migration) -> anyhow::Result<Value> {
    let names = migration.ops.settings().cutover.gates.clone();
    let order = GatesOrder { names, ..GatesOrder::default() };
    let report = ops::gates(&migration.ops, order).await?;
    let closed: Vec<&str> = report
        .gates
        .iter()
        .filter(|gate| gate.asked && gate.verdict.answer != Answer::Pass)
        .map(|gate| gate.name.as_str())
        .collect();
    if report.answer != Answer::Pass {
        let fact = format!("gate(s) {} do not pass", closed.join(", "));
        return Err(Refusal::no(fact).hint("`hubctl gates` tells why").into());
    }
    let digests = report.gates.iter().map(|gate| (gate.name.clone(), json!(gate.digest)));
    Ok(Value::Object(digests.collect()))
}

/// Nothing is in the way.
pub(super) async fn preflight(migration: &Migration) -> anyhow::Result<Value> {
    let found = obstacles(migration).await?;
    match found.first() {
        None => Ok(Value::Null),
        Some(first) => {
            let others = match found.len() {
                1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            Err(Refusal::no(format!("{}{others}", first.problem)).hint(first.remedy.clone()).into())
        }
    }
}

/// Everything that is in the way of a move. Nothing is changed.
pub(super) async fn obstacles(migration: &Migration) -> anyhow::Result<Vec<CutoverObstacle>> {
    let mut found = Vec::new();
    if let Err(error) = pins(migration).await {
        found.push(CutoverObstacle::of(&error));
        return Ok(found);
    }
    let from = &migration.from;
    if let Some(fence) = from.fence().await? {
        found.push(CutoverObstacle::new(
            format!("{} is frozen already, by fence {}", from.name, fence.id),
            format!("thaw it with `hubctl thaw {} --execute`; the move freezes it", from.name),
        ));
        return Ok(found);
    }
    let fence = pgsnap::plan_fence(from.database(), &FenceOptions::default()).await?;
    let of_fence = fence.obstacles.into_iter();
    found.extend(of_fence.map(|it| CutoverObstacle::new(it.problem, it.remedy)));
    let options = CopyOptions::default();
    let copy = pgsnap::plan_copy(from.database(), &migration.prepared(), &options).await?;
    let mut of_copy = copy.target.obstacles;
    name_flags(&mut of_copy);
    found.extend(of_copy.into_iter().map(|it| CutoverObstacle::new(it.problem, it.remedy)));
    found.extend(unprepared_vault(migration));
    found.extend(misled_clients(migration).await);
    found.extend(unanswered(migration).await);
    Ok(found)
}

/// A vault that cannot take the final backup, or give it back.
fn unprepared_vault(migration: &Migration) -> Vec<CutoverObstacle> {
    let (settings, console) = (migration.ops.settings(), migration.ops.console());
    let service = migration.from.database().name();
    let checked = || -> anyhow::Result<()> {
        store::open_vault(settings, Some(service))?;
        // A plan asks no person for a passphrase.
        if settings.passphrase || settings.passphrase_file.is_some() {
            return Ok(());
        }
        keys::recipients(settings, None)?;
        if migration.mode == CutoverMode::Offline
            && keys::identities(settings, None, console)?.is_empty()
        {
            return Err(Refusal::no("no identity is given that opens the final backup")
                .hint("name one with --identity, or move by --mode delta")
                .into());
        }
        Ok(())
    };
    checked().err().iter().map(CutoverObstacle::of).collect()
}

/// Clients that reach another server than the one that is left. From the second move on, markers
/// tell who the primary is, and clients may be the reason to go back.
async fn misled_clients(migration: &Migration) -> Option<CutoverObstacle> {
    if migration.epoch > 1 {
        return None;
    }
    let table = migration.ops.settings().cutover.probe.as_ref()?;
    let (from, expected) =
        (&migration.from.name, migration.from.begun_as.system_identifier.as_ref()?);
    match probe::answering(table).await {
        Ok(found) if found != *expected => Some(CutoverObstacle::new(
            format!("server {found} answers clients now, and {from} is {expected}"),
            "move from the site that serves clients",
        )),
        _ => None,
    }
}

/// The commands of writers that give no answer.
async fn unanswered(migration: &Migration) -> Vec<CutoverObstacle> {
    let mut found = Vec::new();
    for (end, writer) in super::steps::services_of(migration) {
        if let hook::Answer::Unknown(reason) =
            super::steps::is_stopped(migration, end, &writer).await
        {
            found.push(CutoverObstacle::new(
                format!("it is not known whether {} is stopped: {reason}", writer.name),
                "mend its `stopped` command, which exits with 0 or 1",
            ));
        }
    }
    for (end, writer) in outboxes_of(migration) {
        if let Err(error) = super::steps::pending(migration, end, &writer).await {
            found.push(CutoverObstacle::of(&error));
        }
    }
    found
}

/// The writes that wait in outboxes.
pub(super) async fn outboxes(migration: &Migration) -> anyhow::Result<Value> {
    let mut counts = serde_json::Map::new();
    for (end, writer) in outboxes_of(migration) {
        let pending = super::steps::pending(migration, end, &writer).await?;
        counts.insert(writer.name, pending.into());
    }
    Ok(Value::Object(counts))
}

/// Nothing changed behind the fence: by transaction numbers, or else by all rows.
pub(super) async fn quiet(migration: &Migration) -> anyhow::Result<Value> {
    let (ops, from) = (&migration.ops, &migration.from);
    let Some(fence) = from.fence().await? else {
        return Err(Refusal::no(format!("{} is not frozen", from.name)).into());
    };
    if migration.recorded_fence().is_some_and(|recorded| recorded != fence.id) {
        return Err(Refusal::no(format!("another fence stands around {}", from.name)).into());
    }
    let Some(since) = from.files.reading(&fence.id)? else {
        return Err(Refusal::no("no reading was taken behind the fence").into());
    };
    let fenced = from.database().with_name(fence.fenced_name());
    let progress = ops.progress(phases::CENSUS);
    let mut options = QuietOptions::default();
    let mut proof = pgsnap::prove_quiet(&fenced, &since, &options, &progress).await?;
    if !proof.is_quiet() {
        ops.say("other databases of the source's server are in use: comparing every row");
        let known = migration.updated.lock().await.as_ref().map(|updated| updated.census.clone());
        options.expected = Some(match known {
            Some(census) => census,
            None => {
                let prepared = migration.prepared();
                pgsnap::census(&prepared, &CensusOptions::default(), &progress).await?
            }
        });
        proof = pgsnap::prove_quiet(&fenced, &since, &options, &progress).await?;
    }
    if !proof.is_quiet() {
        return Err(Refusal::no(format!("{} may have changed since it was frozen", from.name))
            .hint(format!("`hubctl quiet {}` tells which part is not proven", from.name))
            .into());
    }
    Ok(json!({
        "renamed": proof.renamed.to_string(),
        "empty": proof.empty.to_string(),
        "xid": proof.xid.to_string(),
        "census": proof.census.map(|finding| finding.to_string()),
        "sequences": proof.sequences.to_string(),
    }))
}
