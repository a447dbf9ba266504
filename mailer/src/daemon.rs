//! The loop that takes events, hands them to the workers, and tells the database what became of them.

use std::hash::RandomState;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::backoff::{Backoff, spread};
use crate::config::Config;
use crate::database::Database;
use crate::desk::{Desk, Word};
use crate::equipment::{Equipment, Shelf};
use crate::failure::{Class, Failure};
use crate::fold::Folding;
use crate::gate::Gate;
use crate::health::Health;
use crate::intake::Intake;
use crate::job::{Outcome, Queue, Report};
use crate::outbox::Outbox;
use crate::recipients::Recipients;
use crate::signals::{Signal, Signals};
use crate::worker::{self, Bench, Pace};
use crate::{connections, listen, systemd, templates};

/// Between two claims, when the first one took all there was.
const REST: Duration = Duration::from_millis(100);
/// The loop turns at least so often.
const TURN: Duration = Duration::from_secs(5);
/// How often the backlog is measured.
const MEASURE: Duration = Duration::from_secs(15);

/// The mailer at work.
pub struct Mailer {
    config: Config,
    /// Ends when nothing is left.
    once: bool,
    database: Database,
    outbox: Option<Outbox>,
    reconnect: Backoff,
    reconnect_at: Instant,
    connected_before: bool,
    shelf: Arc<Shelf>,
    queue: Arc<Queue>,
    gate: Arc<Gate>,
    health: Arc<Health>,
    intake: Intake,
    desk: Desk,
    reports: UnboundedReceiver<Report>,
    workers: Vec<JoinHandle<()>>,
    listener: Option<JoinHandle<()>>,
    probe: Option<JoinHandle<()>>,
    wake: Arc<Notify>,
    /// There may be events to take.
    more: bool,
    poll_at: Instant,
    rest_until: Instant,
    recipients_backoff: Backoff,
    recipients_at: Instant,
    measure_at: Instant,
    /// `--once` could not do everything, or anything.
    left: bool,
    failure: Option<Failure>,
}

impl Mailer {
    /// Sets up the workers; nothing is connected yet.
    pub fn new(config: Config, equipment: Equipment, health: Arc<Health>, once: bool) -> Result<Self, Failure> {
        let database = connections::database(&config)?;
        let recipients = Recipients::new(connections::recipients(&config)?, &config.recipient.query)?;
        let connections = usize::from(config.smtp.connections.max(1));
        let shelf = Arc::new(Shelf::new(equipment));
        let queue = Arc::new(Queue::default());
        let gate = Arc::new(Gate::new(health.clone(), connections));
        let (sender, reports) = unbounded_channel();
        let bench = Arc::new(Bench {
            shelf: shelf.clone(),
            queue: queue.clone(),
            gate: gate.clone(),
            health: health.clone(),
            reports: sender,
            mails_per_connection: config.smtp.mails_per_connection.max(1),
            pace: Pace::new(config.smtp.rate),
            hasher: RandomState::new(),
        });
        let workers = (0..connections).map(|number| tokio::spawn(worker::run(bench.clone(), number))).collect();
        let folding = Folding::new(config.limits.fold_window.0, config.limits.fold_max.0);
        let intake = Intake::new(recipients, templates::kinds(&config.mail)?, folding, queue.clone(), health.clone());
        let now = Instant::now();
        Ok(Self {
            database,
            outbox: None,
            reconnect: Backoff::new(Duration::from_secs(1), Duration::from_secs(30)),
            reconnect_at: now,
            connected_before: false,
            shelf,
            queue,
            gate,
            intake,
            desk: Desk::new(config.database.lease.0),
            reports,
            workers,
            listener: None,
            probe: None,
            wake: Arc::new(Notify::new()),
            more: true,
            poll_at: now,
            rest_until: now,
            recipients_backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
            recipients_at: now,
            measure_at: now,
            left: false,
            failure: None,
            health,
            config,
            once,
        })
    }

