//! Waiting for a condition.

use std::time::{Duration, Instant};

/// How long a condition may take on a machine that does much else. A passing test never waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `probe` until it has something, and fails the test where it never has.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
