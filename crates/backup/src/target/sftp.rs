//! A folder on a machine with an SSH server, by SFTP.
//!
//! The connection is OpenSSH's `ssh -s HOST sftp`: its configuration, keys, agent and known hosts
//! hold, and nothing outlives the program.

mod address;
mod link;
mod packets;
mod spec;

use std::fmt;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use bytes::BytesMut;
use openssh_sftp_client::Sftp as Session;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::bandwidth::{Bandwidth, Throttled};

use super::retry::retry;
use super::{
    Limits, Receipt, RemoteFile, Target, TargetFailure, Upload, failed, local, partial_name,
};
use crate::Result;
use address::Address;
use link::{Link, of_sftp};
pub(super) use spec::SftpSpec;

/// One write; the session cuts it to what the server takes.
const PIECE: usize = 256 * 1024;

/// What a question without a file counts for in the time that it may take.
const USUAL: u64 = 2 << 20;
/// No folder of backups has more files.
const MOST_FILES: usize = 200_000;

/// A folder of an SFTP server.
///
/// A file is written under another name, synced where the server knows how to (OpenSSH does),
/// compared in length, and renamed.
pub struct Sftp {
    address: Address,
    options: Vec<String>,
    limits: Limits,
    bandwidth: Option<Bandwidth>,
    link: Mutex<Option<Link>>,
    /// There until it is dropped.
    runtime: Option<Runtime>,
}

impl Sftp {
    /// The folder of `place`, which is `[USER@]HOST:FOLDER` or `sftp://[USER@]HOST[:PORT]/FOLDER`,
    /// with the options for `ssh` before the host, such as `-F FILE`. An IPv6 address is in
    /// brackets, and `~/` begins a folder in the home directory.
    ///
    /// # Errors
    /// [`Error::InvalidTarget`](crate::Error::InvalidTarget) for a place without host or folder.
    pub fn new(place: &str, mut options: Vec<String>, limits: Limits) -> Result<Self> {
        let address = Address::parse(place)?;
        if let Some(port) = address.port {
            options.extend(["-p".to_owned(), port.to_string()]);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            address,
            options,
            bandwidth: limits.bandwidth.map(Bandwidth::new),
            limits,
            link: Mutex::new(None),
            runtime: Some(runtime),
        })
    }

    /// Does something that takes this many bytes to and fro with the session, which is made when it
    /// is needed, and again after it broke.
    fn with<T: Send>(
        &self,
        bytes: u64,
        act: impl AsyncFn(&Session) -> Result<T, TargetFailure> + Sync,
    ) -> Result<T, TargetFailure> {
        let runtime = self.runtime.as_ref().expect("the runtime is there until it is dropped");
        let once = async || {
            let link = match self.take_link() {
                Some(link) => link,
                None => Link::open(&self.address.destination, &self.options, &self.limits).await?,
            };
            let after = self.limits.total(self.limits.stall, bytes);
            let act = timeout(after, act(link.session())).await;
            let result = act.unwrap_or(Err(TargetFailure::TooSlow { after }));
            let is_broken = |failure: &TargetFailure| {
                failure.is_retryable() || matches!(failure, TargetFailure::TooSlow { .. })
            };
            // A session that failed may have lost its other end.
            if !result.as_ref().is_err_and(is_broken) {
                self.keep_link(link);
            }
            result
        };
        retry(&self.limits, || {
            // A thread of its own: whoever calls may be inside of another runtime.
            thread::scope(|scope| {
                let act = scope.spawn(|| runtime.block_on(once()));
                act.join().expect("a session does not panic")
            })
        })
    }

    fn take_link(&self) -> Option<Link> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.take()
    }

    fn keep_link(&self, link: Link) {
        let mut kept = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(link);
    }

    async fn write(
        &self,
        session: &Session,
        upload: &Upload<'_>,
    ) -> Result<Receipt, TargetFailure> {
        let path = self.address.folder.join(upload.name);
        make_folder(session, &self.address.folder).await?;
        let mut fs = session.fs();
        if !upload.replace && length(session, &path).await?.is_some() {
            return Err(TargetFailure::Taken);
        }
        let partial = self.address.folder.join(partial_name(upload.name));
        self.copy(session, upload, &partial).await?;
        match length(session, &partial).await? {
            Some(length) if length == upload.bytes => {}
            there => {
                return Err(TargetFailure::Differs {
                    expected: format!("{} bytes", upload.bytes),
                    actual: format!("{} bytes", there.unwrap_or_default()),
                });
            }
        }
        fs.rename(&partial, &path).await.map_err(of_sftp)?;
        Ok(Receipt { answer: "ok".to_owned(), is_hash_confirmed: false })
    }

    async fn copy(
        &self,
        session: &Session,
        upload: &Upload<'_>,
        to: &Path,
    ) -> Result<(), TargetFailure> {
        let mut options = session.options();
        let options = options.write(true).create(true).truncate(true);
        let mut file = options.open(to).await.map_err(of_sftp)?;
        let private = openssh_sftp_client::metadata::Permissions::from_raw(
            openssh_sftp_client::metadata::RawPermissions::READ_BY_OWNER
                | openssh_sftp_client::metadata::RawPermissions::WRITE_BY_OWNER,
        );
        // Some servers keep the rights of files to themselves; the file is sealed anyway.
        let _ = file.set_permissions(private).await;
        let mut reader = Throttled {
            inner: upload.part(0..upload.bytes).map_err(local)?,
            bandwidth: self.bandwidth.clone(),
        };
        let mut buffer = vec![0; PIECE];
        loop {
            match reader.read(&mut buffer).map_err(TargetFailure::Local)? {
                0 => break,
                n => file.write_all(&buffer[..n]).await.map_err(of_sftp)?,
            }
        }
        if session.support_fsync() {
            file.sync_all().await.map_err(of_sftp)?;
        }
        file.close().await.map_err(of_sftp)
    }
}

