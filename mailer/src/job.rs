//! Work for a connection: one or more events that make one mail for each address of a user.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::event::Kind;
use crate::recipients::Recipient;
use crate::templates::Facts;

/// Until when mails of a lease may be begun, by this machine's clock that never jumps.
#[derive(Debug)]
pub struct Deadline(Mutex<Instant>);

impl Deadline {
    pub fn new(at: Instant) -> Self {
        Self(Mutex::new(at))
    }

    pub fn set(&self, at: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Whether a mail may still be begun.
    pub fn holds(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) > Instant::now()
    }
}

/// A mail to be sent.
#[derive(Debug)]
pub struct Job {
    /// The first of them gives the Message-ID.
    pub events: Vec<Uuid>,
    pub user_id: String,
    pub facts: Facts,
    /// Each with its place among the user's addresses, which is part of the Message-ID. Addresses that have their mail already
    /// are left out.
    pub recipients: Vec<(usize, Recipient)>,
    /// Whether an address of the user has its mail already.
    pub partly_sent: bool,
    /// How often the event was tried, this time included.
    pub attempts: i32,
    pub deadline: Arc<Deadline>,
}

impl Job {
    /// A mail for nobody yet.
    pub fn new(events: Vec<Uuid>, user_id: &str, facts: Facts, attempts: i32, deadline: &Arc<Deadline>) -> Self {
        let (user_id, deadline) = (user_id.to_owned(), deadline.clone());
        Self { events, user_id, facts, recipients: Vec::new(), partly_sent: false, attempts, deadline }
    }
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was accepted, or enough of it.
    Sent,
    /// It is to be tried again.
    Again { delay: Duration, counts: bool },
    /// It is refused for good.
    Refused { reason: String },
    /// The lease was over before it was begun.
    Lost,
}

/// A job that is done, for better or worse.
#[derive(Debug)]
pub struct Report {
    pub events: Vec<Uuid>,
    pub user_id: String,
    pub kind: Kind,
    /// Addresses that got their mail this time.
    pub sent_to: Vec<String>,
    pub outcome: Outcome,
}

/// Jobs that wait for a connection. Those of one user are handed out one after the other, in their order.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Job>,
    /// Users with a job that is ready or under way, and what waits behind it.
    busy: HashMap<String, VecDeque<Job>>,
    closed: bool,
}

impl Queue {
    pub fn push(&self, job: Job) {
        let mut state = self.lock();
        if let Some(behind) = state.busy.get_mut(&job.user_id) {
            behind.push_back(job);
        } else {
            state.busy.insert(job.user_id.clone(), VecDeque::new());
            state.ready.push_back(job);
            self.arrived.notify_one();
        }
    }

    /// The next job; None when there will be none.
    pub async fn next(&self) -> Option<Job> {
        loop {
            // Asked for before the look, so that nothing that comes in between is missed.
            let arrived = self.arrived.notified();
            {
                let mut state = self.lock();
                if let Some(job) = state.ready.pop_front() {
                    return Some(job);
                }
                if state.closed {
                    return None;
                }
            }
            arrived.await;
        }
    }

    /// A job of that user is done: the next one becomes ready. With `hold` the user's others are taken out instead.
    pub fn done(&self, user_id: &str, hold: bool) -> Vec<Job> {
        let mut state = self.lock();
        let Some(mut behind) = state.busy.remove(user_id) else { return Vec::new() };
        if hold {
            return behind.into();
        }
        if let Some(next) = behind.pop_front() {
            state.busy.insert(user_id.to_owned(), behind);
            state.ready.push_back(next);
            self.arrived.notify_one();
        }
        Vec::new()
    }

    /// Takes out every job that has not begun.
    pub fn drain(&self) -> Vec<Job> {
        let mut state = self.lock();
        let mut jobs: Vec<Job> = state.ready.drain(..).collect();
        // Nobody works for the users of these.
        let idle: Vec<String> = jobs.iter().map(|job| job.user_id.clone()).collect();
        for behind in state.busy.values_mut() {
            jobs.extend(behind.drain(..));
        }
        for user in idle {
            state.busy.remove(&user);
        }
        jobs
    }

    /// Whether no more jobs will come.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// No more jobs will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn job(user_id: &str, number: u128) -> Job {
        let facts = Facts {
            kind: Kind::Used,
            reason: None,
            at: SystemTime::now(),
            set_no: None,
            ordinal: None,
            remaining: None,
            low: false,
            context: None,
            reference: Uuid::from_u128(number),
            summary: None,
        };
        Job::new(vec![Uuid::from_u128(number)], user_id, facts, 1, &Arc::new(Deadline::new(Instant::now())))
    }

    fn number(job: &Job) -> u128 {
        job.events[0].as_u128()
    }

    #[tokio::test]
    async fn the_events_of_a_user_are_handed_out_one_after_the_other() {
        let queue = Queue::default();
        for (user, id) in [("ada", 1), ("ada", 2), ("bob", 3), ("ada", 4)] {
            queue.push(job(user, id));
        }
        assert_eq!(number(&queue.next().await.expect("a job")), 1);
        assert_eq!(number(&queue.next().await.expect("a job")), 3);
        assert!(queue.done("bob", false).is_empty());
        assert!(queue.done("ada", false).is_empty());
        assert_eq!(number(&queue.next().await.expect("a job")), 2);
        assert_eq!(
            queue.done("ada", true).iter().map(number).collect::<Vec<_>>(),
            [4],
            "what was refused holds back the rest"
        );
        queue.close();
        assert!(queue.next().await.is_none());
    }

    #[tokio::test]
    async fn draining_leaves_only_what_has_begun() {
        let queue = Queue::default();
        for (user, id) in [("ada", 1), ("ada", 2), ("bob", 3), ("bob", 4)] {
            queue.push(job(user, id));
        }
        let begun = queue.next().await.expect("a job");
        let mut drained: Vec<u128> = queue.drain().iter().map(number).collect();
        drained.sort_unstable();
        assert_eq!((number(&begun), drained), (1, vec![2, 3, 4]));
        queue.push(job("ada", 5));
        queue.push(job("bob", 6));
        assert_eq!(number(&queue.next().await.expect("a job")), 6, "ada is still busy");
        queue.done("ada", false);
        assert_eq!(number(&queue.next().await.expect("a job")), 5);
    }
}
