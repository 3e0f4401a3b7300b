//! The part of an archive's DDL that is restored, and the changes to it.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::Archive;
use crate::census::{SequenceState, TableCensus};
use crate::error::Result;
use crate::manifest::{Manifest, MemberKind, Source};
use crate::name::TableName;
use crate::restore::post_data::is_refresh;
use crate::restore::schemas::Schemas;
use crate::restore::{Extent, RestoreOptions, foreign_rows};
use crate::sql::{self, Entry, RoleUse};

/// Changes to every statement.
#[derive(Debug, Clone)]
pub(crate) struct Edits {
    owners: bool,
    privileges: bool,
    tablespaces: bool,
    roles: BTreeMap<String, String>,
}

impl Edits {
    pub(crate) fn of(options: &RestoreOptions) -> Self {
        Self {
            owners: options.owners,
            privileges: options.privileges,
            tablespaces: options.tablespaces,
            roles: options.role_map.clone(),
        }
    }

    /// Returns true if roles have the names and uses they had.
    pub(crate) fn keep_roles(&self) -> bool {
        self.owners && self.privileges && self.roles.is_empty()
    }

    pub(crate) fn keep_owners(&self) -> bool {
        self.owners
    }

    pub(crate) fn keep_privileges(&self) -> bool {
        self.privileges
    }

    /// Returns true if privileges print as before: they are printed as what differs from the
    /// owner's own.
    pub(crate) fn keep_privileges_in_print(&self) -> bool {
        let names: BTreeSet<&String> = self.roles.values().collect();
        self.owners && names.len() == self.roles.len()
    }

    /// The name that a role of the archive has in the target.
    pub(crate) fn role<'a>(&'a self, name: &'a str) -> &'a str {
        self.roles.get(name).map_or(name, String::as_str)
    }

    /// The statement as it is to be run, or nothing if it is left out.
    pub(crate) fn statement(&self, statement: String) -> Result<Option<String>> {
        if !self.tablespaces && sql::is_default_tablespace(&statement) {
            return Ok(None);
        }
        match sql::role_use(&statement) {
            None => return Ok(Some(statement)),
            Some(RoleUse::Owner) if !self.owners => return Ok(None),
            Some(RoleUse::Privilege) if !self.privileges => return Ok(None),
            Some(_) => {}
        }
        if self.roles.is_empty() {
            return Ok(Some(statement));
        }
        sql::with_roles(&statement, |role| self.roles.get(role).cloned()).map(Some)
    }

    /// The statements of a text as they are to be run.
    pub(crate) fn statements(&self, text: &str) -> Result<Vec<String>> {
        let mut kept = Vec::new();
        for statement in sql::statements(text) {
            kept.extend(self.statement(statement)?);
        }
        Ok(kept)
    }

    /// Returns the comparable part of a statement of the restored database: without the parts that
    /// the order left out, and with roles spelt in one way.
    pub(crate) fn comparable(&self, statement: &str) -> Result<Option<String>> {
        match sql::role_use(statement) {
            None => Ok(Some(statement.to_owned())),
            Some(RoleUse::Owner) if !self.owners => Ok(None),
            Some(RoleUse::Privilege) if !self.privileges => Ok(None),
            Some(_) => sql::with_canonical_roles(statement).map(Some),
        }
    }
}

/// The requirements on the target.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Roles that must exist.
    pub(crate) roles: BTreeSet<String>,
    /// Roles that become owners, which the restoring role must be able to give away to.
    pub(crate) owners: BTreeSet<String>,
    /// The role that becomes the owner of the database, if one does.
    pub(crate) database_owner: Option<String>,
    /// True if privileges are granted in the name of others, which only a superuser may do.
    pub(crate) authorization: bool,
}

/// The part of an archive that is restored.
pub(crate) struct Selection {
    pub(crate) edits: Edits,
    /// Statements before and after the rows.
    pub(crate) pre_data: Vec<String>,
    pub(crate) post_data: Vec<String>,
    pub(crate) needs: Needs,
    schemas: Option<Schemas>,
    tables: Option<Vec<TableName>>,
    /// Foreign servers whose tables get their rows back.
    foreign_servers: Vec<String>,
    extent: Extent,
}