    /// Works until a signal ends it, or with `--once` until nothing is left.
    pub async fn run(mut self, mut signals: Signals) -> Result<(), Failure> {
        loop {
            if self.health.tick() {
                systemd::watchdog();
            }
            while let Ok(report) = self.reports.try_recv() {
                self.settle(report);
            }
            self.work().await?;
            self.intake.summarize(&mut self.desk);
            if self.once
                && let Some(ended) = self.ended()
            {
                self.stop(&mut signals).await;
                return ended;
            }
            if !self.gate.is_open() {
                self.give_back();
                self.look_at_the_server();
            }
            if self.may_claim(Instant::now()) {
                continue;
            }
            let gate = self.gate.clone();
            let next = self.next_turn();
            tokio::select! {
                report = self.reports.recv() => if let Some(report) = report { self.settle(report) },
                () = self.wake.notified() => self.more = true,
                () = gate.changed.notified() => self.more = true,
                () = tokio::time::sleep_until(next.into()) => {}
                signal = signals.next() => match signal {
                    Signal::Reload => self.reload(),
                    Signal::End => {
                        self.stop(&mut signals).await;
                        return Ok(());
                    }
                },
            }
        }
    }

    /// What there is to do with the database.
    async fn work(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        if self.poll_at <= now {
            self.more = true;
            self.poll_at = now + spread(self.config.database.poll.0, 0.1);
        }
        if self.outbox.is_none() {
            if self.reconnect_at > now {
                return Ok(());
            }
            self.connect().await?;
        }
        let result = self.talk().await;
        if let Err(failure) = result {
            self.database_failed(failure)?;
        }
        Ok(())
    }

    async fn talk(&mut self) -> Result<(), Failure> {
        let Some(outbox) = self.outbox.as_ref() else { return Ok(()) };
        let now = Instant::now();
        if self.desk.due().is_some_and(|due| due <= now) {
            self.desk.tell(outbox, &self.health.metrics, false).await?;
        }
        if self.desk.extension_due().is_some_and(|due| due <= now) {
            self.desk.extend(outbox, &self.health.metrics).await?;
        }
        if self.measure_at <= now && !self.config.http.listen.is_empty() {
            self.measure_at = now + MEASURE;
            let backlog = outbox.backlog().await?;
            let metrics = &self.health.metrics;
            metrics.backlog.set(backlog.waiting);
            metrics.backlog_parked.set(backlog.parked);
            let oldest = backlog.oldest_at.and_then(|at| at.elapsed().ok()).unwrap_or_default();
            metrics.backlog_oldest_seconds.set(oldest.as_secs() as i64);
        }
        if self.may_claim(now) {
            self.claim().await?;
        }
        Ok(())
    }

    fn may_claim(&self, now: Instant) -> bool {
        self.more
            && self.has_room()
            && self.outbox.is_some()
            && self.gate.is_open()
            && self.rest_until <= now
            && self.recipients_at <= now
    }

    /// Whether so few events are under way that the next ones should be taken, for the workers to have something to do meanwhile.
    fn has_room(&self) -> bool {
        self.desk.open().saturating_sub(self.intake.gathering()) <= self.config.database.batch as usize / 2
    }

    async fn claim(&mut self) -> Result<(), Failure> {
        let Some(outbox) = self.outbox.as_ref() else { return Ok(()) };
        let (batch, lease) = (self.config.database.batch, self.config.database.lease.0);
        let asked = Instant::now();
        let claimed = outbox.claim(batch, lease).await?;
        let count = claimed.as_ref().map_or(0, |(_, events)| events.len());
        self.more = count >= batch as usize;
        if !self.more {
            self.rest_until = Instant::now() + REST;
        }
        if let Some((lease, mut events)) = claimed {
            self.health.metrics.events_claimed.inc_by(count as u64);
            let ids: Vec<_> = events.iter().map(|event| event.id).collect();
            let (deadline, known) = self.desk.take(lease, &ids, asked);
            events.retain(|event| !known.contains(&event.id));
            match self.intake.take(events, &deadline, &mut self.desk).await {
                Ok(()) => {
                    self.recipients_backoff.reset();
                    self.intake.recipients_state(None);
                }
                Err(failure) => {
                    self.intake.recipients_state(Some(&failure));
                    self.recipients_at = Instant::now() + self.recipients_backoff.next();
                    self.more = !self.once;
                    self.failure = self.once.then_some(failure);
                }
            }
        }
        Ok(())
    }

