//! Extensions: whether the server has them, in which versions, and whether this role may create
//! them.

use std::collections::{BTreeMap, BTreeSet};

use super::Preflight;
use crate::error::Result;

/// One extension as the server has it.
#[derive(Default)]
struct Available {
    versions: BTreeSet<String>,
    default_version: Option<String>,
    /// True if an ordinary role with CREATE on the database may create it.
    is_free: bool,
}

impl Preflight<'_> {
    pub(super) async fn check_extensions(&mut self) -> Result<()> {
        const QUERY: &str = "
            SELECT v.name::text, v.version, e.default_version, v.trusted OR NOT v.superuser
              FROM pg_catalog.pg_available_extension_versions v
              JOIN pg_catalog.pg_available_extensions e ON e.name = v.name
             WHERE v.name = ANY ($1)";
        const INSTALLED: &str = "SELECT extname::text, extversion FROM pg_catalog.pg_extension";
        let wanted = &self.manifest.census.extensions;
        let names: Vec<&str> = wanted.iter().map(|extension| extension.name.as_str()).collect();
        let mut available: BTreeMap<String, Available> = BTreeMap::new();
        for row in self.server.session.rows("reading the extensions", QUERY, &[&names]).await? {
            let entry = available.entry(row.get(0)).or_default();
            entry.versions.insert(row.get(1));
            entry.default_version = row.get(2);
            entry.is_free |= row.get::<_, bool>(3);
        }
        let mut installed: BTreeMap<String, String> = BTreeMap::new();
        if let Some(inside) = &self.inside {
            let rows = inside.rows("reading the extensions", INSTALLED, &[]).await?;
            installed.extend(rows.iter().map(|row| (row.get(0), row.get(1))));
        }
        let (mut missing, mut forbidden) = (Vec::new(), Vec::new());
        for extension in wanted {
            let name = &extension.name;
            if let Some(version) = installed.get(name) {
                if *version != extension.version {
                    self.plan.warning(format!(
                        "extension {name} is {version} here and was {}",
                        extension.version
                    ));
                }
                continue;
            }
            let Some(found) = available.get(name) else {
                missing.push(name.as_str());
                continue;
            };
            // Every new database has it.
            let is_builtin = name == "plpgsql";
            if !is_builtin && !found.is_free && !self.server.rights.is_superuser {
                forbidden.push(name.as_str());
            }
            if let Some(version) = &found.default_version
                && *version != extension.version
            {
                let also = if found.versions.contains(&extension.version) {
                    ", which this server also has"
                } else {
                    ""
                };
                self.plan.warning(format!(
                    "extension {name} will be {version} and was {}{also}",
                    extension.version
                ));
            }
        }
        if !missing.is_empty() {
            self.plan.obstacle(
                format!("the server lacks the extension(s) {}", missing.join(", ")),
                "install the packages that hold them on the server",
            );
        }
        if !forbidden.is_empty() {
            let create: Vec<String> =
                forbidden.iter().map(|name| format!("CREATE EXTENSION {name};")).collect();
            self.plan.obstacle(
                format!(
                    "only a superuser may create the extension(s) {}",
                    forbidden.join(", ")
                ),
                format!(
                    "have an empty database created with them, and restore into it with `into_existing`: {}",
                    create.join(" ")
                ),
            );
        }
        Ok(())
    }
}
