//! A server in a container, as its image starts it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use testcontainers::core::{IntoContainerPort as _, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, GenericImage, ImageExt as _};
use tokio_postgres::{Client, NoTls};

use crate::containers::Run;
use crate::image::Images;
use crate::plan::Version;

const PORT: u16 = 5432;
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Printed on stdout by the start that makes the database, and on stderr by the one that stays.
const READY: &str = "database system is ready to accept connections";

/// A running server. Dropping it removes its container, unless the run keeps it.
pub(crate) struct Server {
    pub(crate) version: Version,
    /// As the server prints it, such as `16.15`.
    pub(crate) release: String,
    pub(crate) image: String,
    address: (String, u16),
    password: String,
    container: Option<ContainerAsync<GenericImage>>,
    keep: bool,
}

impl Server {
    /// Starts a server and waits until it accepts connections.
    pub(crate) async fn start(
        run: &Run,
        images: &Images,
        version: Version,
        role: &str,
    ) -> anyhow::Result<Self> {
        let (name, tag) = images.of(version);
        let image = format!("{name}:{tag}");
        // Docker opens the port on every interface of this machine.
        let password = fs_err::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned();
        let request = GenericImage::new(name, tag)
            .with_exposed_port(PORT.tcp())
            .with_wait_for(WaitFor::message_on_stdout(READY))
            .with_wait_for(WaitFor::message_on_stderr(READY))
            .with_env_var("POSTGRES_PASSWORD", &password)
            .with_container_name(format!("hubctl-drill-{}-{role}-{version}", std::process::id()))
            .with_labels(run.labels()?)
            .with_startup_timeout(START_TIMEOUT);
        let container = request
            .start()
            .await
            .map_err(|error| images.unavailable(version, &error.to_string()))?;
        let host = container.get_host().await?.to_string();
        let host = if host == "localhost" { "127.0.0.1".to_owned() } else { host };
        let port = container.get_host_port_ipv4(PORT).await?;
        let mut server = Self {
            version,
            release: String::new(),
            image,
            address: (host, port),
            password,
            container: Some(container),
            keep: run.keeps(),
        };
        server.release = server.inspect().await?;
        Ok(server)
    }

    /// The release, after making sure that the server is what it should be.
    async fn inspect(&self) -> anyhow::Result<String> {
        let client = self.connect("postgres").await?;
        let row = client
            .query_one(
                "SELECT current_setting('server_version'), current_setting('fsync'), \
                 current_setting('server_version_num')::int / 10000",
                &[],
            )
            .await?;
        let (release, fsync, major): (String, String, i32) = (row.get(0), row.get(1), row.get(2));
        if u32::try_from(major) != Ok(self.version.major) {
            bail!("{} holds PostgreSQL {release}, not {}", self.image, self.version);
        }
        if fsync != "on" {
            bail!("{} runs with fsync {fsync}: times and crashes mean nothing there", self.image);
        }
        // Debian adds its package to the number.
        Ok(release.split(' ').next().unwrap_or_default().to_owned())
    }

    /// A session of the superuser.
    pub(crate) async fn connect(&self, database: &str) -> anyhow::Result<Client> {
        let mut config = tokio_postgres::Config::new();
        config
            .host(&self.address.0)
            .port(self.address.1)
            .user("postgres")
            .password(&self.password)
            .dbname(database);
        let (client, connection) = config
            .connect(NoTls)
            .await
            .with_context(|| format!("could not connect to {}", self.image))?;
        // Ends with its client; an error reaches whoever uses that.
        tokio::spawn(connection);
        Ok(client)
    }

    /// For `hubctl`, without the password.
    pub(crate) fn url(&self, database: &str) -> String {
        let (host, port) = &self.address;
        // The images have no certificate. Where we are in a container ourselves, the way to a server is not loopback.
        format!("postgresql://postgres@{host}:{port}/{database}?sslmode=disable")
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// For PostgreSQL's own programs.
    pub(crate) fn environment(&self, database: &str) -> Vec<(&'static str, String)> {
        let (host, port) = &self.address;
        vec![
            ("PGHOST", host.clone()),
            ("PGPORT", port.to_string()),
            ("PGUSER", "postgres".into()),
            ("PGPASSWORD", self.password.clone()),
            ("PGDATABASE", database.to_owned()),
        ]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.keep {
            // What would remove it is the drop of the handle.
            std::mem::forget(self.container.take());
        }
    }
}
