//! Whether mails may go out at all. The mail server's own faults close the gate; while it is closed no events are taken, and
//! none of them loses a try.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::health::Health;
use crate::smtp::fault::Fault;

/// So many users refused in a row, and nobody accepted, is the server's configuration and not theirs.
const SUSPICIOUS: usize = 10;
/// For how long fewer connections are used after the server asked for less.
const SLOW: Duration = Duration::from_secs(300);

/// The gate.
pub struct Gate {
    state: Mutex<State>,
    health: Arc<Health>,
    /// Woken whenever the gate closes or opens.
    pub changed: Notify,
    connections: usize,
}

struct State {
    open: bool,
    backoff: Backoff,
    /// Users refused since the last mail that was accepted.
    refused: HashSet<u64>,
    /// How many connections may be used, and until when they are fewer.
    allowed: usize,
    slow_until: Option<Instant>,
}

impl Gate {
    pub fn new(health: Arc<Health>, connections: usize) -> Self {
        let state = State {
            open: true,
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
            refused: HashSet::new(),
            allowed: connections,
            slow_until: None,
        };
        Self { state: Mutex::new(state), health, changed: Notify::new(), connections }
    }

    pub fn is_open(&self) -> bool {
        self.with(|state| state.open)
    }

    /// Closes it for a fault of the server.
    pub fn close(&self, why: &str) {
        let was_open = self.with(|state| std::mem::replace(&mut state.open, false));
        self.health.smtp(Some(why.to_owned()));
        if was_open {
            warn!(why, "mail server unusable; nothing is sent until it is mended");
            self.changed.notify_waiters();
        }
    }

    /// The server can be used again, it seems: the next mail will show it.
    pub fn open(&self) {
        self.with(|state| state.open = true);
        if self.health.smtp(None) {
            info!("mail server usable");
        }
        self.changed.notify_waiters();
    }

    /// How long to wait before the server is looked at again.
    pub fn pause(&self) -> Duration {
        self.with(|state| state.backoff.next())
    }

    /// A mail was accepted.
    pub fn accepted(&self) {
        self.with(|state| {
            state.backoff.reset();
            state.refused.clear();
        });
        if self.health.smtp(None) {
            info!("mail server usable");
        }
    }

    /// A mail for a user was refused. True: so many were in a row that it is not about them; then the gate is closed.
    pub fn refused(&self, user: u64, fault: &Fault) -> bool {
        let suspicious = self.with(|state| {
            let before = state.refused.len();
            if before < SUSPICIOUS {
                state.refused.insert(user);
            }
            before >= SUSPICIOUS
        });
        if suspicious {
            self.close(&format!("{SUSPICIOUS} users refused in a row, the last with {fault}"));
        }
        suspicious
    }

    /// The server asked for less: half the connections for a while.
    pub fn slow_down(&self) {
        let allowed = self.with(|state| {
            if state.slow_until.is_none_or(|until| until.duration_since(Instant::now()) < SLOW - Duration::from_secs(5))
            {
                state.allowed = (state.allowed / 2).max(1);
            }
            state.slow_until = Some(Instant::now() + SLOW);
            state.allowed
        });
        warn!(connections = allowed, "the mail server asks for less");
    }

    /// How many connections may be used now.
    pub fn allowed(&self) -> usize {
        self.with(|state| {
            if state.slow_until.is_some_and(|until| until <= Instant::now()) {
                state.slow_until = None;
                state.allowed = self.connections;
            }
            state.allowed
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
