//! Owners, privileges and roles on their way to another server.

use pgsnap::{Archive, Error, Note, RestoreOptions, plan_restore, restore};

use crate::server::{Server, quiet};

const SHOP: &str = "
    CREATE ROLE shop_owner; CREATE ROLE \"Shop Reader\"; CREATE ROLE auditor; ALTER DATABASE shop OWNER TO shop_owner;
    CREATE SCHEMA shop AUTHORIZATION shop_owner; SET ROLE shop_owner;
    CREATE TABLE shop.orders (id int PRIMARY KEY, owner text); INSERT INTO shop.orders SELECT n, 'shop_owner' FROM generate_series(1, 100) n;
    CREATE FUNCTION shop.f(shop_owner int) RETURNS int LANGUAGE sql AS $$SELECT 1 /* GRANT x TO shop_owner; */$$;
    GRANT USAGE ON SCHEMA shop TO \"Shop Reader\"; GRANT SELECT, INSERT (id) ON shop.orders TO \"Shop Reader\" WITH GRANT OPTION;
    REVOKE ALL ON FUNCTION shop.f(int) FROM PUBLIC; GRANT EXECUTE ON FUNCTION shop.f(int) TO auditor;
    ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO auditor;
    ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON shop.orders TO auditor, \"Shop Reader\" USING (true);
    SELECT lo_create(4242); GRANT SELECT ON LARGE OBJECT 4242 TO auditor; COMMENT ON LARGE OBJECT 4242 IS 'GRANT to shop_owner';
    RESET ROLE; ALTER ROLE auditor IN DATABASE shop SET work_mem = '9MB';
    GRANT CONNECT ON DATABASE shop TO auditor; REVOKE CONNECT ON DATABASE shop FROM PUBLIC";

async fn shop() -> (Server, Archive) {
    let server = Server::start().await;
    let source = server.with_sql("shop", SHOP).await;
    let (archive, _) = server.dump(&source).await;
    (server, archive)
}

async fn ask(server: &Server, database: &str, sql: &str) -> String {
    pgsnap::query_scalar(&server.scratch.database(database), sql).await.unwrap().unwrap_or_default()
}

const OWNER: &str = "SELECT relowner::regrole FROM pg_class WHERE relname = 'orders'";
const LARGE_OBJECT: &str = "SELECT lomowner::regrole || ' ' || COALESCE(lomacl::text, 'none') FROM pg_largeobject_metadata WHERE oid = 4242";

