//! Calendar files (RFC 5545): as much of them as says when nothing may start.
//!
//! Whatever could move or add an event and isn't understood is an error: a
//! freeze that is overlooked is worse than a plan that is refused.

use jiff::civil::{Date, DateTime};

use super::event::{CalendarEvent, CivilText, Frequency, Recurrence, zone};
use crate::document::model::Day;

/// The most events that are read.
const EVENTS_MAX: usize = 20_000;

/// What is wrong with a calendar file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct IcsError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// Reads the events of a calendar file. Days and times without a zone are those
/// of `X-WR-TIMEZONE`, else of UTC.
///
/// # Errors
/// The first line that isn't understood.
pub fn parse_ics(text: &str) -> Result<Vec<CalendarEvent>, IcsError> {
    let lines = unfold(text);
    if !lines.first().is_some_and(|(_, line)| line.trim().eq_ignore_ascii_case("BEGIN:VCALENDAR")) {
        return Err(error(1, "this is no calendar: it doesn't begin with BEGIN:VCALENDAR"));
    }
    let mut default_zone = "UTC".to_owned();
    let mut events = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut draft = Draft::default();
    for (number, line) in lines {
        let property = Property::parse(number, &line)?;
        match (property.name.as_str(), open.last().map(String::as_str)) {
            ("BEGIN", _) => {
                let what = property.value.to_ascii_uppercase();
                if what == "VEVENT" {
                    draft = Draft { line: number, ..Draft::default() };
                }
                open.push(what);
            }
            ("END", current) => {
                let what = property.value.to_ascii_uppercase();
                if current != Some(what.as_str()) {
                    return Err(error(number, format!("END:{what} ends what isn't open")));
                }
                open.pop();
                if what == "VEVENT" {
                    events.extend(std::mem::take(&mut draft).finish(&default_zone)?);
                    if events.len() > EVENTS_MAX {
                        return Err(error(number, format!("more than {EVENTS_MAX} events")));
                    }
                }
            }
            ("X-WR-TIMEZONE", Some("VCALENDAR")) => {
                default_zone = known_zone(number, &property.value)?;
            }
            (_, Some("VEVENT")) => draft.take(property)?,
            // Time zones are those of this machine, by name; alarms and to-dos deny nothing.
            _ => {}
        }
    }
    if let Some(what) = open.last() {
        return Err(error(text.lines().count(), format!("the file ends within {what}")));
    }
    Ok(events)
}

/// A line with a value, as in `DTSTART;TZID=Europe/Berlin:20261220T080000`.
struct Property {
    line: usize,
    name: String,
    parameters: Vec<(String, String)>,
    value: String,
}

