//! The examination of one database and of the tools for it.

use pgsnap::{Inspection, PgDump, TlsMode};

use super::{Finding, Health};
use crate::human;
use crate::ops::{self, Ops};
use crate::site::Site;

/// Facts for later examinations.
#[derive(Default)]
pub(super) struct Examined {
    pub(super) database: Option<String>,
    pub(super) bytes: u64,
    /// The name of a database that the server does not have.
    pub(super) absent: Option<String>,
}

pub(super) async fn examine(ops: &Ops, word: &str, findings: &mut Vec<Finding>) -> Examined {
    match try_examine(ops, word, findings).await {
        Ok(examined) => examined,
        Err(error) => {
            findings.push(Finding::of(word, &error));
            Examined::default()
        }
    }
}

async fn try_examine(
    ops: &Ops,
    word: &str,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<Examined> {
    let (settings, console) = (ops.settings(), &**ops.console());
    let site = Site::resolve(settings, word).await?.readable(settings, console).await?;
    let found = match pgsnap::inspect(&site.database).await {
        // The server answered, and knows no such database.
        Err(error) if error.sqlstate() == Some("3D000") => {
            return Ok(Examined {
                absent: Some(site.database.name().to_owned()),
                ..Examined::default()
            });
        }
        other => other?,
    };
    let fact = format!(
        "PostgreSQL {}, database {} with {}",
        found.version,
        site.database.name(),
        human::bytes(found.bytes)
    );
    findings.push(Finding::new(Health::Ok, &site.label, fact));
    findings.extend(frozen(&site));
    findings.extend(encryption(&site));
    findings.push(rights(&site.label, &found));
    findings.push(restores(&site.label, &found));
    findings.extend(kept(&site).await);
    findings.push(match PgDump::find(found.major, &[]).await {
        Ok(tool) => Finding::new(
            Health::Ok,
            &site.label,
            format!("pg_dump {} supplies the schema", tool.version),
        ),
        Err(error) => Finding { health: Health::Fail, ..Finding::of(&site.label, &error.into()) },
    });
    Ok(Examined { database: Some(site.name().to_owned()), bytes: found.bytes, absent: None })
}

/// A fence, behind which the database was found.
fn frozen(site: &Site) -> Option<Finding> {
    let fence = site.fence()?;
    let since = human::time(&fence.planned_at);
    let fact = format!("frozen since {since}: clients are refused");
    let hint = format!("`hubctl thaw {}` takes the fence down", site.label);
    Some(Finding::new(Health::Warn, &site.label, fact).hint(hint))
}

/// Databases that restores and copies kept: one is the way back, several are forgotten.
async fn kept(site: &Site) -> Option<Finding> {
    let kept = match pgsnap::kept_databases(&site.by_real_name()).await {
        Ok(kept) => kept,
        Err(error) => {
            // Backups and restores do not need the answer.
            tracing::info!(%error, site = site.label, "kept databases could not be listed");
            return None;
        }
    };
    let summary = ops::kept_summary(&kept, jiff::Timestamp::now());
    match kept.len() {
        0 => None,
        1 => Some(Finding::new(Health::Ok, &site.label, format!("kept by a restore: {summary}"))),
        _ => {
            let fact = format!("kept by restores: {summary}");
            let hint =
                format!("`hubctl clean {}` lists them, and drops them with --execute", site.label);
            Some(Finding::new(Health::Warn, &site.label, fact).hint(hint))
        }
    }
}

/// Examines the encryption of a connection over a network; a connection on this machine needs none.
fn encryption(site: &Site) -> Option<Finding> {
    let mode = site.database.tls_mode();
    if site.database.is_local() {
        return None;
    }
    let warning = match mode {
        TlsMode::Disable => "rows and passwords cross the network in clear text",
        TlsMode::Require => "the connection is encrypted, but the server does not prove who it is",
        _ => {
            let fact = format!("the connection is encrypted and the server verified ({mode})");
            return Some(Finding::new(Health::Ok, &site.label, fact));
        }
    };
    let hint = "name the authority of its certificate with sslrootcert=FILE or sslrootcert=system";
    Some(Finding::new(Health::Warn, &site.label, warning).hint(hint))
}

/// Examines whether a backup would hold everything.
fn rights(label: &str, found: &Inspection) -> Finding {
    if !found.unreadable.is_empty() {
        let fact = format!("this role may not read {}", found.unreadable.join(", "));
        return Finding::new(Health::Fail, label, fact)
            .hint("grant it SELECT, or the role pg_read_all_data");
    }
    if !found.hidden_rows.is_empty() {
        let fact = format!(
            "row-level security hides rows of {} from this role",
            found.hidden_rows.join(", ")
        );
        return Finding::new(Health::Fail, label, fact)
            .hint("back up as a superuser, or as a role with BYPASSRLS");
    }
    Finding::new(Health::Ok, label, "this role may read everything")
}

/// Examines whether a restore could come here.
fn restores(label: &str, found: &Inspection) -> Finding {
    if found.may_create_databases {
        return Finding::new(
            Health::Ok,
            label,
            "this role may create databases, so a restore can come here",
        );
    }
    Finding::new(
        Health::Warn,
        label,
        "this role may not create databases: backups work, restores to here do not",
    )
    .hint("grant it with ALTER ROLE … CREATEDB before a restore")
}
