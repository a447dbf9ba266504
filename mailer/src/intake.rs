//! From events that were claimed to mails: which kinds are mailed, who gets them, what is folded, what becomes one mail.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tracing::{debug, error, warn};
use uuid::Uuid;

use crate::desk::{Desk, Word};
use crate::event::{Event, Kind};
use crate::failure::Failure;
use crate::fold::{Fold, Folding};
use crate::health::Health;
use crate::job::{Deadline, Job, Queue};
use crate::recipients::{Found, Recipient, Recipients};
use crate::templates::Facts;

/// So far apart a code and what it was used for are one mail.
const TOGETHER: Duration = Duration::from_secs(2);
/// A summary goes out when no more of its events came for that long, or when it has gathered for so long, or so many. They are due
/// within a second of each other.
const GATHER: Duration = Duration::from_secs(2);
const GATHER_LONGEST: Duration = Duration::from_secs(10);
const GATHER_MOST: usize = 10_000;
/// How long events wait while the query for recipients has found nobody yet.
const DOUBT: Duration = Duration::from_secs(60);

/// Makes jobs of events.
pub struct Intake {
    pub recipients: Recipients,
    kinds: Vec<Kind>,
    folding: Folding,
    gathering: HashMap<(String, Kind), Gathering>,
    queue: Arc<Queue>,
    health: Arc<Health>,
}

/// Events of a user and kind that become one summary.
struct Gathering {
    events: Vec<Uuid>,
    first: Facts,
    last: SystemTime,
    recipients: Vec<Recipient>,
    attempts: i32,
    deadline: Arc<Deadline>,
    since: Instant,
    latest: Instant,
}

impl Gathering {
    fn due(&self) -> Instant {
        if self.events.len() >= GATHER_MOST {
            self.latest
        } else {
            (self.latest + GATHER).min(self.since + GATHER_LONGEST)
        }
    }
}

impl Intake {
    pub fn new(
        recipients: Recipients,
        kinds: Vec<Kind>,
        folding: Folding,
        queue: Arc<Queue>,
        health: Arc<Health>,
    ) -> Self {
        Self { recipients, kinds, folding, gathering: HashMap::new(), queue, health }
    }

