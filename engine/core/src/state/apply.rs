//! The one function that changes a state.

use std::sync::Arc;

use super::illegal::{IllegalEvent, kind_name};
use super::run::{Created, RunState};
use super::step::{Attempt, DoneChecked, Status, StepResult};
use crate::event::{EventKind, Outcome};
use crate::moment::Moment;
use crate::plan::Plan;

impl RunState {
    /// Takes in one event that has happened.
    ///
    /// # Errors
    /// Where it can't follow what came before; the state is then unchanged.
    pub fn apply(&mut self, at: Moment, kind: &EventKind) -> Result<(), IllegalEvent> {
        let plan = &*Arc::clone(&self.plan);
        let name = kind_name(kind);
        self.at = at;
        let index = match kind.step() {
            None => None,
            Some(id) => Some(
                self.index_of(id)
                    .and_then(|step| self.target_of(plan, step, kind))
                    .ok_or_else(|| IllegalEvent::UnknownStep { kind: name, step: id.clone() })?,
            ),
        };
        let as_step = kind.undo_as_step();
        let kind = as_step.as_ref().unwrap_or(kind);
        match (kind, index) {
            (
                EventKind::RunCreated {
                    runbook,
                    plan_digest,
                    user,
                    host,
                    interactive,
                    environment_digest,
                    ahead,
                    ..
                },
                _,
            ) => {
                if self.created.is_some() {
                    return Err(IllegalEvent::Run { kind: name, why: "the run exists already" });
                }
                self.created = Some(Created {
                    runbook: runbook.clone(),
                    plan_digest: plan_digest.clone(),
                    user: user.clone(),
                    host: host.clone(),
                    at,
                    interactive: *interactive,
                    environment_digest: environment_digest.clone(),
                });
                self.ahead.clone_from(ahead);
                for step in &self.ready {
                    self.steps[*step].could_start_at = Some(at);
                }
            }
            (_, _) if self.created.is_none() && !matches!(kind, EventKind::JournalOpened { .. }) => {
                return Err(IllegalEvent::Run { kind: name, why: "the run doesn't exist yet" });
            }
            (EventKind::RunResumed { by, rollback, .. }, _) => self.resumed(plan, by, *rollback),
            (EventKind::AnsweredAhead { answers }, _) => {
                self.ahead.retain(|before| !answers.iter().any(|answer| answer.step == before.step));
                self.ahead.extend(answers.iter().cloned());
                self.failed_undos_asked_about(plan, answers);
            }
            (EventKind::RunAdopted { plan_digest, .. }, _) => self.adopted(name, plan_digest)?,
            (EventKind::Rewound { by, steps, .. }, Some(i)) => self.rewound(name, plan, i, by, steps)?,
            (EventKind::RunStopped { signal }, _) => self.stopped = Some(signal.clone()),
            (EventKind::RunParked { waiting_for }, _) => self.parked = Some(waiting_for.clone()),
            (EventKind::CancelRequested { by, reason, undo }, _) => {
                self.cancel = Some((by.clone(), reason.clone()));
                // What runs after a stop has been told to end by that.
                if self.stopped.is_none() {
                    for step in &mut self.steps {
                        if let Status::Running(running) = &mut step.status {
                            running.is_cancelled = true;
                        }
                    }
                }
                self.unwinding |= *undo;
            }
            (EventKind::RunFinished { outcome, reason, .. }, _) => {
                if self.outcome.is_some() {
                    return Err(IllegalEvent::Run { kind: name, why: "the run has ended already" });
                }
                self.outcome = Some(*outcome);
                self.parked = None;
                self.finish_reason.clone_from(reason);
                self.finished_at = Some(at);
            }
            (EventKind::Artifact { path, sha256, .. }, Some(i)) => {
                self.steps[i].artifacts.insert(path.clone(), sha256.clone());
            }
            (EventKind::InputChanged { path, sha256, .. }, Some(i)) => {
                self.changed_inputs.insert((i, path.clone()), sha256.clone());
                self.void_approvals(plan, path);
            }
            (EventKind::LockAcquired { lock, .. }, of) => {
                self.locks.insert(of, lock.clone());
            }
            (EventKind::WindowOverridden { .. }, of) => {
                self.window_overridden.insert(of);
                if let Some(i) = of {
                    // Where nothing has begun, the question was about the run.
                    self.entry_overridden |= !self.entered;
                    self.settled.remove(&i);
                    self.relist(plan, i);
                }
            }
            (EventKind::Waiting { reason, .. }, Some(i)) => {
                self.waiting.insert(i, reason.clone());
            }
            (EventKind::GateOpened { .. }, Some(i)) => self.gate_opened(name, plan, i, at, kind)?,
            (EventKind::GateAnswered { .. }, Some(i)) => self.gate_answered(name, plan, i, at, kind)?,
            (EventKind::GateClosed { result, reason, .. }, Some(i)) => {
                self.gate_closed(name, plan, i, at, result, reason.as_deref())?;
            }
            (EventKind::BackgroundEnded { expected, reason, .. }, Some(i)) => {
                self.backgrounds.remove(&i);
                if self.is_undone(i) {
                    // Nothing relies on it any more.
                } else if *expected {
                    self.lost.insert(i);
                } else {
                    self.background_failure = Some(format!(
                        "the background command of `{}` ended early: {reason}",
                        plan.steps[i].id
                    ));
                }
            }
            (
                EventKind::StepStarted { .. }
                | EventKind::AttemptReissued { .. }
                | EventKind::StepFinished { .. }
                | EventKind::StepSkipped { .. }
                | EventKind::StepBlocked { .. }
                | EventKind::StepCancelled { .. }
                | EventKind::RetryScheduled { .. },
                Some(i),
            ) => self.step_moved(name, plan, i, at, kind)?,
            (
                EventKind::JournalOpened { .. }
                | EventKind::Sealed { .. }
                | EventKind::Note { .. }
                | EventKind::Sample { .. }
                | EventKind::UndoStarted { .. }
                | EventKind::UndoFinished { .. }
                | EventKind::Leaked { .. },
                _,
            ) => {}
            (EventKind::DoneChecked { attempt, done, reason, .. }, Some(i)) => {
                let checked = DoneChecked { attempt: *attempt, done: *done, reason: reason.clone() };
                self.done_checked(name, plan, i, at, checked)?;
            }
            (EventKind::Items { list, .. }, Some(i)) => self.items_settled(name, i, list)?,
            (EventKind::DeadlinePassed { .. }, Some(i)) => self.steps[i].deadline_passed = true,
            (EventKind::Escalated { gate, .. }, Some(i)) => match (gate, self.gates.get_mut(&i)) {
                (Some(_), Some(open)) => open.escalated += 1,
                (Some(_), None) => {
                    return Err(IllegalEvent::Run { kind: name, why: "no gate of this step is open" });
                }
                (None, _) => self.steps[i].escalated += 1,
            },
            (_, None) => return Err(IllegalEvent::Run { kind: name, why: "it names no step" }),
        }
        Ok(())
    }

