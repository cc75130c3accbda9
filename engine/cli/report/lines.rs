//! The report without a terminal: a line at each start and end, output in one piece when its step is over, a sign of life each minute.

use std::collections::HashMap;
use std::io::Write as _;
use std::rc::Rc;
use std::time::Duration;

use runbook_core::event::{Event, EventKind, Outcome};
use runbook_core::id::StepId;
use runbook_core::moment::Moment;
use runbook_runtime::capture::Stream;
use runbook_runtime::run::View;

use super::buffer::Buffer;
use super::dialect::Dialect;
use super::next::Paste;
use super::sentences::{heartbeat, question, sentence, start};
use super::wording::{Signs, harmless, why};
use super::{Report, Screen};
use crate::console::{DIM, styled};

/// After so much silence the report says what goes on.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(60);

/// Lines, in the dialect of whoever reads them.
pub(super) struct Lines {
    screen: Rc<Screen>,
    signs: Signs,
    dialect: Dialect,
    paste: Paste,
    /// The process waits for answers from elsewhere, so it is worth saying at once how to give them; else the ending says it.
    stays: bool,
    buffers: HashMap<(StepId, u32), Buffer>,
    last_said: Option<Moment>,
}

impl Lines {
    pub(super) fn new(screen: Rc<Screen>, dialect: Dialect, paste: Paste, stays: bool) -> Self {
        let signs = Signs::new(screen.console().plain);
        Self { screen, signs, dialect, paste, stays, buffers: HashMap::new(), last_said: None }
    }

    fn say(&mut self, at: Moment, text: &str) {
        self.last_said = Some(at);
        if !self.screen.console().quiet {
            self.screen.say(text);
        }
    }

    /// A question that waits; whoever sits here is asked by the prompt itself.
    fn question(&self, event: &Event, view: View<'_>) -> Option<String> {
        let is_asked = !self.screen.console().non_interactive;
        if is_asked { None } else { question(event, view, &self.signs, self.answerable(view)) }
    }

    /// How to answer, while somebody could.
    fn answerable(&self, view: View<'_>) -> Option<&Paste> {
        (self.stays || !view.state.running.is_empty()).then_some(&self.paste)
    }

    /// What an attempt printed, in one piece.
    fn output_of(&mut self, step: &StepId, attempt: u32, title: &str, at: Moment) -> String {
        let Some(buffer) = self.buffers.remove(&(step.clone(), attempt)) else { return String::new() };
        let left_out = self.paste.command("logs", &[step.as_str(), "--attempt", &attempt.to_string()]);
        let lines = buffer.finish(|count| format!("({count} lines are left out here: {left_out})"));
        if lines.is_empty() {
            return String::new();
        }
        let seconds = at.as_millis() / 1000;
        let mut text = self.dialect.open(step, title, seconds);
        let prefix = match self.dialect {
            Dialect::Text => styled(DIM, format_args!("  {step} {} ", self.signs.bar)),
            Dialect::Github { .. } | Dialect::Gitlab => String::new(),
        };
        for line in lines {
            text.push_str(&prefix);
            text.push_str(&line);
            text.push('\n');
        }
        text.push_str(&self.dialect.close(step, seconds));
        text
    }

    fn summary(&self, view: View<'_>) -> String {
        let mut text = format!(
            "### {}\n\n| step | outcome | time | reason |\n| --- | --- | --- | --- |\n",
            cell(&view.plan.title)
        );
        for (step, known) in view.plan.declared().map(|(index, step)| (step, &view.state.steps[index])) {
            let outcome = known.outcome().map_or("not finished", Outcome::as_str);
            let reason = known.result.reason.as_deref().unwrap_or_default();
            let took = Some(known.result.duration_ms).filter(|took| *took > 0);
            let time = took.map_or_else(String::new, super::wording::millis);
            text.push_str(&format!("| {} | {outcome} | {time} | {} |\n", step.id, cell(reason)));
        }
        text
    }
}

/// A foreign text in a Markdown table.
fn cell(text: &str) -> String {
    harmless(text).replace('|', "\\|").replace('<', "&lt;")
}

