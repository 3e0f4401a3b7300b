//! The things that gates rest on: the sites, clusters, tunnels, vaults and files behind the names
//! in them. An approval also covers these.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gates::condition::Program;
use gates::{Condition, Gate, Gates, Hash, Read, Rule};
use serde_json::{Value, json};
use tunnel::Endpoint;

use crate::settings::{ProgramQuestion, Settings};
use crate::{site, targets};

/// No script is longer, and nothing longer is read.
const LONGEST: u64 = 64 << 20;

/// The gates; these and their parts with what they rest on.
pub(super) fn resolved(settings: &Settings, gates: &Gates, names: &[&str]) -> Gates {
    let asked: Vec<&Gate> =
        gates.with_parts(names).into_iter().filter_map(|name| gates.get(name)).collect();
    gates.resting_on(|gate| {
        let mut found = BTreeMap::new();
        if let (true, Rule::Condition(condition)) = (asked.contains(&gate), &gate.rule) {
            for read in condition.reads() {
                add(settings, &read, &mut found);
            }
            if let Condition::Program(program) = condition {
                answer(settings, program, &mut found);
            }
        }
        found
    })
}

fn add(settings: &Settings, read: &Read, found: &mut BTreeMap<String, Value>) {
    if let Some(name) = read.cluster() {
        let access = settings.clusters.get(name).map(|access| &access.value);
        let said = access.map(|access| {
            json!({
                "kubeconfig": access.kubeconfig,
                "context": access.context,
                "uid": access.uid,
                "leads_to": access.leads_to(),
            })
        });
        found.insert(format!("cluster {name}"), json!(said));
    }
    match read {
        Read::Script { run, directory, .. } => {
            let directory = Path::new(directory.as_deref().unwrap_or("."));
            for word in run {
                let path = directory.join(word);
                // A program that is looked for in PATH belongs to the machine.
                if word == &run[0] && !word.contains('/') {
                    continue;
                }
                if path.is_file() {
                    found.insert(format!("file {}", path.display()), json!(hash(&path)));
                }
            }
        }
        Read::Journal { .. } => {
            found.insert("journal".to_owned(), json!(settings.journal.value));
        }
        _ => {}
    }
}

/// Adds the things that an answer of hubctl itself rests on.
fn answer(settings: &Settings, program: &Program, found: &mut BTreeMap<String, Value>) {
    match ProgramQuestion::of(&program.question, &program.about) {
        Ok(ProgramQuestion::CensusEqual(asked)) => {
            side(settings, &asked.a, found);
            side(settings, &asked.b, found);
        }
        Ok(ProgramQuestion::TunnelUp(asked)) => tunnel(settings, &asked.tunnel, found),
        Ok(ProgramQuestion::BackupFresh(_)) => {
            vault(settings, found);
            found.insert("freshness".to_owned(), json!(settings.freshness.value));
        }
        // It is refused when it is asked.
        Err(_) => {}
    }
}

/// A site or a database and the tunnels to it; else a backup, and the target that it is at.
fn side(settings: &Settings, word: &str, found: &mut BTreeMap<String, Value>) {
    let site = settings.sites.get(word).map(|site| &site.database.value);
    // The configuration refuses passwords in both.
    let url = match site {
        Some(url) => url.as_str(),
        None if site::is_url(word) => word,
        None => {
            vault(settings, found);
            if let Some((name, _)) = targets::split(settings, word) {
                target(settings, name, found);
            }
            return;
        }
    };
    let leads_to = site::leads_to(url);
    let shown = match &leads_to {
        Ok(parameters) => json!(parameters),
        Err(error) => json!(format!("not found: {error}")),
    };
    let authority = leads_to.as_ref().ok().and_then(|p| p.get("sslrootcert"));
    let authority = authority.map(Path::new).filter(|file| file.is_file());
    let said = json!({
        "database": url,
        "leads_to": shown,
        "authority_sha256": authority.map(hash),
    });
    found.insert(format!("site {word}"), said);
    let Ok(parameters) = leads_to else { return };
    for (name, configured) in &settings.tunnels {
        let mut forwards = configured.value.forwards.iter();
        if forwards.any(|forward| is_entered(&forward.local, &parameters)) {
            tunnel(settings, name, found);
        }
    }
}

