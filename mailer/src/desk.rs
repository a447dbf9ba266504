//! What this process holds: leases with their events, and what is to be said to the database about them. It is said in one
//! statement for a lease where it can be, at the latest [`PATIENCE`] after the first word.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::accepted::Accepted;
use crate::failure::Failure;
use crate::job::Deadline;
use crate::metrics::Metrics;
use crate::outbox::Outbox;

/// How long a delivery may wait to be told. So much is sent again when the process is killed.
const PATIENCE: Duration = Duration::from_millis(50);

/// For how long of a lease mails are begun: the rest of it is for their way.
fn begin_within(lease_for: Duration) -> Duration {
    lease_for * 7 / 8
}

/// What is to be said about an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    Delivered,
    Again { delay: Duration, counts: bool },
    Parked { reason: String },
}

struct Lease {
    id: Uuid,
    deadline: Arc<Deadline>,
    extended: Instant,
    /// Under way.
    open: HashSet<Uuid>,
    /// Done, and not told yet.
    words: Vec<(Uuid, Word)>,
    since: Option<Instant>,
}

/// The desk.
pub struct Desk {
    leases: HashMap<u64, Lease>,
    events: HashMap<Uuid, u64>,
    next: u64,
    lease_for: Duration,
    pub accepted: Accepted,
}

impl Desk {
    pub fn new(lease_for: Duration) -> Self {
        Self { leases: HashMap::new(), events: HashMap::new(), next: 0, lease_for, accepted: Accepted::default() }
    }

    /// Takes a lease that was asked for at `asked`. Returns its deadline, and which of the events this process holds already
    /// under an older one: they belong to the new one from now on.
    pub fn take(&mut self, id: Uuid, events: &[Uuid], asked: Instant) -> (Arc<Deadline>, HashSet<Uuid>) {
        let key = self.next;
        self.next += 1;
        let deadline = Arc::new(Deadline::new(asked + begin_within(self.lease_for)));
        let mut known = HashSet::new();
        let mut lease = Lease {
            id,
            deadline: deadline.clone(),
            extended: asked,
            open: HashSet::new(),
            words: Vec::new(),
            since: None,
        };
        for event in events {
            if let Some(old) = self.events.insert(*event, key).and_then(|old| self.leases.get_mut(&old)) {
                if old.open.remove(event) {
                    known.insert(*event);
                } else if let Some(place) = old.words.iter().position(|(told, _)| told == event) {
                    // It is done, and only has to be told under the new lease.
                    known.insert(*event);
                    lease.words.push(old.words.swap_remove(place));
                    lease.since.get_or_insert(asked);
                    continue;
                }
            }
            lease.open.insert(*event);
        }
        self.leases.insert(key, lease);
        self.leases.retain(|_, lease| !lease.open.is_empty() || !lease.words.is_empty());
        (deadline, known)
    }

    /// Notes what is to be said about an event. Delays are told in whole seconds, so that many events need one statement.
    pub fn say(&mut self, event: Uuid, mut word: Word) {
        if let Word::Again { delay, .. } = &mut word {
            *delay = Duration::from_secs(delay.as_secs_f64().ceil() as u64);
        }
        let Some(lease) = self.events.get(&event).and_then(|key| self.leases.get_mut(key)) else { return };
        if lease.open.remove(&event) {
            lease.words.push((event, word));
            lease.since.get_or_insert_with(Instant::now);
        }
    }

    /// Nothing is said about an event: its lease ends by itself.
    pub fn drop(&mut self, event: Uuid) {
        if let Some(lease) = self.events.remove(&event).and_then(|key| self.leases.get_mut(&key)) {
            lease.open.remove(&event);
        }
        self.leases.retain(|_, lease| !lease.open.is_empty() || !lease.words.is_empty());
    }

    /// How many events are under way.
    pub fn open(&self) -> usize {
        self.leases.values().map(|lease| lease.open.len()).sum()
    }

    /// Every event that is under way.
    pub fn open_events(&self) -> Vec<Uuid> {
        self.leases.values().flat_map(|lease| lease.open.iter().copied()).collect()
    }

    /// Whether something is left to be told.
    pub fn silent(&self) -> bool {
        self.leases.values().all(|lease| lease.words.is_empty())
    }

    /// When something is to be told at the latest.
    pub fn due(&self) -> Option<Instant> {
        self.leases.values().filter_map(Lease::due).min()
    }

    /// When a lease is to be extended.
    pub fn extension_due(&self) -> Option<Instant> {
        self.leases
            .values()
            .filter(|lease| !lease.open.is_empty())
            .map(|lease| lease.extended + self.lease_for / 4)
            .min()
    }

