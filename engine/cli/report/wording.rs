//! The words, marks and lengths of time that all reports share. Nothing is told by colour or mark alone.

use std::time::Duration;

use anstyle::Style as Colour;
use runbook_core::event::{Event, EventKind, Outcome};
use runbook_core::id::StepId;
use runbook_core::moment::Moment;
use runbook_core::plan::{Action, Items, Step};
use runbook_core::render::title;
use runbook_runtime::run::View;
use runbook_runtime::sanitize::{Style, sanitize};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::console::{ATTENTION, BAD, DIM, GOOD};

/// The signs that begin lines, for screens and for screen readers and slow lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signs {
    pub(crate) good: &'static str,
    pub(crate) bad: &'static str,
    pub(crate) skipped: &'static str,
    pub(crate) start: &'static str,
    pub(crate) again: &'static str,
    pub(crate) question: &'static str,
    pub(crate) attention: &'static str,
    pub(crate) pending: &'static str,
    pub(crate) next: &'static str,
    pub(crate) bar: &'static str,
}

/// With signs.
const FANCY: Signs = Signs {
    good: "✓",
    bad: "✗",
    skipped: "-",
    start: "▸",
    again: "↻",
    question: "?",
    attention: "!",
    pending: "·",
    next: "→",
    bar: "│",
};
/// Without box drawing and ornaments.
const PLAIN: Signs = Signs {
    good: "ok",
    bad: "!!",
    skipped: "-",
    start: ">",
    again: ">",
    question: "?",
    attention: "!",
    pending: ".",
    next: "->",
    bar: "|",
};

impl Signs {
    /// The signs to use.
    pub(crate) fn new(plain: bool) -> Self {
        if plain { PLAIN } else { FANCY }
    }

    /// The sign of an outcome, and its colour.
    pub(crate) fn of(&self, outcome: Outcome) -> (&'static str, Colour) {
        match outcome {
            Outcome::Succeeded => (self.good, GOOD),
            Outcome::Failed | Outcome::Rejected => (self.bad, BAD),
            Outcome::Skipped | Outcome::Blocked | Outcome::Cancelled => (self.skipped, DIM),
            Outcome::Interrupted => (self.attention, ATTENTION),
        }
    }
}

/// A foreign text as part of a line.
pub(crate) fn harmless(text: &str) -> String {
    sanitize(text, Style::Line)
}

/// Why a step stands as it does, for people: what a person decided is said by naming the person, not by a prefix.
pub(crate) fn why(reason: &str) -> String {
    harmless(reason.strip_prefix("operator: ").unwrap_or(reason))
}

/// A length of time as people say it: `40ms`, `1.2s`, `12s`, `3m 05s`, `2h 05m`, `3d 04h`.
pub(crate) fn duration(span: Duration) -> String {
    let millis = span.as_millis();
    if millis < 950 {
        return format!("{millis}ms");
    }
    if millis < 9_950 {
        // Tenths, rounded.
        let tenths = (millis + 50) / 100;
        return format!("{}.{}s", tenths / 10, tenths % 10);
    }
    let seconds = u64::try_from((millis + 500) / 1000).unwrap_or(u64::MAX);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// The same from milliseconds.
pub(crate) fn millis(duration_ms: u64) -> String {
    duration(Duration::from_millis(duration_ms))
}

/// A moment for people.
pub(crate) fn moment(at: Moment) -> String {
    at.for_people()
}

/// How far away a moment is: `in 12m 03s`, `3m 10s ago`.
pub(crate) fn distance(at: Moment, now: Moment) -> String {
    if at > now {
        format!("in {}", duration(at.since(now)))
    } else {
        format!("{} ago", duration(now.since(at)))
    }
}

/// `1 step`, `3 steps`.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// What a step is about, in a line: its title, else the first line of its command or question as it was shown.
pub(crate) fn gist(step: &Step, title: Option<&str>, command: Option<&str>) -> String {
    let text = command.map(str::trim).filter(|command| !command.is_empty());
    let text = match (title, text) {
        (Some(title), _) => title,
        (None, Some(command)) => {
            let mut lines = command.lines();
            let first = lines.next().unwrap_or_default().trim_end();
            return if lines.next().is_some() { format!("{} …", harmless(first)) } else { harmless(first) };
        }
        (None, None) => match &step.action {
            Action::Call(call) => return format!("call {}", harmless(&call.runbook)),
            // What it runs follows item by item.
            Action::Each(each) => match &each.items {
                Items::Expression(source) => return format!("for each of {}", harmless(source)),
                Items::List(list) => return format!("for each of {}", count(list.len(), "item")),
            },
            // What the undo consists of follows line by line.
            Action::Steps(_) if step.undoes().is_some() => "",
            action => action.kind(),
        },
    };
    harmless(text)
}

/// ` — Title` of the step with this id; nothing where it has none.
pub(crate) fn titled(step: &StepId, view: View<'_>) -> String {
    let title = view.state.index_of(step).and_then(|index| title(view.plan, view.state, index));
    title.map_or_else(String::new, |title| format!(" — {}", harmless(&title)))
}

/// The step, or undo of a step, that an event starts.
pub(crate) fn started<'a>(event: &Event, view: View<'a>) -> Option<&'a Step> {
    let index = match &event.kind {
        EventKind::StepStarted { step, .. } => view.state.index_of(step),
        EventKind::UndoStarted { step, .. } => {
            view.state.index_of(step).and_then(|step| view.state.undo_of(step))
        }
        _ => None,
    };
    index.and_then(|index| view.plan.steps.get(index))
}

/// As much of a text as fits into so many columns, `…` where something is left out.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut used = 0;
    let mut fitting = String::new();
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used >= columns {
            break;
        }
        fitting.push(character);
    }
    fitting.push('…');
    fitting
}

/// Lays a text out in lines of at most so many columns, broken between words, all but the first indented. Spaces at the beginning stay.
pub(crate) fn wrap(text: &str, columns: usize, indent: &str) -> String {
    let words = text.trim_start_matches(' ');
    let mut out = " ".repeat(text.len() - words.len());
    let mut used = out.len();
    for (index, word) in words.split(' ').enumerate() {
        // Colours take no place.
        let width = anstream::adapter::strip_str(word).to_string().width();
        if index > 0 && used + 1 + width > columns {
            out.push('\n');
            out.push_str(indent);
            used = indent.width();
        } else if index > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += width;
    }
    out
}

/// A text filled up with spaces to so many columns.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        let table = [
            (0, "0ms"),
            (949, "949ms"),
            (950, "1.0s"),
            (1_240, "1.2s"),
            (9_949, "9.9s"),
            (9_950, "10s"),
            (59_499, "59s"),
            (59_500, "1m 00s"),
            (185_000, "3m 05s"),
            (7_500_000, "2h 05m"),
            (273_600_000, "3d 04h"),
        ];
        for (span, expected) in table {
            assert_eq!(millis(span), expected, "{span}");
        }
    }

    #[test]
    fn texts_fit_and_wrap_by_columns() {
        assert_eq!(fit("short", 5), "short");
        assert_eq!(fit("longer", 5), "long…");
        assert_eq!(fit("数数数", 5), "数数…");
        assert_eq!(wrap("one two three four", 9, "  "), "one two\n  three\n  four");
        assert_eq!(wrap("unbreakable", 4, "  "), "unbreakable");
        assert_eq!(wrap("  two words", 5, "    "), "  two\n    words");
        assert_eq!(pad("数", 4), "数  ");
    }
}
