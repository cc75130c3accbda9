//! The wall clock, for people and for deadlines.

use std::sync::atomic::{AtomicI64, Ordering};

use runbook_core::moment::Moment;

/// How far the clock of this process is ahead, in milliseconds: zero but in tests.
static AHEAD_MS: AtomicI64 = AtomicI64::new(0);

/// The wall clock.
#[must_use]
pub fn now() -> Moment {
    let real = Moment::from(jiff::Timestamp::now());
    match AHEAD_MS.load(Ordering::Relaxed) {
        0 => real,
        ahead => Moment::from_millis(real.as_millis().saturating_add(ahead)),
    }
}

/// Sets the clock of this process, which then goes on: for tests of what depends on the date.
pub fn set_for_tests(now: Moment) {
    let real = jiff::Timestamp::now().as_millisecond();
    AHEAD_MS.store(now.as_millis().saturating_sub(real), Ordering::Relaxed);
}
