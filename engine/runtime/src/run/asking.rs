//! Questions to whoever sits at the terminal, and answers that come by mail.

use runbook_core::event::{EventKind, Identity, Via};
use runbook_core::id::StepId;
use runbook_core::schedule::{Attendance, Input, Refusal, barred_words, rule_of};
use runbook_core::state::OpenGate;

use super::dispatcher::Dispatcher;
use super::mailbox::Mail;
use super::said::{mask_answer, refuse_secret_in_env};
use super::surface::{Question, Reply};

impl Dispatcher<'_> {
    /// Puts the first open question to the operator, and takes a prompt away
    /// whose question is settled. Says whether that made room for a step that waits for the terminal.
    pub(super) fn ask(&mut self) -> bool {
        let mut freed = false;
        if let Some((step, nonce, _)) = &self.asking {
            let open = self.state.asked_about(step).and_then(|step| self.state.gates.get(&step));
            if open.is_some_and(|gate| gate.nonce == *nonce) {
                return false;
            }
            self.asking = None;
            freed = self.wants_terminal();
        }
        let silent =
            self.state.stopped.is_some() || self.state.cancel.is_some() || self.store_failure.is_some();
        let taken = self.interruption.is_some() || self.loan.is_some();
        if freed || silent || taken || self.attendance() != Attendance::Operator {
            return freed;
        }
        // In plan order; those that this person can decide nothing about come last.
        let by_use = |(step, gate): &(&usize, &OpenGate)| (!self.is_of_use(**step, gate), **step);
        let Some((&step, gate)) = self.state.gates.iter().min_by_key(by_use) else { return false };
        let plan = &self.state.plan;
        let id = plan.steps[step].id.clone();
        let question = plan.steps[step].question(gate.gate);
        let fields = question.into_iter().flat_map(|question| &question.fields);
        let refused = self.refused.take().filter(|(of, _)| *of == id).map(|(_, why)| why);
        let (printed_by, last_output) = self.last_output(step);
        let asked = Question {
            step: id.clone(),
            title: runbook_core::render::title(plan, &self.state, step),
            confirm_typed: question.is_some_and(|question| question.confirm_typed),
            evidence: question.map_or_else(Default::default, |question| question.evidence),
            next: self.next_steps(step),
            last_output,
            printed_by: printed_by.filter(|by| *by != id),
            in_undo: plan.steps[step].is_added(),
            refused,
            fields: fields.map(|(name, spec)| (name.clone(), rule_of(spec, gate.fields.get(name)))).collect(),
            barred: barred_words(plan, &self.state, step, gate, &self.user),
            members: plan.people.members(&gate.from).into_iter().map(str::to_owned).collect(),
            gate: gate.clone(),
        };
        self.asking = Some((id, gate.nonce.clone(), self.operator.ask(asked)));
        false
    }

    /// Whether the person at the terminal can still decide something about a question.
    pub(super) fn is_of_use(&self, step: usize, gate: &OpenGate) -> bool {
        let people = &self.state.plan.people;
        let person = people.person_of_user(&self.user);
        let signed = self.state.plan.steps[step].question(gate.gate).is_some_and(|question| question.signed);
        let said = gate.answers.iter().any(|given| given.by == person && given.word == "approve");
        people.may_answer(&gate.from, person) && !signed && !said
    }

    pub(super) fn next_steps(&self, step: usize) -> Vec<StepId> {
        self.state
            .plan
            .steps
            .iter()
            .filter(|other| other.needs.contains(&step) && !other.finally)
            .map(|other| other.id.clone())
            .take(12)
            .collect()
    }

    /// What was printed last by the step in question, or by what it needs, and which step that is.
    pub(super) fn last_output(&self, step: usize) -> (Option<StepId>, Vec<String>) {
        const LINES: usize = 12;
        let of = std::iter::once(step).chain(self.state.plan.steps[step].needs.iter().rev().copied());
        for index in of {
            let attempt = self.state.steps[index].attempts;
            let path = self.workshop.dir.log_path(&self.state.plan.steps[index].files_id(), attempt);
            if let Ok(lines) = crate::capture::CaptureLog::open(&path).and_then(|log| log.tail_lines(LINES))
                && !lines.is_empty()
            {
                let lines = lines.into_iter().map(|(_, line)| String::from_utf8_lossy(&line).into_owned());
                return (Some(self.state.plan.steps[index].id.clone()), lines.collect());
            }
        }
        (None, Vec::new())
    }

    pub(super) fn replied(&mut self, step: &StepId, reply: Reply) {
        let Some((_, nonce, _)) = self.asking.take() else { return };
        match reply {
            Reply::Left => {
                self.operator_left = true;
                self.take(Input::OperatorLeft);
            }
            Reply::Answer(mut answer) => {
                let digest = self
                    .state
                    .asked_about(step)
                    .and_then(|index| self.state.gates.get(&index))
                    .map(|gate| gate.digest.clone());
                answer.step = step.clone();
                answer.nonce = Some(nonce);
                answer.digest = digest;
                answer.by.clone_from(&self.user);
                answer.via = Via::Terminal;
                answer.identity = Identity::User;
                if let Err(refusal) = refuse_secret_in_env(&self.workshop.masker, &answer) {
                    self.refused = Some((step.clone(), refusal.message));
                    return;
                }
                mask_answer(&self.workshop.masker, &mut answer);
                // Every answer is a file first, whatever the surface.
                match self.mailbox.file_of(&answer, self.workshop.dir.run()) {
                    Ok(file) => answer.file = Some(file),
                    Err(error) => {
                        self.refused = Some((step.clone(), format!("the answer can't be written: {error}")));
                        return;
                    }
                }
                if let Some(refusal) = self.take(Input::Answered(answer)) {
                    self.refused = Some((step.clone(), refusal.message));
                }
            }
        }
    }

    /// Takes in what other processes have left in the inbox.
    pub(super) fn read_mail(&mut self) {
        for mail in self.mailbox.read() {
            match mail {
                Mail::Answer { file, answer } => {
                    let mut answer = *answer;
                    if let Err(refusal) = refuse_secret_in_env(&self.workshop.masker, &answer) {
                        self.verdicts.push((file, Err(refusal)));
                        continue;
                    }
                    mask_answer(&self.workshop.masker, &mut answer);
                    let verdict = match self.take(Input::Answered(Box::new(answer))) {
                        Some(refusal) => Err(refusal),
                        None if self.store_failure.is_some() => {
                            Err(Refusal::not_allowed("the journal can't be written"))
                        }
                        None => Ok(()),
                    };
                    self.verdicts.push((file, verdict));
                }
                Mail::Cancel { file, by, reason } => {
                    let reason = reason.map(|reason| self.workshop.masker.text(&reason));
                    self.take(Input::Cancelled { by, reason, undo: false });
                    self.verdicts.push((file, Ok(())));
                }
                Mail::Note { file, by, text } => {
                    let text = self.workshop.masker.text(&text);
                    self.take(Input::Recorded(EventKind::Note { by, text }));
                    self.verdicts.push((file, Ok(())));
                }
                Mail::Unfit { file, refusal } => self.verdicts.push((file, Err(refusal))),
            }
        }
    }
}