/// Returns true if a connection with these parameters enters the end of a forward. Hosts have many
/// names, and ports one.
fn is_entered(local: &Endpoint, parameters: &BTreeMap<&'static str, String>) -> bool {
    let values = |keyword: &str| parameters.get(keyword).into_iter().flat_map(|p| p.split(','));
    let mut ports = values("port").filter_map(|port| port.trim().parse::<u16>().ok());
    match local {
        Endpoint::Tcp { port, .. } => ports.any(|asked| asked == *port),
        Endpoint::Unix { path, .. } => ports.any(|port| {
            let socket = format!(".s.PGSQL.{port}");
            values("host").any(|host| Path::new(host).join(&socket) == *path)
        }),
        // Rather too much is covered than too little.
        _ => true,
    }
}

/// A tunnel, and what `ssh` is told to read about it.
fn tunnel(settings: &Settings, name: &str, found: &mut BTreeMap<String, Value>) {
    let tunnel = settings.tunnels.get(name).map(|tunnel| &tunnel.value);
    let mut said = json!(tunnel);
    // The path of a probe may hold a token.
    without_secrets(&mut said);
    found.insert(format!("tunnel {name}"), said);
    let files = tunnel.map(|tunnel| [&tunnel.ssh_config, &tunnel.known_hosts]);
    for file in files.into_iter().flatten().flatten() {
        found.insert(format!("file {}", file.display()), json!(hash(file)));
    }
}

/// A place for copies of backups.
fn target(settings: &Settings, name: &str, found: &mut BTreeMap<String, Value>) {
    let Some(target) = settings.targets.get(name) else {
        return;
    };
    found.insert(format!("target {name}"), target.identity());
    if let Some(file) = target.deciding_file() {
        found.insert(format!("file {}", file.display()), json!(hash(file)));
    }
}

fn without_secrets(value: &mut Value) {
    match value {
        Value::String(text) => *text = gates::shown_url(text),
        Value::Array(items) => items.iter_mut().for_each(without_secrets),
        Value::Object(members) => members.values_mut().for_each(without_secrets),
        _ => {}
    }
}

/// The directory of the backups, and the signatures that they need.
fn vault(settings: &Settings, found: &mut BTreeMap<String, Value>) {
    let vault = settings.vault.as_ref().map(|vault| &vault.value);
    let service = settings.service.as_ref().map(|service| &service.value);
    let signers: Option<&PathBuf> = settings.allowed_signers.as_ref().map(|file| &file.value);
    let signers = signers.map(|path| json!({ "file": path, "sha256": hash(path) }));
    let said = json!({ "directory": vault, "service": service, "allowed_signers": signers });
    found.insert("vault".to_owned(), said);
}

