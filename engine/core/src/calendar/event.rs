//! One event of a calendar file, with its repetitions.

use jiff::Span;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::window::weekday;
use crate::document::model::Day;
use crate::moment::Moment;

/// How many repetitions are looked at before a calendar counts as one that can't be followed.
const REPETITIONS_MAX: u32 = 200_000;

/// A time during which nothing starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarEvent {
    /// What it is called.
    pub summary: String,
    /// When it begins by the clocks of its zone.
    #[serde(serialize_with = "write_civil", deserialize_with = "read_civil")]
    pub start: DateTime,
    /// Its zone.
    pub tz: String,
    /// How long it lasts: whole days by the clocks, for an event of days.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub days: u32,
    /// How long it lasts otherwise, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seconds: u32,
    /// How it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Recurrence>,
    /// Beginnings that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<CivilText>,
}

/// How an event repeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recurrence {
    /// The unit.
    pub every: Frequency,
    /// So many units apart.
    pub interval: u32,
    /// So many times in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Not after this, by the clocks of the event's zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<CivilText>,
    /// Of a week: on these days; empty: on the day of the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Day>,
}

/// The unit of a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frequency {
    /// Each day.
    Daily,
    /// Each week.
    Weekly,
    /// Each month, on the same day of it; months without it are left out.
    Monthly,
    /// Each year, on the same day of it; years without it are left out.
    Yearly,
}

/// A time by a clock, written as text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CivilText(pub DateTime);

impl Serialize for CivilText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_civil(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for CivilText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_civil(deserializer).map(Self)
    }
}

fn write_civil<S: Serializer>(at: &DateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn read_civil<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The time zone of that name, where this machine knows it.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    TimeZone::get(name).ok()
}

impl CalendarEvent {
    /// The end of the event that covers a moment; none where none does.
    ///
    /// # Errors
    /// Why that can't be told; then it must count as covered.
    pub fn covers(&self, now: Moment) -> Result<Option<Moment>, String> {
        let tz =
            zone(&self.tz).ok_or_else(|| format!("this machine doesn't know the time zone {}", self.tz))?;
        let mut end = None;
        for start in self.starts() {
            let start = start?;
            let from = moment(start, &tz)?;
            if from > now {
                break;
            }
            let to = self.end_of(start, &tz)?;
            if to > now {
                end = end.max(Some(to));
            }
        }
        Ok(end)
    }

    fn end_of(&self, start: DateTime, tz: &TimeZone) -> Result<Moment, String> {
        let last = start.checked_add(Span::new().days(self.days)).map_err(|error| error.to_string())?;
        let days = moment(last, tz)?;
        Ok(days.after(std::time::Duration::from_secs(self.seconds.into())))
    }

    /// All its beginnings, in order.
    fn starts(&self) -> impl Iterator<Item = Result<DateTime, String>> + '_ {
        let count = self.repeat.as_ref().map_or(Some(1), |repeat| repeat.count);
        let until = self.repeat.as_ref().and_then(|repeat| repeat.until);
        let mut unit = 0;
        let mut queue: std::collections::VecDeque<DateTime> = [].into();
        let mut given = 0_u32;
        std::iter::from_fn(move || {
            loop {
                if count.is_some_and(|count| given >= count) {
                    return None;
                }
                if unit > REPETITIONS_MAX {
                    return Some(Err("it repeats more often than can be followed".into()));
                }
                let Some(next) = queue.pop_front() else {
                    match self.in_unit(unit) {
                        Ok(found) => queue.extend(found.into_iter().filter(|at| *at >= self.start)),
                        // The end of the calendar.
                        Err(_) => return None,
                    }
                    unit += 1;
                    continue;
                };
                if until.is_some_and(|until| next > until.0) {
                    return None;
                }
                given += 1;
                if !self.except.iter().any(|except| except.0 == next) {
                    return Some(Ok(next));
                }
            }
        })
    }

    /// The beginnings in the so-manieth day, week, month or year that counts.
    fn in_unit(&self, unit: u32) -> Result<Vec<DateTime>, jiff::Error> {
        let Some(repeat) = &self.repeat else { return Ok(if unit == 0 { vec![self.start] } else { vec![] }) };
        let steps = i64::from(unit) * i64::from(repeat.interval);
        let date = self.start.date();
        let found = match repeat.every {
            Frequency::Daily => vec![self.start.checked_add(Span::new().try_days(steps)?)?],
            Frequency::Weekly if repeat.days.is_empty() => {
                vec![self.start.checked_add(Span::new().try_weeks(steps)?)?]
            }
            Frequency::Weekly => {
                let back = i64::from(date.weekday().to_monday_zero_offset());
                let monday = self.start.checked_add(Span::new().try_days(steps * 7 - back)?)?;
                let mut found = Vec::new();
                for offset in 0..7 {
                    let at = monday.checked_add(Span::new().try_days(offset)?)?;
                    if repeat.days.iter().any(|day| weekday(*day) == at.date().weekday()) {
                        found.push(at);
                    }
                }
                found
            }
            Frequency::Monthly => vec![self.start.checked_add(Span::new().try_months(steps)?)?],
            Frequency::Yearly => vec![self.start.checked_add(Span::new().try_years(steps)?)?],
        };
        // A month without a 31st is left out, not shortened to its 30th.
        let same_day = matches!(repeat.every, Frequency::Monthly | Frequency::Yearly);
        Ok(found.into_iter().filter(|at| !same_day || at.date().day() == date.day()).collect())
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        if self.summary.is_empty() { "an event".into() } else { format!("`{}`", self.summary) }
    }
}

fn moment(at: DateTime, tz: &TimeZone) -> Result<Moment, String> {
    let zoned = tz.to_ambiguous_zoned(at).compatible().map_err(|error| error.to_string())?;
    Ok(zoned.timestamp().into())
}
