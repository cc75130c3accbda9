//! How far a check over time has come.
//!
//! ```text
//! looking ──holds──► holding(until) ──held long enough──► passed
//!    │ within is over       │ one failure too many
//!    └──────► failed ◄──────┘
//! ```

use std::time::Duration;

use crate::plan::Check;

/// How far a check has come. All times are since its start.
#[derive(Debug, Clone)]
pub struct Progress {
    within: Duration,
    hold: Option<Duration>,
    max_failures: u32,
    holding_since: Option<Duration>,
    failures: u32,
}

/// What to do after a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Probe again.
    Again,
    /// It holds, and has held long enough.
    Passed,
    /// It is over: why, beside the sample's own reason.
    Failed(Option<String>),
}

impl Progress {
    /// At the start of a check.
    #[must_use]
    pub fn new(check: &Check) -> Self {
        Self {
            within: check.within.map_or(Duration::ZERO, Into::into),
            hold: check.hold.map(Into::into),
            max_failures: check.max_failures,
            holding_since: None,
            failures: 0,
        }
    }

    /// Takes in a sample.
    pub fn sampled(&mut self, ok: bool, now: Duration) -> Next {
        match (self.holding_since, ok) {
            (None, true) => match self.hold {
                None => Next::Passed,
                Some(_) => {
                    self.holding_since = Some(now);
                    Next::Again
                }
            },
            (None, false) => {
                if now >= self.within {
                    Next::Failed(None)
                } else {
                    Next::Again
                }
            }
            (Some(since), _) => {
                let held = now.saturating_sub(since);
                if !ok {
                    self.failures += 1;
                    if self.failures > self.max_failures {
                        let wanted = self.hold.unwrap_or_default().as_secs();
                        return Next::Failed(Some(format!(
                            "held for {}s of the {wanted}s it had to",
                            held.as_secs()
                        )));
                    }
                }
                if held >= self.hold.unwrap_or_default() { Next::Passed } else { Next::Again }
            }
        }
    }

    /// When the next probe is due at the latest: the last one of `within` or
    /// `hold` is made at its very end.
    #[must_use]
    pub fn next_at(&self, every: Duration, now: Duration) -> Duration {
        (now + every).min(self.end().max(now))
    }

    /// When it is over at the latest.
    #[must_use]
    pub fn end(&self) -> Duration {
        match self.holding_since {
            Some(since) => since + self.hold.unwrap_or_default(),
            None => self.within,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(within: Option<&str>, hold: Option<&str>, max_failures: u32) -> Check {
        let duration = |text: &str| text.parse().expect("a duration");
        Check {
            probe: crate::plan::Probe::Tcp(String::new()),
            expect: Vec::new(),
            expect_success: true,
            warn: Vec::new(),
            within: within.map(duration),
            every: duration("5s"),
            hold: hold.map(duration),
            max_failures,
        }
    }

    fn run(check: &Check, samples: &[(u64, bool)]) -> Next {
        let mut progress = Progress::new(check);
        let mut last = Next::Again;
        for (at, ok) in samples {
            assert_eq!(last, Next::Again, "sampled after the end");
            last = progress.sampled(*ok, Duration::from_secs(*at));
        }
        last
    }

    #[test]
    fn samples_lead_to_an_end() {
        let failed = Next::Failed(None);
        for (check, samples, expected) in [
            (check(None, None, 0), vec![(0, true)], &Next::Passed),
            (check(None, None, 0), vec![(0, false)], &failed),
            (check(Some("10s"), None, 0), vec![(0, false), (5, false), (9, true)], &Next::Passed),
            (check(Some("10s"), None, 0), vec![(0, false), (5, false), (10, false)], &failed),
            (check(None, Some("10s"), 0), vec![(0, true), (5, true), (10, true)], &Next::Passed),
            (check(None, Some("10s"), 1), vec![(0, true), (5, false), (10, true)], &Next::Passed),
            (
                check(Some("5s"), Some("10s"), 0),
                vec![(0, false), (5, true), (10, true), (15, true)],
                &Next::Passed,
            ),
        ] {
            assert_eq!(&run(&check, &samples), expected, "{samples:?}");
        }
        let last = run(&check(None, Some("10s"), 1), &[(0, true), (5, false), (9, false)]);
        assert!(matches!(last, Next::Failed(Some(_))), "{last:?}");
    }

    #[test]
    fn the_last_probe_is_made_at_the_very_end() {
        let progress = Progress::new(&check(Some("7s"), None, 0));
        let at = Duration::from_secs;
        assert_eq!(progress.next_at(at(5), at(0)), at(5));
        assert_eq!(progress.next_at(at(5), at(5)), at(7));
    }
}
