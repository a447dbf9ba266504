//! A length of time as the configuration writes it: `500ms`, `15s`, `10m`, `6h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time from 0 to a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
const DAY: u64 = 86_400_000;

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("{text:?} is no length of time: write it like \"500ms\", \"15s\", \"10m\" or \"6h\", up to a day")
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*scale));
        millis.filter(|millis| *millis <= DAY).map(|millis| Self(Duration::from_millis(millis))).ok_or_else(wrong)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis() as u64;
        let (unit, scale) =
            UNITS.iter().rev().find(|(_, scale)| millis > 0 && millis.is_multiple_of(*scale)).unwrap_or(&UNITS[1]);
        write!(f, "{}{unit}", millis / scale)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for text in ["500ms", "15s", "90s", "10m", "6h", "24h"] {
            assert_eq!(text.parse::<Span>().map(|span| span.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("0s".parse(), Ok(Span(Duration::ZERO)));
        for text in ["", "15", "s", "15 s", "-1s", "1d", "25h", "99999999999999999999h", "1.5s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
