//! The person at the terminal, as the engine sees one.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, Hasher as _};
use std::rc::Rc;

use runbook_core::id::StepId;
use runbook_core::schedule::Attendance;
use runbook_runtime::keeper::CommandTerminal;
use runbook_runtime::run::{Asking, Interruption, Lent, Operator, Question, Reply};

use super::dialogue::{Dialogue, Turn};
use super::lent::LentTerminal;
use super::sheet::{Layout, Sheet};
use super::terminal::{Terminal, Typed};
use crate::report::Screen;
use crate::report::wording::wrap;

/// Words for `confirm: typed`: short, alike in no language's keyboard, none of them an answer.
const WORDS: [&str; 16] = [
    "amber", "basalt", "cedar", "delta", "ember", "fjord", "granite", "harbor", "indigo", "jasper", "kelp",
    "lagoon", "maple", "nectar", "onyx", "pebble",
];

/// Asks at the controlling terminal.
#[derive(Debug)]
pub(crate) struct TerminalOperator {
    screen: Rc<Screen>,
    /// The question that was shown last: ticking an item asks the same one again.
    shown: Rc<RefCell<Option<String>>>,
}

impl TerminalOperator {
    /// Shares the screen with the reports.
    pub(crate) fn new(screen: Rc<Screen>) -> Self {
        Self { screen, shown: Rc::default() }
    }

    fn layout(&self) -> Layout {
        let console = self.screen.console();
        Layout { width: console.width, plain: console.plain, now: runbook_runtime::run::now() }
    }
}

impl Operator for TerminalOperator {
    fn attendance(&self) -> Attendance {
        Attendance::Operator
    }

    fn ask(&self, question: Question) -> Asking<Reply> {
        let screen = Rc::clone(&self.screen);
        let again =
            self.shown.replace(Some(question.gate.nonce.clone())).as_ref() == Some(&question.gate.nonce);
        let dialogue = Dialogue::new(Sheet::new(question, Some(random_word()), self.layout()));
        Box::pin(async move {
            let _held = screen.hold();
            let Ok(terminal) = Terminal::open() else { return Reply::Left };
            converse(terminal, dialogue, again).await
        })
    }

    fn interrupted(&self, running: Vec<StepId>) -> Asking<Interruption> {
        let screen = Rc::clone(&self.screen);
        let width = self.layout().width;
        Box::pin(async move {
            let _held = screen.hold();
            let Ok(mut terminal) = Terminal::open() else { return Interruption::Stop };
            let ids: Vec<&str> = running.iter().map(StepId::as_str).collect();
            let said = [
                format!("Running: {}", ids.join(", ")),
                "stop: they are ended, and the run can be resumed.".into(),
                "undo: they are ended, and what was done is undone.".into(),
                "go on: nothing happens.".into(),
            ];
            let lines = said.map(|text| wrap(&text, width, "  ") + "\n");
            terminal.show(&format!("\n{}", lines.concat()));
            loop {
                match terminal.line("stop, undo or go on: ").await {
                    Typed::Line(line) => match line.trim() {
                        "stop" => return Interruption::Stop,
                        "go on" => return Interruption::GoOn,
                        "undo" => return Interruption::Undo,
                        _ => {}
                    },
                    // Who presses it twice means it; who is gone can't watch.
                    Typed::Interrupt | Typed::End => return Interruption::Stop,
                }
            }
        })
    }

    fn lend(&self, terminal: &CommandTerminal) -> std::io::Result<Box<dyn Lent>> {
        Ok(Box::new(LentTerminal::open(terminal, self.screen.hold())?))
    }
}

/// Talks until it is decided.
async fn converse(mut terminal: Terminal, mut dialogue: Dialogue, again: bool) -> Reply {
    let opening = if again { dialogue.sheet().reminder() } else { dialogue.sheet().opening() };
    terminal.show(&opening);
    loop {
        match terminal.line(&dialogue.prompt()).await {
            Typed::Line(line) => match dialogue.line_typed(&line) {
                Turn::Say(text) => terminal.show(&text),
                Turn::Answered(answer) => return Reply::Answer(answer),
            },
            Typed::Interrupt | Typed::End => return Reply::Left,
        }
    }
}

/// A word that nobody types by habit.
fn random_word() -> String {
    // The standard library keys its hashers from the system's randomness.
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let word = WORDS[usize::try_from(random % WORDS.len() as u64).unwrap_or(0)];
    format!("{word}-{:02}", (random >> 8) % 100)
}
