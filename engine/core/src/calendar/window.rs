//! Whether a moment lies in a window, and when the window opens next.

use jiff::civil::{self, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::event::{CalendarEvent, zone};
use crate::document::model::{Date, Day, Outside, TimeOfDay};
use crate::moment::Moment;

/// How far ahead the next opening is looked for, in days: a window that stays shut for longer is as good as never open.
const DAYS_AHEAD: i32 = 800;
/// How many openings are tried that a calendar shuts again.
const TRIES_MAX: usize = 5_000;

/// When something may start, as it is frozen with the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The times in which it may start; empty: any that no calendar denies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<AllowedTime>,
    /// The calendar that it names, for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    /// Days on which nothing starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<DeniedDays>,
    /// The events of the calendar's file, in which nothing starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<CalendarEvent>,
    /// What happens outside.
    pub outside: Outside,
}

/// A time of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedTime {
    /// The days; empty: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Day>,
    /// From this time of day on.
    pub from: TimeOfDay,
    /// Until this time of day, exclusive; not later than `from`: of the next day.
    pub to: TimeOfDay,
    /// The time zone whose clocks show it.
    pub tz: String,
    /// Only on the first, second … such weekday of the month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub week: Option<u32>,
}

/// Days on which nothing starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeniedDays {
    /// The first.
    pub from: Date,
    /// The last, inclusive.
    pub to: Date,
    /// The time zone in which the days begin and end.
    pub tz: String,
    /// What people are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How a moment stands to a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It may start.
    Open,
    /// It may not.
    Shut {
        /// Why, for people.
        why: String,
        /// When it may next; unknown where that is more than two years away.
        opens_at: Option<Moment>,
    },
}

impl Window {
    /// How `now` stands to it. A time zone that this machine doesn't know shuts it.
    #[must_use]
    pub fn standing(&self, now: Moment) -> Standing {
        match self.shut_at(now) {
            None => Standing::Open,
            Some(why) => Standing::Shut { why, opens_at: self.opens_after(now) },
        }
    }

    /// Why nothing may start at that moment; none where it may.
    fn shut_at(&self, now: Moment) -> Option<String> {
        if let Some((why, _)) = self.denied_at(now) {
            return Some(why);
        }
        let unknown = self.allow.iter().find(|time| zone(&time.tz).is_none());
        if let Some(time) = unknown {
            return Some(format!("this machine doesn't know the time zone {}", time.tz));
        }
        let open = self.allow.is_empty() || self.allow.iter().any(|time| time.holds(now));
        (!open).then(|| format!("allowed is {}", self.times()))
    }

    /// What the calendar has against that moment, and until when.
    fn denied_at(&self, now: Moment) -> Option<(String, Option<Moment>)> {
        let calendar = self.calendar.as_deref().unwrap_or("calendar");
        for days in &self.deny {
            let Some(tz) = zone(&days.tz) else {
                return Some((format!("this machine doesn't know the time zone {}", days.tz), None));
            };
            let today = now.timestamp().to_zoned(tz.clone()).date();
            if days.from.0 <= today && today <= days.to.0 {
                let why = days.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                let why = format!("{calendar} denies {} to {}{why}", days.from.0, days.to.0);
                let end = days.to.0.tomorrow().ok().and_then(|day| day.to_zoned(tz).ok());
                return Some((why, end.map(|end| end.timestamp().into())));
            }
        }
        self.events.iter().find_map(|event| match event.covers(now) {
            Ok(None) => None,
            Ok(Some(end)) => Some((format!("{calendar} has {}", event.shown()), Some(end))),
            Err(why) => Some((format!("{calendar} has {}: {why}", event.shown()), None)),
        })
    }

    /// The next moment at which it is open.
    fn opens_after(&self, now: Moment) -> Option<Moment> {
        let mut at = now;
        for _ in 0..TRIES_MAX {
            if let Some((_, end)) = self.denied_at(at) {
                at = end.filter(|end| *end > at)?;
            } else if self.shut_at(at).is_none() {
                return Some(at);
            } else {
                at = self.allow.iter().filter_map(|time| time.next_start(at)).min()?;
            }
            if at.since(now).as_secs() > 86_400 * u64::from(DAYS_AHEAD.unsigned_abs()) {
                return None;
            }
        }
        None
    }