/// The SHA-256 of a file's bytes, or why there is none.
fn hash(path: &Path) -> String {
    match regularfile::read(path, LONGEST) {
        Ok(bytes) => Hash::of(&bytes).to_string(),
        Err(error) => format!("not read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Overrides;

    const CANARY: &str = "canary-5d1c";

    /// The things that all gates of a configuration in this directory rest on, as text.
    fn plan(directory: &Path, tables: &str) -> String {
        let path = directory.join("hubctl.toml");
        regularfile::replace(&path, format!("[vault]\npath = \"vault\"\n{tables}")).unwrap();
        let settings = Settings::load(Some(&path), Overrides::default()).unwrap();
        let names: Vec<&str> = settings.gates.iter().map(|(name, _)| name).collect();
        let gates: BTreeMap<String, Gate> = resolved(&settings, &settings.gates, &names)
            .iter()
            .map(|(name, gate)| (name.to_owned(), gate.clone()))
            .collect();
        let plan = serde_json::to_string_pretty(&gates).unwrap();
        assert!(!plan.contains(CANARY), "{plan}");
        plan
    }

    /// Checks that each change makes another plan.
    fn assert_covered(tables: &str, changes: &[(&str, &str)]) {
        let directory = tempfile::tempdir().unwrap();
        let first = plan(directory.path(), tables);
        for (from, to) in changes {
            assert!(tables.contains(from), "{from} is not in {tables}");
            let changed = plan(directory.path(), &tables.replacen(from, to, 1));
            assert_ne!(first, changed, "{from} -> {to}");
        }
        assert_eq!(first, plan(directory.path(), tables));
    }

    #[test]
    fn a_plan_covers_where_clusters_lead() {
        let directory = tempfile::tempdir().unwrap();
        let tables = "[clusters.home]\nkubeconfig = \"kubeconfig\"\ncontext = \"home\"\nuid = \"4c21\"\n\
            [gates.a]\ncluster = \"home\"\ncondition = \"nodes\"\nready = 3\n";
        let mut plans = Vec::new();
        for (server, authority, user, token) in [
            ("https://a:6443", "eA==", "u", "1"),
            ("https://a:6443", "eA==", "u", "2"),
            ("https://b:6443", "eA==", "u", "1"),
            ("https://a:6443", "eQ==", "u", "1"),
            ("https://a:6443", "eA==", "v", "1"),
        ] {
            let kubeconfig = json!({
                "clusters": [{ "name": "c", "cluster": { "server": server, "certificate-authority-data": authority } }],
                "users": [
                    { "name": "u", "user": { "token": format!("{CANARY}-{token}") } },
                    { "name": "v", "user": { "token": CANARY } },
                ],
                "contexts": [{ "name": "home", "context": { "cluster": "c", "user": user } }],
            });
            let path = directory.path().join("kubeconfig");
            regularfile::replace(&path, kubeconfig.to_string()).unwrap();
            plans.push(plan(directory.path(), tables));
        }
        assert!(plans[0].contains("https://a:6443"), "{}", plans[0]);
        assert_eq!(plans[0], plans[1], "a token may be replaced");
        for another in &plans[2..] {
            assert_ne!(plans[0], *another);
        }
    }

    #[test]
    fn a_plan_covers_what_sites_and_targets_stand_for() {
        assert_covered(
            "[targets.cloud]\nwebdav = \"https://c.example/dav\"\nuser = \"u\"\npassword_file = \"p\"\n\
             [targets.other]\nfolder = \"/mnt/other\"\n\
             [sites.b]\ndatabase = \"postgresql://hub@h/d\"\n\
             [gates.moved]\ncondition = \"census-equal\"\na = \"cloud:latest\"\nb = \"b\"\n",
            &[
                ("c.example", "d.example"),
                ("user = \"u\"", "user = \"v\""),
                ("hub@h/d", "hub@h/e"),
                ("hub@h/d", "hub@h2/d"),
            ],
        );
        let directory = tempfile::tempdir().unwrap();
        let tables = "[targets.cloud]\ns3 = \"https://s3.example\"\nbucket = \"b\"\naccess_key = \"a\"\nsecret_key_file = \"s\"\nca_file = \"ca\"\n\
             [gates.moved]\ncondition = \"census-equal\"\na = \"cloud:latest\"\nb = \"latest\"\n";
        regularfile::replace(directory.path().join("ca"), "one").unwrap();
        let one = plan(directory.path(), tables);
        regularfile::replace(directory.path().join("ca"), "two").unwrap();
        assert_ne!(one, plan(directory.path(), tables));
    }

    #[test]
    fn a_plan_covers_the_ages_and_not_where_metrics_are_kept() {
        let tables = "[freshness]\nmax_age = \"26h\"\nmetrics = \"a.prom\"\n[gates.fresh]\ncondition = \"backup-fresh\"\n";
        assert_covered(tables, &[("26h", "27h")]);
        let directory = tempfile::tempdir().unwrap();
        let plan = |tables: &str| plan(directory.path(), tables);
        let first = plan(tables);
        assert!(first.contains("\"max_age\": \"1day 2h\""), "{first}");
        assert_eq!(first, plan(&tables.replace("a.prom", "b.prom")));
    }

    #[test]
    fn a_tunnel_belongs_to_a_site_by_its_port_and_not_by_digits() {
        let tables = |port: &str, local: &str| {
            format!(
                "[tunnels.hub]\ndestination = \"hub\"\n\
                 [[tunnels.hub.forwards]]\nlocal = \"{local}\"\ntarget = \"127.0.0.1:5432\"\n\
                 probe = {{ http = \"/health?token=canary-5d1c\" }}\n\
                 [sites.b]\ndatabase = \"postgresql://hub@127.0.0.1{port}/d15432\"\n\
                 [gates.moved]\ncondition = \"census-equal\"\na = \"b\"\nb = \"latest\"\n"
            )
        };
        let directory = tempfile::tempdir().unwrap();
        for (port, local, is_covered) in [
            (":15432", "127.0.0.1:15432", true),
            (":15432", "127.0.0.1:5432", false),
            ("", "127.0.0.1:5432", true),
            (":543", "127.0.0.1:15432", false),
            (":5433", "127.0.0.1:15432", false),
        ] {
            let plan = plan(directory.path(), &tables(port, local));
            assert_eq!(plan.contains("tunnel hub"), is_covered, "{port} {local}: {plan}");
        }
        let socket = tables(":5433", "/run/hub/.s.PGSQL.5433")
            .replace("hub@127.0.0.1:5433/d15432", "/d?host=/run/hub&port=5433&user=hub");
        assert!(plan(directory.path(), &socket).contains("tunnel hub"));
    }
}
