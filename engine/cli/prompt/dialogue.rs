//! A question and what may be said to it, line by line. Pure: what is typed goes in, what is shown and decided comes out.
//!
//! ```text
//!            number          ┌────────────► ticked
//!   word ────────────────────┤
//!    ▲ │     deciding word   └─► reason ─► each field ─► evidence ─► answered
//!    │ └─ `?`, anything else: asked again     │ missing or unfit: only it is asked again
//!    └────────────────────────────────────────┘
//! ```

use indexmap::IndexMap;
use runbook_core::document::model::{Choices, ParamKind};
use runbook_core::event::{Evidence, Gate, Identity, Via};
use runbook_core::moment::Moment;
use runbook_core::plan::EvidenceRule;
use runbook_core::schedule::{Answer, goes_on, needs_reason, word_of};
use runbook_runtime::run::Question;
use runbook_runtime::sanitize::prompt_block;
use serde_json::Value;

use super::consequences::consequences;
use crate::report::wording::{Signs, distance, harmless, wrap};

/// How many lines of output stand with a question about something that went wrong.
const LAST_LINES: usize = 5;

/// A question with how far its answering has come.
#[derive(Debug)]
pub(super) struct Dialogue {
    question: Question,
    /// With `confirm: typed`: what is typed in place of the deciding word.
    typed: Option<String>,
    stage: Stage,
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

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Word,
    Reason { word: String },
    Field { word: String, reason: Option<String>, given: IndexMap<String, Value>, index: usize },
    Evidence { word: String, reason: Option<String>, given: IndexMap<String, Value> },
}

/// What follows from a line.
#[derive(Debug)]
pub(super) enum Turn {
    /// Show this, and ask for the next line.
    Say(String),
    /// It is decided.
    Answered(Box<Answer>),
}

