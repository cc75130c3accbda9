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
use runbook_core::event::{Evidence, Gate, Identity, Via};
use runbook_core::plan::EvidenceRule;
use runbook_core::schedule::{Answer, goes_on, needs_reason, word_of};
use serde_json::Value;

use super::sheet::Sheet;
use crate::report::wording::harmless;

/// A question with how far its answering has come.
#[derive(Debug)]
pub(super) struct Dialogue {
    sheet: Sheet,
    stage: Stage,
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
    /// Begins.
    pub(super) fn new(sheet: Sheet) -> Self {
        Self { sheet, stage: Stage::Word }
    }

    /// What is shown of the question.
    pub(super) fn sheet(&self) -> &Sheet {
        &self.sheet
    }

    /// What stands before the place where people type.
    pub(super) fn prompt(&self) -> String {
        self.sheet.asked(&self.asked())
    }

    /// What the prompt says.
    fn asked(&self) -> String {
        let bar = self.sheet.bar();
        match &self.stage {
            Stage::Word => format!("{bar} {} ", self.sheet.choices()),
            Stage::Reason { word } if needs_reason(self.sheet.question.gate.gate, word) => {
                format!("{bar} {word}, because: ")
            }
            Stage::Reason { word } => format!("{bar} {word}, because (may be empty): "),
            Stage::Field { index, .. } => format!("{bar} {}: ", self.sheet.field_prompt(*index)),
            Stage::Evidence { .. } if self.sheet.question.evidence == EvidenceRule::Required => {
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
                if reason.is_none() && needs_reason(self.sheet.question.gate.gate, &word) {
                    return Turn::Say(self.sheet.line(&format!("{word} needs a reason")));
                }
                self.next_field(word, reason, IndexMap::new(), 0)
            }
            Stage::Field { word, reason, given, index } => self.field(word, reason, given, index, line),
            Stage::Evidence { word, reason, given } => {
                let given_before =
                    self.sheet.question.gate.answers.iter().any(|answer| !answer.evidence.is_empty());
                if line.is_empty() && self.sheet.question.evidence == EvidenceRule::Required && !given_before
                {
                    return Turn::Say(self.sheet.line(
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
        let gate = self.sheet.question.gate.gate;
        if goes_on(gate, &word) && index < self.sheet.question.fields.len() {
            let described =
                self.sheet.question.fields.get_index(index).and_then(|(_, rule)| rule.description.as_ref());
            let described = described.map_or_else(String::new, |text| self.sheet.line(text));
            self.stage = Stage::Field { word, reason, given, index };
            return Turn::Say(described);
        }
        if word == "done" && gate == Gate::Manual && self.sheet.question.evidence != EvidenceRule::None {
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
        let Some((name, rule)) = self.sheet.question.fields.get_index(index) else {
            return self.next_field(word, reason, given, index);
        };
        if line.is_empty() && (rule.default.is_some() || !rule.required) {
            return self.next_field(word, reason, given, index + 1);
        }
        if line.is_empty() {
            return Turn::Say(self.sheet.line(&format!("{word} needs a value for {name}")));
        }
        if let Err(why) = rule.parse_text(line) {
            return Turn::Say(self.sheet.line(&format!("{name}: {why}")));
        }
        given.insert(name.clone(), line.into());
        self.next_field(word, reason, given, index + 1)
    }

    fn word(&mut self, line: &str) -> Turn {
        if line == "?" {
            return Turn::Say(self.sheet.details());
        }
        if let Some(items) = self.numbers(line) {
            return items;
        }
        let meant = self.meant(line);
        let Some(word) = meant else {
            let hint = word_of(&self.sheet.question.gate, line)
                .and_then(|word| Some((word, self.sheet.typed_for(word)?)));
            return Turn::Say(match (hint, line.is_empty()) {
                (Some((word, typed)), _) => {
                    self.sheet.line(&format!("to {}, type {typed}", self.sheet.doing(word)))
                }
                (None, true) => self
                    .sheet
                    .line(&format!("That says nothing. Write a whole word: {}", self.sheet.choices())),
                (None, false) => self.sheet.line(&format!(
                    "`{}` is no answer. Write a whole word: {}",
                    harmless(line),
                    self.sheet.choices()
                )),
            });
        };
        let open = self.sheet.open_items();
        if self.sheet.question.gate.gate == Gate::Manual && word == "done" && !open.is_empty() {
            let open: Vec<String> = open.iter().map(u32::to_string).collect();
            return Turn::Say(
                self.sheet.line(&format!(
                    "Not done while items are open: {}. Tick them by number.",
                    open.join(", ")
                )),
            );
        }
        if let Some(why) = self.sheet.question.barred.get(&word) {
            // Said before anything is typed for nothing.
            return Turn::Say(self.sheet.line(why));
        }
        self.stage = Stage::Reason { word };
        Turn::Say(String::new())
    }

    /// Ticks: `2`, `1 3`, `1,3`.
    fn numbers(&self, line: &str) -> Option<Turn> {
        let gate = &self.sheet.question.gate;
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
                    return Some(Turn::Say(self.sheet.line("That is ticked already.")));
                }
                Turn::Answered(Box::new(self.answer("", None, Vec::new(), items)))
            }
            _ => Turn::Say(self.sheet.line(&format!("The items are 1 to {count}."))),
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
            step: self.sheet.question.step.clone(),
            nonce: Some(self.sheet.question.gate.nonce.clone()),
            digest: Some(self.sheet.question.gate.digest.clone()),
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
        let gate = &self.sheet.question.gate;
        if let Some(word) = gate.words.iter().find(|word| self.sheet.typed_for(word).as_deref() == Some(line))
        {
            return Some(word.clone());
        }
        word_of(gate, line).filter(|word| self.sheet.typed_for(word).is_none()).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use runbook_core::document::model::{Choices, ParamKind, ParamSpec};
    use runbook_core::document::text::Text;
    use runbook_core::moment::Moment;
    use runbook_runtime::run::Question;

    use super::super::sheet::Layout;
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
            barred: IndexMap::new(),
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
        let mut dialogue = Dialogue::new(Sheet::new(question, typed.map(str::to_owned), layout(80, false)));
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
    fn a_prompt_leaves_room_for_what_is_typed() {
        let mut wide = question(Gate::Choose, &["a", "b"], &[]);
        let choices = ["region lost", "data centre lost", "outage of more than four hours", "a breach"];
        let rule = ParamSpec {
            choices: Some(Choices::List(choices.map(Text::new).to_vec())),
            ..ParamSpec::of(ParamKind::String)
        };
        wide.fields.insert("criterion".into(), rule);
        let mut dialogue = Dialogue::new(Sheet::new(wide, None, layout(60, false)));
        assert!(matches!(dialogue.line_typed("a"), Turn::Say(_)));
        assert!(matches!(dialogue.line_typed(""), Turn::Say(_)));
        let expected = "│ criterion (one of region lost, data centre lost, outage of\n\
                        │ more than four hours, a breach):\n│ ";
        assert_eq!(dialogue.prompt(), expected);
    }

    #[test]
    fn who_may_not_say_a_word_is_told_before_anything_else_is_asked() {
        let mut barred = approve();
        barred.barred.insert("approve".into(), "root started the run".into());
        let mut dialogue = Dialogue::new(Sheet::new(barred, None, layout(80, false)));
        assert!(
            dialogue.sheet().opening().contains("│ Not by you: root started the run.\n"),
            "{}",
            dialogue.sheet().opening()
        );
        let Turn::Say(said) = dialogue.line_typed("approve") else { panic!("answered") };
        assert_eq!(
            (said.as_str(), dialogue.prompt().as_str()),
            ("│ root started the run\n", "│ approve, reject or ?: ")
        );
        assert!(matches!(dialogue.line_typed("reject"), Turn::Say(_)));
        assert_eq!(dialogue.prompt(), "│ reject, because: ");
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
                let mut dialogue = Dialogue::new(Sheet::new(question.clone(), None, layout(width, plain)));
                all.push_str(&format!("--- {name}, {width} columns{}", dialogue.sheet().opening()));
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