impl Target for Sftp {
    fn place(&self) -> String {
        {
            let Address { destination, port, folder } = &self.address;
            let port = port.map(|port| format!(" port {port}"));
            let port = port.unwrap_or_default();
            format!("sftp {destination}:{}{port}", folder.display())
        }
    }

    fn list(&self) -> Result<Vec<RemoteFile>> {
        self.with(USUAL, async |session| list(session, &self.address.folder).await)
            .map_err(|failure| failed(self, "list", failure))
    }

    fn put(&self, upload: &Upload<'_>) -> Result<Receipt> {
        self.with(upload.bytes, async |session| self.write(session, upload).await)
            .map_err(|failure| failed(self, format!("put {}", upload.name), failure))
    }

    fn read(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>> {
        let path = self.address.folder.join(name);
        let bytes = self
            .with(range.end - range.start, async |session| read(session, &path, &range).await)
            .map_err(|failure| failed(self, format!("get {name}"), failure))?;
        if let Some(bandwidth) = &self.bandwidth {
            bandwidth.take(bytes.len() as u64);
        }
        Ok(bytes)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.address.folder.join(name);
        self.with(USUAL, async |session| {
            match session.fs().remove_file(&path).await.map_err(of_sftp) {
                Err(TargetFailure::NotFound) => Ok(()),
                result => result,
            }
        })
        .map_err(|failure| failed(self, format!("remove {name}"), failure))
    }
}

async fn make_folder(session: &Session, folder: &Path) -> Result<(), TargetFailure> {
    match session.fs().metadata(folder).await.map_err(of_sftp) {
        Err(TargetFailure::NotFound) => session.fs().create_dir(folder).await.map_err(of_sftp),
        other => other.map(|_| ()),
    }
}

async fn length(session: &Session, path: &Path) -> Result<Option<u64>, TargetFailure> {
    match session.fs().metadata(path).await.map_err(of_sftp) {
        Ok(metadata) => Ok(Some(metadata.len().unwrap_or_default())),
        Err(TargetFailure::NotFound) => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn list(session: &Session, folder: &Path) -> Result<Vec<RemoteFile>, TargetFailure> {
    use futures_util::TryStreamExt as _;
    let directory = match session.fs().open_dir(folder).await.map_err(of_sftp) {
        // It is made by the first upload.
        Err(TargetFailure::NotFound) => return Ok(Vec::new()),
        directory => directory?,
    };
    let mut files = Vec::new();
    let mut entries = Box::pin(directory.read_dir());
    while let Some(entry) = entries.try_next().await.map_err(of_sftp)? {
        let metadata = entry.metadata();
        if !metadata.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        if files.len() >= MOST_FILES {
            return Err(TargetFailure::TooLong { limit: MOST_FILES as u64, unit: "files" });
        }
        if let (Some(name), Some(bytes)) = (entry.filename().to_str(), metadata.len()) {
            files.push(RemoteFile { name: name.to_owned(), bytes });
        }
    }
    Ok(files)
}

async fn read(
    session: &Session,
    path: &Path,
    range: &Range<u64>,
) -> Result<Vec<u8>, TargetFailure> {
    use tokio::io::AsyncSeekExt as _;
    let mut file = session.open(path).await.map_err(of_sftp)?;
    let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::with_capacity(wanted);
    while bytes.len() < wanted {
        // By its own position the file would pass over what a short answer left out.
        let at = std::io::SeekFrom::Start(range.start + bytes.len() as u64);
        let mut file = Box::pin(&mut file);
        file.seek(at).await.map_err(TargetFailure::Local)?;
        let left = u32::try_from(wanted - bytes.len()).unwrap_or(u32::MAX);
        match file.read(left, BytesMut::new()).await.map_err(of_sftp)? {
            Some(piece) if !piece.is_empty() => bytes.extend_from_slice(&piece),
            _ => break,
        }
    }
    // A handle that is not closed is the server's until the session ends.
    file.close().await.map_err(of_sftp)?;
    if bytes.len() != wanted {
        return Err(TargetFailure::Differs {
            expected: format!("{wanted} bytes"),
            actual: format!("{} bytes", bytes.len()),
        });
    }
    Ok(bytes.to_vec())
}

impl Drop for Sftp {
    fn drop(&mut self) {
        // Whoever drops it may be inside of another runtime, where waiting is not allowed.
        self.take_link();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Sftp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sftp").field("place", &self.place()).finish_non_exhaustive()
    }
}
