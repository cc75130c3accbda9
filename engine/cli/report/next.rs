//! What to do next, as commands that can be pasted.

use runbook_core::event::Gate;
use runbook_core::id::StepId;
use runbook_core::plan::{EvidenceRule, Step};
use runbook_core::schedule::needs_reason;
use runbook_core::state::OpenGate;
use runbook_core::template::quote_for_display;

use crate::context::Context;

/// How commands for one run are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paste {
    /// As the run is named: `last` or its id.
    run: String,
    /// The state directory, where the next command wouldn't find it by itself.
    state: Option<String>,
}

impl Paste {
    /// Commands for a run, to be typed where this one was typed.
    pub(crate) fn new(context: &Context, run: impl Into<String>) -> Self {
        // From the environment it is found the next time, too.
        let typed = context
            .global
            .state
            .as_ref()
            .filter(|state| context.environment.state_variable.as_ref() != Some(*state));
        Self { run: run.into(), state: typed.map(|state| state.display().to_string()) }
    }

    /// `runbook WORD RUN …`.
    pub(crate) fn command(&self, word: &str, rest: &[&str]) -> String {
        let mut command = format!("runbook {word} {}", self.run);
        for part in rest {
            command.push(' ');
            command.push_str(&quote_for_display(part));
        }
        if let Some(state) = &self.state {
            command.push_str(" --state ");
            command.push_str(&quote_for_display(state));
        }
        command
    }

    /// The commands that answer a question. `parked`: no process waits for the answer, so the run must be told to go on.
    pub(crate) fn answers(&self, id: &StepId, step: &Step, gate: &OpenGate, parked: bool) -> Vec<String> {
        let evidence: &[&str] = match step.action.question() {
            Some((_, question)) if question.evidence == EvidenceRule::Required => &["--note", "TEXT"],
            _ => &[],
        };
        self.answers_to(id, gate, parked, evidence)
    }

    fn answers_to(&self, step: &StepId, gate: &OpenGate, parked: bool, evidence: &[&str]) -> Vec<String> {
        let step = step.as_str();
        let go_on: &[&str] = if parked { &["--resume"] } else { &[] };
        let command = |word: &str, rest: &[&str]| self.command(word, &[&[step], rest, go_on].concat());
        // What the yes must bring along.
        let asked: Vec<String> = gate
            .fields
            .iter()
            .filter(|(_, field)| field.required && field.default.is_none())
            .flat_map(|(name, _)| ["--field".to_owned(), format!("{name}=VALUE")])
            .collect();
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        let why = |word: &str| -> &[&str] {
            if needs_reason(gate.gate, word) { &["--reason", "WHY"] } else { &[] }
        };
        match gate.gate {
            Gate::Approve => vec![command("approve", &asked), command("reject", &["--reason", "WHY"])],
            Gate::Manual => {
                let all_ticked = gate.ticked.len() == gate.checklist.len();
                let mut commands = Vec::new();
                if let Some(open) =
                    (1u32..).take(gate.checklist.len()).find(|item| !gate.ticked.contains_key(item))
                {
                    commands.push(self.command("done", &[step, "--item", &open.to_string()]));
                }
                let all: &[&str] = if all_ticked { &[] } else { &["--all"] };
                commands.push(command("done", &[all, evidence, &asked].concat()));
                commands.push(command("done", &["--failed", "--reason", "WHY"]));
                commands
            }
            Gate::Choose => gate
                .words
                .iter()
                .map(|option| command("choose", &[&[option.as_str()], asked.as_slice()].concat()))
                .collect(),
            Gate::Failure | Gate::Interrupted if parked => gate
                .words
                .iter()
                .map(|word| match word.as_str() {
                    "retry" => self.command("resume", &["--retry", step]),
                    "skip" => self.command("resume", &["--skip", &format!("{step}=WHY")]),
                    "done" => self.command("resume", &["--done", &format!("{step}=WHY")]),
                    word => command("answer", &[&[word], why(word)].concat()),
                })
                .collect(),
            Gate::Terminal => {
                let skip = command("answer", &["skip", "--reason", "WHY"]);
                if parked { vec![self.command("resume", &[]), skip] } else { vec![skip] }
            }
            Gate::Ask | Gate::Failure | Gate::Interrupted | Gate::Rollback | Gate::Undo | Gate::Window => {
                gate.words
                    .iter()
                    .map(|word| command("answer", &[&[word.as_str()], why(word)].concat()))
                    .collect()
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self { run: "last".into(), state: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn every_question_can_be_answered_by_a_command() {
        let paste = Paste::for_tests();
        let step: StepId = "gate".parse().expect("a step id");
        type Row<'r> = (Gate, &'r [&'r str], &'r [&'r str], bool, &'r [&'r str]);
        let table: [Row<'_>; 5] = [
            (
                Gate::Approve,
                &["approve", "reject"],
                &[],
                false,
                &["runbook approve last gate", "runbook reject last gate --reason WHY"],
            ),
            (
                Gate::Manual,
                &["done", "failed"],
                &["one", "two"],
                true,
                &[
                    "runbook done last gate --item 1",
                    "runbook done last gate --all --resume",
                    "runbook done last gate --failed --reason WHY --resume",
                ],
            ),
            (
                Gate::Failure,
                &["retry", "skip", "done", "abort"],
                &[],
                true,
                &[
                    "runbook resume last --retry gate",
                    "runbook resume last --skip gate=WHY",
                    "runbook resume last --done gate=WHY",
                    "runbook answer last gate abort --resume",
                ],
            ),
            (
                Gate::Failure,
                &["retry", "skip"],
                &[],
                false,
                &["runbook answer last gate retry", "runbook answer last gate skip --reason WHY"],
            ),
            (
                Gate::Interrupted,
                &["wait", "end"],
                &[],
                false,
                &["runbook answer last gate wait", "runbook answer last gate end"],
            ),
        ];
        for (gate, words, checklist, parked, expected) in table {
            let open = fixture::open_gate(gate, words, checklist);
            assert_eq!(paste.answers_to(&step, &open, parked, &[]), expected);
        }
    }

    #[test]
    fn a_state_directory_that_was_typed_is_typed_again() {
        let paste = Paste { run: "last".into(), state: Some("/my state".into()) };
        assert_eq!(paste.command("logs", &["smoke"]), "runbook logs last smoke --state '/my state'");
    }
}
