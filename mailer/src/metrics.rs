//! What is counted and measured, in Prometheus' text format.

use prometheus::{Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// All metrics; their names begin with `backup_codes_mailer_`.
pub struct Metrics {
    registry: Registry,
    pub events_claimed: IntCounter,
    pub mails_sent: IntCounterVec,
    pub mails_failed: IntCounterVec,
    pub mails_folded: IntCounter,
    pub events_parked: IntCounter,
    pub events_unaddressed: IntCounter,
    pub leases_lost: IntCounter,
    pub outcome_unknown: IntCounter,
    pub send_seconds: Histogram,
    pub event_age_seconds: Histogram,
    pub backlog: IntGauge,
    pub backlog_parked: IntGauge,
    pub backlog_oldest_seconds: IntGauge,
    pub database_up: IntGauge,
    pub listen_up: IntGauge,
    pub smtp_up: IntGauge,
}

const NAMESPACE: &str = "backup_codes_mailer";

impl Metrics {
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let options = |name: &str, help: &str| Opts::new(name, help).namespace(NAMESPACE);
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::with_opts(options(name, help))?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let counters = IntCounterVec::new(options(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::with_opts(options(name, help))?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| -> Result<Histogram, prometheus::Error> {
            let options = HistogramOpts::new(name, help).namespace(NAMESPACE).buckets(buckets.to_vec());
            let histogram = Histogram::with_opts(options)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok(histogram)
        };
        Ok(Self {
            events_claimed: counter("events_claimed_total", "Events taken from the outbox, each time they are taken.")?,
            mails_sent: counters("mails_sent_total", "Mails that the server accepted.", &["kind"])?,
            mails_failed: counters("mails_failed_total", "Mails that it did not accept.", &["stage", "class"])?,
            mails_folded: counter(
                "mails_folded_total",
                "Events that wait for a summary instead of a mail of their own.",
            )?,
            events_parked: counter("events_parked_total", "Events set aside for an operator.")?,
            events_unaddressed: counter("events_unaddressed_total", "Events of users without an address.")?,
            leases_lost: counter(
                "leases_lost_total",
                "Events whose lease had ended before it was said what became of them.",
            )?,
            outcome_unknown: counter(
                "outcome_unknown_total",
                "Mails that were sent without an answer; they are sent again.",
            )?,
            send_seconds: histogram(
                "send_seconds",
                "From the first command to the acceptance.",
                &[0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0],
            )?,
            event_age_seconds: histogram(
                "event_age_seconds",
                "From the event to the acceptance of its mail.",
                &[0.02, 0.05, 0.1, 0.5, 2.0, 15.0, 60.0, 600.0, 3_600.0, 86_400.0],
            )?,
            backlog: gauge("backlog", "Events that wait to be taken, counted to 10,000.")?,
            backlog_parked: gauge("backlog_parked", "Events that wait for an operator, counted to 10,000.")?,
            backlog_oldest_seconds: gauge("backlog_oldest_seconds", "For how long the oldest one has waited.")?,
            database_up: gauge("database_up", "Whether the database answers.")?,
            listen_up: gauge("listen_up", "Whether notifications are heard.")?,
            smtp_up: gauge("smtp_up", "Whether the mail server takes mails.")?,
            registry,
        })
    }

    /// All of them as text.
    pub fn text(&self) -> String {
        let mut bytes = Vec::new();
        // Encoding into memory fails only for metrics without a name.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
