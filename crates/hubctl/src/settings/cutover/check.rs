//! The mistakes in the tables of a move that no type can refuse.

use std::collections::BTreeSet;

use serde_json::Value;
use url::Url;

use super::{CutoverTable, ProbeTable, RedirectTable, WriteProbeTable, WriterTable};
use crate::failure::Refusal;
use crate::human;
use crate::probe::PLACE;
use crate::settings::file::{ConfigFile, SiteTable};

/// Every mistake in `[cutover]`, and in what sites say of a move.
pub(in crate::settings) fn problems(file: &ConfigFile) -> Vec<Refusal> {
    let of_sites = file.sites.iter().flat_map(|(name, site)| of_site(name, site));
    of_sites.chain(of_cutover(&file.cutover, file)).collect()
}

fn of_site(name: &str, site: &SiteTable) -> Vec<Refusal> {
    let place = format!("[sites.{name}]");
    let mut problems: Vec<Refusal> = Vec::new();
    problems.extend(site.api.as_ref().and_then(|api| of_url(api, &format!("api of {place}"))));
    let mut names = BTreeSet::new();
    for writer in &site.writers {
        problems.extend(of_writer(writer, &place).err());
        if !names.insert(&writer.name) {
            problems.push(Refusal::usage(format!(
                "two writers of {place} are named `{}`",
                writer.name
            )));
        }
    }
    for (index, redirect) in site.redirect.iter().enumerate() {
        problems.extend(of_redirect(redirect, &place).err());
        if site.redirect[..index].iter().any(|other| contradicts(redirect, other)) {
            problems.push(Refusal::usage(format!(
                "two redirects of {place} set the same key of a file"
            )));
        }
    }
    problems
}

/// Refuses a writer without commands, and one with a part of a group of commands.
fn of_writer(writer: &WriterTable, place: &str) -> Result<(), Refusal> {
    let WriterTable { stop, start, stopped, pending, replay, .. } = writer;
    let service = [stop, start, stopped].map(Option::is_some);
    let outbox = [pending, replay].map(Option::is_some);
    let is_part = |group: &[bool]| group.contains(&true) && group.contains(&false);
    let refused =
        |fact: &str| Err(Refusal::usage(format!("writer `{}` of {place} {fact}", writer.name)));
    if writer.name.trim().is_empty() {
        return Err(Refusal::usage(format!("a writer of {place} has no name")));
    }
    if is_part(&service) {
        return refused("needs all of stop, start and stopped");
    }
    if is_part(&outbox) {
        return refused("needs both pending and replay");
    }
    if !service[0] && !outbox[0] {
        return refused("has no commands").map_err(|refusal| {
            refusal.hint("give stop, start and stopped, or pending and replay")
        });
    }
    if writer.within.is_zero() {
        return refused("gives its commands no time");
    }
    Ok(())
}

/// Refuses a redirect that is neither a line of a file nor a command with its check.
fn of_redirect(redirect: &RedirectTable, place: &str) -> Result<(), Refusal> {
    let refused = |fact: &str| Err(Refusal::usage(format!("a redirect of {place} {fact}")));
    let RedirectTable { file, set, command, check, within } = redirect;
    match (file, set, command, check) {
        (Some(_), Some(_), None, None) | (None, None, Some(_), Some(_)) if !within.is_zero() => {
            Ok(())
        }
        (Some(_), Some(_), None, None) | (None, None, Some(_), Some(_)) => {
            refused("gives its commands no time")
        }
        _ => refused("is neither file and set nor command and check"),
    }
}

fn contradicts(one: &RedirectTable, other: &RedirectTable) -> bool {
    let key = |redirect: &RedirectTable| {
        let set = redirect.set.as_ref()?;
        Some((redirect.file.clone()?, set.key().to_owned()))
    };
    key(one).is_some_and(|one| key(other).is_some_and(|other| one == other))
}

fn of_cutover(cutover: &CutoverTable, file: &ConfigFile) -> Vec<Refusal> {
    let mut problems = Vec::new();
    for (key, name) in [("from", &cutover.from), ("to", &cutover.to)] {
        if let Some(name) = name.as_ref().filter(|name| !file.sites.contains_key(*name)) {
            let fact = format!("[cutover] {key} names no site: `{name}`");
            let names = file.sites.keys().map(String::as_str);
            problems.push(Refusal::usage(fact).hint(known(names, "sites", name)));
        }
    }
    if let (Some(from), Some(to)) = (&cutover.from, &cutover.to)
        && from == to
    {
        problems.push(Refusal::usage(format!("[cutover] from and to are the same site: `{from}`")));
    }
    for name in cutover.gates.iter().filter(|name| !file.gates.contains_key(*name)) {
        let fact = format!("[cutover] gates names no gate: `{name}`");
        let names = file.gates.keys().map(String::as_str);
        problems.push(Refusal::usage(fact).hint(known(names, "gates", name)));
    }
    if cutover.freeze_budget.is_zero() {
        problems.push(Refusal::usage("[cutover] freeze_budget leaves no time"));
    }
    if cutover.freeze_budget.subsec_nanos() != 0 {
        problems.push(Refusal::usage("[cutover] freeze_budget is not a number of whole seconds"));
    }
    problems.extend(cutover.probe.as_ref().into_iter().flat_map(of_probe));
    problems.extend(cutover.write_probe.as_ref().into_iter().flat_map(of_write_probe));
    problems
}

