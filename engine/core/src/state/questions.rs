//! Questions, as events open, answer and close them.

use std::collections::BTreeMap;

use super::gate::{GivenAnswer, OpenGate, Outliving, SettledGate};
use super::illegal::IllegalEvent;
use super::run::RunState;
use super::step::{AskedAbout, Said, Status};
use crate::event::{EventKind, Gate, Outcome, Via};
use crate::moment::Moment;
use crate::plan::{Action, OnInterrupt, Plan};

impl RunState {
    pub(super) fn gate_opened(
        &mut self,
        name: &'static str,
        plan: &Plan,
        i: usize,
        at: Moment,
        kind: &EventKind,
    ) -> Result<(), IllegalEvent> {
        let EventKind::GateOpened {
            gate,
            prompt,
            details,
            from,
            quorum,
            expires_at,
            digest,
            nonce,
            words,
            checklist,
            survivors,
            options,
            fields,
            ..
        } = kind
        else {
            return Ok(());
        };
        if self.gates.contains_key(&i) {
            return Err(IllegalEvent::Run { kind: name, why: "a gate of this step is open already" });
        }
        let fits = match gate {
            Gate::Approve | Gate::Manual | Gate::Choose => self.unasked.contains(&i),
            Gate::Failure => self.steps[i].outcome() == Some(Outcome::Failed),
            Gate::Interrupted => self.interrupted.contains(&i),
            Gate::Window | Gate::Terminal => {
                matches!(self.steps[i].status, Status::Pending | Status::Delayed { .. })
                    || self.interrupted.contains(&i)
            }
            Gate::Rollback | Gate::Undo => self.may_ask_about_undo(i, *gate),
            Gate::Ask => {
                plan.steps[i].ask.is_some() && self.ready.contains(&i) && self.steps[i].asked.is_none()
            }
        };
        if let Some(why) = self.held_up() {
            return Err(IllegalEvent::Run { kind: name, why });
        }
        if !fits || self.settled.contains_key(&i) {
            return Err(IllegalEvent::Run { kind: name, why: "the step is at no such question" });
        }
        self.steps[i].gates_opened += 1;
        self.steps[i].said = None;
        if *gate == Gate::Approve {
            let (digest, prompt, details) = (digest.clone(), prompt.clone(), details.clone());
            self.steps[i].asked_about = Some(Box::new(AskedAbout { digest, prompt, details }));
        }
        self.waiting.remove(&i);
        self.outliving.remove(&i);
        self.void_due.remove(&i);
        self.gates.insert(
            i,
            OpenGate {
                gate: *gate,
                prompt: prompt.clone(),
                details: details.clone(),
                from: from.clone(),
                quorum: *quorum,
                expires_at: *expires_at,
                digest: digest.clone(),
                nonce: nonce.clone(),
                words: words.clone(),
                checklist: checklist.clone(),
                ticked: BTreeMap::new(),
                answers: Vec::new(),
                opened_at: at,
                survivors: survivors.clone(),
                options: options.clone(),
                fields: fields.clone(),
                escalated: 0,
            },
        );
        self.relist(plan, i);
        if matches!(gate, Gate::Failure | Gate::Interrupted) {
            self.reopen_around(plan, i, "a step inside goes on");
        }
        Ok(())
    }

    pub(super) fn gate_answered(
        &mut self,
        name: &'static str,
        plan: &Plan,
        i: usize,
        at: Moment,
        kind: &EventKind,
    ) -> Result<(), IllegalEvent> {
        let EventKind::GateAnswered {
            answer,
            by,
            via,
            identity,
            reason,
            fields,
            evidence,
            items,
            outputs,
            env,
            ..
        } = kind
        else {
            return Ok(());
        };
        let given = GivenAnswer {
            word: answer.clone(),
            by: by.clone(),
            via: *via,
            identity: *identity,
            reason: reason.clone(),
            fields: fields.clone(),
            evidence: evidence.clone(),
            outputs: outputs.clone(),
            env: env.clone(),
            at,
        };
        if self.waits.contains(&i) {
            // A wait asks nothing; what is said about it ends it.
            self.cut_short.entry(i).or_insert(given);
            return Ok(());
        }
        let Some(gate) = self.gates.get_mut(&i) else {
            return Err(IllegalEvent::Run { kind: name, why: "no gate of this step is open" });
        };
        for item in items {
            gate.ticked.entry(*item).or_insert_with(|| (by.clone(), at));
        }
        gate.answers.push(given);
        if *via == Via::Ahead {
            self.ahead.retain(|ahead| ahead.step != plan.steps[i].id);
        }
        Ok(())
    }

