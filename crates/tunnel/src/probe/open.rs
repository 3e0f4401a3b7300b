//! The probe of a session that answers and a target that takes a connection.

use std::path::Path;
use std::time::Duration;

use openssh::{Error, Session, Stdio};
use openssh_mux_client::Error as Refusal;
use tokio::io::AsyncReadExt as _;

use super::{Fault, connect};

/// A refusal may arrive this long after the answer of the session, because the destination connects
/// to the target meanwhile.
const REFUSAL: Duration = Duration::from_millis(50);

pub(super) async fn ask(socket: &Path, control: &Path) -> Result<Option<String>, Fault> {
    let mut stream = connect(socket).await?;
    // Whatever it says, the session has answered, and after the opening was asked for.
    session(control).await?;
    let mut byte = [0];
    match tokio::time::timeout(REFUSAL, stream.read(&mut byte)).await {
        Ok(Ok(0) | Err(_)) => Err(Fault::Closed),
        Ok(Ok(_)) | Err(_) => Ok(None),
    }
}

/// Lets the destination run a command that does nothing. That it refuses is an answer too.
pub(super) async fn session(control: &Path) -> Result<(), Fault> {
    let session = Session::resume_mux(control.into(), None);
    let status = session
        .raw_command("exit 0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    match status {
        // A program that is not there is an answer of the other side.
        Ok(_) | Err(Error::Remote(_)) => Ok(()),
        // And so is a refusal of the session, which some keys and servers have.
        Err(Error::SshMux(Refusal::RequestFailure(_) | Refusal::PermissionDenied(_))) => Ok(()),
        Err(error) => Err(Fault::Gone(error.to_string())),
    }
}