    /// The transitions of one step: the state machine at the top of this page.
    fn step_moved(
        &mut self,
        name: &'static str,
        plan: &Plan,
        i: usize,
        at: Moment,
        kind: &EventKind,
    ) -> Result<(), IllegalEvent> {
        let illegal = |state: &Self| {
            Err(IllegalEvent::Transition {
                kind: name,
                step: plan.steps[i].id.clone(),
                status: state.steps[i].status.describe(),
            })
        };
        let starts = matches!(
            kind,
            EventKind::StepStarted { .. }
                | EventKind::AttemptReissued { .. }
                | EventKind::RetryScheduled { .. }
        );
        // One that only holds steps starts nothing by itself, nor does one that fails because nobody answered whether to do it.
        let expired = self.settled.get(&i).is_some_and(|settled| settled.result == "expired");
        if starts
            && !self.is_container[i]
            && !expired
            && let Some(why) = self.held_up()
        {
            return Err(IllegalEvent::Run { kind: name, why });
        }
        let settled = self.settled.get(&i).map(|settled| settled.result.as_str());
        let next = match (&self.steps[i].status, kind) {
            (
                Status::Pending
                | Status::Delayed { .. }
                | Status::Ended(Outcome::Interrupted | Outcome::Succeeded),
                EventKind::StepStarted { attempt, slot, boot, why, until, .. },
            ) => {
                // Another attempt starts only where its record says why, and a
                // finished step only where its background command is gone.
                let again = self.steps[i].attempts > 0;
                let succeeded = self.steps[i].outcome() == Some(Outcome::Succeeded);
                if *attempt != self.steps[i].attempts + 1
                    || (again && why.is_none())
                    || (succeeded && !self.lost.contains(&i))
                    || self.gates.contains_key(&i)
                    || settled.is_some_and(|result| !(result == "expired" && self.steps[i].asked.is_some()))
                {
                    return illegal(self);
                }
                self.lost.remove(&i);
                let repeats = std::mem::take(&mut self.steps[i].fresh)
                    || matches!(self.steps[i].status, Status::Delayed { .. });
                if repeats && again && self.is_container[i] {
                    self.begin_round(plan, i, *attempt);
                }
                self.entered = true;
                self.unwinding |= plan.steps[i].is_added();
                let step = &mut self.steps[i];
                step.failure_was_asked = false;
                step.said = None;
                if succeeded {
                    step.attempts_in_round = 0;
                }
                step.attempts += 1;
                step.attempts_in_round += 1;
                step.why = None;
                step.started_at.get_or_insert(at);
                if let Some(slot) = slot {
                    self.next_slot = self.next_slot.max(slot + 1);
                }
                Status::Running(Attempt {
                    number: *attempt,
                    slot: *slot,
                    boot: boot.clone(),
                    started_at: at,
                    until: *until,
                    is_cancelled: false,
                })
            }
            (Status::Running(running), EventKind::AttemptReissued { attempt, slot, boot, .. }) => {
                if running.number != *attempt {
                    return illegal(self);
                }
                self.next_slot = self.next_slot.max(slot + 1);
                Status::Running(Attempt {
                    slot: Some(*slot),
                    boot: Some(boot.clone()),
                    is_cancelled: false,
                    ..running.clone()
                })
            }
            (
                Status::Running(running),
                EventKind::StepFinished {
                    attempt,
                    outcome,
                    reason,
                    exit_code,
                    signal,
                    duration_ms,
                    outputs,
                    log_sha256,
                    recovered,
                    by,
                    choice,
                    fields,
                    values,
                    ..
                },
            ) => {
                // A question's step passes by the question's answers alone.
                let asks = plan.steps[i].action.question().is_some();
                let unanswered = asks
                    && (self.gates.contains_key(&i)
                        || (*outcome == Outcome::Succeeded
                            && choice.as_deref() != settled
                            && !matches!(settled, Some("approve" | "done"))));
                if running.number != *attempt || unanswered {
                    return illegal(self);
                }
                let background = plan.steps[i].action.is_background();
                let was_cancelled = running.is_cancelled;
                self.ends += 1;
                let step = &mut self.steps[i];
                // A command that is only brought up again did its work when it was ready first.
                if !step.was_ready {
                    step.ended_as_number = self.ends;
                }
                if *outcome == Outcome::Interrupted {
                    step.attempts_in_round = step.attempts_in_round.saturating_sub(1);
                }
                step.finished_at = Some(at);
                step.result = StepResult {
                    attempt: *attempt,
                    reason: reason.clone(),
                    exit_code: *exit_code,
                    signal: signal.clone(),
                    duration_ms: *duration_ms,
                    outputs: outputs.clone(),
                    log_sha256: log_sha256.clone(),
                    by: by.clone(),
                    choice: choice.clone(),
                    fields: fields.clone(),
                    values: values.clone(),
                    recovered: *recovered,
                    was_cancelled,
                };
                if *outcome == Outcome::Succeeded && background {
                    step.was_ready = true;
                    self.backgrounds.insert(i);
                }
                Status::Ended(*outcome)
            }
            (Status::Ended(Outcome::Failed), EventKind::RetryScheduled { due_at, .. })
                if self.retrying.contains(&i) =>
            {
                Status::Delayed { due_at: *due_at }
            }
            (
                Status::Pending
                | Status::Delayed { .. }
                | Status::Ended(Outcome::Failed | Outcome::Interrupted),
                EventKind::StepSkipped { reason, by, .. },
            ) => {
                if self.steps[i].status != Status::Pending && settled != Some("skip") {
                    return illegal(self);
                }
                let step = &mut self.steps[i];
                step.finished_at = Some(at);
                step.result.reason = Some(reason.clone());
                step.result.by = by.iter().cloned().collect();
                Status::Ended(Outcome::Skipped)
            }
            (Status::Pending, EventKind::StepBlocked { needs, .. }) => {
                self.steps[i].result.reason = Some(format!("needs {needs}"));
                Status::Ended(Outcome::Blocked)
            }
            (Status::Pending | Status::Delayed { .. }, EventKind::StepCancelled { reason, .. }) => {
                self.steps[i].result.reason = Some(reason.clone());
                Status::Ended(Outcome::Cancelled)
            }
            _ => return illegal(self),
        };
        if !matches!(next, Status::Ended(Outcome::Blocked | Outcome::Cancelled)) {
            self.finally_has_begun |= plan.steps[i].finally;
        }
        self.settled.remove(&i);
        self.cut_short.remove(&i);
        if next != Status::Ended(Outcome::Succeeded) {
            self.void_due.remove(&i);
        }
        self.set_status(plan, i, next);
        Ok(())
    }

