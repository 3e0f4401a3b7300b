//! The server's demands at the login, and its actions.

use pgsnap::{Database, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::server::{Server, quiet, small_blocks};

/// Event triggers on login must not record the sessions that look: what they look at would change.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_fire_no_login_trigger() {
    let server = Server::start().await;
    if server.major().await < 17 {
        testkit::not_applicable("event triggers on login came with PostgreSQL 17");
        return;
    }
    let source = server.create("hub").await;
    let client = server.client("hub").await;
    let sql = "CREATE TABLE login_log (who text);
        CREATE FUNCTION on_login() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.login_log VALUES (session_user); END $$;
        CREATE EVENT TRIGGER login_audit ON login EXECUTE FUNCTION on_login();
        ALTER EVENT TRIGGER login_audit ENABLE ALWAYS";
    client.batch_execute(sql).await.unwrap();
    let count = async || -> i64 {
        let row = client.query_one("SELECT count(*) FROM login_log", &[]).await;
        row.unwrap().get(0)
    };
    server.client("hub").await;
    assert_eq!(count().await, 1, "the trigger does not work");
    let (_, manifest) = server.dump(&source).await;
    assert_eq!((manifest.census.rows(), count().await), (1, 1));

    // A role that may not keep triggers from firing can look as before.
    let rights =
        "CREATE ROLE reader LOGIN IN ROLE pg_read_all_data; GRANT INSERT ON login_log TO reader";
    client.batch_execute(rights).await.unwrap();
    let reader = format!(
        "host={} port={} user=reader dbname=hub",
        server.scratch.directory().display(),
        server.scratch.port()
    );
    let reader = Database::from_url(&reader).unwrap();
    let answer = pgsnap::query_scalar(&reader, "SELECT current_user").await;
    assert_eq!(answer.unwrap().as_deref(), Some("reader"));
}

/// Answers the first message with a request for the password in clear text; returns all that was
/// sent to it then.
async fn greedy_server() -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let length = socket.read_u32().await.unwrap();
        let mut startup = vec![0; length as usize - 4];
        socket.read_exact(&mut startup).await.unwrap();
        socket.write_all(b"R\0\0\0\x08\0\0\0\x03").await.unwrap();
        let mut sent = Vec::new();
        let _ = socket.read_to_end(&mut sent).await;
        sent
    });
    (port, serving)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_the_password_in_clear_text_does_not_get_it() {
    for parameters in ["", "&require_auth=scram-sha-256", "&require_auth=!password"] {
        let (port, serving) = greedy_server().await;
        let url =
            format!("postgresql://hub:s3cret@127.0.0.1:{port}/hub?connect_timeout=5{parameters}");
        let database = Database::from_url(&url).unwrap();
        let error = pgsnap::query_scalar(&database, "SELECT 1").await.unwrap_err();
        assert!(matches!(error, Error::Authentication { .. }), "{error:?}");
        assert!(error.to_string().contains("clear text"), "{error}");
        assert!(error.hint().is_some() && !error.is_retryable());
        assert_eq!(serving.await.unwrap(), b"", "{parameters}");
    }
    let (port, serving) = greedy_server().await;
    let url = format!(
        "postgresql://hub:s3cret@127.0.0.1:{port}/hub?connect_timeout=1&require_auth=password"
    );
    let database = Database::from_url(&url).unwrap();
    pgsnap::query_scalar(&database, "SELECT 1").await.unwrap_err();
    let sent = serving.await.unwrap();
    assert!(sent.windows(6).any(|word| word == b"s3cret"), "the server does not look");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_is_required_is_the_one_that_is_used() {
    let server = Server::with_tcp().await;
    let port = server.scratch.port();
    let sql = "CREATE ROLE app LOGIN PASSWORD 'app'";
    pgsnap::execute(&server.scratch.database("postgres"), sql).await.unwrap();
    let ask = async |method: &str| {
        let url = format!("postgresql://app:app@127.0.0.1:{port}/postgres?require_auth={method}");
        pgsnap::query_scalar(&Database::from_url(&url).unwrap(), "SELECT 1").await
    };
    ask("scram-sha-256").await.unwrap();
    for method in ["none", "md5", "!scram-sha-256"] {
        let error = ask(method).await.unwrap_err();
        assert!(matches!(error, Error::Authentication { .. }), "{method}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_is_no_standby() {
    let server = Server::start().await;
    let ask = async |wanted: &str| {
        let text = format!(
            "host={} port={} user=postgres dbname=postgres target_session_attrs={wanted}",
            server.scratch.directory().display(),
            server.scratch.port()
        );
        pgsnap::query_scalar(&Database::from_url(&text).unwrap(), "SELECT 1").await
    };
    for wanted in ["primary", "prefer-standby"] {
        ask(wanted).await.unwrap();
    }
    let error = ask("standby").await.unwrap_err();
    assert!(matches!(error, Error::ServerRole { is_standby: false, .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_mode_that_is_asked_for_holds_on_every_way() {
    let server = Server::with_tcp().await;
    let socket = server.scratch.directory().display().to_string();
    let port = server.scratch.port();
    let sql = "CREATE ROLE app LOGIN PASSWORD 'app'";
    pgsnap::execute(&server.scratch.database("postgres"), sql).await.unwrap();
    for host in [socket.as_str(), "127.0.0.1"] {
        for (default, asked, refused) in
            [("off", "read-write", "read-only"), ("on", "read-only", "read-write")]
        {
            let ask = async |wanted: &str| {
                let text = format!(
                    "host={host} port={port} user=app password=app dbname=postgres target_session_attrs={wanted} \
                     options='-c default_transaction_read_only={default}'"
                );
                pgsnap::query_scalar(&Database::from_url(&text).unwrap(), "SELECT 1").await
            };
            ask(asked).await.unwrap();
            let error = ask(refused).await.unwrap_err();
            let said = format!("is {asked}, and target_session_attrs asks for {refused}");
            assert!(error.to_string().ends_with(&said), "{host}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_is_told_from_a_server_that_does_not_run() {
    let database = Database::from_url("postgresql://hub@no-such-host.invalid/hub").unwrap();
    let error = pgsnap::dump(&database, Vec::new(), &small_blocks(), &quiet()).await.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.contains("name resolution"), "{error:?}: {hint}");
}

/// An answer that is kept in memory has a limit, whatever the server says.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_rows_without_end_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let length = socket.read_u32().await.unwrap();
        let mut startup = vec![0; length as usize - 4];
        socket.read_exact(&mut startup).await.unwrap();
        let ready = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
        let description = b"T\0\0\0\x1a\0\x01x\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";
        socket.write_all(ready).await.unwrap();
        assert_eq!(socket.read_u8().await.unwrap(), b'Q');
        socket.write_all(description).await.unwrap();
        let value = vec![b'x'; 1 << 20];
        let size = u32::try_from(value.len()).unwrap();
        let row =
            [b"D", &(size + 10).to_be_bytes()[..], b"\0\x01", &size.to_be_bytes()[..], &value]
                .concat();
        while socket.write_all(&row).await.is_ok() {}
    });
    let url = format!("postgresql://hub@127.0.0.1:{port}/hub?connect_timeout=120");
    let error =
        pgsnap::query_scalar(&Database::from_url(&url).unwrap(), "SELECT 1").await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
}