    /// A question is settled. What that does to the step depends on the word:
    /// the questions about a step that has ended move it; those of a step that
    /// runs are followed by its `step_finished`.
    pub(super) fn gate_closed(
        &mut self,
        name: &'static str,
        plan: &Plan,
        i: usize,
        at: Moment,
        result: &str,
        reason: Option<&str>,
    ) -> Result<(), IllegalEvent> {
        let Some(gate) = self.gates.get(&i) else {
            // An approval that was given is taken back: what it was bound to has changed.
            if result == "void" && self.is_given_approval(plan, i) {
                self.void_due.remove(&i);
                self.steps[i].why =
                    Some(format!("the approval is void: {}", reason.unwrap_or("it has changed")));
                self.set_status(plan, i, Status::Pending);
                self.reopen_around(plan, i, "an approval inside is asked again");
                return Ok(());
            }
            return Err(IllegalEvent::Run { kind: name, why: "no gate of this step is open" });
        };
        let said = gate.answers.iter().any(|answer| answer.word == result);
        let by_itself = matches!(result, "void" | "cancelled" | "expired")
            || (result == "failed" && plan.steps[i].on_interrupt == OnInterrupt::Fail);
        if !said && !by_itself {
            return Err(IllegalEvent::Run { kind: name, why: "no answer says so" });
        }
        let gate = self.gates.remove(&i).expect("invariant: looked up above");
        self.void_due.remove(&i);
        let by = gate.answers.iter().filter(|answer| answer.word == result);
        let by: Vec<String> = by.map(|answer| answer.by.clone()).collect();
        self.steps[i].said = said.then(|| {
            let place = gate.words.iter().position(|word| word == result);
            let number = place.filter(|_| gate.gate == Gate::Choose).map(|place| (place + 1).to_string());
            // An option's name wins over its number.
            let number = number.filter(|number| !gate.words.contains(number));
            Box::new(Said { word: result.to_owned(), number, by })
        });
        if matches!(gate.gate, Gate::Rollback | Gate::Undo) && !matches!(result, "wait" | "end") {
            let next = self.undo_answered(i, &gate, result);
            self.set_status(plan, i, next);
            return Ok(());
        }
        let decided = gate.answers.iter().rev().find(|answer| answer.word == result).cloned();
        if gate.gate == Gate::Failure && result == "undo" {
            self.unwinding = true;
        }
        let step = &mut self.steps[i];
        let next = match (gate.gate, result) {
            (Gate::Failure | Gate::Interrupted, "retry") => {
                step.attempts_in_round = 0;
                // Whoever says so has it tried, whatever was found before; what nobody answered is asked again.
                step.done_checked = None;
                step.asked = step.asked.take().filter(|by| !by.is_empty());
                step.fresh = plan.steps[i].is_container();
                let was = |name: &String| {
                    let known = step.env.get(name).or_else(|| plan.steps[i].env.get(name));
                    known.or_else(|| plan.env.get(name)).cloned()
                };
                let changed: Vec<String> = decided
                    .iter()
                    .flat_map(|answer| &answer.env)
                    .map(|(name, value)| match was(name) {
                        Some(was) => format!("{name}={value} (was {was})"),
                        None => format!("{name}={value}"),
                    })
                    .collect();
                if let Some(answer) = &decided {
                    step.env.extend(answer.env.clone());
                }
                step.why = decided.map(|answer| {
                    let way = match answer.via {
                        Via::Resume => "resume --retry",
                        Via::Terminal | Via::Command | Via::Ahead => "answered retry",
                    };
                    let with = if changed.is_empty() {
                        String::new()
                    } else {
                        format!(" with {}", changed.join(", "))
                    };
                    format!("{way} by {}{with}", answer.by)
                });
                Status::Pending
            }
            (Gate::Failure | Gate::Interrupted, "done") => {
                step.finished_at = Some(at);
                self.ends += 1;
                step.ended_as_number = self.ends;
                if let Some(answer) = decided {
                    step.result.by = vec![answer.by];
                    step.result.reason =
                        Some(format!("operator: done by hand: {}", answer.reason.unwrap_or_default()));
                    step.result.outputs.extend(answer.outputs);
                }
                Status::Ended(Outcome::Succeeded)
            }
            (Gate::Interrupted, "failed") => {
                if let Some(answer) = decided {
                    step.result.by = vec![answer.by];
                    step.result.reason = Some(format!("operator: {}", answer.reason.unwrap_or_default()));
                } else {
                    step.result.reason =
                        Some(format!("operator: {}", reason.unwrap_or("it counts as failed")));
                }
                Status::Ended(Outcome::Failed)
            }
            (Gate::Failure | Gate::Interrupted, "abort") => {
                if let Some(answer) = decided {
                    step.result.by = vec![answer.by];
                }
                step.failure_was_asked = true;
                // The run itself is over where what was done is undone.
                match plan.steps[i].is_added() {
                    true => self.unwinding_stopped = true,
                    false => self.aborted = Some(plan.steps[i].id.to_string()),
                }
                Status::Ended(Outcome::Failed)
            }
            (Gate::Failure, "undo" | "cancelled") => {
                step.failure_was_asked = true;
                step.status.clone()
            }
            (Gate::Interrupted | Gate::Undo, "wait" | "end") => {
                let decided = if result == "end" { Outliving::End } else { Outliving::Wait };
                self.outliving.insert(i, decided);
                step.status.clone()
            }
            (Gate::Window, "wait") => {
                self.window_waits.extend([None, Some(i)]);
                step.status.clone()
            }
            // In the end nothing is left to be aborted but the step itself.
            (Gate::Window, "abort") if plan.steps[i].finally || plan.steps[i].is_added() => {
                step.result.reason = Some("window: it was not let start".into());
                Status::Ended(Outcome::Failed)
            }
            (Gate::Window, "abort") => {
                self.aborted = Some(plan.steps[i].id.to_string());
                step.status.clone()
            }
            (Gate::Window, "override") => {
                self.settle(i, gate, result, reason);
                self.steps[i].status.clone()
            }
            // What it comes to is told by the event that follows.
            (Gate::Failure | Gate::Interrupted | Gate::Terminal, "skip") => {
                self.settle(i, gate, result, reason);
                self.steps[i].status.clone()
            }
            (Gate::Ask, "yes" | "no" | "expired") => {
                step.asked = Some(decided.map_or_else(String::new, |answer| answer.by));
                if result == "yes" {
                    let status = step.status.clone();
                    self.set_status(plan, i, status);
                    return Ok(());
                }
                self.settle(i, gate, result, reason);
                self.steps[i].status.clone()
            }
            (Gate::Approve | Gate::Manual | Gate::Choose, _) if result != "void" || said => {
                self.settle(i, gate, result, reason);
                self.steps[i].status.clone()
            }
            _ => step.status.clone(),
        };
        self.set_status(plan, i, next);
        Ok(())
    }

    fn settle(&mut self, i: usize, gate: OpenGate, result: &str, reason: Option<&str>) {
        let settled = SettledGate { gate, result: result.to_owned(), reason: reason.map(str::to_owned) };
        self.settled.insert(i, settled);
    }

    fn is_given_approval(&self, plan: &Plan, i: usize) -> bool {
        is_approval(plan, i) && self.steps[i].outcome() == Some(Outcome::Succeeded)
    }

    /// An input is no longer what was seen: what was approved on it is void.
    pub(super) fn void_approvals(&mut self, plan: &Plan, path: &str) {
        for i in 0..plan.steps.len() {
            let asked = self.gates.contains_key(&i) || self.settled.contains_key(&i);
            if self.is_given_approval(plan, i) || (is_approval(plan, i) && asked) {
                self.void_due
                    .entry(i)
                    .and_modify(|why| *why = format!("{path}, {why}"))
                    .or_insert_with(|| format!("{path} changed since"));
            }
        }
    }
}

fn is_approval(plan: &Plan, i: usize) -> bool {
    matches!(plan.steps[i].action, Action::Approve(_))
}