impl Property {
    fn parse(line: usize, text: &str) -> Result<Self, IcsError> {
        let mut quoted = false;
        let split = text.char_indices().find(|(_, character)| {
            quoted ^= *character == '"';
            *character == ':' && !quoted
        });
        let Some((at, _)) = split else {
            return Err(error(line, format!("`{}` has no value", text.chars().take(40).collect::<String>())));
        };
        let mut parts = text[..at].split(';');
        let name = parts.next().unwrap_or_default().trim().to_ascii_uppercase();
        let parameters = parts
            .filter_map(|part| part.split_once('='))
            .map(|(key, value)| (key.to_ascii_uppercase(), value.trim_matches('"').to_owned()))
            .collect();
        Ok(Self { line, name, parameters, value: text[at + 1..].trim().to_owned() })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A time as the file writes it.
#[derive(Clone)]
struct Time {
    line: usize,
    at: DateTime,
    /// A day, without a time.
    is_day: bool,
    /// Absent: the calendar's.
    zone: Option<String>,
}

/// An event while it is read.
#[derive(Default)]
struct Draft {
    line: usize,
    summary: String,
    start: Option<Time>,
    end: Option<Time>,
    duration: Option<(usize, jiff::Span)>,
    rule: Option<(usize, String)>,
    except: Vec<Time>,
    cancelled: bool,
}

impl Draft {
    fn take(&mut self, property: Property) -> Result<(), IcsError> {
        match property.name.as_str() {
            "SUMMARY" => self.summary = unescape(&property.value),
            "DTSTART" => self.start = Some(time(&property, &property.value)?),
            "DTEND" => self.end = Some(time(&property, &property.value)?),
            "DURATION" => {
                let span = property
                    .value
                    .parse()
                    .map_err(|_| error(property.line, format!("`{}` is no duration", property.value)))?;
                self.duration = Some((property.line, span));
            }
            "RRULE" => {
                if self.rule.is_some() {
                    return Err(error(property.line, "a second RRULE isn't understood"));
                }
                self.rule = Some((property.line, property.value));
            }
            "EXDATE" => {
                for value in property.value.split(',') {
                    self.except.push(time(&property, value)?);
                }
            }
            "RDATE" | "EXRULE" => {
                return Err(error(property.line, format!("{} isn't understood", property.name)));
            }
            "STATUS" => self.cancelled = property.value.eq_ignore_ascii_case("CANCELLED"),
            // A changed repetition denies at its new time and, as nothing is taken back, at its old one.
            _ => {}
        }
        Ok(())
    }

    fn finish(self, default_zone: &str) -> Result<Option<CalendarEvent>, IcsError> {
        if self.cancelled {
            return Ok(None);
        }
        let Some(start) = self.start else { return Err(error(self.line, "an event without DTSTART")) };
        let tz = start.zone.clone().unwrap_or_else(|| default_zone.to_owned());
        let (days, seconds) = length(&start, self.end.as_ref(), self.duration, default_zone)?;
        let repeat = self.rule.map(|(line, rule)| recurrence(line, &rule, &start, &tz)).transpose()?;
        let mut except = Vec::new();
        for left_out in self.except {
            let at = in_zone(&left_out, &tz, default_zone)?;
            let at = if left_out.is_day { left_out.at.date().to_datetime(start.at.time()) } else { at };
            except.push(CivilText(at));
        }
        Ok(Some(CalendarEvent { summary: self.summary, start: start.at, tz, days, seconds, repeat, except }))
    }
}

/// How long an event lasts: days by the clocks, and seconds.
fn length(
    start: &Time,
    end: Option<&Time>,
    duration: Option<(usize, jiff::Span)>,
    default_zone: &str,
) -> Result<(u32, u32), IcsError> {
    if let Some((line, span)) = duration {
        let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
        let seconds = i64::from(span.get_hours()) * 3600 + span.get_minutes() * 60 + span.get_seconds();
        return match (u32::try_from(days), u32::try_from(seconds)) {
            (Ok(days), Ok(seconds)) => Ok((days, seconds)),
            _ => Err(error(line, "a duration that isn't understood")),
        };
    }
    let Some(end) = end else { return Ok((u32::from(start.is_day), 0)) };
    if end.is_day != start.is_day {
        return Err(error(end.line, "DTSTART and DTEND must both be days or both be times"));
    }
    let backwards = || error(end.line, "the event ends before it begins");
    if start.is_day {
        let days = start.at.date().until(end.at.date()).map_err(|_| backwards())?.get_days();
        // Some programs write the same day twice.
        return u32::try_from(days).map(|days| (days.max(1), 0)).map_err(|_| backwards());
    }
    let instant = |time: &Time| {
        let name = time.zone.as_deref().unwrap_or(default_zone);
        let zoned = zone(name).and_then(|tz| tz.to_ambiguous_zoned(time.at).compatible().ok());
        zoned.ok_or_else(|| error(time.line, format!("the time zone `{name}` isn't known")))
    };
    let seconds = instant(end)?.timestamp().as_second() - instant(start)?.timestamp().as_second();
    u32::try_from(seconds).map(|seconds| (0, seconds)).map_err(|_| backwards())
}

/// A time by the clocks of a zone.
fn in_zone(time: &Time, tz: &str, default_zone: &str) -> Result<DateTime, IcsError> {
    let name = time.zone.as_deref().unwrap_or(default_zone);
    if name == tz || time.is_day {
        return Ok(time.at);
    }
    let (Some(from), Some(to)) = (zone(name), zone(tz)) else {
        return Err(error(time.line, format!("the time zone `{name}` isn't known")));
    };
    let zoned = from.to_ambiguous_zoned(time.at).compatible();
    zoned.map(|zoned| zoned.with_time_zone(to).datetime()).map_err(|why| error(time.line, why.to_string()))
}

fn recurrence(line: usize, rule: &str, start: &Time, tz: &str) -> Result<Recurrence, IcsError> {
    let refuse = |what: &str| error(line, format!("the rule `{rule}` isn't understood: {what}"));
    let mut every = None;
    let mut repeat =
        Recurrence { every: Frequency::Daily, interval: 1, count: None, until: None, days: Vec::new() };
    let mut week_start = "MO".to_owned();
    for part in rule.split(';').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').ok_or_else(|| refuse(part))?;
        match key.to_ascii_uppercase().as_str() {
            "FREQ" => {
                every = Some(match value.to_ascii_uppercase().as_str() {
                    "DAILY" => Frequency::Daily,
                    "WEEKLY" => Frequency::Weekly,
                    "MONTHLY" => Frequency::Monthly,
                    "YEARLY" => Frequency::Yearly,
                    _ => return Err(refuse(part)),
                });
            }
            "INTERVAL" => {
                repeat.interval = value.parse().ok().filter(|n| *n > 0).ok_or_else(|| refuse(part))?;
            }
            "COUNT" => repeat.count = Some(value.parse().map_err(|_| refuse(part))?),
            "UNTIL" => {
                let until = plain_time(line, value, None)?;
                let at =
                    if until.is_day { until.at.date().at(23, 59, 59, 0) } else { in_zone(&until, tz, tz)? };
                repeat.until = Some(CivilText(at));
            }
            "BYDAY" => {
                for day in value.split(',') {
                    repeat.days.push(day_of(day).ok_or_else(|| refuse(part))?);
                }
            }
            "WKST" => week_start = value.to_ascii_uppercase(),
            // Written out although it follows from the start.
            "BYMONTH" if value == start.at.month().to_string() => {}
            "BYMONTHDAY" if value == start.at.day().to_string() => {}
            _ => return Err(refuse(part)),
        }
    }
    let Some(every) = every else { return Err(refuse("it has no FREQ")) };
    repeat.every = every;
    if every != Frequency::Weekly && !repeat.days.is_empty() {
        return Err(refuse("BYDAY is understood with FREQ=WEEKLY alone"));
    }
    if every == Frequency::Weekly && repeat.interval > 1 && week_start != "MO" {
        return Err(refuse("WKST other than MO with an INTERVAL"));
    }
    let restricts = |key: &str| rule.to_ascii_uppercase().contains(key);
    let narrowed = match every {
        Frequency::Daily | Frequency::Weekly => restricts("BYMONTH"),
        Frequency::Monthly => restricts("BYMONTH="),
        Frequency::Yearly => restricts("BYMONTHDAY") && !restricts("BYMONTH="),
    };
    if narrowed {
        return Err(refuse("BYMONTH and BYMONTHDAY are understood in a yearly rule alone"));
    }
    Ok(repeat)
}

fn day_of(text: &str) -> Option<Day> {
    Some(match text.to_ascii_uppercase().as_str() {
        "MO" => Day::Monday,
        "TU" => Day::Tuesday,
        "WE" => Day::Wednesday,
        "TH" => Day::Thursday,
        "FR" => Day::Friday,
        "SA" => Day::Saturday,
        "SU" => Day::Sunday,
        _ => return None,
    })
}

fn time(property: &Property, value: &str) -> Result<Time, IcsError> {
    let zone = property.parameter("TZID").map(|name| known_zone(property.line, name)).transpose()?;
    plain_time(property.line, value.trim(), zone)
}

fn plain_time(line: usize, value: &str, zone: Option<String>) -> Result<Time, IcsError> {
    let no_time = || error(line, format!("`{value}` is no day or time"));
    if value.len() == 8 {
        let date = Date::strptime("%Y%m%d", value).map_err(|_| no_time())?;
        return Ok(Time { line, at: date.at(0, 0, 0, 0), is_day: true, zone });
    }
    let (text, zone) = match value.strip_suffix(['Z', 'z']) {
        Some(text) => (text, Some("UTC".to_owned())),
        None => (value, zone),
    };
    let at = DateTime::strptime("%Y%m%dT%H%M%S", text).map_err(|_| no_time())?;
    Ok(Time { line, at, is_day: false, zone })
}

fn known_zone(line: usize, name: &str) -> Result<String, IcsError> {
    match zone(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err(error(line, format!("the time zone `{name}` isn't known; write it as in Europe/Berlin"))),
    }
}

/// Joins lines that go on with a blank on the next, each with its number.
fn unfold(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim_end_matches('\r');
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some((_, open))) => open.push_str(rest),
            _ if line.trim().is_empty() => {}
            _ => lines.push((index + 1, line.to_owned())),
        }
    }
    lines
}

fn unescape(text: &str) -> String {
    text.replace("\\n", " ").replace("\\N", " ").replace("\\,", ",").replace("\\;", ";").replace("\\\\", "\\")
}

fn error(line: usize, message: impl Into<String>) -> IcsError {
    IcsError { line, message: message.into() }
}