    /// Notes what became of a job.
    fn settle(&mut self, report: Report) {
        let Report { events, user_id, kind, sent_to, outcome } = report;
        for event in &events {
            for address in &sent_to {
                self.desk.accepted.remember(*event, address);
            }
        }
        if let Outcome::Refused { .. } = outcome {
            self.health.metrics.events_parked.inc_by(events.len() as u64);
        }
        self.left |= outcome != Outcome::Sent;
        if outcome != Outcome::Sent {
            self.intake.failed(&user_id, kind);
        }
        for event in events {
            match &outcome {
                Outcome::Sent => self.desk.say(event, Word::Delivered),
                Outcome::Again { delay, counts } => {
                    self.desk.say(event, Word::Again { delay: *delay, counts: *counts })
                }
                Outcome::Refused { reason } => self.desk.say(event, Word::Parked { reason: reason.clone() }),
                Outcome::Lost => self.desk.drop(event),
            }
        }
    }

    /// Gives back what has not begun, and what was gathered: no try is counted.
    fn give_back(&mut self) {
        let again = Word::Again { delay: Duration::ZERO, counts: false };
        let jobs = self.queue.drain();
        jobs.iter().for_each(|job| self.intake.failed(&job.user_id, job.facts.kind));
        let gathered = self.intake.scatter();
        for event in jobs.into_iter().flat_map(|job| job.events).chain(gathered) {
            self.left = true;
            self.desk.say(event, again.clone());
        }
    }

    /// Looks at the mail server until it can be used, in the background.
    fn look_at_the_server(&mut self) {
        if self.once || self.probe.as_ref().is_some_and(|probe| !probe.is_finished()) {
            return;
        }
        let (gate, shelf) = (self.gate.clone(), self.shelf.clone());
        self.probe = Some(tokio::spawn(async move {
            while !gate.is_open() {
                tokio::time::sleep(gate.pause()).await;
                match connections::probe(&shelf.get()).await {
                    Ok(()) => gate.open(),
                    Err(fault) => gate.close(&fault.to_string()),
                }
            }
        }));
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        let opened = match self.database.connect(None).await {
            Ok(client) => Outbox::open(client, &self.config.database.schema).await,
            Err(failure) => Err(failure),
        };
        match opened {
            Ok(outbox) => {
                if self.listener.is_none() && !self.once {
                    let schema = self.config.database.schema.clone();
                    let listening = listen::run(self.database.clone(), schema, self.health.clone(), self.wake.clone());
                    self.listener = Some(tokio::spawn(listening));
                }
                self.outbox = Some(outbox);
                self.more = true;
                if !self.connected_before
                    && let Err(failure) = self.first_look().await
                {
                    return self.database_failed(failure);
                }
                self.connected_before = true;
                self.reconnect.reset();
                if self.health.database(None) {
                    info!("database usable");
                }
                Ok(())
            }
            Err(failure) => self.database_failed(failure),
        }
    }

    /// At the start, what is wrong with rights and query ends the program instead of being tried for ever.
    async fn first_look(&mut self) -> Result<(), Failure> {
        if let Some(outbox) = &self.outbox {
            outbox.backlog().await?;
        }
        match self.intake.recipients.check().await {
            Err(failure) if failure.class == Class::Unavailable && !self.once => {
                self.intake.recipients_state(Some(&failure));
                Ok(())
            }
            result => result.map(|_| ()),
        }
    }

    /// Lives with a failure of the database, unless it cannot go away by itself.
    fn database_failed(&mut self, failure: Failure) -> Result<(), Failure> {
        self.outbox = None;
        self.reconnect_at = Instant::now() + self.reconnect.next();
        if self.once || (!self.connected_before && failure.class != Class::Unavailable) {
            return Err(failure);
        }
        if self.health.database(Some(failure.to_string())) || !self.connected_before {
            warn!(error = %failure, "database unusable; trying again");
        }
        Ok(())
    }

