//! The service behind the forward: HTTP that tells who it is, an echo, and a sink.

use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Serves until it is killed. The identity is read anew for each answer.
pub(crate) async fn serve(address: &str, identity: &Path) {
    let listener = TcpListener::bind(address).await.unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, identity.to_owned()));
    }
}

async fn answer(mut stream: TcpStream, identity: PathBuf) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    match stream.read_u8().await? {
        b'!' => {
            let (mut reader, mut writer) = stream.split();
            tokio::io::copy(&mut reader, &mut writer).await?;
        }
        // As many bytes as it says, and then one byte back.
        b'<' => {
            let mut left = stream.read_u64().await?;
            let mut buffer = vec![0; 256 * 1024];
            while left > 0 {
                let read = stream.read(&mut buffer).await?;
                if read == 0 {
                    return Ok(());
                }
                left -= read as u64;
            }
            stream.write_u8(b'>').await?;
        }
        _ => {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await?);
            }
            let identity = fs_err::read_to_string(identity)?;
            let body = format!("{{\"identity\": \"{}\"}}", identity.trim());
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).await?;
        }
    }
    Ok(())
}