    /// The allowed times, for people.
    #[must_use]
    pub fn times(&self) -> String {
        self.allow.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.calendar, self.allow.is_empty()) {
            (Some(calendar), true) => write!(formatter, "not in {calendar}"),
            (Some(calendar), false) => write!(formatter, "{}, not in {calendar}", self.times()),
            (None, _) => formatter.write_str(&self.times()),
        }
    }
}

impl AllowedTime {
    /// Whether the clocks of its zone show a time in it. Where they skip an hour it
    /// has that hour less, where they repeat one it has it twice.
    fn holds(&self, now: Moment) -> bool {
        let Some(tz) = zone(&self.tz) else { return false };
        let zoned = now.timestamp().to_zoned(tz);
        let minute = i32::from(zoned.hour()) * 60 + i32::from(zoned.minute());
        let (from, to) = (i32::from(self.from.0), i32::from(self.to.0));
        let today = zoned.date();
        if from < to {
            return self.begins_on(today) && (from..to).contains(&minute);
        }
        // It goes on past midnight, and belongs to the day on which it began.
        let yesterday = today.yesterday().is_ok_and(|yesterday| self.begins_on(yesterday));
        (self.begins_on(today) && minute >= from) || (yesterday && minute < to)
    }

    fn begins_on(&self, date: civil::Date) -> bool {
        let day = self.days.is_empty() || self.days.iter().any(|day| weekday(*day) == date.weekday());
        let week = u32::try_from((date.day() - 1) / 7 + 1).unwrap_or(0);
        day && self.week.is_none_or(|wanted| wanted == week)
    }

    /// The first moment after `at` at which it begins.
    fn next_start(&self, at: Moment) -> Option<Moment> {
        let tz = zone(&self.tz)?;
        let mut date = at.timestamp().to_zoned(tz.clone()).date();
        for _ in 0..DAYS_AHEAD {
            if self.begins_on(date) {
                let found = starts(date, self.from, &tz).into_iter().find(|start| *start > at);
                if found.is_some() {
                    return found;
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }
}

/// The moments at which clocks show this time: one, two where an hour is repeated; where it is skipped, the end of the gap.
fn starts(date: civil::Date, time: TimeOfDay, tz: &TimeZone) -> Vec<Moment> {
    let minutes = time.0 % (24 * 60);
    let date = if time.0 == 24 * 60 { date.tomorrow().unwrap_or(date) } else { date };
    let hour = i8::try_from(minutes / 60).unwrap_or(0);
    let minute = i8::try_from(minutes % 60).unwrap_or(0);
    let at = tz.to_ambiguous_zoned(date.at(hour, minute, 0, 0));
    let mut moments: Vec<Moment> = [at.clone().earlier(), at.later()]
        .into_iter()
        .flatten()
        .map(|zoned| Moment::from(zoned.timestamp()))
        .collect();
    moments.sort_unstable();
    moments.dedup();
    moments
}

impl std::fmt::Display for AllowedTime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(week) = self.week {
            let nth = ["first", "second", "third", "fourth", "fifth"];
            let nth = week.checked_sub(1).and_then(|index| nth.get(index as usize)).unwrap_or(&"no");
            write!(formatter, "the {nth} ")?;
        }
        if !self.days.is_empty() {
            let days: Vec<&str> = self.days.iter().map(|day| day.as_str()).collect();
            write!(formatter, "{} ", days.join(" "))?;
        }
        write!(formatter, "{} to {} ({})", self.from, self.to, self.tz)
    }
}

pub(super) fn weekday(day: Day) -> Weekday {
    match day {
        Day::Monday => Weekday::Monday,
        Day::Tuesday => Weekday::Tuesday,
        Day::Wednesday => Weekday::Wednesday,
        Day::Thursday => Weekday::Thursday,
        Day::Friday => Weekday::Friday,
        Day::Saturday => Weekday::Saturday,
        Day::Sunday => Weekday::Sunday,
    }
}