    /// Why nothing of the run may start now, where that is so.
    pub(super) fn held_up(&self) -> Option<&'static str> {
        if self.outcome.is_some() {
            Some("the run has ended")
        } else if self.parked.is_some() {
            Some("the run is parked")
        } else if self.stopped.is_some() {
            Some("the run was stopped")
        } else {
            None
        }
    }

    /// Another process takes the run on: what was held back may go on, and a
    /// run that had ended does its `finally` again.
    fn resumed(&mut self, plan: &Plan, by: &str, rollback: bool) {
        let ended_as = self.outcome.take();
        let had_ended = ended_as.is_some();
        self.finished_at = None;
        self.finish_reason = None;
        self.parked = None;
        self.stopped = None;
        self.resumes += 1;
        // Locks and moments are those of the process that is gone.
        self.locks.clear();
        self.waiting.clear();
        self.entered = false;
        self.undo_resumed(plan, by, rollback, ended_as);
        if had_ended && !rollback {
            self.cancel = None;
            self.aborted = None;
            self.background_failure = None;
        }
        let ending = self.cancel.is_some() || self.aborted.is_some() || self.unwinding;
        if !ending {
            // What a stop took back, and did not get to end, is asked again.
            self.settled.retain(|_, settled| settled.result != "cancelled");
        }
        let undone: Vec<usize> =
            self.undos().map(|(step, _)| step).filter(|step| self.is_undone(*step)).collect();
        for (i, (step, state)) in plan.steps.iter().zip(&mut self.steps).enumerate() {
            if step.is_added() {
                continue;
            }
            // A cancel ends what runs for good; what a stop has ended of that which outlasts the rest goes on.
            let outlasts = plan.outlasts_the_rest(i) && !state.result.was_cancelled;
            if state.was_cut_off(step) && (!ending || outlasts) {
                state.status = Status::Ended(Outcome::Interrupted);
                state.attempts_in_round = state.attempts_in_round.saturating_sub(1);
            }
            if had_ended && step.finally {
                // It is asked about anew, and its command in the background starts like all else of it, not before what holds it.
                (state.asked, state.was_ready) = (None, false);
                self.lost.remove(&i);
            }
            let held_back = matches!(state.status, Status::Ended(Outcome::Blocked | Outcome::Cancelled));
            if held_back && !ending {
                state.status = Status::Pending;
                state.result.reason = None;
                if state.attempts > 0 {
                    state.why = Some("it was held back when the run stopped".into());
                }
            }
            if had_ended && step.finally && matches!(state.status, Status::Ended(_)) {
                state.status = Status::Pending;
                state.attempts_in_round = 0;
                // A group that runs again does so as a whole, and first looks at its `when`.
                state.fresh = step.is_container();
                state.why = Some("the run went on after it had ended".into());
            }
            let by_hand = !state.result.by.is_empty();
            if had_ended
                && step.action.is_background()
                && state.outcome() == Some(Outcome::Succeeded)
                && !by_hand
                && !self.backgrounds.contains(&i)
                && !undone.contains(&i)
            {
                self.lost.insert(i);
            }
        }
        self.reindex(plan);
    }
}
