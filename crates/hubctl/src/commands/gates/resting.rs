//! What gates rest on: the sites, clusters, tunnels, vaults and files behind the names in them. An approval covers these too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gates::{Gate, Gates, Hash, Read, Rule};
use serde_json::{Value, json};

use crate::settings::{Own, Settings};

/// No script is longer, and nothing longer is read.
const LONGEST: u64 = 64 << 20;

/// The gates of the configuration; these and their parts with what they rest on.
pub(super) fn resolved(settings: &Settings, names: &[&str]) -> Gates {
    let gates = &settings.gates;
    let asked: Vec<&Gate> = gates
        .with_parts(names)
        .into_iter()
        .filter_map(|name| gates.get(name))
        .collect();
    gates.resting_on(|gate| {
        let mut found = BTreeMap::new();
        if let (true, Rule::Condition(condition)) = (asked.contains(&gate), &gate.rule) {
            for read in condition.reads() {
                add(settings, &read, &mut found);
            }
        }
        found
    })
}

fn add(settings: &Settings, read: &Read, found: &mut BTreeMap<String, Value>) {
    if let Some(name) = read.cluster() {
        let access = settings.clusters.get(name).map(|access| &access.value);
        let said = access.map(|access| {
            json!({ "kubeconfig": access.kubeconfig, "context": access.context, "uid": access.uid })
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
        Read::Program { question, about } => {
            let about: Value = serde_json::from_str(about).unwrap_or_default();
            match Own::of(question, &about) {
                Some(Own::CensusEqual(asked)) => {
                    side(settings, &asked.a, found);
                    side(settings, &asked.b, found);
                }
                Some(Own::TunnelUp(asked)) => {
                    let tunnel = settings.tunnels.get(&asked.tunnel);
                    let said = tunnel.map(|tunnel| &tunnel.value);
                    found.insert(format!("tunnel {}", asked.tunnel), json!(said));
                }
                Some(Own::BackupFresh(_)) => {
                    vault(settings, found);
                    let freshness = format!("{:?}", settings.freshness.value);
                    found.insert("freshness".to_owned(), json!(freshness));
                }
                None => {}
            }
        }
        _ => {}
    }
}

/// A site and the tunnels to it; else a backup.
fn side(settings: &Settings, word: &str, found: &mut BTreeMap<String, Value>) {
    let Some(site) = settings.sites.get(word) else {
        vault(settings, found);
        return;
    };
    // The configuration refuses passwords in it.
    let database = &site.database.value;
    found.insert(format!("site {word}"), json!(database));
    for (name, tunnel) in &settings.tunnels {
        let forwards = tunnel.value.forwards.iter();
        let mut locals = forwards.map(|forward| forward.local.to_string());
        let leads_there = locals.any(|local| {
            let port = local.rsplit(':').next().unwrap_or_default();
            database.contains(port)
        });
        if leads_there {
            found.insert(format!("tunnel {name}"), json!(tunnel.value));
        }
    }
}

/// Where backups are, and whose signatures they need.
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