fn known<'a>(names: impl Iterator<Item = &'a str>, kind: &str, name: &str) -> String {
    match human::quoted(names) {
        known if known.is_empty() => format!("add its table: [{kind}.{name}]"),
        known => format!("the configured {kind} are {known}"),
    }
}

fn of_probe(probe: &ProbeTable) -> Vec<Refusal> {
    let url = of_url(&probe.http, "http of [cutover] probe");
    let json = probe.json.is_empty().then(|| Refusal::usage("[cutover] probe names no member"));
    url.into_iter().chain(json).collect()
}

fn of_write_probe(probe: &WriteProbeTable) -> Vec<Refusal> {
    let mut problems: Vec<Refusal> =
        of_url(&probe.post, "post of [cutover] write_probe").into_iter().collect();
    for (key, text) in [("body", &probe.body), ("sql", &probe.sql)] {
        if !text.contains(PLACE) {
            let fact = format!("{key} of [cutover] write_probe has no {PLACE}");
            problems.push(Refusal::usage(fact).hint("the row is found by the word in its place"));
        }
    }
    if serde_json::from_str::<Value>(&probe.body.replace(PLACE, "0")).is_err() {
        problems.push(Refusal::usage("body of [cutover] write_probe is not JSON"));
    }
    problems
}

/// The URL is not repeated: it may hold a secret.
fn of_url(url: &str, place: &str) -> Option<Refusal> {
    let refused = |fact: &str| Some(Refusal::usage(format!("{place} {fact}")));
    let Ok(url) = Url::parse(url) else {
        return refused("is not a URL")
            .map(|refusal| refusal.hint("write it as in \"http://127.0.0.1:8000/state\""));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refused("holds a user or a password");
    }
    match url.scheme() {
        "http" | "https" if url.has_host() => None,
        _ => refused("must begin with http:// or https://"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        let file: ConfigFile = toml::from_str(text).unwrap();
        problems(&file).iter().map(ToString::to_string).collect()
    }

    fn of_home(text: &str) -> Vec<String> {
        said(&format!("[sites.home]\ndatabase = 'd'\n{text}"))
    }

    #[test]
    fn half_of_a_group_of_commands_is_refused() {
        let writer = |text: &str| of_home(&format!("[[sites.home.writers]]\nname = 'api'\n{text}"));
        let none: [&str; 0] = [];
        assert_eq!(writer("stop = ['a']\nstart = ['b']\nstopped = ['c']"), none);
        assert_eq!(writer("pending = ['a']\nreplay = ['b']"), none);
        for (text, fact) in [
            ("", "has no commands"),
            ("stop = ['a']", "needs all of stop, start and stopped"),
            ("pending = ['a']", "needs both pending and replay"),
            ("pending = ['a']\nreplay = ['b']\nwithin = '0s'", "gives its commands no time"),
        ] {
            assert_eq!(writer(text), [format!("writer `api` of [sites.home] {fact}")], "{text}");
        }
        assert!(toml::from_str::<WriterTable>("name = 'api'\nstop = []").is_err());
    }

    #[test]
    fn a_redirect_is_a_line_or_a_command() {
        let redirect = |text: &str| of_home(&format!("[[sites.home.redirect]]\n{text}"));
        let none: [&str; 0] = [];
        assert_eq!(redirect("file = '/etc/hub.env'\nset = 'API=http://h'"), none);
        assert_eq!(redirect("command = ['a']\ncheck = ['b']"), none);
        for text in ["", "file = '/e'\ncommand = ['a']", "file = '/e'", "command = ['a']"] {
            let fact = "a redirect of [sites.home] is neither file and set nor command and check";
            assert_eq!(redirect(text), [fact], "{text}");
        }
        let twice = "[[sites.home.redirect]]\nfile = '/e'\nset = 'A=1'\n";
        assert_eq!(of_home(&format!("{twice}{}", twice.replace("A=", "B="))), none);
        assert_eq!(
            of_home(&format!("{twice}{}", twice.replace('1', "2"))),
            ["two redirects of [sites.home] set the same key of a file"]
        );
    }

    #[test]
    fn every_mistake_of_a_move_is_named_and_no_secret() {
        let text = "
            [sites.home]
            database = 'd'
            api = 'https://hub:hunter2@h'
            writers = [
                { name = 'a', pending = ['x'], replay = ['x'] },
                { name = 'a', pending = ['x'], replay = ['x'] },
            ]
            [cutover]
            from = 'nas'
            to = 'nas'
            gates = ['nodes']
            freeze_budget = '0s'
            probe = { http = 'hunter2', json = '' }
            write_probe = { post = 'ftp://h/x', body = '{', sql = 'SELECT 1' }
        ";
        insta::assert_snapshot!(said(text).join("\n"), @r"
        api of [sites.home] holds a user or a password
        two writers of [sites.home] are named `a`
        [cutover] from names no site: `nas`
        [cutover] to names no site: `nas`
        [cutover] from and to are the same site: `nas`
        [cutover] gates names no gate: `nodes`
        [cutover] freeze_budget leaves no time
        http of [cutover] probe is not a URL
        [cutover] probe names no member
        post of [cutover] write_probe must begin with http:// or https://
        body of [cutover] write_probe has no {nonce}
        sql of [cutover] write_probe has no {nonce}
        body of [cutover] write_probe is not JSON
        ");
    }
}
