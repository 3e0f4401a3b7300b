//! Two servers, a database in use, keys, and a configuration.

use std::path::{Path, PathBuf};

use pgsnap::{Database, ScratchOptions, ScratchServer};

use super::agents::{Agents, Directions};
use crate::failure::Refusal;
use crate::ops::{Key, generate_key};

const HUB: &str = include_str!("hub.sql");
const DATABASE: &str = "state_hub";
const SERVICE: &str = "state-hub";

/// The first line of a configuration that the demo may write over.
const MARK: &str = "# Written by `hubctl demo`, which replaces this file when it runs again.";

/// The file that leads clients to a site.
const DIRECTIONS: &str = "clients.env";

/// No configuration is larger.
const LARGEST: u64 = 1024 * 1024;

/// The servers stop when this is dropped; the directory stays.
pub(crate) struct Scene {
    workstation: ScratchServer,
    cluster: ScratchServer,
    pub(crate) config: PathBuf,
    pub(crate) key: PathBuf,
    vault: PathBuf,
    directions: PathBuf,
}

impl Scene {
    /// The change of one row, which the second comparison has to find.
    pub(crate) const CHANGE: &str =
        "UPDATE topics SET title = title || '!' WHERE slug = (SELECT min(slug) FROM topics)";

    /// Starts the servers, loads the database and writes the configuration.
    pub(crate) async fn set(directory: &Path, scale: f64) -> anyhow::Result<Self> {
        let config = directory.join("hubctl.toml");
        refuse_foreign(&config)?;
        let options = ScratchOptions::default();
        let (workstation, cluster) =
            tokio::try_join!(ScratchServer::start(&options), ScratchServer::start(&options))?;
        pgsnap::execute(&workstation.database("postgres"), &format!("CREATE DATABASE {DATABASE}"))
            .await?;
        pgsnap::execute(
            &workstation.database(DATABASE),
            &format!("SET demo.scale = '{scale}';\n{HUB}"),
        )
        .await?;

        let vault = directory.join("vault");
        fs_err::create_dir_all(&vault)?;
        let key = key(&directory.join("key.txt"))?;
        let escrow = key_of_escrow(directory)?;
        let directions = directory.join(DIRECTIONS);
        regularfile::replace(&directions, "SITE=workstation\n")?;
        let key_file = directory.join("key.txt");
        let scene = Self { workstation, cluster, config, key: key_file, vault, directions };
        regularfile::replace(&scene.config, scene.configuration(&key.public, &escrow.public))?;
        Ok(scene)
    }

    /// Changes one row of the restored database.
    pub(crate) async fn change(&self) -> pgsnap::Result<()> {
        pgsnap::execute(&self.cluster.database(DATABASE), Self::CHANGE).await
    }

    /// The database that moves.
    pub(crate) fn source(&self) -> Database {
        self.workstation.database(DATABASE)
    }

    /// Starts agents that go where the service goes.
    pub(crate) fn agents(&self) -> Agents {
        let cluster = self.cluster.database(DATABASE);
        let sites = vec![("workstation", self.source()), ("cluster", cluster)];
        Agents::start(Directions { sites, file: self.directions.clone() })
    }

    /// Counts the events of the agents at the workstation.
    pub(crate) async fn events(&self) -> anyhow::Result<u64> {
        let query = "SELECT count(*) FROM progress_events";
        let count = pgsnap::query_scalar(&self.source(), query).await?;
        Ok(count.unwrap_or_default().parse()?)
    }

    /// The newest verified backup.
    pub(crate) fn latest(&self) -> PathBuf {
        self.vault.join(format!("{SERVICE}-latest.sql.gz.age"))
    }

    fn configuration(&self, key: &str, escrow: &str) -> String {
        let url = |server: &ScratchServer| {
            format!(
                "postgresql:///{DATABASE}?host={}&port={}&user=postgres",
                server.directory().display(),
                server.port()
            )
        };
        format!(
            r#"{MARK}

[service]
name = "{SERVICE}"

# Two throw-away servers; they are gone when the demo ends.
[sites.workstation]
database = "{workstation}"

[sites.cluster]
database = "{cluster}"

# What leads the clients of the service to a site.
[[sites.workstation.redirect]]
file = "{DIRECTIONS}"
set = "SITE=workstation"

[[sites.cluster.redirect]]
file = "{DIRECTIONS}"
set = "SITE=cluster"

[cutover]
from = "workstation"
to = "cluster"
mode = "delta"

[vault]
path = "vault"
# The key at hand, and an escrow key. In earnest that one is kept elsewhere.
recipients = ["{key}", "{escrow}"]
identities = ["key.txt"]

[drill]
checks = [
    {{ name = "topics", sql = "select count(*) > 0 from topics", expect = "t" }},
    {{ name = "one point in time", sql = "select bool_and(holds) from hub_invariants", expect = "t" }},
]
episodic_memory = "memory/episodic"

[journal]
path = "journal.jsonl"
"#,
            workstation = url(&self.workstation),
            cluster = url(&self.cluster),
        )
    }
}

/// A real configuration may have the same name.
fn refuse_foreign(config: &Path) -> anyhow::Result<()> {
    match regularfile::read_to_string(config, LARGEST) {
        Ok(text) if !text.starts_with(MARK) => {
            Err(Refusal::usage(format!("{} is not the demo's own", config.display()))
                .hint("choose another directory with --dir")
                .into())
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn key_of_escrow(directory: &Path) -> anyhow::Result<Key> {
    key(&directory.join("escrow-key.txt"))
}

/// The key of an earlier demo, so that its backups still open; else a new one.
fn key(path: &Path) -> anyhow::Result<Key> {
    if !path.exists() {
        return generate_key(path);
    }
    let known = backup::Identities::load(path)?.fingerprints().next();
    let public = known.ok_or_else(|| Refusal::usage(format!("{} holds no key", path.display())))?;
    Ok(Key { path: path.to_owned(), public: public.text })
}
