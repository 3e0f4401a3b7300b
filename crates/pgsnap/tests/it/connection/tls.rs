//! Every `sslmode` against servers that deserve it and servers that do not.

use testkit::Certificates;

use std::sync::Arc;

use pgsnap::secrecy::SecretString;
use pgsnap::{
    ConnectionParameters, Database, Error, ErrorClass, OpenDump, RestoreOptions, TlsFailure,
    query_scalar,
};

use crate::server::{Server, quiet};

const PASSWORD: &str = "only for tests";

/// A server with TLS for `db.example` that speaks clear text with one role only.
struct TlsServer {
    server: Server,
    certificates: Certificates,
}

impl TlsServer {
    async fn start() -> Self {
        let certificates = Certificates::new().unwrap();
        certificates.sign("server", "db.example", &["db.example"]).unwrap();
        certificates.sign("mutual", "mutual", &[]).unwrap();
        certificates.sign("stranger", "stranger", &[]).unwrap();
        let server = Server::with_tcp().await;
        let started = Self { server, certificates };
        let roles = ["hub", "mutual", "plain"]
            .map(|role| format!("CREATE ROLE {role} SUPERUSER LOGIN PASSWORD '{PASSWORD}';"));
        started.sql(&roles.concat()).await;
        started.show("server").await;
        started
    }

    /// Makes the server show another certificate to new connections.
    async fn show(&self, name: &str) {
        const HBA: &str = "local all all trust\n\
            hostnossl all plain 127.0.0.1/32 scram-sha-256\n\
            hostssl all mutual 127.0.0.1/32 cert\n\
            hostssl all hub 127.0.0.1/32 scram-sha-256\n";
        let directory = self.server.scratch.directory().join("data");
        fs_err::write(directory.join("pg_hba.conf"), HBA).unwrap();
        let mut statements = vec!["ALTER SYSTEM SET ssl = on".to_owned()];
        for (setting, file) in [
            ("ssl_cert_file", format!("{name}.crt")),
            ("ssl_key_file", format!("{name}.key")),
            ("ssl_ca_file", "ca.crt".to_owned()),
        ] {
            let path = self.certificates.give_to_server(&file, &directory).unwrap();
            statements.push(format!("ALTER SYSTEM SET {setting} = '{}'", path.display()));
        }
        statements.push("SELECT pg_reload_conf()".to_owned());
        for statement in statements {
            self.sql(&statement).await;
        }
        self.wait_until_shown(name).await;
    }

    /// The server reloads its configuration when it gets to it.
    async fn wait_until_shown(&self, name: &str) {
        let query = format!(
            "SELECT current_setting('ssl') = 'on' AND current_setting('ssl_cert_file') LIKE '%/{name}.crt'"
        );
        let socket = self.server.scratch.database("postgres");
        for _ in 0..500 {
            if query_scalar(&socket, &query).await.unwrap().as_deref() == Some("t") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the server does not show {name}");
    }

    async fn sql(&self, statements: &str) {
        // Not as one transaction: ALTER SYSTEM refuses to be in one.
        let client = self.server.client("postgres").await;
        client.batch_execute(statements).await.unwrap();
    }

    /// `FILE` in the parameters stands for the directory of certificates.
    fn database(&self, user: &str, host: &str, parameters: &str) -> Database {
        let parameters =
            parameters.replace("FILE", &self.certificates.path("").display().to_string());
        let text = format!(
            "host={host} hostaddr=127.0.0.1 port={} user={user} dbname=postgres {parameters}",
            self.server.scratch.port()
        );
        let parameters = ConnectionParameters::parse(&text).unwrap();
        Database::from_parameters(&parameters).unwrap().with_password(SecretString::from(PASSWORD))
    }

    /// Returns true if the connection is encrypted, or why there is none.
    async fn ask(&self, user: &str, host: &str, parameters: &str) -> Result<bool, Error> {
        const QUERY: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let database = self.database(user, host, parameters);
        Ok(query_scalar(&database, QUERY).await?.as_deref() == Some("t"))
    }

    async fn failure(&self, user: &str, host: &str, parameters: &str) -> TlsFailure {
        let error = self.ask(user, host, parameters).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::CouldNotAsk, "{parameters}: {error}");
        assert!(!error.is_retryable() && error.hint().is_some(), "{error}");
        match error {
            Error::Tls { failure, .. } => failure,
            other => panic!("{parameters}: {other}"),
        }
    }
}

