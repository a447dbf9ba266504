//! What systemd is told. Elsewhere nobody listens, and nothing is said.

use sd_notify::NotifyState;

/// Ready for work, or again after a reload.
pub fn ready() {
    say(&[NotifyState::Ready]);
}

/// Reading files anew.
pub fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now().ok());
    say(&states);
}

/// On the way to the end.
pub fn stopping() {
    say(&[NotifyState::Stopping]);
}

/// The loop turns.
pub fn watchdog() {
    say(&[NotifyState::Watchdog]);
}

fn say(states: &[NotifyState<'_>]) {
    // Without systemd there is no socket, and that is no failure.
    let _ = sd_notify::notify(states);
}
