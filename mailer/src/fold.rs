//! Folding: after a mail about a kind of event, more of that kind and user wait and become one summary. It delays and never
//! drops, and one kind never delays another: otherwise somebody could flood first and act unseen.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::event::Kind;

/// How many pairs of user and kind are remembered; beyond that the oldest are forgotten, which costs them a mail too many.
const REMEMBERED: usize = 100_000;

/// What is to be done with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// It gets a mail.
    Mail,
    /// It waits that long.
    Wait(Duration),
    /// The wait is over: it becomes part of a summary.
    Summary,
}

/// Which users and kinds had a mail lately.
pub struct Folding {
    hasher: RandomState,
    windows: HashMap<u64, Window>,
    order: VecDeque<u64>,
    first: Duration,
    longest: Duration,
}

#[derive(Clone, Copy)]
struct Window {
    until: Instant,
    length: Duration,
    /// More came.
    waited: bool,
    /// It began with a summary.
    summary: bool,
}

impl Folding {
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            hasher: RandomState::new(),
            windows: HashMap::new(),
            order: VecDeque::new(),
            first,
            longest: longest.max(first),
        }
    }

    /// Decides about an event of a user that is here now.
    pub fn decide(&mut self, user_id: &str, kind: Kind, now: Instant) -> Fold {
        if !kind.folds() || self.first.is_zero() {
            return Fold::Mail;
        }
        let key = self.hasher.hash_one((user_id, kind));
        match self.windows.get_mut(&key) {
            Some(window) if now < window.until => {
                window.waited = true;
                Fold::Wait(window.until - now)
            }
            Some(window) if window.waited => Fold::Summary,
            _ => {
                self.begin(key, self.first, false, now);
                Fold::Mail
            }
        }
    }

    /// A summary goes out: what comes next waits for twice as long.
    pub fn summarized(&mut self, user_id: &str, kind: Kind, now: Instant) {
        let key = self.hasher.hash_one((user_id, kind));
        let length = self.windows.get(&key).map_or(self.first, |window| (window.length * 2).min(self.longest));
        self.begin(key, length, true, now);
    }

    /// The mail or the summary that went out last was not accepted: its events come again, and are to be treated alike.
    pub fn failed(&mut self, user_id: &str, kind: Kind, now: Instant) {
        let key = self.hasher.hash_one((user_id, kind));
        match self.windows.get_mut(&key) {
            Some(window) if window.summary => {
                let length = (window.length / 2).max(self.first);
                *window = Window { until: now, length, waited: true, summary: true };
            }
            Some(_) => {
                self.windows.remove(&key);
            }
            None => {}
        }
    }

    fn begin(&mut self, key: u64, length: Duration, summary: bool, now: Instant) {
        if self.windows.insert(key, Window { until: now + length, length, waited: false, summary }).is_none() {
            self.order.push_back(key);
        }
        // The oldest go first: those that are over and had nothing to wait or are gone already, then any.
        while let Some(oldest) = self.order.front().copied() {
            let over = self.windows.get(&oldest).is_none_or(|window| window.until <= now && !window.waited);
            if !over && self.windows.len() <= REMEMBERED {
                return;
            }
            self.order.pop_front();
            self.windows.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn the_first_is_mailed_and_the_rest_becomes_a_summary() {
        let mut folding = Folding::new(HOUR, 6 * HOUR);
        let start = Instant::now();
        assert_eq!(folding.decide("ada", Kind::Replaced, start), Fold::Mail);
        assert_eq!(folding.decide("ada", Kind::Replaced, start + HOUR / 4), Fold::Wait(HOUR * 3 / 4));
        assert_eq!(folding.decide("ada", Kind::Replaced, start + HOUR), Fold::Summary);
        assert_eq!(folding.decide("ada", Kind::Replaced, start + HOUR), Fold::Summary);
        folding.summarized("ada", Kind::Replaced, start + HOUR);
        assert_eq!(folding.decide("ada", Kind::Replaced, start + HOUR), Fold::Wait(2 * HOUR));
        folding.summarized("ada", Kind::Replaced, start + 3 * HOUR);
        folding.summarized("ada", Kind::Replaced, start + 7 * HOUR);
        assert_eq!(
            folding.decide("ada", Kind::Replaced, start + 7 * HOUR),
            Fold::Wait(6 * HOUR),
            "it grows to the longest"
        );
    }

    #[test]
    fn a_kind_or_a_user_delays_no_other() {
        let mut folding = Folding::new(HOUR, 6 * HOUR);
        let now = Instant::now();
        assert_eq!(folding.decide("ada", Kind::Replaced, now), Fold::Mail);
        for kind in [Kind::Used, Kind::Locked, Kind::Disabled] {
            assert_eq!(folding.decide("ada", kind, now), Fold::Mail, "{kind}");
        }
        assert_eq!(folding.decide("ada", Kind::Used, now), Fold::Mail, "each use is mailed");
        assert_eq!(folding.decide("bob", Kind::Replaced, now), Fold::Mail);
    }

    #[test]
    fn after_a_quiet_window_the_next_is_mailed_at_once() {
        let mut folding = Folding::new(HOUR, 6 * HOUR);
        let now = Instant::now();
        assert_eq!(folding.decide("ada", Kind::Replaced, now), Fold::Mail);
        assert_eq!(folding.decide("ada", Kind::Replaced, now + HOUR), Fold::Mail);
    }

    #[test]
    fn what_was_not_accepted_is_treated_alike_when_it_comes_again() {
        let mut folding = Folding::new(HOUR, 6 * HOUR);
        let now = Instant::now();
        assert_eq!(folding.decide("ada", Kind::Replaced, now), Fold::Mail);
        folding.failed("ada", Kind::Replaced, now);
        assert_eq!(folding.decide("ada", Kind::Replaced, now), Fold::Mail);
        assert_eq!(folding.decide("ada", Kind::Replaced, now), Fold::Wait(HOUR));
        assert_eq!(folding.decide("ada", Kind::Replaced, now + HOUR), Fold::Summary);
        folding.summarized("ada", Kind::Replaced, now + HOUR);
        folding.failed("ada", Kind::Replaced, now + HOUR);
        assert_eq!(folding.decide("ada", Kind::Replaced, now + HOUR), Fold::Summary);
        folding.summarized("ada", Kind::Replaced, now + HOUR);
        assert_eq!(folding.decide("ada", Kind::Replaced, now + HOUR), Fold::Wait(2 * HOUR));
    }

    #[test]
    fn memory_is_bounded() {
        let mut folding = Folding::new(HOUR, 6 * HOUR);
        let now = Instant::now();
        for user in 0..REMEMBERED + 10 {
            assert_eq!(folding.decide(&user.to_string(), Kind::Generated, now), Fold::Mail);
        }
        assert_eq!((folding.windows.len(), folding.order.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(folding.decide("0", Kind::Generated, now), Fold::Mail, "the oldest was forgotten");
    }
}
