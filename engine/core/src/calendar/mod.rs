//! When something may start: windows and calendars (`language.md` §9).
//!
//! Pure: the moment is an argument. What a calendar file says is read once, when
//! a plan is made, and is part of the plan; what isn't understood in it is an
//! error, since a date that was overlooked would let something start.

mod event;
mod ics;
#[cfg(test)]
mod tests;
mod window;

pub use event::{CalendarEvent, Frequency, Recurrence};
pub use ics::{IcsError, parse_ics};
pub use window::{AllowedTime, DeniedDays, Standing, Window};
