//! The report at a terminal: running steps as live lines, finished ones scroll by above them.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use runbook_core::event::{Event, EventKind, Outcome};
use runbook_core::id::StepId;
use runbook_core::moment::Moment;
use runbook_core::plan::Action;
use runbook_core::render::title;
use runbook_runtime::capture::Stream;
use runbook_runtime::run::View;
use runbook_runtime::store::Store;

use super::buffer::Buffer;
use super::history;
use super::next::Paste;
use super::sentences::{question, sentence, start};
use super::wording::{Signs, duration, fit, gist, started, titled, wrap};
use super::{Report, Screen};
use crate::console::{DIM, STRONG, styled};

/// How many of the last lines are shown of an attempt that failed.
const FAILED_LINES: usize = 10;
/// More steps than this are only counted.
const LINES_MAX: usize = 12;
/// What usually takes less, in milliseconds, is over before anybody has read that.
const USUAL_MILLIS_MIN: u128 = 500;

/// Live lines.
pub(super) struct Live {
    screen: Rc<Screen>,
    signs: Signs,
    lines: MultiProgress,
    paste: Paste,
    running: IndexMap<StepId, Running>,
    now: Moment,
    store: Option<Store>,
    /// How long steps usually take; read when the first of them starts.
    usual: Option<HashMap<StepId, Duration>>,
}

struct Running {
    attempt: u32,
    since: Moment,
    gist: String,
    /// Of a check with `hold`: how long, and since when it holds.
    hold: Option<Duration>,
    holds_since: Option<Moment>,
    /// Of a `wait`: when it is over.
    until: Option<Moment>,
    buffer: Buffer,
    bar: Option<ProgressBar>,
}

impl Live {
    pub(super) fn new(screen: Rc<Screen>, paste: Paste, store: Option<Store>) -> Self {
        let lines = screen.live();
        Self {
            signs: Signs::new(false),
            screen,
            paste,
            lines,
            running: IndexMap::new(),
            now: Moment::default(),
            store,
            usual: None,
        }
    }

