//! The answer that the journal, the databases and the clients give together. Nothing is asked here.

use super::moves::Moves;
use super::{StatusPhase, StatusRole, StatusRun, StatusSite};
use crate::human;
use crate::settings::Settings;

/// Who is the primary, and who disagrees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) primary: Option<String>,
    pub(super) by_databases: Option<String>,
    pub(super) by_clients: Option<String>,
    pub(super) problems: Vec<String>,
    pub(super) unasked: Vec<String>,
}

impl Judgement {
    /// `clients` is the system identifier that answered, `from` the site that `[cutover]` leaves.
    pub(super) fn of(
        moves: &Moves,
        sites: &[StatusSite],
        clients: Option<&Result<String, String>>,
        from: Option<&str>,
    ) -> Self {
        let mut judged = Self::default();
        judged.databases(sites, from);
        judged.journal(moves);
        judged.fences(moves, sites);
        if let Some(clients) = clients {
            judged.clients(clients, sites);
        }
        judged
    }

    pub(super) fn agreed(&self) -> Option<bool> {
        match (self.problems.is_empty(), self.unasked.is_empty()) {
            (false, _) => Some(false),
            (true, true) => Some(true),
            (true, false) => None,
        }
    }

    fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    fn databases(&mut self, sites: &[StatusSite], from: Option<&str>) {
        for site in sites {
            if let Some(error) = &site.error {
                self.unasked.push(format!("{}: {error}", site.site));
            }
        }
        let with = |role| sites.iter().filter(move |site| site.role == Some(role));
        let latest = with(StatusRole::Primary).filter_map(|site| site.epoch).max();
        // Between the commit point and its mark, the old primary is only frozen.
        let is_succeeded = |site: &&StatusSite| site.fence.is_some() && site.epoch < latest;
        let primaries: Vec<&StatusSite> =
            with(StatusRole::Primary).filter(|site| !is_succeeded(site)).collect();
        let retired = with(StatusRole::Retired).next().is_some();
        match primaries[..] {
            [primary] => self.by_databases = Some(primary.site.clone()),
            [] if !retired => self.by_databases = unmarked(sites, from),
            [] if self.unasked.is_empty() => {
                self.problem("no site is the primary: the service left each of them");
            }
            [] => {}
            _ => {
                let names = primaries.iter().map(|site| {
                    format!("{} (epoch {})", site.site, site.epoch.unwrap_or_default())
                });
                let names = names.collect::<Vec<_>>().join(" and ");
                self.problem(format!("two primaries: {names}"));
            }
        }
        self.primary.clone_from(&self.by_databases);
    }

    fn journal(&mut self, moves: &Moves) {
        if let (Some(journal), Some(databases)) = (&moves.primary, &self.by_databases)
            && journal != databases
        {
            let problem = format!(
                "the journal says {journal} is the primary, and the databases say {databases}"
            );
            self.problem(problem);
        }
        if let Some(run) = moves.newest.as_ref().filter(|run| run.overdue) {
            let until = run.frozen_until.as_deref().map_or_else(String::new, human::time);
            self.problem(format!(
                "cutover {} is overdue: clients were to be back by {until}",
                run.id
            ));
        }
    }

    /// A primary behind a fence is normal during a move only. A former one stays behind its own.
    fn fences(&mut self, moves: &Moves, sites: &[StatusSite]) {
        let is_open =
            |site: &&StatusSite| site.role == Some(StatusRole::Retired) && site.fence.is_none();
        for StatusSite { site, epoch, .. } in sites.iter().filter(is_open) {
            let epoch = epoch.unwrap_or_default();
            self.problem(format!(
                "{site} is retired with epoch {epoch} and not frozen: clients can still write there"
            ));
        }
        let is_left_open = |site: &&StatusSite| {
            Some(&site.site) == moves.left.as_ref()
                && site.fence.is_none()
                && matches!(site.role, Some(StatusRole::Unmarked | StatusRole::Primary))
                && self.primary.as_ref() != Some(&site.site)
        };
        if let Some(StatusSite { site, .. }) = sites.iter().find(is_left_open) {
            self.problem(format!(
                "the service left {site}, which is not frozen: clients can still write there"
            ));
        }
        let is_moving = moves.newest.as_ref().is_some_and(|run| !run.phase.is_ended());
        let primary = sites.iter().find(|site| self.primary.as_ref() == Some(&site.site));
        if let Some(StatusSite { site, fence: Some(fence), .. }) = primary
            && !is_moving
        {
            let since = human::time(&fence.planned_at);
            self.problem(format!(
                "{site} is the primary and frozen since {since}, and no cutover is under way"
            ));
        }
    }

