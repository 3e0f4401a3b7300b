//! SQL of the sample databases, and how to load it.

use tokio_postgres::{Client, Error};

/// One of every kind of object and of every data type, for PostgreSQL 14 and newer; about 20 MB.
///
/// Goes into a fresh UTF8 database, as superuser, after [`ZOO_ROLES`]; see [`load_zoo`]. The file
/// ends with a list of what it leaves out and why. `pg_dump | psql` of it and a second `pg_dump`
/// give an identical text.
pub const ZOO: &str = include_str!("../sql/zoo.sql");

/// Additions of newer versions of PostgreSQL to [`ZOO`]: the major version, and SQL for it and for
/// all later ones, in order.
pub const ZOO_VERSIONS: [(i32, &str); 4] = [
    (15, include_str!("../sql/zoo-15.sql")),
    (16, include_str!("../sql/zoo-16.sql")),
    (17, include_str!("../sql/zoo-17.sql")),
    (18, include_str!("../sql/zoo-18.sql")),
];

/// The roles that [`ZOO`] names. They belong to the whole server, so this may be run any number of
/// times.
pub const ZOO_ROLES: &str = include_str!("../sql/zoo-roles.sql");

/// A table whose rows change their partition when they are restored: hash partitions of an enum, in
/// a schema `enum_hash` of its own. Not part of [`ZOO`] because a second dump of it differs.
pub const ENUM_HASH: &str = include_str!("../sql/enum-hash.sql");

/// Sets defaults of the current database that change how values are printed (`bytea_output`,
/// `DateStyle`, `extra_float_digits`, `quote_all_identifiers`, `search_path`, …). Later sessions
/// inherit them; a dump must come out the same. `pg_dump` itself pins neither `bytea_output` nor
/// `TimeZone` nor `quote_all_identifiers`: to compare its texts, set these for its session.
pub const HOSTILE_DEFAULTS: &str = include_str!("../sql/hostile-defaults.sql");

/// The sample hub: schema and data, sized by the setting `demo.scale`; see [`load_hub`].
pub const HUB: &str = include_str!("../../hubctl/src/demo/hub.sql");

/// One tick of a writer on the hub: one transaction over five tables, to be sent as one batch. Its
/// head documents the invariants it keeps.
pub const HUB_WRITER: &str = include_str!("../../hubctl/src/demo/writer.sql");

/// Returns one boolean: whether the hub's invariants hold, as they do at every single point in
/// time.
///
/// It tells a torn copy only where [`HUB_WRITER`] committed between the reads of its tables: a test
/// must also assert that writes happened meanwhile, or the check proves nothing.
pub const HUB_CHECK: &str = "SELECT bool_and(holds) FROM public.hub_invariants";

/// Makes the roles of the zoo where they are missing, and loads the zoo, as much of it as the
/// server's version has.
///
/// The client must be a superuser in a fresh database. When this fails its session may be left in a
/// failed transaction: drop the client.
///
/// # Errors
/// What the server says, the first time it refuses a statement.
pub async fn load_zoo(client: &Client) -> Result<(), Error> {
    client.batch_execute(ZOO_ROLES).await?;
    client.batch_execute(ZOO).await?;
    let version = client
        .query_one("SELECT pg_catalog.current_setting('server_version_num')::int4 / 10000", &[])
        .await?;
    for (major, sql) in ZOO_VERSIONS {
        if major <= version.get(0) {
            client.batch_execute(sql).await?;
        }
    }
    Ok(())
}

/// Loads the sample hub into a fresh database; a scale of 1 is about 100 MB with indexes (5 s on an
/// idle core), 0.02 is 4 MB (a quarter of a second). Two loads of one scale hold identical rows,
/// whatever the server's version.
///
/// # Errors
/// What the server says, the first time it refuses a statement.
pub async fn load_hub(client: &Client, scale: f64) -> Result<(), Error> {
    client.batch_execute(&format!("SET demo.scale = '{scale}'")).await?;
    client.batch_execute(HUB).await
}
