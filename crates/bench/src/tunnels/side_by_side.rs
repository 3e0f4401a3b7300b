//! Work that is mostly waiting, done several at a time.

use std::sync::Mutex;
use std::time::Duration;

/// So many at a time, begun so long after each other that no two end at the same moment.
const AT_ONCE: usize = 8;
const APART: Duration = Duration::from_millis(550);

/// Does all jobs, each in a world of its own, and returns what came of them in their order.
pub(crate) fn side_by_side<J: Send, R: Send>(
    jobs: impl IntoIterator<Item = J, IntoIter: Send>,
    work: impl Fn(J) -> R + Sync,
) -> Vec<R> {
    let queue = Mutex::new(jobs.into_iter().enumerate());
    let (queue, work) = (&queue, &work);
    let next = || queue.lock().unwrap().next();
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE)
            .map(|number| {
                scope.spawn(move || {
                    std::thread::sleep(APART * u32::try_from(number).unwrap());
                    let done = std::iter::from_fn(next).map(|(number, job)| (number, work(job)));
                    done.collect::<Vec<_>>()
                })
            })
            .collect();
        let results = threads.into_iter().map(|thread| thread.join().unwrap());
        results.flatten().collect()
    });
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}