impl Selection {
    /// Reads the DDL of an archive and takes what the options ask for.
    ///
    /// # Errors
    /// Errors of reading; [`Error::NoSuchTable`](crate::Error::NoSuchTable);
    /// [`Error::Preflight`](crate::Error::Preflight) where a schema cannot be restored without
    /// another one; [`Error::UnexpectedDdl`](crate::Error::UnexpectedDdl) for a statement that
    /// would have to be changed and is not understood.
    pub(crate) fn read(archive: &Archive, options: &RestoreOptions) -> Result<Self> {
        for table in options.tables.iter().flatten() {
            archive.table_index(table)?;
        }
        let manifest = archive.manifest();
        foreign_rows::require_known(manifest, &options.foreign_data)?;
        let mut pre_data = sql::entries_or_statements(
            &archive.text_of(MemberKind::PreData)?,
            options.schemas.is_some(),
        )?;
        let mut post_data = sql::entries_or_statements(
            &archive.text_of(MemberKind::PostData)?,
            options.schemas.is_some(),
        )?;
        let schemas = match &options.schemas {
            Some(names) => {
                let all = || pre_data.iter().chain(&post_data);
                let schemas = Schemas::new(names, all())?;
                schemas.require_complete(all())?;
                pre_data.retain(|(entry, statement)| schemas.hold(entry.as_ref(), statement));
                post_data.retain(|(entry, statement)| schemas.hold(entry.as_ref(), statement));
                Some(schemas)
            }
            None => None,
        };
        let edits = Edits::of(options);
        let mut selection = Self {
            pre_data: edited(&edits, pre_data)?,
            post_data: edited(&edits, post_data)?,
            edits,
            needs: Needs::default(),
            schemas,
            tables: options.tables.clone(),
            foreign_servers: match options.extent {
                Extent::SchemaOnly => Vec::new(),
                _ => options.foreign_data.clone(),
            },
            extent: options.extent,
        };
        if !selection.has_large_objects() && selection.tables.is_none() {
            selection.pre_data.retain(|statement| !sql::is_large_object(statement));
            selection.post_data.retain(|statement| !sql::is_large_object(statement));
        }
        selection.needs = selection.needs(manifest)?;
        Ok(selection)
    }

    /// Everything a database holds, where its DDL is not read yet.
    pub(crate) fn of_everything(manifest: &Manifest, options: &RestoreOptions) -> Self {
        Self::of_source(&manifest.source, options)
    }

    /// The same, of a database without a manifest.
    pub(crate) fn of_source(source: &Source, options: &RestoreOptions) -> Self {
        let mut roles: BTreeSet<String> = source.roles.iter().cloned().collect();
        roles.retain(|role| !role.starts_with("pg_"));
        Self {
            edits: Edits::of(options),
            pre_data: Vec::new(),
            post_data: Vec::new(),
            needs: Needs { roles, database_owner: Some(source.owner.clone()), ..Needs::default() },
            schemas: None,
            tables: None,
            foreign_servers: Vec::new(),
            extent: Extent::Everything,
        }
    }

    /// Returns true if the archive is restored with everything in it, so that the database can take
    /// its place.
    pub(crate) fn is_whole(&self) -> bool {
        self.extent != Extent::SchemaOnly && self.is_of_everything()
    }

    /// Returns true if no object is left out.
    pub(crate) fn is_of_everything(&self) -> bool {
        self.tables.is_none() && self.schemas.is_none()
    }

    /// Returns true if rows are part of the order.
    pub(crate) fn has_rows(&self) -> bool {
        self.extent != Extent::SchemaOnly
    }

    /// The statements that create large objects, where `pg_dump` put them into the schema.
    pub(crate) fn large_objects(&self) -> Vec<String> {
        let all = self.pre_data.iter().chain(&self.post_data);
        all.filter(|statement| sql::is_large_object(statement)).cloned().collect()
    }

