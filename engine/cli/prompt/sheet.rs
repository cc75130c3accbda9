//! A question as it is laid out before people.

use runbook_core::document::model::{Choices, ParamKind};
use runbook_core::event::Gate;
use runbook_core::moment::Moment;
use runbook_core::schedule::goes_on;
use runbook_runtime::run::Question;
use runbook_runtime::sanitize::prompt_block;
use unicode_width::UnicodeWidthStr as _;

use super::consequences::consequences;
use crate::report::wording::{Signs, distance, harmless, wrap};

/// How many lines of output stand with a question about something that went wrong.
const LAST_LINES: usize = 5;

/// A question, and how it is shown.
#[derive(Debug)]
pub(super) struct Sheet {
    pub(super) question: Question,
    /// With `confirm: typed`: what is typed in place of the deciding word.
    typed: Option<String>,
    layout: Layout,
}

/// How texts are laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Columns.
    pub(super) width: usize,
    /// No box drawing.
    pub(super) plain: bool,
    /// Now.
    pub(super) now: Moment,
}

impl Sheet {
    /// `typed`: the random word, where one must be typed.
    pub(super) fn new(question: Question, typed: Option<String>, layout: Layout) -> Self {
        Self { typed: typed.filter(|_| question.confirm_typed), question, layout }
    }

    /// What is shown before the first line.
    pub(super) fn opening(&self) -> String {
        // The end of what was printed says what went wrong; otherwise it is there for those who ask.
        let went_wrong = matches!(self.question.gate.gate, Gate::Failure | Gate::Interrupted | Gate::Undo);
        self.shown(if went_wrong { LAST_LINES } else { 0 })
    }

    /// The whole question, with so many lines of what was printed last.
    fn shown(&self, lines: usize) -> String {
        let Question { step, title, gate, next, refused, .. } = &self.question;
        let mut text = String::from("\n");
        let what = match gate.gate {
            Gate::Approve => "a decision is needed",
            Gate::Manual => "work for a person",
            Gate::Choose => "a choice is needed",
            Gate::Ask => "a question before the step",
            Gate::Failure => "it failed",
            Gate::Interrupted => "it was interrupted",
            Gate::Rollback => "undo what was done?",
            Gate::Undo => "an undo failed",
            Gate::Window => "it is outside its window",
            Gate::Terminal => "it waits for a terminal",
        };
        let title = title.as_ref().map_or_else(String::new, |title| format!(" — {}", harmless(title)));
        let headline = format!("{} {step}{title}: {what}", self.corner());
        text.push_str(&wrap(&headline, self.layout.width, &format!("{} ", self.bar())));
        text.push('\n');
        text.push_str(&self.block(&gate.prompt));
        if let Some(details) = &gate.details {
            text.push_str(&self.line(""));
            text.push_str(&self.line("What it is based on:"));
            text.push_str(&self.block(details));
        }
        if !gate.survivors.is_empty() {
            for left in &gate.survivors {
                text.push_str(&self.line(&format!("process {} ({})", left.pid, left.command)));
            }
        }
        text.push_str(&self.items());
        text.push_str(&self.options());
        text.push_str(&self.last_output(lines));
        text.push_str(&self.line(""));
        if !next.is_empty() {
            let ids: Vec<&str> = next.iter().map(runbook_core::id::StepId::as_str).collect();
            text.push_str(&self.line(&format!("Then: {}", ids.join(", "))));
        }
        for consequence in consequences(gate.gate, self.question.in_undo, &gate.words) {
            text.push_str(&self.line(consequence));
        }
        text.push_str(&self.line(&self.who()));
        for why in self.barred() {
            text.push_str(&self.line(&format!("Not by you: {why}.")));
        }
        if let Some(refused) = refused {
            text.push_str(&self.line(&format!("Your answer was not taken: {refused}")));
        }
        text
    }

    /// The same question again, after an item was ticked or an answer was not taken: what is new of it.
    pub(super) fn reminder(&self) -> String {
        let refused = self.question.refused.as_ref();
        let refused =
            refused.map_or_else(String::new, |why| self.line(&format!("Your answer was not taken: {why}")));
        let said = if self.question.gate.answers.is_empty() { String::new() } else { self.line(&self.who()) };
        format!("{}{said}{refused}", self.items())
    }

    /// What is asked for, and what it may be.
    pub(super) fn field_prompt(&self, index: usize) -> String {
        let Some((name, rule)) = self.question.fields.get_index(index) else { return String::new() };
        let mut about = Vec::new();
        if let Some(Choices::List(choices)) = &rule.choices {
            let choices: Vec<String> = choices.iter().map(|choice| harmless(choice)).collect();
            about.push(format!("one of {}", choices.join(", ")));
        } else if rule.kind != ParamKind::String {
            about.push(rule.kind.to_string());
        }
        if let Some(pattern) = &rule.pattern {
            about.push(format!("matching {}", harmless(pattern)));
        }
        match &rule.default {
            Some(default) => about.push(format!("{} unless given", harmless(&default.to_string()))),
            None if !rule.required => about.push("may be empty".into()),
            None => {}
        }
        if about.is_empty() { name.clone() } else { format!("{name} ({})", about.join("; ")) }
    }

    /// With `confirm: typed`, what is typed in place of a word that lets the run go on.
    pub(super) fn typed_for(&self, word: &str) -> Option<String> {
        let typed = self.typed.as_ref()?;
        let gate = &self.question.gate;
        if !goes_on(gate.gate, word) {
            return None;
        }
        match gate.gate {
            Gate::Choose => {
                let number = gate.words.iter().position(|option| option == word)? + 1;
                Some(format!("{typed}-{number}"))
            }
            _ => Some(typed.clone()),
        }
    }