impl Dialogue {
    /// Begins. `typed`: the random word, where one must be typed.
    pub(super) fn new(question: Question, typed: Option<String>, layout: Layout) -> Self {
        Self { typed: typed.filter(|_| question.confirm_typed), question, stage: Stage::Word, layout }
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

    /// What stands before the place where people type.
    pub(super) fn prompt(&self) -> String {
        let bar = self.bar();
        match &self.stage {
            Stage::Word => format!("{bar} {} ", self.choices()),
            Stage::Reason { word } if needs_reason(self.question.gate.gate, word) => {
                format!("{bar} {word}, because: ")
            }
            Stage::Reason { word } => format!("{bar} {word}, because (may be empty): "),
            Stage::Field { index, .. } => format!("{bar} {}: ", self.field_prompt(*index)),
            Stage::Evidence { .. } if self.question.evidence == EvidenceRule::Required => {
                format!("{bar} evidence, a note or a link: ")
            }
            Stage::Evidence { .. } => format!("{bar} evidence, a note or a link (may be empty): "),
        }
    }

    /// Takes a line in.
    pub(super) fn line_typed(&mut self, line: &str) -> Turn {
        let line = line.trim();
        match self.stage.clone() {
            Stage::Word => self.word(line),
            Stage::Reason { word } => {
                let reason = Some(line.to_owned()).filter(|reason| !reason.is_empty());
                if reason.is_none() && needs_reason(self.question.gate.gate, &word) {
                    return Turn::Say(self.line(&format!("{word} needs a reason")));
                }
                self.next_field(word, reason, IndexMap::new(), 0)
            }
            Stage::Field { word, reason, given, index } => self.field(word, reason, given, index, line),
            Stage::Evidence { word, reason, given } => {
                let given_before =
                    self.question.gate.answers.iter().any(|answer| !answer.evidence.is_empty());
                if line.is_empty() && self.question.evidence == EvidenceRule::Required && !given_before {
                    return Turn::Say(self.line(
                        "done needs evidence: write a note or a link, or use `runbook done --attach FILE`",
                    ));
                }
                let is_link = line.starts_with("https://") || line.starts_with("http://");
                let evidence = match line {
                    "" => Vec::new(),
                    url if is_link => vec![Evidence::Link { url: url.to_owned() }],
                    text => vec![Evidence::Note { text: text.to_owned() }],
                };
                self.answered(&word, reason, given, evidence)
            }
        }
    }

    /// Goes on to the field with this number, or past the last one.
    fn next_field(
        &mut self,
        word: String,
        reason: Option<String>,
        given: IndexMap<String, Value>,
        index: usize,
    ) -> Turn {
        let gate = self.question.gate.gate;
        if goes_on(gate, &word) && index < self.question.fields.len() {
            let described =
                self.question.fields.get_index(index).and_then(|(_, rule)| rule.description.as_ref());
            let described = described.map_or_else(String::new, |text| self.line(text));
            self.stage = Stage::Field { word, reason, given, index };
            return Turn::Say(described);
        }
        if word == "done" && gate == Gate::Manual && self.question.evidence != EvidenceRule::None {
            self.stage = Stage::Evidence { word, reason, given };
            return Turn::Say(String::new());
        }
        self.answered(&word, reason, given, Vec::new())
    }

    fn field(
        &mut self,
        word: String,
        reason: Option<String>,
        mut given: IndexMap<String, Value>,
        index: usize,
        line: &str,
    ) -> Turn {
        let Some((name, rule)) = self.question.fields.get_index(index) else {
            return self.next_field(word, reason, given, index);
        };
        if line.is_empty() && (rule.default.is_some() || !rule.required) {
            return self.next_field(word, reason, given, index + 1);
        }
        if line.is_empty() {
            return Turn::Say(self.line(&format!("{word} needs a value for {name}")));
        }
        if let Err(why) = rule.parse_text(line) {
            return Turn::Say(self.line(&format!("{name}: {why}")));
        }
        given.insert(name.clone(), line.into());
        self.next_field(word, reason, given, index + 1)
    }

    /// What is asked for, and what it may be.
    fn field_prompt(&self, index: usize) -> String {
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

    fn word(&mut self, line: &str) -> Turn {
        if line == "?" {
            return Turn::Say(self.details());
        }
        if let Some(items) = self.numbers(line) {
            return items;
        }
        let meant = self.meant(line);
        let Some(word) = meant else {
            let hint =
                word_of(&self.question.gate, line).and_then(|word| Some((word, self.typed_for(word)?)));
            return Turn::Say(match (hint, line.is_empty()) {
                (Some((word, typed)), _) => self.line(&format!("to {}, type {typed}", self.doing(word))),
                (None, true) => {
                    self.line(&format!("That says nothing. Write a whole word: {}", self.choices()))
                }
                (None, false) => self.line(&format!(
                    "`{}` is no answer. Write a whole word: {}",
                    harmless(line),
                    self.choices()
                )),
            });
        };
        let open = self.open_items();
        if self.question.gate.gate == Gate::Manual && word == "done" && !open.is_empty() {
            let open: Vec<String> = open.iter().map(u32::to_string).collect();
            return Turn::Say(
                self.line(&format!(
                    "Not done while items are open: {}. Tick them by number.",
                    open.join(", ")
                )),
            );
        }
        self.stage = Stage::Reason { word };
        Turn::Say(String::new())
    }

    /// Ticks: `2`, `1 3`, `1,3`.
    fn numbers(&self, line: &str) -> Option<Turn> {
        let gate = &self.question.gate;
        if gate.checklist.is_empty()
            || line.is_empty()
            || !line.bytes().all(|b| b.is_ascii_digit() || b == b',' || b == b' ')
        {
            return None;
        }
        let numbers: Option<Vec<u32>> =
            line.split([',', ' ']).filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect();
        let count = gate.checklist.len();
        let fits = |item: &u32| (1..=count).contains(&(*item as usize));
        Some(match numbers {
            Some(items) if !items.is_empty() && items.iter().all(fits) => {
                if items.iter().all(|item| gate.ticked.contains_key(item)) {
                    return Some(Turn::Say(self.line("That is ticked already.")));
                }
                Turn::Answered(Box::new(self.answer("", None, Vec::new(), items)))
            }
            _ => Turn::Say(self.line(&format!("The items are 1 to {count}."))),
        })
    }

    fn answered(
        &self,
        word: &str,
        reason: Option<String>,
        fields: IndexMap<String, Value>,
        evidence: Vec<Evidence>,
    ) -> Turn {
        Turn::Answered(Box::new(Answer { fields, ..self.answer(word, reason, evidence, Vec::new()) }))
    }

    fn answer(&self, word: &str, reason: Option<String>, evidence: Vec<Evidence>, items: Vec<u32>) -> Answer {
        Answer {
            step: self.question.step.clone(),
            nonce: Some(self.question.gate.nonce.clone()),
            digest: Some(self.question.gate.digest.clone()),
            word: word.to_owned(),
            // Set by whoever asked.
            by: String::new(),
            via: Via::Terminal,
            identity: Identity::User,
            reason,
            fields: IndexMap::new(),
            items,
            all_items: false,
            evidence,
            outputs: IndexMap::new(),
            env: IndexMap::new(),
            file: None,
        }
    }

    /// The answer that a line gives, where it gives one.
    fn meant(&self, line: &str) -> Option<String> {
        let gate = &self.question.gate;
        if let Some(word) = gate.words.iter().find(|word| self.typed_for(word).as_deref() == Some(line)) {
            return Some(word.clone());
        }
        word_of(gate, line).filter(|word| self.typed_for(word).is_none()).map(str::to_owned)
    }

    /// With `confirm: typed`, what is typed in place of a word that lets the run go on.
    fn typed_for(&self, word: &str) -> Option<String> {
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
    fn doing(&self, word: &str) -> String {
        if self.question.gate.gate == Gate::Choose {
            format!("choose {}", harmless(word))
        } else {
            harmless(word)
        }
    }

    fn choices(&self) -> String {
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

    fn open_items(&self) -> Vec<u32> {
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
    fn details(&self) -> String {
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

    fn corner(&self) -> &'static str {
        if self.layout.plain { "--" } else { "┌" }
    }

    fn bar(&self) -> &'static str {
        Signs::new(self.layout.plain).bar
    }

    /// A line of our own, wrapped behind the bar.
    fn line(&self, text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::open_gate;

    fn layout(width: usize, plain: bool) -> Layout {
        Layout { width, plain, now: Moment::from_millis(1_795_314_600_000) }
    }

    fn question(gate: Gate, words: &[&str], checklist: &[&str]) -> Question {
        Question {
            title: None,
            step: "gate".parse().expect("a step id"),
            gate: open_gate(gate, words, checklist),
            confirm_typed: false,
            evidence: EvidenceRule::None,
            next: vec!["apply".parse().expect("a step id"), "switch".parse().expect("a step id")],
            last_output: vec!["all 42 tests passed".into()],
            printed_by: Some("tests".parse().expect("an id")),
            in_undo: false,
            fields: IndexMap::new(),
            members: Vec::new(),
            refused: None,
        }
    }

    fn approve() -> Question {
        question(Gate::Approve, &["approve", "reject"], &[])
    }

    fn manual() -> Question {
        let mut question = question(Gate::Manual, &["done", "failed"], &["Backup taken", "Team told"]);
        question.gate.ticked.insert(1, ("ana".into(), Moment::from_millis(0)));
        question
    }

    /// What comes of typing these lines: `word|reason|items|evidence`, or `?` where nothing is decided yet.
    fn after(question: Question, typed: Option<&str>, lines: &[&str]) -> String {
        let mut dialogue = Dialogue::new(question, typed.map(str::to_owned), layout(80, false));
        for line in lines {
            if let Turn::Answered(answer) = dialogue.line_typed(line) {
                return format!(
                    "{}|{}|{:?}|{}",
                    answer.word,
                    answer.reason.unwrap_or_default(),
                    answer.items,
                    answer.evidence.len()
                );
            }
        }
        format!("? {}", dialogue.prompt().trim())
    }

    #[test]
    fn lines_come_to_answers() {
        let failure = || question(Gate::Failure, &["retry", "skip", "done", "abort"], &[]);
        let table: [(Question, &[&str], &str); 18] = [
            (approve(), &["approve", ""], "approve||[]|0"),
            (approve(), &["approve", "looks fine"], "approve|looks fine|[]|0"),
            (approve(), &["  approve ", ""], "approve||[]|0"),
            (approve(), &["", "y", "yes", "Approve", "a"], "? │ approve, reject or ?:"),
            (approve(), &["reject", ""], "? │ reject, because:"),
            (approve(), &["reject", "", " ", "too late"], "reject|too late|[]|0"),
            (approve(), &["?", "approve"], "? │ approve, because (may be empty):"),
            (approve(), &["1"], "? │ approve, reject or ?:"),
            (manual(), &["2"], "|| [2]|0"),
            (manual(), &["1"], "? │ an item's number, done, failed or ?:"),
            (manual(), &["0", "3", "99999999999"], "? │ an item's number, done, failed or ?:"),
            (manual(), &["1, 2"], "|| [1, 2]|0"),
            (manual(), &["done"], "? │ an item's number, done, failed or ?:"),
            (manual(), &["failed", "no access"], "failed|no access|[]|0"),
            (failure(), &["retry", ""], "retry||[]|0"),
            (failure(), &["done", "", "did it by hand"], "done|did it by hand|[]|0"),
            (failure(), &["skip", "not needed"], "skip|not needed|[]|0"),
            (failure(), &["undo"], "? │ retry, skip, done, abort or ?:"),
        ];
        for (question, lines, expected) in table {
            assert_eq!(after(question, None, lines), expected.replace("|| [", "||["), "{lines:?}");
        }
    }

    #[test]
    fn a_random_word_stands_for_the_deciding_one() {
        let confirmed = || Question { confirm_typed: true, ..approve() };
        assert_eq!(after(confirmed(), Some("amber-42"), &["approve", "amber-42", ""]), "approve||[]|0");
        assert_eq!(
            after(confirmed(), Some("amber-42"), &["approve", "amber"]),
            "? │ amber-42 (to approve), reject or ?:"
        );
        assert_eq!(after(confirmed(), Some("amber-42"), &["reject", "no"]), "reject|no|[]|0");
        assert_eq!(after(approve(), Some("amber-42"), &["amber-42"]), "? │ approve, reject or ?:");
    }

    #[test]
    fn evidence_is_asked_for_where_it_is_wanted() {
        let with = |evidence| {
            let mut question = Question { evidence, ..manual() };
            question.gate.ticked.insert(2, ("ana".into(), Moment::from_millis(0)));
            question
        };
        assert_eq!(after(with(EvidenceRule::None), None, &["done", ""]), "done||[]|0");
        assert_eq!(after(with(EvidenceRule::Optional), None, &["done", "", ""]), "done||[]|0");
        assert_eq!(after(with(EvidenceRule::Required), None, &["done", "", "", "https://x"]), "done||[]|1");
        assert_eq!(
            after(with(EvidenceRule::Required), None, &["done", "", ""]),
            "? │ evidence, a note or a link:"
        );
    }

    #[test]
    fn a_question_shows_what_is_decided_and_what_follows() {
        let mut based = approve();
        based.gate.details = Some(
            "\x1b[2Jall \u{202e}good\nsecond line that is long enough to be wrapped at sixty columns".into(),
        );
        based.gate.expires_at = Some(Moment::from_millis(1_795_314_600_000 + 1_800_000));
        based.refused = Some("the question of `gate` has been asked anew".into());
        let interrupted = question(Gate::Interrupted, &["retry", "skip", "done", "failed", "abort"], &[]);
        let mut all = String::new();
        for (name, question) in [("approve", based), ("manual", manual()), ("interrupted", interrupted)] {
            for (width, plain) in [(60, false), (100, true)] {
                let mut dialogue = Dialogue::new(question.clone(), None, layout(width, plain));
                all.push_str(&format!("--- {name}, {width} columns{}", dialogue.opening()));
                all.push_str(&dialogue.prompt());
                if let Turn::Say(text) = dialogue.line_typed("?")
                    && width == 60
                {
                    all.push_str(&format!("?\n{text}"));
                }
                all.push('\n');
            }
        }
        insta::assert_snapshot!(all);
    }
}
