//! The steps with the backup of one database on one way.

use std::time::Instant;

use anyhow::{Context as _, bail};
use serde::Serialize;
use tokio::process::Command;
use tokio_postgres::SimpleQueryMessage;

use crate::home::Home;
use crate::programs::{self, Programs};
use crate::schema::{self, Place};
use crate::server::Server;

/// One thing that was tried.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// Of which copy: the one that `hubctl` restored, or the one of the stock tools.
    pub(crate) copy: &'static str,
    pub(crate) seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

/// A database that was backed up.
pub(crate) struct Backup<'a> {
    pub(crate) source: &'a Server,
    pub(crate) database: &'static str,
    pub(crate) home: Home,
    /// The sealed file.
    pub(crate) entry: String,
    pub(crate) seconds: f64,
}

impl<'a> Backup<'a> {
    /// Takes a backup with `hubctl`.
    pub(crate) async fn take(
        programs: &Programs,
        source: &'a Server,
        database: &'static str,
    ) -> anyhow::Result<Self> {
        let home = Home::new(database, source)?;
        let begin = Instant::now();
        let arguments = ["backup", "source"];
        let printed = home.hubctl(programs, source.version.major, &arguments).await?;
        Ok(Self {
            source,
            database,
            home,
            entry: printed.trim_end().to_owned(),
            seconds: begin.elapsed().as_secs_f64(),
        })
    }

    /// Restores it into another server, by `hubctl` and by the stock tools, and judges both copies.
    pub(crate) async fn try_on(&self, programs: &Programs, target: &Server) -> Vec<Step> {
        let attempt = Attempt {
            backup: self,
            programs,
            target,
            suffix: self.source.version.to_string().replace('-', "_"),
        };
        let mut steps = Vec::new();
        for copy in ["hubctl", "stock"] {
            attempt.make_and_compare(copy, &mut steps).await;
        }
        let begin = Instant::now();
        let checked = attempt.check_indexes().await;
        steps.push(step("indexes", "both", begin, checked));
        steps
    }
}

/// A backup on its way to a server.
struct Attempt<'a> {
    backup: &'a Backup<'a>,
    programs: &'a Programs,
    target: &'a Server,
    suffix: String,
}

impl Attempt<'_> {
    /// The name of a copy, which is also that of its site.
    fn name(&self, copy: &str) -> String {
        let major = self.target.version.to_string().replace('-', "_");
        format!("{}_{}_to_{major}_{copy}", self.backup.database, self.suffix)
    }

    async fn make_and_compare(&self, copy: &'static str, steps: &mut Vec<Step>) {
        let name = self.name(copy);
        let begin = Instant::now();
        let made = match copy {
            "hubctl" => self.restore(&name).await,
            _ => self.restore_with_stock_tools(&name).await,
        };
        let is_made = made.is_ok();
        steps.push(step("restore", copy, begin, made));

        let begin = Instant::now();
        let same = if is_made {
            self.compare_contents(&name).await
        } else {
            Err(anyhow::anyhow!("there is no copy"))
        };
        steps.push(step("contents", copy, begin, same));

        let begin = Instant::now();
        let same = if is_made {
            self.compare_schema(&name).await
        } else {
            Err(anyhow::anyhow!("there is no copy"))
        };
        steps.push(step("schema", copy, begin, same));
    }

    async fn hubctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        // A restored copy is read as well, so pg_dump has to know the newer of the two.
        let major = self.target.version.major;
        self.backup.home.hubctl(self.programs, major, arguments).await
    }

    async fn restore(&self, name: &str) -> anyhow::Result<()> {
        self.backup.home.add_site(name, self.target, name)?;
        self.hubctl(&["restore", &self.backup.entry, "--to", name, "--execute"]).await?;
        Ok(())
    }

    /// As the guide says, with nothing of ours.
    async fn restore_with_stock_tools(&self, name: &str) -> anyhow::Result<()> {
        self.backup.home.add_site(name, self.target, name)?;
        let client = self.target.connect("postgres").await?;
        client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
        let mut decrypt = Command::new("age");
        decrypt
            .args(["--decrypt", "--identity"])
            .arg(self.backup.home.key())
            .arg(&self.backup.entry);
        let clients = self.programs.clients(self.target.version.major)?;
        let mut psql = Command::new(clients.join("psql"));
        psql.args(["-X", "--quiet", "-v", "ON_ERROR_STOP=1"]).envs(self.target.environment(name));
        programs::run_pipeline([decrypt, Command::new("gunzip"), psql]).await
    }

    async fn compare_contents(&self, name: &str) -> anyhow::Result<()> {
        let (home, major) = (&self.backup.home, self.target.version.major);
        let answer = home.ask(self.programs, major, &["diff", "source", name]).await?;
        let differences =
            answer["differences"].as_array().context("hubctl printed no `differences`")?;
        let is_other_version = self.backup.source.version.major != major;
        let unexpected: Vec<_> = differences
            .iter()
            .filter(|difference| !(is_other_version && is_newer_extension(difference)))
            .map(ToString::to_string)
            .collect();
        if !unexpected.is_empty() {
            bail!("{}", unexpected.join("\n"));
        }
        Ok(())
    }

    async fn compare_schema(&self, name: &str) -> anyhow::Result<()> {
        let source = Place { server: self.backup.source, database: self.backup.database };
        let copy = Place { server: self.target, database: name };
        schema::compare(self.programs, source, copy).await
    }

    async fn check_indexes(&self) -> anyhow::Result<()> {
        for copy in ["hubctl", "stock"] {
            check_indexes(self.target, &self.name(copy))
                .await
                .with_context(|| format!("copy of {copy}"))?;
        }
        Ok(())
    }
}

/// Another version of the server brings another version of an extension, and a dump names none.
fn is_newer_extension(difference: &serde_json::Value) -> bool {
    difference["difference"] == "extension"
        && difference["a"].is_string()
        && difference["b"].is_string()
}

/// Has the server compare every B-tree with its table and with the order of its own collations.
async fn check_indexes(server: &Server, database: &str) -> anyhow::Result<()> {
    const CHECK: &str = "SELECT i.indexrelid::regclass, amcheck.bt_index_check(i.indexrelid, true) \
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam \
        WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence <> 't' AND i.indisvalid";
    let client = server.connect(database).await?;
    client.batch_execute("CREATE SCHEMA amcheck; CREATE EXTENSION amcheck SCHEMA amcheck").await?;
    let messages = client.simple_query(CHECK).await.map_err(|error| {
        let detail = error.as_db_error().map(ToString::to_string);
        anyhow::anyhow!(detail.unwrap_or_else(|| error.to_string()))
    })?;
    let checked =
        messages.iter().filter(|message| matches!(message, SimpleQueryMessage::Row(_))).count();
    if checked == 0 {
        bail!("there is no index to check");
    }
    Ok(())
}

fn step(
    name: &'static str,
    copy: &'static str,
    begin: Instant,
    result: anyhow::Result<()>,
) -> Step {
    Step {
        name,
        copy,
        seconds: begin.elapsed().as_secs_f64(),
        failure: result.err().map(|error| format!("{error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_extension_may_be_newer_but_not_missing() {
        let newer = json!({"difference": "extension", "name": "citext", "a": "1.6", "b": "1.8"});
        let missing = json!({"difference": "extension", "name": "citext", "a": "1.6", "b": null});
        let rows = json!({"difference": "rows", "a": "1", "b": "2"});
        assert!(is_newer_extension(&newer));
        assert!(!is_newer_extension(&missing) && !is_newer_extension(&rows));
    }
}
