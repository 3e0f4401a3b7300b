//! The sites of a move, and the address of its clients.

use pgsnap::MarkerRole;

use super::{StatusRole, StatusRun, StatusSite};
use crate::failure::{Failure, Refusal};
use crate::ops::Fence;
use crate::ops::site::Live;
use crate::probe;
use crate::settings::Settings;

/// The sites of `[cutover]` and of the newest cutover; all sites where neither names any.
pub(super) fn names(
    settings: &Settings,
    newest: Option<&StatusRun>,
) -> anyhow::Result<Vec<String>> {
    let cutover = &settings.cutover;
    let of_run = newest.into_iter().flat_map(|run| [&run.from, &run.to]);
    let mut names: Vec<String> =
        cutover.from.iter().chain(&cutover.to).chain(of_run).cloned().collect();
    if names.is_empty() {
        names.extend(settings.sites.keys().cloned());
    }
    if names.is_empty() {
        let hint = "add [sites.NAME] and [cutover] to hubctl.toml";
        return Err(Refusal::usage("no site is configured").hint(hint).into());
    }
    let mut seen = Vec::new();
    names.retain(|name| {
        let is_new = !seen.contains(name);
        seen.push(name.clone());
        is_new
    });
    Ok(names)
}

/// Asks one site.
pub(super) async fn ask(settings: &Settings, site: String) -> StatusSite {
    match Live::ask(settings, &site).await {
        Ok(live) => described(site, &live),
        Err(error) => StatusSite {
            site,
            role: None,
            epoch: None,
            fence: None,
            system_identifier: None,
            kept: Vec::new(),
            error: Some(Failure::of(&error).sentence()),
        },
    }
}

fn described(site: String, live: &Live) -> StatusSite {
    let located = live.located();
    let marker = located.and_then(|located| located.own_marker());
    let role = match (located, marker.map(|marker| marker.role)) {
        (None, _) => StatusRole::Absent,
        (_, Some(MarkerRole::Primary)) => StatusRole::Primary,
        (_, Some(MarkerRole::Retired)) => StatusRole::Retired,
        (Some(_), _) => StatusRole::Unmarked,
    };
    StatusSite {
        site,
        role: Some(role),
        epoch: marker.map(|marker| marker.epoch),
        fence: live.fence.as_ref().map(Fence::of),
        system_identifier: live.identity.system_identifier.clone(),
        kept: live.kept(),
        error: None,
    }
}

/// The system identifier of the server behind the clients' address, or the reason why it could not
/// be asked; `None` without `[cutover] probe`.
pub(super) async fn answering(settings: &Settings) -> Option<Result<String, String>> {
    let probe = settings.cutover.probe.as_ref()?;
    let answer = probe::answering(probe).await;
    Some(answer.map_err(|error| Failure::of(&error).sentence()))
}
