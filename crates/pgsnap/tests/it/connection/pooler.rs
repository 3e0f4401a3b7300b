//! pgbouncer in between: sessions are shared, so nothing may be asked through it.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pgsnap::{Database, Error, ErrorClass};

use crate::server::{Server, quiet};

/// A pgbouncer before a server. It ends with its owner.
struct Pooler {
    process: Child,
    port: u16,
}

impl Pooler {
    /// Runs as the server's user, because pgbouncer refuses root, too.
    fn start(server: &Server, settings: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = server.scratch.directory();
        let configuration = format!(
            "[databases]\n* = host={} port={} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\n{settings}\n",
            directory.display(),
            server.scratch.port()
        );
        let path = directory.join("pgbouncer.ini");
        fs_err::write(&path, configuration).unwrap();
        let owner = fs_err::metadata(directory.join("data")).unwrap();
        let mut command = Command::new("pgbouncer");
        command.arg("-q").arg(&path).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if owner.uid() != fs_err::metadata("/proc/self").unwrap().uid() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let process = command.spawn().expect("pgbouncer is installed (`cargo xtask setup`)");
        let pooler = Self { process, port };
        pooler.wait_until_it_listens();
        pooler
    }

    fn wait_until_it_listens(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "pgbouncer does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn database(&self) -> Database {
        let url = format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port);
        Database::from_url(&url).unwrap()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn refusal(server: &Server, settings: &str) {
    let pooler = Pooler::start(server, settings);
    let database = pooler.database();
    let asked = pgsnap::query_scalar(&database, "SELECT 1").await.err();
    let dumped = pgsnap::dump(&database, Vec::new(), &Default::default(), &quiet()).await;
    for error in [asked.unwrap(), dumped.err().unwrap()] {
        assert!(matches!(error, Error::Pooler { .. }), "{settings}: {error}");
        assert_eq!(error.class(), ErrorClass::CouldNotAsk);
        assert!(!error.is_retryable());
        assert!(error.hint().unwrap().starts_with("connect to the server itself"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_is_refused_in_every_mode() {
    let server = Server::start().await;
    for mode in ["session", "transaction", "statement"] {
        refusal(&server, &format!("pool_mode = {mode}")).await;
    }
}

/// As it is often set up for other clients: what cannot be passed on is dropped without a word.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_ignores_what_we_ask_is_found_out() {
    let server = Server::start().await;
    for mode in ["session", "transaction"] {
        let settings =
            format!("pool_mode = {mode}\nignore_startup_parameters = options,extra_float_digits\n");
        refusal(&server, &settings).await;
    }
}