fn notes(restored: &pgsnap::Restored) -> String {
    let notes: Vec<String> = restored.notes.iter().map(ToString::to_string).collect();
    notes.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_owners_and_privileges_everything_belongs_to_whoever_restores() {
    let (_source, archive) = shop().await;
    let other = Server::start().await;
    let target = other.scratch.database("copy");
    let mut options = RestoreOptions::default();
    (options.owners, options.privileges) = (false, false);
    // The policy and a setting still name roles: parts of objects are not left out.
    let plan = plan_restore(&archive, &target, &options).await.unwrap();
    assert_eq!(plan.obstacles.len(), 1, "{plan:?}");
    assert!(plan.obstacles[0].problem.contains("Shop Reader, auditor that"), "{plan:?}");
    pgsnap::execute(
        &other.scratch.database("postgres"),
        "CREATE ROLE auditor; CREATE ROLE \"Shop Reader\"",
    )
    .await
    .unwrap();
    let restored = restore(&archive, &target, &options, &quiet()).await.unwrap();
    assert_eq!(restored.rows, 100);
    assert!(notes(&restored).contains("not compared: owners"), "{}", notes(&restored));
    assert!(notes(&restored).contains("not compared: privileges"));
    assert!(!restored.notes.iter().any(|note| matches!(note, Note::Privileges { .. })));
    assert_eq!(ask(&other, "copy", OWNER).await, "postgres");
    assert_eq!(ask(&other, "copy", LARGE_OBJECT).await, "postgres none");
    let privileges =
        "SELECT count(*) FROM pg_class WHERE relname = 'orders' AND relacl IS NOT NULL";
    assert_eq!(ask(&other, "copy", privileges).await, "0");
    assert_eq!(ask(&other, "copy", "SELECT count(*) FROM pg_default_acl").await, "0");
    assert_eq!(ask(&other, "copy", "SELECT count(*) FROM pg_policy").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_owners_privileges_stay_and_are_compared() {
    let (server, archive) = shop().await;
    let target = server.scratch.database("copy");
    let mut options = RestoreOptions::default();
    options.owners = false;
    let restored = restore(&archive, &target, &options, &quiet()).await.unwrap();
    assert_eq!(ask(&server, "copy", OWNER).await, "postgres");
    let readable =
        "SELECT has_table_privilege('Shop Reader', 'shop.orders', 'SELECT WITH GRANT OPTION')";
    assert_eq!(ask(&server, "copy", readable).await, "t");
    assert!(notes(&restored).contains("not compared: owners"), "{}", notes(&restored));
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_get_their_new_names_everywhere_and_the_proof_still_compares_them() {
    let (_source, archive) = shop().await;
    let other = Server::start().await;
    let target = other.scratch.database("copy");
    let mut options = RestoreOptions::default();
    options.role_map = [("shop_owner", "New Owner"), ("Shop Reader", "reader")]
        .map(|(old, new)| (old.to_owned(), new.to_owned()))
        .into();
    options.create_roles = true;
    let plan = plan_restore(&archive, &target, &options).await.unwrap();
    assert_eq!(plan.creates_roles, ["New Owner", "auditor", "reader"], "{plan:?}");
    let restored = restore(&archive, &target, &options, &quiet()).await.unwrap();
    assert!(restored.notes.is_empty(), "{}", notes(&restored));
    assert_eq!(ask(&other, "copy", OWNER).await, "\"New Owner\"");
    assert!(ask(&other, "copy", LARGE_OBJECT).await.starts_with("\"New Owner\" {"));
    let database = "SELECT datdba::regrole FROM pg_database WHERE datname = 'copy'";
    assert_eq!(ask(&other, "copy", database).await, "\"New Owner\"");
    let policy = "SELECT string_agg(r::regrole::text, ',' ORDER BY r::regrole::text) FROM pg_policy, unnest(polroles) r";
    assert_eq!(ask(&other, "copy", policy).await, "auditor,reader");
    let kept = "SELECT owner FROM shop.orders WHERE id = 1";
    assert_eq!(ask(&other, "copy", kept).await, "shop_owner", "rows are never rewritten");

    options.role_map.insert("nobody".into(), "somebody".into());
    let error = restore(&archive, &target, &options, &quiet()).await.unwrap_err();
    assert!(error.to_string().contains("does not name the role(s) nobody"), "{error}");
}

/// Two roles become one: what was granted from one to the other is then the owner's own.
#[tokio::test(flavor = "multi_thread")]
async fn merged_roles_are_proven_as_far_as_they_can_be() {
    let (_source, archive) = shop().await;
    let other = Server::start().await;
    let target = other.scratch.database("copy");
    let mut options = RestoreOptions::default();
    for role in ["shop_owner", "Shop Reader", "auditor"] {
        options.role_map.insert(role.into(), "postgres".into());
    }
    let restored = restore(&archive, &target, &options, &quiet()).await.unwrap();
    assert!(notes(&restored).contains("privileges print in another way"), "{}", notes(&restored));
    assert_eq!(ask(&other, "copy", OWNER).await, "postgres");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_give_objects_away_is_told_so_before() {
    let server = Server::with_tcp().await;
    let source = server.with_sql("shop", SHOP).await;
    pgsnap::execute(&source, "CREATE TABLE of_a_superuser (id int)").await.unwrap();
    let (archive, _) = server.dump(&source).await;
    pgsnap::execute(&source, "CREATE ROLE mover LOGIN CREATEDB PASSWORD 'm'").await.unwrap();
    let url = format!("postgresql://mover:m@127.0.0.1:{}/copy", server.scratch.port());
    let target = pgsnap::Database::from_url(&url).unwrap();
    let error = restore(&archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap_err();
    assert!(matches!(error, Error::Preflight { .. }), "{error}");
    // Before PostgreSQL 15, `public` has an owner to be given as well.
    let told = error.to_string();
    assert!(told.contains("this role may not make "), "{told}");
    assert!(told.contains("shop_owner the owner"), "{told}");
    // The remedy names who is to be granted what, and never makes a superuser of anybody.
    let hint = error.hint().unwrap();
    assert!(hint.contains("without `owners`"), "{hint}");
    assert!(hint.contains("GRANT \"shop_owner\" TO \"mover\";"), "{hint}");
    assert!(!hint.contains("CURRENT_USER"), "{hint}");
    assert!(told.contains("postgres") && !hint.contains("postgres"), "{hint}");
    let mut options = RestoreOptions::default();
    options.owners = false;
    options.privileges = false;
    let restored = restore(&archive, &target, &options, &quiet()).await.unwrap();
    assert_eq!(restored.rows, 100);
    assert_eq!(ask(&server, "copy", OWNER).await, "mover");
}
