//! The fault proxy in front of real echo servers.

use std::io::ErrorKind;
use std::time::Duration;

use testkit::{Fault, FaultProxy, Side, Upstream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::timeout;

async fn echo(stream: impl AsyncRead + AsyncWrite) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let _ = tokio::io::copy(&mut reader, &mut writer).await;
    let _ = writer.shutdown().await;
}

async fn proxy_to_echo() -> FaultProxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::Tcp(listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    FaultProxy::start(upstream).await.unwrap()
}

async fn connect(proxy: &FaultProxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

/// Sends bytes, half-closes, and returns what came back before the end or a reset.
async fn round_trip(mut stream: TcpStream, sent: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = stream.split();
    let mut received = Vec::new();
    let send = async {
        let _ = writer.write_all(sent).await;
        let _ = writer.shutdown().await;
    };
    let receive = async {
        let _ = reader.read_to_end(&mut received).await;
    };
    timeout(Duration::from_secs(20), async { tokio::join!(send, receive) }).await.unwrap();
    received
}

async fn answers(stream: &mut TcpStream, word: &[u8; 4]) -> bool {
    let mut answer = [0; 4];
    stream.write_all(word).await.is_ok()
        && stream.read_exact(&mut answer).await.is_ok()
        && answer == *word
}

fn megabytes(count: usize) -> Vec<u8> {
    (0..count << 20).map(|index| (index % 251) as u8).collect()
}

#[tokio::test]
async fn severed_connections_end_and_new_ones_work() {
    let proxy = proxy_to_echo().await;
    let (mut one, mut two) = (connect(&proxy).await, connect(&proxy).await);
    assert!(answers(&mut one, b"ping").await && answers(&mut two, b"pong").await);
    proxy.sever();
    assert!(!answers(&mut one, b"ping").await && !answers(&mut two, b"pong").await);
    assert_eq!(round_trip(connect(&proxy).await, b"again").await, b"again");
}

#[tokio::test]
async fn without_faults_every_byte_passes_both_ways() {
    let proxy = proxy_to_echo().await;
    let sent = megabytes(8);
    assert!(round_trip(connect(&proxy).await, &sent).await == sent);
    assert_eq!((proxy.connections(), proxy.fired()), (1, 0));
}

#[tokio::test]
async fn a_unix_socket_can_be_upstream() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".s.PGSQL.5432");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    let proxy = FaultProxy::start(Upstream::Unix(path)).await.unwrap();
    assert_eq!(round_trip(connect(&proxy).await, b"through a socket").await, b"through a socket");
}

#[tokio::test]
async fn the_chosen_connection_is_cut_after_exactly_so_many_bytes_of_the_server() {
    let proxy = proxy_to_echo().await;
    proxy.inject(Fault::cut(Side::Server, 100_001).on(2));
    let sent = megabytes(1);
    for expected in [sent.len(), 100_001, sent.len()] {
        let mut stream = connect(&proxy).await;
        let mut received = Vec::new();
        // Sent slowly enough that the proxy has nothing unread when it cuts: a reset could overtake the bytes.
        for chunk in sent.chunks(1000) {
            let mut answer = vec![0; chunk.len()];
            if stream.write_all(chunk).await.is_err() {
                break;
            }
            let mut filled = 0;
            while filled < chunk.len() {
                match stream.read(&mut answer[filled..]).await {
                    Ok(0) | Err(_) => break,
                    Ok(length) => filled += length,
                }
            }
            received.extend_from_slice(&answer[..filled]);
            if filled < chunk.len() {
                break;
            }
        }
        assert_eq!(received.len(), expected);
        assert!(sent.starts_with(&received));
    }
    assert_eq!((proxy.connections(), proxy.fired()), (3, 1));
}

#[tokio::test]
async fn bytes_of_the_client_are_counted_too() {
    let proxy = proxy_to_echo().await;
    proxy.inject(Fault::cut(Side::Client, 6).on(1));
    let mut stream = connect(&proxy).await;
    assert!(answers(&mut stream, b"ping").await);
    assert!(!answers(&mut stream, b"pong").await);
    assert_eq!(proxy.fired(), 1);
}

#[tokio::test]
async fn without_a_number_only_the_first_connection_to_get_there_is_hit() {
    let proxy = proxy_to_echo().await;
    let (mut slow, mut fast) = (connect(&proxy).await, connect(&proxy).await);
    assert!(answers(&mut slow, b"slow").await);
    assert!(answers(&mut fast, b"fast").await);
    proxy.inject(Fault::cut(Side::Server, 8));
    assert!(answers(&mut fast, b"last").await);
    assert!(!answers(&mut fast, b"gone").await);
    assert!(answers(&mut slow, b"two!").await);
    assert!(answers(&mut slow, b"more").await);
    assert_eq!(proxy.fired(), 1);
}

#[tokio::test]
async fn an_idle_connection_past_the_point_is_cut_at_once() {
    let proxy = proxy_to_echo().await;
    let mut stream = connect(&proxy).await;
    assert!(answers(&mut stream, b"ping").await);
    proxy.inject(Fault::cut(Side::Server, 0));
    let end = timeout(Duration::from_secs(10), stream.read(&mut [0; 4])).await.unwrap();
    assert_eq!(end.unwrap(), 0);
}

#[tokio::test]
async fn a_frozen_connection_stays_open_and_silent() {
    let proxy = proxy_to_echo().await;
    proxy.inject(Fault::freeze(Side::Server, 4).on(1));
    let (mut frozen, mut other) = (connect(&proxy).await, connect(&proxy).await);
    assert!(answers(&mut frozen, b"ping").await);
    frozen.write_all(b"pong").await.unwrap();
    let silence = timeout(Duration::from_millis(200), frozen.read(&mut [0; 4])).await;
    assert!(silence.is_err());
    assert!(answers(&mut other, b"ping").await);
    drop(proxy);
    let end = timeout(Duration::from_secs(10), frozen.read(&mut [0; 4])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)));
}

#[tokio::test]
async fn new_connections_are_refused_while_open_ones_live_on() {
    let mut proxy = proxy_to_echo().await;
    let mut open = connect(&proxy).await;
    assert!(answers(&mut open, b"ping").await);
    proxy.refuse().await;
    let error = TcpStream::connect(proxy.address()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(answers(&mut open, b"pong").await);
    proxy.accept().await.unwrap();
    assert!(answers(&mut connect(&proxy).await, b"back").await);
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn disarmed_faults_do_nothing() {
    let proxy = proxy_to_echo().await;
    proxy.inject(Fault::cut(Side::Server, 2));
    proxy.disarm();
    assert_eq!(round_trip(connect(&proxy).await, b"whole").await, b"whole");
    assert_eq!(proxy.fired(), 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_looks_like_one_that_hangs_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let proxy = FaultProxy::start(Upstream::Tcp(nobody)).await.unwrap();
    assert_eq!(round_trip(connect(&proxy).await, b"anybody?").await, b"");
}