impl Report for Lines {
    fn event(&mut self, event: &Event, _: &str, view: View<'_>) {
        let mut text = String::new();
        if let EventKind::StepFinished { step, attempt, outcome, .. }
        | EventKind::UndoFinished { step, attempt, outcome, .. } = &event.kind
        {
            let undo = if matches!(event.kind, EventKind::UndoFinished { .. }) { "undo of " } else { "" };
            let title = format!("{undo}{step} {outcome}");
            text.push_str(&self.output_of(step, *attempt, &title, event.at));
        }
        let told = start(event, view, &self.signs)
            .or_else(|| self.question(event, view))
            .or_else(|| sentence(event, view, &self.signs));
        text.push_str(&told.unwrap_or_default());
        if let EventKind::StepFinished {
            step,
            outcome: outcome @ (Outcome::Failed | Outcome::Rejected),
            reason,
            ..
        }
        | EventKind::UndoFinished { step, outcome: outcome @ Outcome::Failed, reason, .. } = &event.kind
        {
            let message = format!("{outcome}: {}", why(reason.as_deref().unwrap_or_default()));
            text.push_str(&self.dialect.annotation("error", step.as_str(), &message).unwrap_or_default());
        }
        if !text.is_empty() {
            self.say(event.at, &text);
        }
    }

    fn output(&mut self, step: &StepId, attempt: u32, stream: Stream, bytes: &[u8]) {
        self.buffers.entry((step.clone(), attempt)).or_default().push(stream, bytes);
    }

    fn tick(&mut self, now: Moment, view: View<'_>) {
        let since = self.last_said.get_or_insert(now);
        if now.since(*since) >= HEARTBEAT_EVERY
            && let Some(text) = heartbeat(now, view)
        {
            self.say(now, &text);
        }
    }

    fn finish(&mut self, view: View<'_>) {
        if let Dialect::Github { summary: Some(path), .. } = &self.dialect {
            let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
            // The summary is a courtesy of the build server; a run doesn't fail for it.
            let _ = file.and_then(|mut file| file.write_all(self.summary(view).as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use runbook_core::state::RunState;

    use super::*;
    use crate::report::fixture::{Story, console};

    /// The whole report of a story, told event by event, with some output of each attempt.
    fn report(story: &Story, dialect: Dialect, plain: bool) -> String {
        let screen = Screen::remembered(console(60, plain));
        let mut lines = Lines::new(Rc::clone(&screen), dialect, Paste::for_tests(), true);
        let mut state = RunState::new(std::sync::Arc::new(story.plan.clone()));
        for event in &story.events {
            state.apply(event.at, &event.kind).expect("a legal event");
            let view = View::of(&state);
            lines.event(event, "", view);
            if let EventKind::StepStarted { step, attempt, .. } = &event.kind {
                lines.output(step, *attempt, Stream::Stdout, b"first\n::error::not a command\n");
                lines.output(step, *attempt, Stream::Stderr, b"\x1b[31msecond\x1b[0m");
            }
        }
        let now = story.events.last().expect("events").at.after(Duration::from_secs(61));
        lines.tick(now, View::of(&state));
        screen.said()
    }

    #[test]
    fn a_line_at_each_start_and_end_and_output_by_step() {
        insta::assert_snapshot!("lines_failed", report(&Story::failed(), Dialect::Text, false));
        insta::assert_snapshot!("lines_plain_parked", report(&Story::parked(), Dialect::Text, true));
        insta::assert_snapshot!("lines_stopped", report(&Story::stopped(), Dialect::Text, false));
    }

    #[test]
    fn build_servers_get_groups() {
        let github = Dialect::Github { token: "TOKEN".into(), summary: None };
        insta::assert_snapshot!("lines_github", report(&Story::rejected(), github, false));
        insta::assert_snapshot!("lines_gitlab", report(&Story::succeeded(), Dialect::Gitlab, false));
    }

    #[test]
    fn a_summary_is_a_table() {
        let screen = Screen::remembered(console(60, false));
        let story = Story::rejected();
        insta::assert_snapshot!(
            Lines::new(screen, Dialect::Text, Paste::for_tests(), false).summary(story.view())
        );
    }
}