    /// How `--once` ends, when it does.
    fn ended(&self) -> Option<Result<(), Failure>> {
        if !self.gate.is_open() {
            let why = self.health.hindrance().unwrap_or_default();
            return Some(Err(Failure::unavailable(why.replace('\n', "; "))));
        }
        let idle = !self.more && self.desk.open() == 0 && self.desk.silent();
        idle.then(|| {
            if let Some(failure) = self.failure.clone() {
                Err(failure)
            } else if self.left {
                Err(Failure::new(Class::Later, "some events are left for later; the log says why"))
            } else {
                Ok(())
            }
        })
    }

    fn next_turn(&self) -> Instant {
        let now = Instant::now();
        let mut next = (now + TURN).min(self.poll_at);
        if self.outbox.is_none() {
            return next.min(self.reconnect_at);
        }
        for due in [self.desk.due(), self.desk.extension_due(), self.intake.summary_due()].into_iter().flatten() {
            next = next.min(due);
        }
        if self.more && self.gate.is_open() && self.has_room() {
            next = next.min(self.rest_until.max(self.recipients_at).max(now + Duration::from_millis(1)));
        }
        next
    }

    /// Templates, secrets and certificates anew; where they are broken, the old ones stay.
    fn reload(&mut self) {
        systemd::reloading();
        let loaded =
            Equipment::load(&self.config).and_then(|equipment| Ok((equipment, connections::database(&self.config)?)));
        match loaded {
            Ok((equipment, database)) => {
                self.shelf.set(equipment);
                self.database = database;
                info!("templates, secrets and certificates were read anew");
            }
            Err(failure) => {
                error!(error = %failure, "not reloaded; the old templates, secrets and certificates stay in use")
            }
        }
        systemd::ready();
    }

    /// Ends: nothing new, what is on its way gets its time, the rest goes back, and the database is told.
    async fn stop(&mut self, signals: &mut Signals) {
        systemd::stopping();
        info!(under_way = self.desk.open(), "ending");
        if let Some(listener) = self.listener.take() {
            listener.abort();
        }
        if let Some(probe) = self.probe.take() {
            probe.abort();
        }
        self.give_back();
        self.queue.close();
        self.gate.changed.notify_waiters();
        let deadline = tokio::time::Instant::now() + self.config.limits.grace.0;
        while self.desk.open() > 0 {
            tokio::select! {
                report = self.reports.recv() => match report {
                    Some(report) => self.settle(report),
                    None => break,
                },
                () = tokio::time::sleep_until(deadline) => break,
                signal = signals.next() => if matches!(signal, Signal::End) {
                    warn!("told twice to end; not waiting for anything");
                    std::process::exit(Class::Later as i32);
                },
            }
        }
        let open = self.desk.open();
        if open > 0 {
            warn!(events = open, "time is over; these are given back while their mails are on their way");
            self.workers.iter().for_each(JoinHandle::abort);
            for event in self.desk.open_events() {
                self.desk.say(event, Word::Again { delay: Duration::ZERO, counts: false });
            }
        }
        if !self.desk.silent() {
            self.tell_the_rest().await;
        }
        for worker in self.workers.drain(..) {
            // Each says goodbye within two seconds.
            let _ = tokio::time::timeout(Duration::from_secs(3), worker).await;
        }
    }

    async fn tell_the_rest(&mut self) {
        if self.outbox.is_none()
            && let Ok(Ok(client)) = tokio::time::timeout(Duration::from_secs(5), self.database.connect(None)).await
        {
            self.outbox = Outbox::open(client, &self.config.database.schema).await.ok();
        }
        let told = match &self.outbox {
            Some(outbox) => self.desk.tell(outbox, &self.health.metrics, true).await,
            None => Err(Failure::unavailable("database: not connected")),
        };
        if let Err(failure) = told {
            warn!(error = %failure, "the database was not told about the last mails; they may be sent again, with the same Message-ID");
        }
    }
}