    /// Tells the database what is due, or with `all` everything. What it could not be told stays.
    pub async fn tell(&mut self, outbox: &Outbox, metrics: &Metrics, all: bool) -> Result<(), Failure> {
        let now = Instant::now();
        let due: Vec<u64> = self
            .leases
            .iter()
            .filter(|(_, lease)| lease.due().is_some_and(|due| all || due <= now))
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            let Some(lease) = self.leases.get_mut(&key) else { continue };
            let id = lease.id;
            let mut by_word: HashMap<Word, Vec<Uuid>> = HashMap::new();
            for (event, word) in lease.words.drain(..) {
                by_word.entry(word).or_default().push(event);
            }
            let mut failed = None;
            for (word, events) in by_word {
                let told = match (&failed, &word) {
                    (Some(_), _) => None,
                    (None, Word::Delivered) => Some(outbox.ack(id, &events).await),
                    (None, Word::Again { delay, counts }) => Some(outbox.release(id, &events, *delay, *counts).await),
                    (None, Word::Parked { reason }) => Some(outbox.park(id, &events, reason).await),
                };
                match told {
                    Some(Ok(count)) => {
                        let lost = events.len().saturating_sub(count);
                        if lost > 0 {
                            metrics.leases_lost.inc_by(lost as u64);
                            tracing::warn!(events = lost, "lease lost: the database was told too late");
                        }
                        for event in events {
                            if self.events.get(&event) == Some(&key) {
                                self.events.remove(&event);
                            }
                            // When another mailer has it, it is not known which; then it is remembered for longer.
                            if lost == 0 && word == Word::Delivered {
                                self.accepted.forget(&event);
                            }
                        }
                    }
                    Some(Err(failure)) => {
                        failed = Some(failure);
                        lease.words.extend(events.into_iter().map(|event| (event, word.clone())));
                    }
                    None => lease.words.extend(events.into_iter().map(|event| (event, word.clone()))),
                }
            }
            if let Some(failure) = failed {
                return Err(failure);
            }
            lease.since = None;
            if lease.open.is_empty() {
                self.leases.remove(&key);
            }
        }
        Ok(())
    }

    /// Extends the leases that are due. What is done is told before, since the old lease does not hold it any longer.
    pub async fn extend(&mut self, outbox: &Outbox, metrics: &Metrics) -> Result<(), Failure> {
        self.tell(outbox, metrics, true).await?;
        let lease_for = self.lease_for;
        let due = |lease: &&mut Lease| !lease.open.is_empty() && lease.extended + lease_for / 4 <= Instant::now();
        for lease in self.leases.values_mut().filter(due) {
            let asked = Instant::now();
            let open: Vec<Uuid> = lease.open.iter().copied().collect();
            match outbox.extend(lease.id, &open, lease_for).await? {
                Some(id) => {
                    lease.id = id;
                    lease.deadline.set(asked + begin_within(lease_for));
                }
                None => {
                    metrics.leases_lost.inc_by(open.len() as u64);
                    tracing::warn!(events = open.len(), "lease lost: it ended before it was extended");
                    lease.deadline.set(asked);
                }
            }
            lease.extended = asked;
        }
        Ok(())
    }
}

impl Lease {
    fn due(&self) -> Option<Instant> {
        let since = self.since.filter(|_| !self.words.is_empty())?;
        Some(if self.open.is_empty() { since } else { since + PATIENCE })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(range: std::ops::Range<u128>) -> Vec<Uuid> {
        range.map(Uuid::from_u128).collect()
    }

    #[test]
    fn an_event_that_comes_again_while_it_is_under_way_is_not_begun_twice() {
        let mut desk = Desk::new(Duration::from_secs(120));
        let now = Instant::now();
        assert!(desk.take(Uuid::from_u128(100), &ids(0..3), now).1.is_empty());
        desk.say(Uuid::from_u128(1), Word::Delivered);
        let (_, known) = desk.take(Uuid::from_u128(101), &ids(0..4), now);
        assert_eq!(known, ids(0..3).into_iter().collect());
        assert_eq!(desk.open(), 3, "one of four is done");
        let told: Vec<_> = desk.leases.values().filter(|lease| !lease.words.is_empty()).map(|lease| lease.id).collect();
        assert_eq!(told, [Uuid::from_u128(101)], "and told under the new lease");
    }

    #[test]
    fn a_lease_that_is_done_is_told_at_once_and_others_after_a_moment() {
        let mut desk = Desk::new(Duration::from_secs(120));
        let now = Instant::now();
        desk.take(Uuid::from_u128(100), &ids(0..2), now);
        assert_eq!(desk.due(), None);
        desk.say(Uuid::from_u128(0), Word::Delivered);
        assert!(desk.due().is_some_and(|due| due > Instant::now()));
        desk.say(Uuid::from_u128(1), Word::Delivered);
        assert!(desk.due().is_some_and(|due| due <= Instant::now()));
        assert_eq!(desk.extension_due(), None, "nothing is under way");
    }
}
