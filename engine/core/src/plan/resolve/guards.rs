//! Windows with the calendars they name, locks, and what tags leave out.

use super::step::Resolver;
use crate::calendar::{AllowedTime, DeniedDays, Window, parse_ics};
use crate::document::model::{self as document, Step};
use crate::document::text::Text;
use crate::plan::guards::{Guards, Lock};
use crate::plan::names::Place;

impl Resolver<'_> {
    /// The guards of a step.
    pub(in crate::plan) fn guards_of_step(
        &mut self,
        step: &Step,
        inherited_tags: &[String],
        place: Place<'_>,
    ) -> Guards {
        Guards {
            left_out: self.selection.leaves_out(step, inherited_tags),
            ..self.guards(step.window.as_deref(), step.lock.as_ref(), place)
        }
    }

    /// The guards that stand at one place.
    pub(in crate::plan) fn guards(
        &mut self,
        window: Option<&document::Window>,
        lock: Option<&document::Lock>,
        place: Place<'_>,
    ) -> Guards {
        let window = window.map(|window| self.window(window));
        let lock = lock.map(|lock| {
            self.checker.text(&lock.name, place);
            if lock.name.trim().is_empty() {
                self.checker.report.error("invalid-value", lock.name.span(), "a lock needs a name");
            }
            Lock {
                name: lock.name.to_string(),
                on_busy: lock.on_busy,
                hold_while_waiting: lock.hold_while_waiting,
            }
        });
        Guards { window, lock, left_out: None }
    }

    fn window(&mut self, written: &document::Window) -> Window {
        let mut window = Window {
            allow: Vec::new(),
            calendar: written.calendar.as_ref().map(Text::to_string),
            deny: Vec::new(),
            events: Vec::new(),
            outside: written.outside,
        };
        for time in &written.allow {
            self.known_zone(&time.tz);
            window.allow.push(AllowedTime {
                days: time.days.clone().unwrap_or_default(),
                from: time.from,
                to: time.to,
                tz: time.tz.to_string(),
                week: time.week.map(std::num::NonZeroU32::get),
            });
        }
        if let Some(name) = &written.calendar {
            self.calendar(name, &mut window);
        }
        window
    }

    /// Freezes a calendar of the project with the plan.
    fn calendar(&mut self, name: &Text, window: &mut Window) {
        let calendars = self.project.map(|input| &input.project.calendars);
        let Some(calendar) = calendars.and_then(|calendars| calendars.get(name.as_str())) else {
            let known: Vec<&str> = calendars
                .into_iter()
                .flat_map(|calendars| calendars.keys())
                .map(|key| key.as_str())
                .collect();
            let message = format!("project.yaml has no calendar `{name}`");
            self.checker.report.unknown("unknown-calendar", name.span(), message, name, known.into_iter());
            return;
        };
        window.deny = calendar
            .deny
            .iter()
            .map(|days| DeniedDays {
                from: days.from,
                to: days.to,
                tz: days.tz.to_string(),
                why: days.why.as_ref().map(Text::to_string),
            })
            .collect();
        if let Some(days) = calendar.deny.iter().find(|days| !is_zone(&days.tz)) {
            let message =
                format!("the calendar `{name}` names the time zone `{}`, which isn't known", days.tz);
            self.checker.report.error("unknown-time-zone", name.span(), message);
        }
        let (Some(path), Some(files)) = (&calendar.ics, self.files) else { return };
        let read = files
            .calendar(path)
            .and_then(|text| parse_ics(&text).map_err(|error| format!("{path}, {error}")));
        match read {
            Ok(events) => window.events = events,
            Err(why) => {
                self.checker.report.error("calendar", name.span(), format!("the calendar `{name}`: {why}"));
            }
        }
    }

    fn known_zone(&mut self, tz: &Text) {
        if !is_zone(tz) {
            let message = format!("the time zone `{tz}` isn't known; write it as in Europe/Berlin");
            self.checker.report.error("unknown-time-zone", tz.span(), message);
        }
    }
}

fn is_zone(name: &str) -> bool {
    name == "UTC" || jiff::tz::TimeZone::get(name).is_ok()
}