    /// Takes in the events of a lease. Err: nobody can say who gets them; they were given back.
    pub async fn take(&mut self, events: Vec<Event>, deadline: &Arc<Deadline>, desk: &mut Desk) -> Result<(), Failure> {
        let mut by_user: Vec<(String, Vec<Event>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for event in events {
            match event.kind {
                Some(kind) if self.kinds.contains(&kind) => {
                    let place = *places.entry(event.user_id.clone()).or_insert_with(|| {
                        by_user.push((event.user_id.clone(), Vec::new()));
                        by_user.len() - 1
                    });
                    by_user[place].1.push(event);
                }
                kind => {
                    debug!(event = %event.id, kind = kind.map_or("unknown", Kind::name), "not mailed");
                    desk.say(event.id, Word::Delivered);
                }
            }
        }
        if by_user.is_empty() {
            return Ok(());
        }
        let users: Vec<&str> = by_user.iter().map(|(user, _)| user.as_str()).collect();
        let mut found = match self.recipients.find(&users).await {
            Ok(found) => found,
            Err(failure) => {
                let again = Word::Again { delay: Duration::ZERO, counts: false };
                by_user.iter().flat_map(|(_, events)| events).for_each(|event| desk.say(event.id, again.clone()));
                return Err(failure);
            }
        };
        for (user, events) in by_user {
            match found.remove(&user) {
                Some(Found::At(recipients)) => self.admit(&user, events, recipients, deadline, desk),
                Some(Found::Invalid(invalid)) => {
                    for event in events {
                        warn!(event = %event.id, reason = %invalid, "parked");
                        self.health.metrics.events_parked.inc();
                        desk.say(event.id, Word::Parked { reason: invalid.to_string() });
                    }
                }
                Some(Found::Nobody) | None => self.nobody(&events, desk),
            }
        }
        if self.recipients.suspicious() {
            return Err(Failure::configuration(
                "the recipient query found none of the first 20 users: is it the right query, for the right database?",
            ));
        }
        Ok(())
    }

    /// Events of a user without an address. As long as the query has found nobody at all, it may be the query.
    fn nobody(&self, events: &[Event], desk: &mut Desk) {
        for event in events {
            if self.recipients.trusted() {
                warn!(event = %event.id, "no address for its user; not mailed");
                self.health.metrics.events_unaddressed.inc();
                desk.say(event.id, Word::Delivered);
            } else {
                warn!(event = %event.id, "no address for its user, and for nobody so far; kept");
                desk.say(event.id, Word::Again { delay: DOUBT, counts: false });
            }
        }
    }

    /// The events of one user that can be reached.
    fn admit(
        &mut self,
        user: &str,
        mut events: Vec<Event>,
        recipients: Vec<Recipient>,
        deadline: &Arc<Deadline>,
        desk: &mut Desk,
    ) {
        events.sort_by_key(|event| event.at);
        let now = Instant::now();
        let mut taken = vec![false; events.len()];
        for index in 0..events.len() {
            if taken[index] {
                continue;
            }
            let event = &events[index];
            let Some(kind) = event.kind else { continue };
            // A code that was used to replace or remove the set: one mail says both, if that mail goes out now.
            let partner = (kind == Kind::Used).then(|| partner(&events, index)).flatten();
            if let Some(partner) = partner
                && let Some(other) = events[partner].kind
                && self.folding.decide(user, other, now) == Fold::Mail
            {
                taken[partner] = true;
                let facts = Facts { ordinal: event.ordinal, ..Facts::new(&events[partner], other) };
                let ids = vec![events[partner].id, event.id];
                let attempts = event.attempts.max(events[partner].attempts);
                self.send(Job::new(ids, user, facts, attempts, deadline), &recipients, desk);
                continue;
            }
            match self.folding.decide(user, kind, now) {
                Fold::Mail => {
                    let job = Job::new(vec![event.id], user, Facts::new(event, kind), event.attempts, deadline);
                    self.send(job, &recipients, desk);
                }
                Fold::Wait(delay) => {
                    self.health.metrics.mails_folded.inc();
                    desk.say(event.id, Word::Again { delay, counts: false });
                }
                Fold::Summary => {
                    let gathering = self.gathering.entry((user.to_owned(), kind)).or_insert_with(|| Gathering {
                        events: Vec::new(),
                        first: Facts::new(event, kind),
                        last: event.at,
                        recipients: recipients.clone(),
                        attempts: event.attempts,
                        deadline: deadline.clone(),
                        since: now,
                        latest: now,
                    });
                    gathering.latest = now;
                    gathering.events.push(event.id);
                    if event.at < gathering.first.at {
                        gathering.first = Facts::new(event, kind);
                    }
                    gathering.last = gathering.last.max(event.at);
                    gathering.attempts = gathering.attempts.max(event.attempts);
                    gathering.deadline = deadline.clone();
                }
            }
        }
    }

    /// Whether events are being gathered for summaries.
    pub fn gathering(&self) -> usize {
        self.gathering.values().map(|gathering| gathering.events.len()).sum()
    }

    /// When the next summary goes out.
    pub fn summary_due(&self) -> Option<Instant> {
        self.gathering.values().map(Gathering::due).min()
    }

    /// Sends the summaries whose events are all here.
    pub fn summarize(&mut self, desk: &mut Desk) {
        let now = Instant::now();
        let keys: Vec<(String, Kind)> =
            self.gathering.iter().filter(|(_, gathering)| gathering.due() <= now).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(gathering) = self.gathering.remove(&key) else { continue };
            let (user, kind) = key;
            self.folding.summarized(&user, kind, now);
            let count = gathering.events.len();
            let mut facts = gathering.first;
            if count > 1 {
                facts.summary = Some((count, facts.at, gathering.last));
            }
            let job = Job::new(gathering.events, &user, facts, gathering.attempts, &gathering.deadline);
            self.send(job, &gathering.recipients, desk);
        }
    }

    /// A mail of that kind and user was not accepted, and its events come again.
    pub fn failed(&mut self, user_id: &str, kind: Kind) {
        self.folding.failed(user_id, kind, Instant::now());
    }

    /// Gives up what was gathered; which events it was.
    pub fn scatter(&mut self) -> Vec<Uuid> {
        self.gathering.drain().flat_map(|(_, gathering)| gathering.events).collect()
    }

    /// Puts a mail into the queue, for the addresses that do not have it yet.
    fn send(&self, mut job: Job, recipients: &[Recipient], desk: &mut Desk) {
        let missing =
            |(_, recipient): &(usize, &Recipient)| !desk.accepted.has(&job.facts.reference, recipient.address.as_str());
        let left = recipients.iter().enumerate().filter(missing);
        job.recipients = left.map(|(place, recipient)| (place, recipient.clone())).collect();
        job.partly_sent = job.recipients.len() < recipients.len();
        if job.recipients.is_empty() {
            job.events.into_iter().for_each(|event| desk.say(event, Word::Delivered));
        } else {
            self.queue.push(job);
        }
    }

    /// Whether the query for recipients works.
    pub fn recipients_state(&self, failure: Option<&Failure>) {
        let news = self.health.recipients(failure.map(ToString::to_string));
        match failure {
            Some(failure) if news => {
                error!(error = %failure, "recipients cannot be found; nothing is sent until it is mended")
            }
            None if news => tracing::info!("recipients can be found"),
            _ => {}
        }
    }
}

/// The event that a use of a code was for: the replacement or removal that followed it at once.
fn partner(events: &[Event], used: usize) -> Option<usize> {
    let next = events.get(used + 1)?;
    let at_will = next.reason.as_deref() != Some("failures");
    let soon = next.at.duration_since(events[used].at).is_ok_and(|apart| apart <= TOGETHER);
    (matches!(next.kind, Some(Kind::Replaced | Kind::Disabled)) && at_will && soon).then_some(used + 1)
}
