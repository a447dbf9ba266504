//! A worker owns a connection to the mail server and sends one job after the other.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::address::Address;
use crate::backoff::{retry, spread};
use crate::equipment::{Equipment, Shelf};
use crate::gate::Gate;
use crate::health::Health;
use crate::job::{Job, Outcome, Queue, Report};
use crate::smtp::connection::{Connection, Envelope};
use crate::smtp::fault::{Fault, Stage, Verdict, What};

/// For how long a connection is kept, and for how long it may be idle.
const OLDEST: Duration = Duration::from_secs(300);
const IDLE: Duration = Duration::from_secs(10);
/// How long what the server's own fault refused waits, when its try does not count.
const SET_BACK: Duration = Duration::from_secs(300);

/// What all workers share.
pub struct Bench {
    pub shelf: Arc<Shelf>,
    pub queue: Arc<Queue>,
    pub gate: Arc<Gate>,
    pub health: Arc<Health>,
    pub reports: UnboundedSender<Report>,
    pub mails_per_connection: u32,
    pub pace: Pace,
    /// Makes numbers of users, which are counted without being known.
    pub hasher: RandomState,
}

/// No more than so many mails per second.
pub struct Pace {
    gap: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    pub fn new(rate: u32) -> Self {
        let gap = if rate == 0 { Duration::ZERO } else { Duration::from_secs(1) / rate };
        Self { gap, next: Mutex::new(Instant::now()) }
    }

    async fn turn(&self) {
        if self.gap.is_zero() {
            return;
        }
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*next).max(Instant::now());
            *next = at + self.gap;
            at
        };
        tokio::time::sleep_until(at.into()).await;
    }
}

/// A connection, and what it was opened with.
struct Line {
    connection: Connection,
    equipment: Arc<Equipment>,
}

/// The worker with that number, until there are no more jobs.
pub async fn run(bench: Arc<Bench>, number: usize) {
    let mut line: Option<Line> = None;
    loop {
        if number >= bench.gate.allowed() {
            if let Some(line) = line.take() {
                line.connection.quit().await;
            }
            // Nothing else tells when the time of fewer connections is over, or that there are no more jobs.
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = bench.gate.changed.notified() => {}
            }
            if bench.queue.is_closed() {
                return;
            }
            continue;
        }
        let job = match timeout(IDLE, bench.queue.next()).await {
            Ok(Some(job)) => job,
            ended => {
                if let Some(line) = line.take() {
                    line.connection.quit().await;
                }
                match ended {
                    Ok(_) => return,
                    Err(_) => continue,
                }
            }
        };
        let user_id = job.user_id.clone();
        let report = bench.process(job, &mut line).await;
        let hold = report.outcome.holds_back();
        let outcome = report.outcome.clone();
        let _ = bench.reports.send(report);
        for job in bench.queue.done(&user_id, hold) {
            let outcome = match &outcome {
                Outcome::Again { delay, .. } => Outcome::Again { delay: *delay, counts: false },
                other => other.clone(),
            };
            let (events, user_id, kind) = (job.events, job.user_id, job.facts.kind);
            let _ = bench.reports.send(Report { events, user_id, kind, sent_to: Vec::new(), outcome });
        }
    }
}

impl Outcome {
    /// Whether the user's other mails wait as well: they go to the same address, and in their order.
    fn holds_back(&self) -> bool {
        matches!(self, Self::Again { .. } | Self::Lost)
    }
}

