//! Durations as authors write them: `500ms 30s 5m 1h30m 2d` (language.md §3).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Units, largest first, with their length in milliseconds. `ms` stands before `m` nowhere: units are read as whole words.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// A hundred years: anything longer is a slip, and it keeps additions far from overflow.
const MAXIMUM_MILLIS: u64 = 36_525 * 86_400_000;

/// A length of time in whole milliseconds, at most a hundred years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(u64);

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing at all.
    #[error("a duration is missing; write it like `30s`")]
    Empty,
    /// A number without a unit.
    #[error("`{0}` has no unit; write `{0}s` for seconds (units: d h m s ms)")]
    NoUnit(String),
    /// A minus sign.
    #[error("`{0}` is negative; a duration can't be")]
    Negative(String),
    /// A fraction.
    #[error("`{0}` has a fraction; use a smaller unit, as in `1h30m` or `500ms`")]
    Fraction(String),
    /// A unit that does not exist.
    #[error("`{unit}` is no unit of time; the units are d h m s ms")]
    UnknownUnit {
        /// The word that stood in its place.
        unit: String,
    },
    /// Units repeated or in the wrong order.
    #[error("`{0}` has its units twice or out of order; each comes at most once: d h m s ms")]
    Order(String),
    /// Longer than a hundred years.
    #[error("`{0}` is more than a hundred years")]
    TooLong(String),
    /// Anything else.
    #[error("`{0}` is no duration; write it like `30s`, `5m` or `1h30m`")]
    Malformed(String),
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest one: a hundred years.
    pub const MAXIMUM: Self = Self(MAXIMUM_MILLIS);
    /// What a text must look like, for JSON Schemas.
    pub const PATTERN: &'static str = r"^(?=\d)(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$";

    /// So many milliseconds, clamped to a hundred years.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(if millis > MAXIMUM_MILLIS { MAXIMUM_MILLIS } else { millis })
    }

    /// So many seconds, clamped to a hundred years.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self::from_millis(seconds.saturating_mul(1000))
    }

    /// Its length in milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Its length in seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a hundred years in milliseconds are exact in an f64")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let own = || text.chars().take(80).collect::<String>();
        if text.is_empty() {
            return Err(DurationError::Empty);
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DurationError::NoUnit(own()));
        }
        if text.starts_with('-') {
            return Err(DurationError::Negative(own()));
        }
        let (mut rest, mut total, mut largest_allowed) = (text, 0u64, 0);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at(digits);
            let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, after) = after.split_at(letters);
            if number.is_empty() || unit.is_empty() {
                let fraction = after.starts_with(['.', ',']) && digits > 0;
                return Err(if fraction {
                    DurationError::Fraction(own())
                } else {
                    DurationError::Malformed(own())
                });
            }
            let Some(index) = UNITS.iter().position(|(name, _)| *name == unit) else {
                return Err(DurationError::UnknownUnit { unit: unit.chars().take(40).collect() });
            };
            if index < largest_allowed {
                return Err(DurationError::Order(own()));
            }
            largest_allowed = index + 1;
            let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(UNITS[index].1));
            let sum = part.and_then(|part| total.checked_add(part)).filter(|sum| *sum <= MAXIMUM_MILLIS);
            total = sum.ok_or_else(|| DurationError::TooLong(own()))?;
            rest = after;
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return formatter.pad("0s");
        }
        let (mut rest, mut text) = (self.0, String::new());
        for (name, length) in UNITS {
            if rest >= length {
                text.push_str(&(rest / length).to_string());
                text.push_str(name);
                rest %= length;
            }
        }
        formatter.pad(&text)
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        Self::from_millis(duration.0)
    }
}

impl From<std::time::Duration> for Duration {
    /// Fractions of a millisecond are dropped, more than a hundred years are clamped.
    fn from(duration: std::time::Duration) -> Self {
        Self::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Checked;
        impl serde::de::Visitor<'_> for Checked {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Checked)
    }
}

impl schemars::JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": Self::PATTERN, "examples": ["500ms", "30s", "5m", "1h30m", "2d"]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_a_duration() {
        for (text, millis, shown) in [
            ("500ms", 500, "500ms"),
            ("30s", 30_000, "30s"),
            ("5m", 300_000, "5m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("90m", 5_400_000, "1h30m"),
            ("2d", 172_800_000, "2d"),
            ("1d2h3m4s5ms", 93_784_005, "1d2h3m4s5ms"),
            ("0s", 0, "0s"),
            ("0ms", 0, "0s"),
            ("36525d", MAXIMUM_MILLIS, "36525d"),
        ] {
            let duration: Duration = text.parse().expect(text);
            assert_eq!((duration.as_millis(), duration.to_string().as_str()), (millis, shown), "{text}");
        }
    }

    #[test]
    fn what_is_none() {
        for (text, message) in [
            ("", "a duration is missing; write it like `30s`"),
            ("30", "`30` has no unit; write `30s` for seconds (units: d h m s ms)"),
            ("-5s", "`-5s` is negative; a duration can't be"),
            ("1.5h", "`1.5h` has a fraction; use a smaller unit, as in `1h30m` or `500ms`"),
            ("5min", "`min` is no unit of time; the units are d h m s ms"),
            ("5S", "`S` is no unit of time; the units are d h m s ms"),
            ("1m1h", "`1m1h` has its units twice or out of order; each comes at most once: d h m s ms"),
            ("1s1s", "`1s1s` has its units twice or out of order; each comes at most once: d h m s ms"),
            ("1h30", "`1h30` is no duration; write it like `30s`, `5m` or `1h30m`"),
            ("soon", "`soon` is no duration; write it like `30s`, `5m` or `1h30m`"),
            ("5 m", "`5 m` is no duration; write it like `30s`, `5m` or `1h30m`"),
            ("36525d1ms", "`36525d1ms` is more than a hundred years"),
            ("99999999999999999999s", "`99999999999999999999s` is more than a hundred years"),
        ] {
            assert_eq!(text.parse::<Duration>().expect_err(text).to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn shown_and_read_again(millis in 0..=MAXIMUM_MILLIS) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn any_text_is_judged(text in "\\PC{0,20}|[0-9hdms.]{0,12}") {
            let _ = text.parse::<Duration>();
        }
    }
}
