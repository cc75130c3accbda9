//! What came of a rehearsal.

/// A scenario, rehearsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the scenario shows.
    pub name: String,
    /// How the run ended, or `waiting` where it waits for people, or `refused` where it may not begin.
    pub outcome: String,
    /// What the scenario itself lacks: stubs, answers that count.
    pub errors: Vec<String>,
    /// Where it isn't as expected.
    pub mismatches: Vec<Mismatch>,
    /// The steps that ran, in the order in which they started; one that started again stands there again.
    pub ran: Vec<String>,
    /// What happened, in order.
    pub timeline: Vec<Happened>,
    /// How much simulated time passed, in milliseconds.
    pub duration_ms: u64,
}

/// One expectation that doesn't hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Its key, as in `outcome` or `commands.apply`.
    pub key: String,
    /// What should have come of it.
    pub expected: String,
    /// What came of it.
    pub seen: String,
}

/// One line of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Since the start of the run, in milliseconds of simulated time.
    pub after_ms: u64,
    /// The step, where it is about one.
    pub step: Option<String>,
    /// What happened.
    pub what: String,
}

impl Report {
    /// Whether all came as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.errors.is_empty() && self.mismatches.is_empty()
    }
}
