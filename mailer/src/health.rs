//! Whether the mailer lives, and whether it can do its work.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::metrics::Metrics;

/// After how long without a turn of its loop it is taken for dead.
const STALE: Duration = Duration::from_secs(60);
/// How often its turns are noted.
const TOLD: Duration = Duration::from_secs(1);

/// What the parts of the mailer say about themselves.
pub struct Health {
    pub metrics: Metrics,
    state: Mutex<State>,
}

struct State {
    tick: Instant,
    database: Option<String>,
    recipients: Option<String>,
    smtp: Option<String>,
}

impl Health {
    pub fn new(metrics: Metrics) -> Self {
        // The mail server is taken for usable until it shows that it is not.
        metrics.smtp_up.set(1);
        let state = State {
            tick: Instant::now(),
            database: Some("not connected yet".to_owned()),
            recipients: None,
            smtp: None,
        };
        Self { metrics, state: Mutex::new(state) }
    }

    /// The loop has made a turn. True: it is worth telling the watchdog again.
    pub fn tick(&self) -> bool {
        self.with(|state| {
            let due = state.tick.elapsed() >= TOLD;
            if due {
                state.tick = Instant::now();
            }
            due
        })
    }

    /// Whether it has lately.
    pub fn alive(&self) -> bool {
        self.with(|state| state.tick.elapsed() < STALE)
    }

    /// What keeps mails from going out, if anything does.
    pub fn hindrance(&self) -> Option<String> {
        self.with(|state| {
            let parts = [("database", &state.database), ("recipients", &state.recipients), ("smtp", &state.smtp)];
            let all: Vec<String> =
                parts.iter().filter_map(|(part, why)| why.as_ref().map(|why| format!("{part}: {why}"))).collect();
            (!all.is_empty()).then(|| all.join("\n"))
        })
    }

    /// Each of these takes what is wrong; None: nothing. They return whether that is news.
    pub fn database(&self, why: Option<String>) -> bool {
        self.metrics.database_up.set(i64::from(why.is_none()));
        self.with(|state| changed(&mut state.database, why))
    }

    pub fn recipients(&self, why: Option<String>) -> bool {
        self.with(|state| changed(&mut state.recipients, why))
    }

    pub fn smtp(&self, why: Option<String>) -> bool {
        self.metrics.smtp_up.set(i64::from(why.is_none()));
        self.with(|state| changed(&mut state.smtp, why))
    }

    pub fn listening(&self, yes: bool) {
        self.metrics.listen_up.set(i64::from(yes));
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

fn changed(old: &mut Option<String>, new: Option<String>) -> bool {
    let news = old.is_some() != new.is_some();
    *old = new;
    news
}