    /// A word as what is done by it.
    pub(super) fn doing(&self, word: &str) -> String {
        if self.question.gate.gate == Gate::Choose {
            format!("choose {}", harmless(word))
        } else {
            harmless(word)
        }
    }

    pub(super) fn choices(&self) -> String {
        let gate = &self.question.gate;
        let mut words: Vec<String> = match (gate.gate, &self.typed) {
            (Gate::Choose, None) => vec!["an option's name or number".into()],
            (Gate::Choose, Some(_)) => vec!["the word of an option".into()],
            _ => gate
                .words
                .iter()
                .map(|word| match self.typed_for(word) {
                    Some(typed) => format!("{typed} (to {word})"),
                    None => harmless(word),
                })
                .collect(),
        };
        if !self.open_items().is_empty() {
            words.insert(0, "an item's number".into());
        }
        words.push("?".into());
        let last = words.pop().unwrap_or_default();
        format!("{} or {last}:", words.join(", "))
    }

    /// The options of a choice, numbered.
    fn options(&self) -> String {
        let gate = &self.question.gate;
        let rows = (1u32..).zip(&gate.options).map(|(number, (name, meaning))| {
            let mut row = format!("{number}. {name}");
            if !meaning.is_empty() {
                row.push_str(&format!(": {meaning}"));
            }
            if let Some(typed) = self.typed_for(name) {
                row.push_str(&format!(" (type {typed})"));
            }
            self.line(&row)
        });
        rows.collect()
    }

    pub(super) fn open_items(&self) -> Vec<u32> {
        let gate = &self.question.gate;
        (1u32..).take(gate.checklist.len()).filter(|item| !gate.ticked.contains_key(item)).collect()
    }

    fn items(&self) -> String {
        let gate = &self.question.gate;
        let rows = (1u32..).zip(&gate.checklist).map(|(number, item)| {
            let tick = match gate.ticked.get(&number) {
                Some((by, _)) => format!("[x] {number}. {item} ({by})"),
                None => format!("[ ] {number}. {item}"),
            };
            self.line(&tick)
        });
        rows.collect()
    }

    /// So many of the last lines that were printed.
    fn last_output(&self, count: usize) -> String {
        let lines = &self.question.last_output;
        let from = lines.len().saturating_sub(count);
        if from == lines.len() {
            return String::new();
        }
        let whose = match &self.question.printed_by {
            Some(step) => format!("What {step} printed last:"),
            None => "What was printed last:".to_owned(),
        };
        format!("{}{}", self.line(&whose), self.block(&lines[from..].join("\n")))
    }

    /// `?`: everything that there is to see.
    pub(super) fn details(&self) -> String {
        let mut text = self.shown(usize::MAX);
        if self.question.last_output.is_empty() {
            text.push_str(&self.line("Nothing was printed before."));
        }
        text.push_str(&self.line(&format!("Digest of what is decided: {}", self.question.gate.digest)));
        text
    }

    fn who(&self) -> String {
        let gate = &self.question.gate;
        let mut who = if gate.from.is_empty() { "anyone".to_owned() } else { gate.from.join(", ") };
        if gate.from.iter().any(|name| name.starts_with("group:")) {
            who = format!("{who} ({})", self.question.members.join(", "));
        }
        let mut text = format!("May be answered by {who}, here or from elsewhere");
        if gate.quorum > 1 {
            let yes: Vec<&str> = gate
                .answers
                .iter()
                .filter(|answer| answer.word == "approve")
                .map(|answer| answer.by.as_str())
                .collect();
            text.push_str(&format!("; {} of {} have said yes", yes.len(), gate.quorum));
            if !yes.is_empty() {
                text.push_str(&format!(" ({})", yes.join(", ")));
            }
        }
        if let Some(expires) = gate.expires_at {
            text.push_str(&format!("; expires {}", distance(expires, self.layout.now)));
        }
        text.push('.');
        text
    }

    /// Why this person's words would not count, each reason once.
    fn barred(&self) -> Vec<&str> {
        let mut reasons: Vec<&str> = self.question.barred.values().map(String::as_str).collect();
        reasons.dedup();
        reasons
    }

    /// A prompt, which leaves room for what is typed; what doesn't fit is lines above it.
    pub(super) fn asked(&self, prompt: &str) -> String {
        /// The columns that are left for what is typed.
        const ROOM: usize = 16;
        if prompt.width() + ROOM <= self.layout.width {
            return prompt.to_owned();
        }
        let text = prompt.strip_prefix(self.bar()).unwrap_or(prompt);
        format!("{}{} ", self.line(text.trim()), self.bar())
    }

    fn corner(&self) -> &'static str {
        if self.layout.plain { "--" } else { "┌" }
    }

    pub(super) fn bar(&self) -> &'static str {
        Signs::new(self.layout.plain).bar
    }

    /// A line of our own, wrapped behind the bar.
    pub(super) fn line(&self, text: &str) -> String {
        let bar = self.bar();
        let text = wrap(&harmless(text), self.layout.width.saturating_sub(2), "");
        if text.is_empty() {
            return format!("{bar}\n");
        }
        text.lines().map(|line| format!("{bar} {line}\n")).collect()
    }

    /// A foreign text, laid out so that it can't be taken for our words.
    fn block(&self, text: &str) -> String {
        prompt_block(text, &format!("{}   ", self.bar()), self.layout.width)
    }
}
