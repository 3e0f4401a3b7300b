//! Real servers that keep files: Apache, nginx, rclone and moto, each in a directory of its own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::port::free_port;

/// The user of an Apache that root starts: it does not serve as root.
const NOBODY: u32 = 65534;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A running server. Dropped, it ends.
#[derive(Debug)]
pub struct WebServer {
    directory: TempDir,
    address: IpAddr,
    port: u16,
    child: Child,
}

impl WebServer {
    /// Apache with mod_dav (Debian's `apache2-bin`); `directives` go into its configuration.
    ///
    /// # Errors
    /// Where it is not installed, or does not start.
    pub fn apache(directives: &str) -> io::Result<Self> {
        let modules = PathBuf::from("/usr/lib/apache2/modules");
        Self::start("/usr/sbin/apache2", |directory, port| {
            let load = [
                "mpm_event",
                "authz_core",
                "unixd",
                "dav",
                "dav_fs",
                "dav_lock",
            ]
            .map(|name| {
                // Which modules are built in differs between distributions.
                format!(
                    "<IfModule !{name}_module>\nLoadModule {name}_module {}/mod_{name}.so\n</IfModule>\n",
                    modules.display()
                )
            });
            let directory = directory.display();
            let config = format!(
                "{load}ServerName localhost\nServerRoot {directory}\nPidFile {directory}/pid\nListen 127.0.0.1:{port}\n\
                 ErrorLog {directory}/log\nDocumentRoot {directory}/files\nDavLockDB {directory}/lock\n{user}\
                 <Directory {directory}/files>\nDav On\nRequire all granted\n</Directory>\n{directives}\n",
                load = load.concat(),
                user = if rustix::process::geteuid().is_root() {
                    format!("User #{NOBODY}\nGroup #{NOBODY}\n")
                } else {
                    String::new()
                },
            );
            (config, vec!["-X".into(), "-f".into(), "CONFIG".into()])
        })
    }

    /// nginx with its DAV modules (Debian's `nginx-extras`).
    ///
    /// # Errors
    /// Where it is not installed, or does not start.
    pub fn nginx(directives: &str) -> io::Result<Self> {
        Self::start("/usr/sbin/nginx", |directory, port| {
            let shown = directory.display();
            let config = format!(
                "load_module /usr/lib/nginx/modules/ngx_http_dav_ext_module.so;\ndaemon off;\nmaster_process off;\npid {shown}/pid;\nerror_log {shown}/log;\n{user}events {{}}\n\
                 http {{\naccess_log off;\nclient_body_temp_path {shown}/body;\nproxy_temp_path {shown}/t1;\nfastcgi_temp_path {shown}/t2;\n\
                 uwsgi_temp_path {shown}/t3;\nscgi_temp_path {shown}/t4;\nserver {{\nlisten 127.0.0.1:{port};\nroot {shown}/files;\nlocation / {{\n\
                 dav_methods PUT DELETE MKCOL COPY MOVE;\ndav_ext_methods PROPFIND OPTIONS;\ncreate_full_put_path off;\nclient_max_body_size 0;\n{directives}\n}}\n}}\n}}\n",
                user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" },
            );
            (config, vec!["-p".into(), directory.into(), "-c".into(), "CONFIG".into()])
        })
    }

    /// `rclone serve webdav` (Debian's `rclone`), a second opinion.
    ///
    /// # Errors
    /// Where it is not installed, or does not start.
    pub fn rclone() -> io::Result<Self> {
        Self::start("rclone", |directory, port| {
            let address = format!("127.0.0.1:{port}");
            let files = directory.join("files");
            let arguments = vec![
                "serve".into(),
                "webdav".into(),
                "--addr".into(),
                address.into(),
                "--config".into(),
                "CONFIG".into(),
                files.into(),
            ];
            (String::new(), arguments)
        })
    }

    /// The S3 server of moto (Python's package of that name), which is in `packages`.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn moto(packages: &Path) -> io::Result<Self> {
        Self::moto_at(packages, LOOPBACK)
    }

    /// The same at another address of this machine, such as that by which the pods of a cluster
    /// reach it.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn moto_at(packages: &Path, address: IpAddr) -> io::Result<Self> {
        let path = format!("PYTHONPATH={}", packages.display());
        Self::start_at(address, "env", |_, port| {
            let arguments = vec![
                path.clone().into(),
                "python3".into(),
                "-m".into(),
                "moto.server".into(),
                "-H".into(),
                address.to_string().into(),
                "-p".into(),
                port.to_string().into(),
            ];
            (String::new(), arguments)
        })
    }

    /// Starts a program whose configuration and arguments `make` makes of a directory and a port;
    /// `CONFIG` stands for the file.
    fn start(
        program: &str,
        make: impl Fn(&Path, u16) -> (String, Vec<std::ffi::OsString>),
    ) -> io::Result<Self> {
        Self::start_at(LOOPBACK, program, make)
    }

    fn start_at(
        address: IpAddr,
        program: &str,
        make: impl Fn(&Path, u16) -> (String, Vec<std::ffi::OsString>),
    ) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("web").tempdir()?;
        fs_err::create_dir(directory.path().join("files"))?;
        if rustix::process::geteuid().is_root() {
            for path in [directory.path(), &directory.path().join("files")] {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY))?;
            }
        }
        let port = free_port();
        let (config, arguments) = make(directory.path(), port);
        let file = directory.path().join("config");
        fs_err::write(&file, config)?;
        let arguments = arguments.into_iter().map(|argument| {
            if argument == "CONFIG" { file.clone().into_os_string() } else { argument }
        });
        let log = fs_err::File::create(directory.path().join("output"))?.into_file();
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut server = Self { directory, address, port, child };
        server.wait()?;
        Ok(server)
    }

    fn wait(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect((self.address, self.port)).is_err() {
            let has_ended = self.child.try_wait()?.is_some();
            if has_ended || Instant::now() > deadline {
                let said = ["output", "log"].map(|name| {
                    fs_err::read_to_string(self.directory.path().join(name)).unwrap_or_default()
                });
                return Err(io::Error::other(format!("it does not listen: {}", said.concat())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Its address, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}:{}", self.address, self.port)
    }

    /// Returns the directory of the served files.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
