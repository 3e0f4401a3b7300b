//! What belongs to the database itself and to nothing in it.

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn database_settings_comment_and_owner_follow() {
    let server = Server::start().await;
    let source = server.with_sql("source", "CREATE ROLE hub NOLOGIN; ALTER DATABASE source OWNER TO hub; COMMENT ON DATABASE source IS 'it''s \\ home'; ALTER DATABASE source SET work_mem = '8MB'; ALTER DATABASE source SET search_path = app, \"$user\", public; ALTER DATABASE source SET app.motto = 'a b'").await;
    let (archive, _) = server.dump(&source).await;
    server.restore(&archive, "copy").await;
    let query = "SELECT string_agg(x, ' | ' ORDER BY x) FROM (SELECT unnest(setconfig) AS x FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = 'DB' UNION ALL SELECT 'owner ' || pg_get_userbyid(datdba) || ' ' || shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'DB') s";
    let of = async |name: &str| {
        pgsnap::query_scalar(&source, &query.replace("DB", name))
            .await
            .unwrap()
            .unwrap()
    };
    assert_eq!(of("copy").await, of("source").await);
    assert!(of("copy").await.contains("owner hub it's \\ home"));
}
