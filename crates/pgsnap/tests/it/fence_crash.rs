//! A process that ends between any two steps of a fence, or of its end.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use pgsnap::{FenceOptions, FenceRecord, fence};

use crate::fence::{ask, catalogue, put_up, take_down};
use crate::server::Server;

const SETUP: &str = "
    CREATE ROLE app LOGIN; CREATE ROLE ops LOGIN; REVOKE CONNECT ON DATABASE hub FROM PUBLIC;
    GRANT CONNECT ON DATABASE hub TO app WITH GRANT OPTION; SET ROLE app; GRANT CONNECT ON DATABASE hub TO ops; RESET ROLE;
    ALTER DATABASE hub CONNECTION LIMIT 9; ALTER DATABASE hub SET work_mem = '9MB'; COMMENT ON DATABASE hub IS 'ours';
    ALTER ROLE ops IN DATABASE hub SET default_transaction_read_only = off";

/// Runs a future for so many steps and forgets it then, as SIGKILL does: nothing of it is run any
/// more, and its connections close. A step lies between two waits, so no two statements are in one.
pub(crate) async fn killed_after<F: Future>(steps: usize, future: F) -> Option<F::Output> {
    let mut left = steps;
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Waits until the server knows that the run is gone: it ends what it was sent before that.
async fn left(server: &Server) {
    const INSIDE: &str = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
         WHERE application_name ~ 'fence' AND pid <> pg_catalog.pg_backend_pid()";
    for _ in 0..1000 {
        if ask(server, INSIDE).await.as_deref() == Some("0") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the run is still there");
}

/// Steps up to the end, and a limit that no run comes near.
pub(crate) const MOST: usize = 2000;

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_that_was_killed_anywhere_comes_down_or_goes_on() {
    let server = Server::start().await;
    let hub = server.with_sql("hub", SETUP).await;
    let before = catalogue(&server, "hub").await;
    let path = server.file("hub.fence.json");
    let (mut untouched, mut closed, mut renamed) = (0, 0, 0);
    for steps in 1..MOST {
        let options = FenceOptions::default();
        let client = (steps % 3 == 0).then(|| server.client("hub"));
        let client = match client {
            Some(client) => Some(client.await),
            None => None,
        };
        let finished = killed_after(steps, fence(&hub, &path, &options)).await;
        drop(client);
        let is_finished = finished.map(Result::unwrap).is_some();
        left(&server).await;
        let now = catalogue(&server, "hub").await;
        match now.as_str() {
            "" => renamed += 1,
            same if same == before => untouched += 1,
            _ => closed += 1,
        }
        // Once from the file, where the run came as far, once from the server alone, once by going on.
        match steps % 3 {
            0 => {
                let file = FenceRecord::load(&path).unwrap().map(|_| path.clone());
                take_down(&hub, file).await.unwrap();
            }
            1 => {
                let _ = fs_err::remove_file(&path);
                take_down(&hub, None).await.unwrap();
            }
            _ => {
                put_up(&server, &hub).await;
                assert_eq!(catalogue(&server, "hub").await, "", "after {steps} steps");
                take_down(&hub, Some(path.clone())).await.unwrap();
            }
        }
        assert_eq!(catalogue(&server, "hub").await, before, "after {steps} steps");
        if is_finished {
            break;
        }
    }
    assert!(untouched > 3 && closed > 0 && renamed > 0, "{untouched} {closed} {renamed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_fence_that_was_killed_anywhere_is_repeated() {
    let server = Server::start().await;
    let hub = server.with_sql("hub", SETUP).await;
    let before = catalogue(&server, "hub").await;
    let (mut standing, mut down) = (0, 0);
    for steps in 1..MOST {
        put_up(&server, &hub).await;
        let finished = killed_after(steps, take_down(&hub, None)).await;
        let is_finished = finished.map(Result::unwrap).is_some();
        left(&server).await;
        match catalogue(&server, "hub").await.as_str() {
            "" => standing += 1,
            same if same == before => down += 1,
            other => panic!("half a fence after {steps} steps: {other}"),
        }
        take_down(&hub, None).await.unwrap();
        assert_eq!(catalogue(&server, "hub").await, before, "after {steps} steps");
        if is_finished {
            break;
        }
    }
    assert!(standing > 3 && down > 0, "{standing} {down}");
}
