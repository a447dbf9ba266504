//! How long to wait before the next try.

use std::time::Duration;

/// Doubles from the first pause to the longest, each up to half longer or shorter, so that many clients do not come at once.
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// The pause before the next try.
    pub fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        spread(pause, 0.5)
    }

    /// It works again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// A time that much longer or shorter at random.
pub fn spread(time: Duration, by: f64) -> Duration {
    time.mul_f64(1.0 - by + 2.0 * by * fastrand::f64())
}

/// When a mail is tried again that was refused for now, by the number of its tries: 10 seconds, then three times as long each
/// time up to 6 hours. Twenty tries take about three days, and the fourth comes after a greylisting of five minutes.
pub fn retry(attempts: i32) -> Duration {
    let exponent = u32::try_from(attempts - 1).unwrap_or(0).min(10);
    let pause = Duration::from_secs(10) * 3u32.pow(exponent);
    spread(pause.min(Duration::from_secs(6 * 3_600)), 0.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_tries_take_three_days_and_never_more_than_eight_hours_each() {
        let pauses: Vec<Duration> = (1..20).map(retry).collect();
        let total: Duration = pauses.iter().sum();
        assert!((60..100).contains(&(total.as_secs() / 3_600)), "{total:?}");
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(8 * 3_600)));
        assert!(retry(1) <= Duration::from_secs(12) && retry(i32::MAX) <= Duration::from_secs(8 * 3_600));
    }

    #[test]
    fn pauses_grow_to_the_longest_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        let last = (0..20).map(|_| backoff.next()).last().expect("a pause");
        assert!((15.0..=45.0).contains(&last.as_secs_f64()), "{last:?}");
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(1_500));
    }
}