    fn start(&mut self, event: &Event, view: View<'_>) {
        let (id, attempt, command, until) = match &event.kind {
            EventKind::StepStarted { step, attempt, command, until, .. } => (step, attempt, command, *until),
            EventKind::UndoStarted { step, attempt, command, .. } => (step, attempt, command, None),
            _ => return,
        };
        let Some(step) = started(event, view) else { return };
        if !step.action.takes_slot() {
            return;
        }
        if step.action.is_interactive() {
            // The screen is the command's own from here on.
            self.screen.say(&start(event, view, &self.signs).unwrap_or_default());
            return;
        }
        if self.usual.is_none() {
            let read = |store: &Store| history::usual(store, &view.plan.runbook, &event.run);
            self.usual = Some(self.store.as_ref().map(read).unwrap_or_default());
        }
        let title = view.state.index_of(id).and_then(|index| title(view.plan, view.state, index));
        let hold = match &step.action {
            Action::Check(check) => check.hold.map(Into::into),
            _ => None,
        };
        let shown = self.running.values().filter(|running| running.bar.is_some()).count();
        let bar = (shown < LINES_MAX).then(|| {
            let bar = self.lines.add(ProgressBar::new_spinner());
            let coloured = self.screen.console().stderr_color;
            bar.set_style(
                ProgressStyle::with_template(if coloured {
                    "{spinner:.cyan} {msg}"
                } else {
                    "{spinner} {msg}"
                })
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar
        });
        let running = Running {
            attempt: *attempt,
            since: event.at,
            gist: gist(step, title.as_deref(), command.as_deref()),
            hold,
            holds_since: None,
            until,
            buffer: Buffer::default(),
            bar,
        };
        self.running.insert(id.clone(), running);
        self.draw(id);
    }

    /// Takes the live line away; the last lines of output, where they say why.
    fn end(&mut self, event: &Event) -> String {
        let (EventKind::StepFinished { step, outcome, .. } | EventKind::UndoFinished { step, outcome, .. }) =
            &event.kind
        else {
            return String::new();
        };
        let Some(running) = self.running.shift_remove(step) else { return String::new() };
        if let Some(bar) = &running.bar {
            bar.finish_and_clear();
            self.lines.remove(bar);
        }
        if !matches!(outcome, Outcome::Failed | Outcome::Interrupted) {
            return String::new();
        }
        let lines = running.buffer.finish(|count| format!("({count} lines are left out here)"));
        let from = lines.len().saturating_sub(FAILED_LINES);
        let prefix = styled(DIM, format_args!("  {} ", self.signs.bar));
        lines[from..].iter().map(|line| format!("{prefix}{line}\n")).collect()
    }

    fn draw(&self, step: &StepId) {
        let Some(Running { bar: Some(bar), since, gist, hold, holds_since, until, buffer, .. }) =
            self.running.get(step)
        else {
            return;
        };
        let elapsed = duration(self.now.max(*since).since(*since));
        let countdown = match (hold, holds_since) {
            (Some(hold), Some(since)) => {
                let left = hold.saturating_sub(self.now.max(*since).since(*since));
                format!(", holds, {} to go", duration(left))
            }
            _ => until.map_or_else(String::new, |until| {
                format!(", {} to go", duration(until.max(self.now).since(self.now)))
            }),
        };
        let usual = match self.usual.as_ref().and_then(|usual| usual.get(step)) {
            Some(usual) if usual.as_millis() >= USUAL_MILLIS_MIN => {
                format!(" (usually {})", duration(*usual))
            }
            _ => String::new(),
        };
        let countdown = format!("{usual}{countdown}");
        let last = buffer.last_line();
        let text = if last.is_empty() { gist.as_str() } else { last.as_str() };
        let before = format!("{step} {elapsed}{countdown} ");
        let room = self.screen.console().width.saturating_sub(before.len() + 3);
        let message =
            format!("{} {elapsed}{countdown} {}", styled(STRONG, step), styled(DIM, fit(text, room)));
        // Live lines go past the stream that takes colours away where none are wanted.
        bar.set_message(if self.screen.console().stderr_color {
            message
        } else {
            anstream::adapter::strip_str(&message).to_string()
        });
    }
}

impl Report for Live {
    fn event(&mut self, event: &Event, _: &str, view: View<'_>) {
        self.now = self.now.max(event.at);
        self.start(event, view);
        if let EventKind::Sample { step, ok, .. } = &event.kind
            && let Some(running) = self.running.get_mut(step)
            && *ok
        {
            running.holds_since.get_or_insert(event.at);
            self.draw(step);
        }
        let output = self.end(event);
        // Whoever sits here is asked by the prompt itself.
        let asked = !self.screen.console().non_interactive;
        let waits = if asked { None } else { question(event, view, &self.signs, Some(&self.paste)) };
        let mut told = waits.or_else(|| sentence(event, view, &self.signs)).unwrap_or_default();
        if let EventKind::StepFinished { step, .. } = &event.kind
            && let Some(end) = told.find('\n')
        {
            // Its live line, which said what the step is, is gone.
            told.insert_str(end, &styled(DIM, titled(step, view)));
        }
        if !told.is_empty() || !output.is_empty() {
            let told = laid_out(&told, self.screen.console().width, self.signs.next);
            self.screen.say(&format!("{output}{told}"));
        }
    }

    fn output(&mut self, step: &StepId, attempt: u32, stream: Stream, bytes: &[u8]) {
        let Some(running) = self.running.get_mut(step).filter(|running| running.attempt == attempt) else {
            return;
        };
        running.buffer.push(stream, bytes);
        self.draw(step);
    }

    fn tick(&mut self, now: Moment, _: View<'_>) {
        self.now = now;
        for step in self.running.keys() {
            self.draw(step);
            if let Some(Running { bar: Some(bar), .. }) = self.running.get(step) {
                bar.tick();
            }
        }
    }

    fn finish(&mut self, _: View<'_>) {
        for running in self.running.values().filter_map(|running| running.bar.as_ref()) {
            running.finish_and_clear();
        }
        self.running.clear();
    }
}

/// Sentences, wrapped; a command that can be pasted stays one line, whatever its length.
fn laid_out(told: &str, width: usize, next: &str) -> String {
    let lines = told.split('\n').map(|line| {
        let is_command = line.trim_start().starts_with(next);
        if is_command { line.to_owned() } else { wrap(line, width, "    ") }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::laid_out;

    #[test]
    fn sentences_are_wrapped_and_commands_are_not() {
        let told = "! one two three four\n  → runbook resume last --retry step\n";
        let expected = "! one two\n    three\n    four\n  → runbook resume last --retry step\n";
        assert_eq!(laid_out(told, 12, "→"), expected);
    }
}
