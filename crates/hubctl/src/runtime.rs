//! Blocking work beside the asynchronous runtime.

/// Runs blocking work beside the runtime's own threads; a panic there is one here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("blocking work is never cancelled while it is awaited")
}