/// The clients that the tests fetch for some versions were built without TLS.
fn clients_know_tls() -> bool {
    let output = std::process::Command::new("psql")
        .args(["-X", "-c", "", "host=127.0.0.1 port=1 sslmode=require"])
        .output()
        .unwrap();
    let know = !String::from_utf8_lossy(&output.stderr).contains("SSL support is not compiled in");
    if !know {
        testkit::not_applicable("needs clients with TLS");
    }
    know
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mode_proves_what_it_promises() {
    let server = TlsServer::start().await;
    let right = "db.example";
    let wrong = "other.example";
    for parameters in [
        "sslmode=allow",
        "sslmode=prefer",
        "sslmode=require",
        "sslmode=require channel_binding=require",
        "sslmode=require sslrootcert=FILE/ca.crt",
        "sslmode=verify-ca sslrootcert=FILE/ca.crt",
        "sslmode=verify-full sslrootcert=FILE/ca.crt",
        "sslrootcert=FILE/ca.crt channel_binding=require",
    ] {
        assert!(server.ask("hub", right, parameters).await.unwrap(), "{parameters}");
    }
    for parameters in [
        "sslmode=require",
        "sslmode=require sslrootcert=FILE/ca.crt",
        "sslmode=verify-ca sslrootcert=FILE/ca.crt",
    ] {
        assert!(server.ask("hub", wrong, parameters).await.unwrap(), "{parameters}");
    }
    for parameters in ["sslmode=verify-full sslrootcert=FILE/ca.crt", "sslrootcert=FILE/ca.crt"] {
        let failure = server.failure("hub", wrong, parameters).await;
        assert_eq!(failure, TlsFailure::WrongName, "{parameters}");
    }
    for parameters in [
        "sslmode=prefer sslrootcert=FILE/other-ca.crt",
        "sslmode=require sslrootcert=FILE/other-ca.crt",
        "sslmode=verify-ca sslrootcert=FILE/other-ca.crt",
        "sslmode=verify-full sslrootcert=FILE/other-ca.crt",
        "sslmode=verify-full sslrootcert=system",
    ] {
        let failure = server.failure("hub", right, parameters).await;
        assert_eq!(failure, TlsFailure::Untrusted, "{parameters}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_decides_who_may_speak_clear_text() {
    let server = TlsServer::start().await;
    assert!(!server.ask("plain", "db.example", "sslmode=disable").await.unwrap());
    assert!(!server.ask("plain", "db.example", "").await.unwrap());
    let error = server.ask("hub", "db.example", "").await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("28000"), "{error}");
    assert!(error.hint().unwrap().contains("sslmode=require"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_named_as_such() {
    let server = Server::with_tcp().await;
    let reach = |mode: &str| {
        let url = format!(
            "postgresql://postgres@127.0.0.1:{}/postgres?sslmode={mode}&sslrootcert={}",
            server.scratch.port(),
            if mode == "verify-full" { "system" } else { "" }
        );
        Database::from_url(&url).unwrap()
    };
    for mode in ["require", "verify-full"] {
        let error = query_scalar(&reach(mode), "SELECT 1").await.unwrap_err();
        assert!(
            matches!(&error, Error::Tls { failure: TlsFailure::NotOffered, .. }),
            "{mode}: {error}"
        );
        assert!(!error.is_retryable());
        assert!(error.hint().unwrap().contains("sslmode=disable"), "{error}");
    }
    // It takes the offer that is there, and gets as far as the missing password.
    let error = query_scalar(&reach("prefer"), "SELECT 1").await.unwrap_err();
    assert!(!matches!(error, Error::Tls { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_asked_for_shown_and_judged() {
    let server = TlsServer::start().await;
    let own = "sslmode=require sslcert=FILE/mutual.crt sslkey=FILE/mutual.key";
    assert!(server.ask("mutual", "db.example", own).await.unwrap());
    let none = server.failure("mutual", "db.example", "sslmode=require").await;
    assert_eq!(none, TlsFailure::ClientCertificateRequired);

    // Of an authority that the server does not know.
    let others = Certificates::new().unwrap();
    others.sign("mutual", "mutual", &[]).unwrap();
    let parameters = format!(
        "sslmode=require sslcert={0}/mutual.crt sslkey={0}/mutual.key",
        others.path("").display()
    );
    let unknown = server.failure("mutual", "db.example", &parameters).await;
    assert_eq!(unknown, TlsFailure::ClientCertificateRefused);

    // For another role.
    let stranger = "sslmode=require sslcert=FILE/stranger.crt sslkey=FILE/stranger.key";
    let error = server.ask("mutual", "db.example", stranger).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("28000"), "{error}");
    assert!(!error.is_retryable());

    // A key that does not belong to the certificate.
    let mixed = "sslmode=require sslcert=FILE/mutual.crt sslkey=FILE/stranger.key";
    let error = server.ask("mutual", "db.example", mixed).await.unwrap_err();
    assert!(matches!(error, Error::Certificate { .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::Usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_not_accepted() {
    let server = TlsServer::start().await;
    server.certificates.sign_expired("expired", "db.example", &["db.example"]).unwrap();
    server.show("expired").await;
    for mode in ["verify-ca", "verify-full"] {
        let parameters = format!("sslmode={mode} sslrootcert=FILE/ca.crt");
        let failure = server.failure("hub", "db.example", &parameters).await;
        assert_eq!(failure, TlsFailure::OutOfDate, "{mode}");
    }
    assert!(server.ask("hub", "db.example", "sslmode=require").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_signed_itself_is_its_own_authority() {
    let server = TlsServer::start().await;
    server.certificates.sign_itself("lonely", &["db.example"]).unwrap();
    server.show("lonely").await;
    let known = "sslmode=verify-full sslrootcert=FILE/lonely.crt";
    assert!(server.ask("hub", "db.example", known).await.unwrap());
    let failure = server.failure("hub", "other.example", known).await;
    assert_eq!(failure, TlsFailure::WrongName);
    let unknown = "sslmode=verify-ca sslrootcert=FILE/ca.crt";
    assert!(server.ask("hub", "db.example", unknown).await.is_err());
}

/// Runs the command line tool in the directory of certificates.
fn run_openssl(server: &TlsServer, line: &str) -> Option<std::process::Output> {
    let run = std::process::Command::new("openssl")
        .args(line.split_whitespace())
        .current_dir(server.certificates.path(""))
        .output();
    testkit::installed("openssl", run)
}

/// The same, where it must succeed. False if it is not installed.
fn openssl(server: &TlsServer, line: &str) -> bool {
    let Some(output) = run_openssl(server, line) else {
        return false;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {line}: {said}");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_on_p_521_are_verified_as_others_are() {
    const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-521 -nodes";
    let server = TlsServer::start().await;
    let authority =
        format!("req -x509 {NEW_KEY} -keyout p521-ca.key -out p521-ca.crt -days 2 -subj /CN=p521");
    if !openssl(&server, &authority) {
        return;
    }
    let names = server.certificates.path("names");
    fs_err::write(names, "subjectAltName=DNS:db.example").unwrap();
    for digest in ["sha256", "sha384", "sha512"] {
        openssl(
            &server,
            &format!("req {NEW_KEY} -keyout {digest}.key -out csr -subj /CN=db.example"),
        );
        openssl(
            &server,
            &format!(
                "x509 -req -in csr -CA p521-ca.crt -CAkey p521-ca.key -CAcreateserial -{digest} -days 2 \
                 -extfile names -out {digest}.crt"
            ),
        );
        server.show(digest).await;
        for parameters in [
            "sslmode=require channel_binding=require",
            "sslmode=verify-full sslrootcert=FILE/p521-ca.crt channel_binding=require",
        ] {
            assert!(
                server.ask("hub", "db.example", parameters).await.unwrap(),
                "{digest} {parameters}"
            );
        }
        let known = "sslmode=verify-full sslrootcert=FILE/p521-ca.crt";
        let failure = server.failure("hub", "other.example", known).await;
        assert_eq!(failure, TlsFailure::WrongName);
        let unknown = "sslmode=verify-ca sslrootcert=FILE/ca.crt";
        let failure = server.failure("hub", "db.example", unknown).await;
        assert_eq!(failure, TlsFailure::Untrusted);
    }

    server.sql("ALTER SYSTEM SET ssl_max_protocol_version = 'TLSv1.2'").await;
    server.show("sha256").await;
    let failure = server.failure("hub", "db.example", "sslmode=require").await;
    assert!(failure.to_string().contains("P-521 over TLS 1.3 only"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_version_1_encrypts_and_proves_nothing() {
    let server = TlsServer::start().await;
    let request = "req -newkey rsa:2048 -nodes -keyout old.key -out csr -subj /CN=db.example";
    if !openssl(&server, request) {
        return;
    }
    // OpenSSL 3.2 and newer make them only if told so, and older ones do not know the word.
    let told = "req -x509 -x509v1 -in csr -key old.key -days 2 -out old.crt";
    if !run_openssl(&server, told).is_some_and(|output| output.status.success()) {
        openssl(&server, "x509 -req -in csr -signkey old.key -days 2 -out old.crt");
    }
    server.show("old").await;
    for parameters in ["sslmode=prefer", "sslmode=require channel_binding=require"] {
        assert!(server.ask("hub", "db.example", parameters).await.unwrap(), "{parameters}");
    }
    for mode in ["verify-ca", "verify-full"] {
        for file in ["old.crt", "ca.crt"] {
            let parameters = format!("sslmode={mode} sslrootcert=FILE/{file}");
            let failure = server.failure("hub", "db.example", &parameters).await;
            assert_eq!(failure, TlsFailure::OldVersion, "{parameters}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_rsa_pss_only_is_named() {
    let server = TlsServer::start().await;
    let key = "genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out pss.key";
    if !openssl(&server, key) {
        return;
    }
    openssl(&server, "req -x509 -key pss.key -out pss.crt -days 2 -subj /CN=db.example");
    server.show("pss").await;
    let failure = server.failure("hub", "db.example", "sslmode=require").await;
    assert!(failure.to_string().contains("RSA-PSS"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_only_has_the_name_of_another_is_not_trusted() {
    let server = TlsServer::start().await;
    let others = Certificates::new().unwrap();
    let file = others.path("ca.crt").display().to_string();
    let parameters = format!("sslmode=verify-ca sslrootcert={file}");
    let failure = server.failure("hub", "db.example", &parameters).await;
    assert_eq!(failure, TlsFailure::Untrusted);
}

/// Rows and DDL: ours and those of `pg_dump` cross the same kind of connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_and_its_restore_are_encrypted_throughout() {
    if !clients_know_tls() {
        return;
    }
    let server = TlsServer::start().await;
    server.server.zoo("zoo").await;
    let parameters = "sslmode=verify-full sslrootcert=FILE/ca.crt channel_binding=require";
    let source = server.database("hub", "db.example", parameters).with_name("zoo");
    let (archive, manifest) = server.server.dump(&source).await;
    assert!(!manifest.census.tables.is_empty());
    let target = source.with_name("copy");
    let restored =
        pgsnap::restore(&archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap();
    let copied = restored.census.expect("the copy was counted");
    assert_eq!(pgsnap::compare(&manifest.census, &copied).differences, []);

    let unverified = server.database("hub", "other.example", parameters).with_name("zoo");
    let error = pgsnap::census(&unverified, &Default::default(), &quiet()).await.unwrap_err();
    assert!(matches!(error, Error::Tls { failure: TlsFailure::WrongName, .. }), "{error}");
}

/// A plain dump goes through psql, which the server would not let in otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn psql_is_encrypted_too() {
    if !clients_know_tls() {
        return;
    }
    let server = TlsServer::start().await;
    let script = server.server.file("plain.sql");
    let dump = "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE t ();\n\n--\n-- PostgreSQL database dump complete\n--\n\n";
    fs_err::write(&script, dump).unwrap();
    let open: Arc<OpenDump> = Arc::new(move || {
        let file = fs_err::File::open(&script)?;
        Ok(Box::new(file) as Box<dyn std::io::Read + Send>)
    });
    let parameters = "sslmode=verify-full sslrootcert=FILE/ca.crt";
    let target = server.database("hub", "db.example", parameters).with_name("foreign");
    pgsnap::restore_foreign(open, &target, &RestoreOptions::default(), &quiet()).await.unwrap();
    let tables = query_scalar(&target, "SELECT count(*) FROM t").await.unwrap();
    assert_eq!(tables.as_deref(), Some("0"));
}