    fn clients(&mut self, answer: &Result<String, String>, sites: &[StatusSite]) {
        let system = match answer {
            Ok(system) => system,
            Err(error) => return self.unasked.push(format!("clients' address: {error}")),
        };
        let behind = sites.iter().filter(|site| site.system_identifier.as_ref() == Some(system));
        let behind: Vec<&str> = behind.map(|site| site.site.as_str()).collect();
        // Several sites may be databases of one server.
        let primary = self.primary.as_deref().filter(|primary| behind.contains(primary));
        self.by_clients = primary.or(behind.first().copied()).map(str::to_owned);
        match (&self.by_clients, &self.primary) {
            (None, _) if self.unasked.is_empty() => {
                self.problem(format!("clients reach system {system}, which is none of the sites"));
            }
            (Some(reached), Some(primary)) if reached != primary => {
                let problem = format!("clients reach {reached}, and {primary} is the primary");
                self.problem(problem);
            }
            _ => {}
        }
    }
}

/// The primary before any cutover: the only site with a database that is not frozen, or that of
/// `[cutover]`; if all are frozen, the only one.
fn unmarked(sites: &[StatusSite], from: Option<&str>) -> Option<String> {
    // Another site may be the one.
    if sites.iter().any(|site| site.error.is_some()) {
        return None;
    }
    let of = |frozen: bool| {
        let unmarked = sites.iter().filter(|site| site.role == Some(StatusRole::Unmarked));
        unmarked
            .filter(|site| site.fence.is_some() == frozen)
            .map(|site| site.site.as_str())
            .collect::<Vec<_>>()
    };
    let (open, frozen) = (of(false), of(true));
    let chosen = match (&open[..], &frozen[..]) {
        ([only], []) => Some(*only),
        ([], [only]) => Some(*only),
        // A rehearsal leaves a copy that is open.
        _ => from.filter(|from| open.contains(from) || frozen.contains(from)),
    };
    chosen.map(str::to_owned)
}

/// The effects of the next commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) cutover: String,
    pub(super) rollback: String,
}

impl Next {
    pub(super) fn of(
        newest: Option<&StatusRun>,
        primary: Option<&str>,
        settings: &Settings,
    ) -> Self {
        let (from, to) = (settings.cutover.from.as_deref(), settings.cutover.to.as_deref());
        match newest {
            Some(run) if !run.phase.is_ended() => Self::of_unfinished(run),
            newest => Self {
                cutover: new_cutover(primary, from, to),
                rollback: match newest.filter(|run| run.committed) {
                    Some(StatusRun { from, to, .. }) => {
                        format!("moves the service back from {to} to {from}")
                    }
                    None => "has nothing to roll back".to_owned(),
                },
            },
        }
    }

    fn of_unfinished(run: &StatusRun) -> Self {
        let StatusRun { id, from, to, .. } = run;
        let (cutover, rollback) = match run.phase {
            StatusPhase::Forward if run.overdue => {
                (format!("undoes {id}, whose time is over"), format!("undoes {id}"))
            }
            StatusPhase::Forward => (format!("goes on with {id}"), format!("undoes {id}")),
            StatusPhase::Committing => (
                format!("asks {to} whether {id} has passed its commit point, and goes on"),
                format!(
                    "asks {to} whether {id} has passed its commit point, and undoes it or moves back"
                ),
            ),
            StatusPhase::Back => (format!("goes on undoing {id}"), format!("goes on undoing {id}")),
            _ => (
                format!("finishes {id}"),
                format!("ends {id}, and moves the service back from {to} to {from}"),
            ),
        };
        Self { cutover, rollback }
    }
}

fn new_cutover(primary: Option<&str>, from: Option<&str>, to: Option<&str>) -> String {
    match (from, to) {
        (Some(from), Some(to)) if primary == Some(to) => {
            format!("is refused: {to} is the primary, and [cutover] moves from {from} to it")
        }
        (Some(from), Some(to)) => format!("moves the service from {from} to {to}"),
        _ => "needs [cutover] from and to".to_owned(),
    }
}

#[cfg(test)]
mod tests;
