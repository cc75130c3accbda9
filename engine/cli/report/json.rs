//! The journal's own lines, one event each, and nothing else.

use runbook_core::event::Event;
use runbook_core::id::StepId;
use runbook_core::moment::Moment;
use runbook_runtime::capture::Stream;
use runbook_runtime::run::View;

use super::Report;
use crate::console::Console;

/// Prints each event as it stands in the journal.
pub(super) struct Json {
    console: Console,
    /// A reader that has gone away doesn't come back.
    read: bool,
}

impl Json {
    pub(super) fn new(console: Console) -> Self {
        Self { console, read: true }
    }
}

impl Report for Json {
    fn event(&mut self, _: &Event, line: &str, _: View<'_>) {
        if self.read {
            self.read = self.console.print_bytes(format!("{line}\n").as_bytes());
        }
    }

    fn output(&mut self, _: &StepId, _: u32, _: Stream, _: &[u8]) {}

    fn tick(&mut self, _: Moment, _: View<'_>) {}

    fn finish(&mut self, _: View<'_>) {}
}