    /// The statements that fill materialised views.
    pub(crate) fn refreshes(&self) -> Vec<String> {
        let all = self.post_data.iter();
        all.filter(|statement| is_refresh(statement)).cloned().collect()
    }

    /// Returns true if the schema of the restored database can be held against that of the archive.
    pub(crate) fn compares_schema(&self) -> bool {
        self.tables.is_none()
    }

    /// Returns true if large objects are part of the order.
    pub(crate) fn has_large_objects(&self) -> bool {
        self.is_whole()
    }

    /// Returns true if the rows of a table are part of the order.
    pub(crate) fn holds_table(&self, table: &TableCensus) -> bool {
        let server = table.foreign_server.as_ref();
        self.holds_name(&table.name)
            && server.is_none_or(|server| self.foreign_servers.contains(server))
    }

    /// Returns true if a table is part of the order, with its rows or without.
    pub(crate) fn holds_name(&self, table: &TableName) -> bool {
        self.tables.as_ref().is_none_or(|tables| tables.contains(table)) && self.holds_schema(table)
    }

    /// The foreign servers whose tables get their rows back.
    pub(crate) fn foreign_servers(&self) -> &[String] {
        &self.foreign_servers
    }

    /// Returns true if a sequence is part of the order; a restore of single tables has all of them.
    pub(crate) fn holds_sequence(&self, sequence: &SequenceState) -> bool {
        self.holds_schema(&sequence.name)
    }

    fn holds_schema(&self, name: &TableName) -> bool {
        self.schemas.as_ref().is_none_or(|schemas| schemas.contain(&name.schema))
    }

    /// The DDL that the restored database should print, for a comparison.
    pub(crate) fn statements(&self) -> Vec<String> {
        let all = self.pre_data.iter().chain(&self.post_data);
        crate::ddl::significant(all.cloned().collect())
    }

    fn needs(&self, manifest: &Manifest) -> Result<Needs> {
        let mut needs = Needs::default();
        for statement in self.pre_data.iter().chain(&self.post_data) {
            let Some(role_use) = sql::role_use(statement) else {
                continue;
            };
            let roles = sql::roles(statement)?;
            if role_use == RoleUse::Owner {
                needs.owners.extend(roles.iter().cloned());
            }
            needs.authorization |= sql::is_authorization(statement);
            needs.roles.extend(roles);
        }
        let source = &manifest.source;
        if self.is_whole() {
            if self.edits.owners {
                let owner = self.edits.role(&source.owner).to_owned();
                needs.roles.insert(owner.clone());
                needs.database_owner = Some(owner);
            }
            if self.edits.privileges {
                let grantees = source
                    .privileges
                    .iter()
                    .flatten()
                    .filter_map(|privilege| privilege.grantee.as_deref());
                // The owner's own privileges belong to whoever the owner is.
                let grantees = grantees.filter(|role| self.edits.owners || *role != source.owner);
                needs.roles.extend(grantees.map(|role| self.edits.role(role).to_owned()));
            }
            needs.roles.extend(
                source
                    .role_settings
                    .iter()
                    .map(|setting| self.edits.role(&setting.role).to_owned()),
            );
            // Owners and privileges of large objects stand among their contents, which are not read for this.
            if self.edits.keep_roles()
                || manifest.census.large_objects.count > 0
                    && (self.edits.owners || self.edits.privileges)
            {
                needs
                    .roles
                    .extend(source.roles.iter().map(|role| self.edits.role(role).to_owned()));
            }
        }
        // Roles of the server itself, such as pg_database_owner, cannot be created and are always there.
        needs.roles.retain(|role| !role.starts_with("pg_"));
        Ok(needs)
    }
}

fn edited(edits: &Edits, statements: Vec<(Option<Entry>, String)>) -> Result<Vec<String>> {
    let mut kept = Vec::with_capacity(statements.len());
    for (_, statement) in statements {
        kept.extend(edits.statement(statement)?);
    }
    Ok(kept)
}