impl Bench {
    async fn process(&self, job: Job, line: &mut Option<Line>) -> Report {
        let Job { events, user_id, facts, recipients, partly_sent, attempts, deadline } = job;
        let kind = facts.kind;
        let report =
            |sent_to, outcome| Report { events: events.clone(), user_id: user_id.clone(), kind, sent_to, outcome };
        let id = facts.reference;
        let mut sent_to = Vec::new();
        let mut again: Option<Outcome> = None;
        let mut refused = None;
        let mut words = None;
        for (part, recipient) in &recipients {
            if !self.gate.is_open() {
                return report(sent_to, Outcome::Again { delay: Duration::ZERO, counts: false });
            }
            if !deadline.holds() {
                return report(sent_to, Outcome::Lost);
            }
            let equipment = self.shelf.get();
            let style = (recipient.locale.clone(), recipient.time_zone.clone());
            if words.as_ref().is_none_or(|(known, _)| *known != style) {
                match equipment.templates.render(&facts, style.0.as_deref(), style.1.as_deref()) {
                    Ok(rendered) => words = Some((style, rendered)),
                    Err(failure) => {
                        warn!(event = %id, error = %failure, "mail not made");
                        refused = Some("template".to_owned());
                        continue;
                    }
                }
            }
            let Some((_, text)) = &words else { continue };
            self.pace.turn().await;
            let mail = equipment.sender.compose(id, *part, &recipient.address, text);
            let began = Instant::now();
            match self.send(line, &equipment, &recipient.address, id, &mail).await {
                Ok(code) => {
                    self.gate.accepted();
                    self.sent(&facts, began);
                    info!(event = %id, kind = %facts.kind, code, "mail accepted");
                    sent_to.push(recipient.address.as_str().to_owned());
                }
                Err(fault) => {
                    let verdict = self.judge(&fault, &user_id);
                    let class = verdict.name();
                    self.health.metrics.mails_failed.with_label_values(&[fault.stage.name(), class]).inc();
                    warn!(event = %id, kind = %facts.kind, stage = fault.stage.name(), class, error = %fault, "mail not accepted");
                    match verdict {
                        // It is not about this mail: there is no point in trying the user's other addresses.
                        Verdict::Relay => {
                            let delay = if fault.stage > Stage::Mail { spread(SET_BACK, 0.2) } else { Duration::ZERO };
                            return report(sent_to, Outcome::Again { delay, counts: false });
                        }
                        Verdict::Slower => {
                            again = Some(Outcome::Again { delay: retry(attempts.max(3)), counts: false })
                        }
                        Verdict::Later | Verdict::Unknown => {
                            again = Some(Outcome::Again { delay: retry(attempts), counts: true })
                        }
                        Verdict::Never => refused = Some(fault.reason()),
                    }
                }
            }
        }
        let outcome = match (again, refused) {
            (Some(again), _) => again,
            (None, Some(reason)) if sent_to.is_empty() && !partly_sent => Outcome::Refused { reason },
            _ => Outcome::Sent,
        };
        report(sent_to, outcome)
    }

    /// What a fault means here and now: a refusal of everybody is not about a mail.
    fn judge(&self, fault: &Fault, user_id: &str) -> Verdict {
        let verdict = fault.verdict();
        match verdict {
            Verdict::Relay => self.gate.close(&fault.to_string()),
            Verdict::Unknown => self.health.metrics.outcome_unknown.inc(),
            Verdict::Slower | Verdict::Never | Verdict::Later => {}
        }
        if fault.wants_less() {
            self.gate.slow_down();
        }
        let suspicious = verdict == Verdict::Never || fault.breaks();
        let about_mail = matches!(verdict, Verdict::Never | Verdict::Later);
        let missing = matches!(fault.what, What::Missing(_));
        if about_mail && suspicious && !missing && self.gate.refused(self.hasher.hash_one(user_id), fault) {
            return Verdict::Relay;
        }
        verdict
    }

    /// Sends a mail. A connection that the server has closed since its last mail is replaced once, at nobody's expense.
    async fn send(
        &self,
        line: &mut Option<Line>,
        equipment: &Arc<Equipment>,
        to: &Address,
        id: uuid::Uuid,
        mail: &[u8],
    ) -> Result<u16, Fault> {
        let envelope = Envelope { from: &equipment.sender.return_path, to, id };
        loop {
            if line.as_ref().is_some_and(|line| !self.usable(line, equipment))
                && let Some(old) = line.take()
            {
                old.connection.quit().await;
            }
            let used = line.is_some();
            let mut open = match line.take() {
                Some(line) => line,
                None => Line { connection: equipment.relay.open().await?, equipment: equipment.clone() },
            };
            match open.connection.send(&envelope, mail).await {
                Ok(reply) => {
                    *line = Some(open);
                    return Ok(reply.code);
                }
                Err(fault) => {
                    if !fault.breaks() {
                        *line = Some(open);
                    } else if used && fault.is_farewell() {
                        continue;
                    }
                    return Err(fault);
                }
            }
        }
    }

    fn usable(&self, line: &Line, equipment: &Arc<Equipment>) -> bool {
        Arc::ptr_eq(&line.equipment, equipment)
            && line.connection.mails() < self.mails_per_connection
            && line.connection.age() < OLDEST
    }

    fn sent(&self, facts: &crate::templates::Facts, began: Instant) {
        let metrics = &self.health.metrics;
        metrics.mails_sent.with_label_values(&[facts.kind.name()]).inc();
        metrics.send_seconds.observe(began.elapsed().as_secs_f64());
        let age = SystemTime::now().duration_since(facts.at).unwrap_or_default();
        metrics.event_age_seconds.observe(age.as_secs_f64());
    }
}
