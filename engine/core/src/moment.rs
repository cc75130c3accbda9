//! Wall-clock time as the journal writes it.
//!
//! Wall time is for people and for deadlines; it never orders events (`seq`
//! does) and never measures spans (the monotonic clock does): `engine.md` §3.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, in milliseconds since 1970-01-01 UTC; written as
/// `2026-11-22T02:30:00.123Z`, always with three digits of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(i64);

impl Moment {
    /// As people write it: to the second, with its zone.
    #[must_use]
    pub fn for_people(self) -> String {
        let utc = self.timestamp().to_zoned(jiff::tz::TimeZone::UTC);
        format!("{} UTC", utc.strftime("%Y-%m-%d %H:%M:%S"))
    }

    /// The last millisecond that RFC 3339 can write (year 9999).
    const MAX_MS: i64 = 253_402_207_200_000 - 1;

    /// The moment so many milliseconds after 1970, clamped to the years 0 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(-62_135_596_800_000, Self::MAX_MS))
    }

    /// Milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// The moment `span` later, clamped to the year 9999.
    #[must_use]
    pub fn after(self, span: std::time::Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to here; zero where the clock went backwards.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The same moment as jiff's type, for calendars and formatting.
    #[must_use]
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).expect("a moment is clamped to what a timestamp holds")
    }
}

impl From<jiff::Timestamp> for Moment {
    fn from(timestamp: jiff::Timestamp) -> Self {
        Self::from_millis(timestamp.as_millisecond())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc = self.timestamp().to_zoned(jiff::tz::TimeZone::UTC).datetime();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            utc.year(),
            utc.month(),
            utc.day(),
            utc.hour(),
            utc.minute(),
            utc.second(),
            utc.millisecond()
        )
    }
}

impl schemars::JsonSchema for Moment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time", "description": "UTC with milliseconds"})
    }

    fn inline_schema() -> bool {
        true
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse::<jiff::Timestamp>().map(Self::from).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_with_milliseconds() {
        let moment: Moment = serde_json::from_str(r#""2026-11-22T02:30:00.1Z""#).expect("a moment");
        assert_eq!(serde_json::to_string(&moment).expect("text"), r#""2026-11-22T02:30:00.100Z""#);
    }

    #[test]
    fn spans_never_go_backwards() {
        let early = Moment::from_millis(1_000);
        let late = Moment::from_millis(4_000);
        assert_eq!(early.since(late), std::time::Duration::ZERO);
        assert_eq!(late.since(early), std::time::Duration::from_secs(3));
        assert_eq!(
            Moment::from_millis(i64::MAX).after(std::time::Duration::MAX),
            Moment::from_millis(i64::MAX)
        );
    }
}
