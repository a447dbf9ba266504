//! When it happened, in the user's time and in UTC. A time zone's name is never shown: it would be read as the place.

use std::time::SystemTime;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use serde::Serialize;

/// The parts of a time, as a language's template `moment` gets them.
#[derive(Clone, Debug, Serialize)]
pub struct Parts {
    pub year: i16,
    pub month: i8,
    pub day: i8,
    pub time: String,
}

/// A time in UTC, and in the zone of a user with the offset that held there then.
#[derive(Clone, Debug)]
pub struct Moment {
    pub utc: Parts,
    pub local: Option<(Parts, String)>,
}

/// The zone of that name; None for UTC and for what is no name of a zone.
pub fn zone(name: &str) -> Option<TimeZone> {
    let zone = TimeZone::get(name.trim()).ok()?;
    (zone != TimeZone::UTC && !matches!(zone.iana_name(), Some("UTC" | "Etc/UTC"))).then_some(zone)
}

impl Moment {
    pub fn new(at: SystemTime, zone: Option<&TimeZone>) -> Self {
        let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
        let local = zone.map(|zone| {
            let there = at.to_zoned_datetime(zone.clone());
            let minutes = there.offset().seconds() / 60;
            let sign = if minutes < 0 { '-' } else { '+' };
            let offset = format!("UTC{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
            (Parts::new(&there), offset)
        });
        Self { utc: Parts::new(&at.to_zoned_datetime(TimeZone::UTC)), local }
    }
}

impl Parts {
    fn new(at: &ZonedDateTime) -> Self {
        let time = format!("{:02}:{:02}", at.hour(), at.minute());
        Self { year: at.year(), month: at.month(), day: at.day(), time }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_has_the_offset_that_held_then_and_there() {
        let at = |seconds, name: &str| {
            let moment = Moment::new(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), zone(name).as_ref());
            moment.local.map(|(parts, offset)| (parts.day, parts.time, offset))
        };
        let winter = 1_764_075_900; // 25 November 2025, 13:05 UTC
        assert_eq!(at(winter, "Europe/Berlin"), Some((25, "14:05".to_owned(), "UTC+01:00".to_owned())));
        assert_eq!(at(winter - 137 * 86_400, "Europe/Berlin"), Some((11, "15:05".to_owned(), "UTC+02:00".to_owned())));
        assert_eq!(at(winter, "Asia/Kathmandu"), Some((25, "18:50".to_owned(), "UTC+05:45".to_owned())));
        assert_eq!(at(winter, "America/St_Johns"), Some((25, "09:35".to_owned(), "UTC-03:30".to_owned())));
        for name in ["UTC", "Etc/UTC", "", "nowhere", "../../etc/passwd"] {
            assert_eq!(at(winter, name), None, "{name}");
        }
    }
}
