//! The next task of a restore's sessions: load rows, or build an index of a table whose rows are
//! all there.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::pin::pin;
use std::sync::Mutex;

use tokio::sync::Notify;

use crate::manifest::Member;

/// Consecutive members of one table that one session loads with one COPY.
pub(crate) type Run = Vec<Member>;

/// Members per run.
const RUN: usize = 4;

/// An index that can be built as soon as its table is loaded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Build {
    /// Its rough duration; the longest begins first.
    pub(crate) weight: u64,
    /// The position of its table in the manifest.
    pub(crate) table: usize,
    pub(crate) statement: String,
}

/// One piece of work.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Load(Run),
    Build(Build),
}

/// Hands out work. A build goes before a load, since the longest build decides when everything is
/// done; the rows of the tables with the longest builds are loaded first.
pub(crate) struct Schedule {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    runs: VecDeque<Run>,
    /// Runs of each table that are not loaded yet.
    open: HashMap<usize, usize>,
    waiting: HashMap<usize, Vec<Build>>,
    ready: BinaryHeap<Build>,
}

impl Schedule {
    pub(crate) fn new(members: Vec<Member>, builds: Vec<Build>) -> Self {
        let mut longest: HashMap<usize, u64> = HashMap::new();
        for build in &builds {
            let weight = longest.entry(build.table).or_default();
            *weight = build.weight.max(*weight);
        }
        let mut runs = runs(members);
        runs.sort_by_key(|run| Reverse(table_of(run).and_then(|table| longest.get(&table))));
        let mut open: HashMap<usize, usize> = HashMap::new();
        for table in runs.iter().filter_map(table_of) {
            *open.entry(table).or_default() += 1;
        }
        Self::of(runs, open, builds)
    }

    /// Only builds: the rows of these tables come from elsewhere, and each is loaded once as a
    /// whole.
    pub(crate) fn beside(tables: impl IntoIterator<Item = usize>, builds: Vec<Build>) -> Self {
        let open = tables.into_iter().map(|table| (table, 1)).collect();
        Self::of(Vec::new(), open, builds)
    }

    fn of(runs: Vec<Run>, open: HashMap<usize, usize>, builds: Vec<Build>) -> Self {
        let mut waiting: HashMap<usize, Vec<Build>> = HashMap::new();
        let mut ready = BinaryHeap::new();
        for build in builds {
            if open.contains_key(&build.table) {
                waiting.entry(build.table).or_default().push(build);
            } else {
                ready.push(build);
            }
        }
        let state = State { runs: runs.into(), open, waiting, ready };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// The next piece of work; waits while there may be more once another session has loaded its
    /// rows.
    pub(crate) async fn next(&self) -> Option<Task> {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Registered before looking, or a change in between would be missed.
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                if let Some(build) = state.ready.pop() {
                    return Some(Task::Build(build));
                }
                if let Some(run) = state.runs.pop_front() {
                    return Some(Task::Load(run));
                }
                if state.waiting.is_empty() {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Notes that a run of this table is loaded. Returns the number of builds left if it was the
    /// last run of all.
    pub(crate) fn loaded(&self, table: usize) -> Option<usize> {
        let mut state = self.lock();
        let left = state.open.entry(table).or_insert(1);
        *left -= 1;
        if *left == 0 {
            state.open.remove(&table);
            let builds = state.waiting.remove(&table).unwrap_or_default();
            state.ready.extend(builds);
            self.changed.notify_waiters();
        }
        state.open.is_empty().then_some(state.ready.len())
    }

    /// Returns true if all rows are there.
    pub(crate) fn all_loaded(&self) -> bool {
        self.lock().open.is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no session panics while it holds the schedule")
    }
}

fn table_of(run: &Run) -> Option<usize> {
    run.first().and_then(|member| member.table)
}

fn runs(members: Vec<Member>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for member in members {
        match runs.last_mut() {
            Some(run) if run.len() < RUN && run[0].table == member.table => run.push(member),
            _ => runs.push(vec![member]),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::MemberKind;

    fn member(table: usize) -> Member {
        Member {
            kind: MemberKind::Data,
            offset: 0,
            length: 0,
            raw: 0,
            hash: None,
            table: Some(table),
            rows: Some(1),
        }
    }

    fn build(table: usize, weight: u64) -> Build {
        Build { weight, table, statement: format!("index of {table}") }
    }

    async fn loaded_table(schedule: &Schedule) -> usize {
        match schedule.next().await {
            Some(Task::Load(run)) => table_of(&run).unwrap(),
            other => panic!("{other:?} instead of a load"),
        }
    }

    #[tokio::test]
    async fn the_table_with_the_longest_build_is_loaded_first_and_built_at_once() {
        let schedule = Schedule::new(
            vec![member(0), member(1)],
            vec![build(0, 5), build(1, 50), build(1, 10)],
        );
        assert_eq!(loaded_table(&schedule).await, 1);
        assert_eq!(schedule.loaded(1), None);
        assert_eq!(schedule.next().await, Some(Task::Build(build(1, 50))));
        assert_eq!(schedule.next().await, Some(Task::Build(build(1, 10))));
        assert_eq!(loaded_table(&schedule).await, 0);
        assert_eq!(schedule.loaded(0), Some(1));
        assert_eq!(schedule.next().await, Some(Task::Build(build(0, 5))));
        assert_eq!(schedule.next().await, None);
    }

    #[tokio::test]
    async fn a_session_without_work_waits_for_the_last_rows_of_another() {
        let schedule = Schedule::new(vec![member(0)], vec![build(0, 1)]);
        assert_eq!(loaded_table(&schedule).await, 0);
        let (task, ()) = tokio::join!(schedule.next(), async {
            tokio::task::yield_now().await;
            assert_eq!(schedule.loaded(0), Some(1));
        });
        assert_eq!(task, Some(Task::Build(build(0, 1))));
        assert_eq!(schedule.next().await, None);
    }

    #[tokio::test]
    async fn indexes_of_empty_tables_need_no_rows() {
        let schedule = Schedule::new(vec![], vec![build(3, 0)]);
        assert_eq!(schedule.next().await, Some(Task::Build(build(3, 0))));
        assert_eq!(schedule.next().await, None);
    }

    #[tokio::test]
    async fn rows_from_elsewhere_set_their_builds_free() {
        let schedule = Schedule::beside([0, 1], vec![build(0, 5), build(1, 50), build(7, 1)]);
        assert_eq!(schedule.next().await, Some(Task::Build(build(7, 1))));
        assert_eq!(schedule.loaded(0), None);
        assert_eq!(schedule.next().await, Some(Task::Build(build(0, 5))));
        assert_eq!(schedule.loaded(1), Some(1));
        assert_eq!(schedule.next().await, Some(Task::Build(build(1, 50))));
        assert_eq!(schedule.next().await, None);
    }

    #[test]
    fn a_run_holds_a_few_members_of_one_table() {
        let members = [0, 0, 0, 0, 0, 1].map(member).to_vec();
        let lengths: Vec<_> = runs(members).iter().map(Vec::len).collect();
        assert_eq!(lengths, [4, 1, 1]);
    }
}
