//! What an escalation tells: which run, which step, what is asked, and the command that answers it.

use super::leaf::Notification;
use super::texts::Texts;
use crate::event::Gate;
use crate::plan::Plan;
use crate::schedule::needs_reason;
use crate::state::{OpenGate, RunState};
use crate::template::quote_for_display;

impl Texts {
    /// The message of a rung of an escalation about a step: of its open question where it has one, else of the step itself. `state_directory`: where the
    /// run is found, where whoever is told wouldn't find it by itself.
    #[must_use]
    pub fn escalation(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        state_directory: Option<&str>,
    ) -> Notification {
        let option = state_directory.map(|path| format!(" --state {}", quote_for_display(path)));
        let option = option.unwrap_or_default();
        let (run, id, runbook) = (self.facts.id.as_str(), &plan.steps[step].id, &plan.runbook);
        let (title, message) = match state.gates.get(&step) {
            Some(gate) => {
                let until = gate.expires_at.map(|end| format!(", until {end}")).unwrap_or_default();
                let mut message = format!(
                    "{runbook} (run {run}) waits at {id} since {}{until}: {}",
                    gate.opened_at, gate.prompt
                );
                for command in commands(run, id.as_str(), gate) {
                    message.push_str("\n  ");
                    message.push_str(&command);
                    message.push_str(&option);
                }
                (format!("{runbook}: {id} waits for an answer"), message)
            }
            None => {
                let late = if state.steps[step].deadline_passed { ", past its deadline" } else { "" };
                let since = state.steps[step].started_at.or(state.steps[step].could_start_at);
                let since = since.map(|at| format!(" since {at}")).unwrap_or_default();
                let message = format!(
                    "{runbook} (run {run}): {id} is unfinished{since}{late}\n  runbook status {run}{option}"
                );
                (format!("{runbook}: {id} is unfinished"), message)
            }
        };
        Notification { message, title, severity: "warning".to_owned() }
    }
}

/// The commands that answer a question, by each of its words.
fn commands(run: &str, step: &str, gate: &OpenGate) -> Vec<String> {
    let command = |word: &str, rest: &[&str]| {
        let mut command = format!("runbook {word} {run} {step}");
        for part in rest {
            command.push(' ');
            command.push_str(&quote_for_display(part));
        }
        command
    };
    match gate.gate {
        Gate::Approve => vec![command("approve", &[]), command("reject", &["--reason", "WHY"])],
        Gate::Manual => {
            vec![command("done", &["--all"]), command("done", &["--failed", "--reason", "WHY"])]
        }
        Gate::Choose => gate.words.iter().map(|option| command("choose", &[option])).collect(),
        _ => {
            let words = gate.words.iter().map(|word| {
                let why: &[&str] = if needs_reason(gate.gate, word) { &["--reason", "WHY"] } else { &[] };
                command("answer", &[&[word.as_str()], why].concat())
            });
            words.collect()
        }
    }
}
