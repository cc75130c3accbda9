//! From one input to all that follows from it.

use std::sync::Arc;

use super::follow::{
    NEVER_STARTED, Phase, follow, follow_unattended, may_be_void, phase, standing, why_held_back,
};
use super::gate;
use super::guard::is_guarded;
use super::input::{Answer, AttemptResult, Attendance, Circumstances, Decision, Found, Input};
use super::judge::judge;
use super::start::{reissue, retry_delay};
use super::structure::{is_held, never_began};
use crate::event::{EventKind, Outcome};
use crate::id::StepId;
use crate::plan::{Action, Plan};
use crate::state::{IllegalEvent, RunState, Status};

/// The most rounds that one input can cause: each round starts, skips or closes
/// at least one thing, so more means that deciding goes in a circle.
fn rounds_max(plan: &Plan) -> usize {
    16 + 8 * plan.steps.len()
}

/// Takes one input in and applies to `state` all the events that follow,
/// until nothing more follows without another input.
///
/// # Errors
/// An event that can't be applied is a bug of this module in a live run, and a
/// damaged journal where the state came from one.
pub fn advance(
    state: &mut RunState,
    input: Input,
    circumstances: &Circumstances<'_>,
) -> Result<Decision, IllegalEvent> {
    let attendance = match input {
        Input::OperatorLeft => Attendance::Nobody,
        _ => circumstances.attendance,
    };
    let mut deciding = Deciding { state, circumstances, decision: Decision::default() };
    deciding.take_in(input)?;
    let mut rounds = 0;
    while rounds < rounds_max(&deciding.state.plan) {
        rounds += 1;
        let state = &*deciding.state;
        let plan = &*Arc::clone(&state.plan);
        let events = if state.parked.is_some() || state.stopped.is_some() {
            follow_unattended(plan, state, circumstances)
        } else {
            let follow = follow(plan, state, attendance, circumstances);
            deciding.decision.end_backgrounds = follow.end_backgrounds;
            deciding.decision.wishes = follow.wishes;
            follow.events
        };
        if events.is_empty() {
            return Ok(deciding.decision);
        }
        deciding.record(events)?;
    }
    unreachable!("deciding went in a circle over {} steps", deciding.state.plan.steps.len())
}

/// What was ending the attempts of the engine that is gone.
#[derive(Debug, Clone, Copy)]
struct Ending {
    stopped: bool,
    cancelled: bool,
}

/// One input on its way into the record.
struct Deciding<'a, 'c> {
    state: &'a mut RunState,
    circumstances: &'a Circumstances<'c>,
    decision: Decision,
}

impl Deciding<'_, '_> {
    fn record(&mut self, events: impl IntoIterator<Item = EventKind>) -> Result<(), IllegalEvent> {
        for event in events {
            self.state.apply(self.circumstances.now, &event)?;
            self.decision.events.push(event);
        }
        Ok(())
    }

    fn take_in(&mut self, input: Input) -> Result<(), IllegalEvent> {
        match input {
            Input::Started | Input::Tick | Input::OperatorLeft => Ok(()),
            Input::Recorded(event) => self.record([event]),
            Input::BackgroundEnded { step, expected, reason } => {
                self.background_ended(step, expected, reason)
            }
            Input::Stopped { signal } => {
                let again = self.state.stopped.is_some() || self.state.outcome.is_some();
                self.record((!again).then_some(EventKind::RunStopped { signal }))
            }
            Input::Cancelled { by, reason, undo } => self.cancelled(by, reason, undo),
            Input::Finished { step, attempt, result } => self.finished(step, attempt, *result),
            Input::Looked { step, attempt, done, reason } => self.looked(step, attempt, done, reason),
            Input::Answered(answer) => self.answered(&answer),
            Input::Resumed {
                by,
                host,
                version,
                found,
                changed_inputs,
                guards,
                question,
                answers,
                rewind,
                cancel,
                rollback,
            } => {
                // Known before the resume is recorded: what a stop or a cancel ended
                // did not end by itself.
                let was_ending =
                    Ending { stopped: self.state.stopped.is_some(), cancelled: self.state.cancel.is_some() };
                // Before all that could start something.
                if let Some((by, reason)) = cancel {
                    self.cancelled(by, reason, rollback)?;
                }
                self.record([EventKind::RunResumed { by, host, version, rollback }])?;
                let never_began = never_began(&self.state.plan, self.state, self.circumstances);
                self.record(never_began)?;
                self.record(guards)?;
                let mut unstarted = Vec::new();
                for (step, found) in found {
                    self.recovered(step, found, was_ending, &mut unstarted)?;
                }
                self.check_approvals()?;
                self.inputs_changed(changed_inputs)?;
                if let Some((step, by)) = rewind {
                    self.rewind(step, by)?;
                }
                self.asked_for(&question, &answers)?;
                for step in unstarted {
                    self.start_unstarted(step)?;
                }
                Ok(())
            }
        }
    }

    /// What is to run again must not be open: its questions are taken back, its attempts end.
    fn rewind(&mut self, from: usize, by: String) -> Result<(), IllegalEvent> {
        if self.state.cancel.is_some() || self.state.aborted.is_some() {
            return Ok(());
        }
        let again = self.state.following(from);
        let ids: Vec<StepId> = again.iter().map(|step| self.state.plan.steps[*step].id.clone()).collect();
        let from = self.state.plan.steps[from].id.clone();
        let why = format!("operator: resume --from {from} by {by}");
        for (&step, id) in again.iter().zip(&ids) {
            if self.state.gates.contains_key(&step) {
                let (step, reason) = (id.clone(), Some(why.clone()));
                self.record([EventKind::GateClosed { step, result: "void".into(), reason }])?;
            }
            if let Status::Running(running) = &self.state.steps[step].status {
                let attempt = running.number;
                let failure = Some((Outcome::Cancelled, why.clone()));
                let result = AttemptResult { failure, ..AttemptResult::default() };
                self.record(end_of_attempt(&self.state.plan, step, attempt, result))?;
            }
        }
        self.record([EventKind::Rewound { step: from, by, steps: ids }])
    }

    /// What is being undone is undone to its end: a cancel finds nothing else to end.
    fn cancelled(&mut self, by: String, reason: Option<String>, undo: bool) -> Result<(), IllegalEvent> {
        let again = self.state.cancel.is_some() || self.state.outcome.is_some() || self.state.unwinding;
        self.record((!again).then_some(EventKind::CancelRequested { by, reason, undo }))
    }

    fn background_ended(&mut self, step: usize, expected: bool, reason: String) -> Result<(), IllegalEvent> {
        // Its end is told once only.
        if !self.state.backgrounds.contains(&step) {
            return Ok(());
        }
        let step = self.state.plan.steps[step].id.clone();
        self.record([EventKind::BackgroundEnded { step, expected, reason }])
    }

    /// The end of an attempt, told once only, and its declared retry.
    fn finished(&mut self, step: usize, attempt: u32, mut result: AttemptResult) -> Result<(), IllegalEvent> {
        let Status::Running(running) = &self.state.steps[step].status else { return Ok(()) };
        if running.number != attempt || self.state.plan.steps[step].action.question().is_some() {
            return Ok(());
        }
        // What an engine before this one told to end: nothing of this run's life now ends it.
        let is_cancelled = running.is_cancelled || !self.state.plan.outlasts_the_rest(step);
        let ends = self.state.stopped.is_some() || (self.state.cancel.is_some() && is_cancelled);
        if let Some((outcome @ Outcome::Cancelled, reason)) = &mut result.failure
            && !ends
            && reason.starts_with("stopped")
        {
            *outcome = Outcome::Interrupted;
        }
        let jitter = result.jitter;
        self.record(end_of_attempt(&self.state.plan, step, attempt, result))?;
        if attempt > 1 {
            // Done again: it may have given something else than what was approved.
            self.check_approvals()?;
        }
        let used = self.state.steps[step].attempts_in_round;
        let delay = self
            .state
            .retrying
            .contains(&step)
            .then(|| retry_delay(&self.state.plan, self.state, step, used, jitter))
            .flatten();
        self.record(delay.map(|delay| EventKind::RetryScheduled {
            step: self.state.plan.steps[step].id.clone(),
            attempt,
            delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            due_at: self.circumstances.now.after(delay),
        }))
    }

    /// What `done_when` says, unless something else has decided about the step meanwhile.
    fn looked(
        &mut self,
        step: usize,
        attempt: u32,
        done: Option<bool>,
        reason: Option<String>,
    ) -> Result<(), IllegalEvent> {
        let state = &*self.state;
        let known = &state.steps[step];
        let open = known.attempts == attempt
            && (known.status == Status::Pending || state.interrupted.contains(&step))
            && !state.gates.contains_key(&step)
            && !state.settled.contains_key(&step);
        let rests = state.outcome.is_some() || state.parked.is_some() || state.stopped.is_some();
        if !open || rests {
            return Ok(());
        }
        let step = state.plan.steps[step].id.clone();
        self.record([EventKind::DoneChecked { step, attempt, done, reason }])
    }

    fn answered(&mut self, answer: &Answer) -> Result<(), IllegalEvent> {
        match judge(&self.state.plan, self.state, answer, self.circumstances) {
            Ok(event) => self.record([event]),
            Err(refusal) => {
                self.decision.refusal = Some(refusal);
                Ok(())
            }
        }
    }

    /// What became of an attempt, or of a background command, whose engine is gone.
    fn recovered(
        &mut self,
        step: usize,
        found: Found,
        was_ending: Ending,
        unstarted: &mut Vec<usize>,
    ) -> Result<(), IllegalEvent> {
        if self.state.backgrounds.contains(&step) && !matches!(found, Found::StillRunning) {
            return self.background_ended(step, true, "it did not outlive the engine".into());
        }
        let Status::Running(running) = &self.state.steps[step].status else { return Ok(()) };
        let attempt = running.number;
        let was_told = was_ending.stopped || (was_ending.cancelled && running.is_cancelled);
        let result = match found {
            Found::StillRunning => return Ok(()),
            // What has no process of its own is simply done again.
            Found::NeverStarted if matches!(self.state.plan.steps[step].action, Action::Run(_)) => {
                unstarted.push(step);
                return Ok(());
            }
            Found::Ended(result) => {
                let mut result = AttemptResult { recovered: true, ..*result };
                let ended = matches!(result.failure, Some((Outcome::Failed | Outcome::Cancelled, _)));
                let cut_off = result.signal.is_some() && ended;
                if was_told && cut_off {
                    // Whether the run still ends, so that it stays so, is asked of every end.
                    let why = "stopped: the run was stopped during the attempt";
                    result.failure = Some((Outcome::Cancelled, why.into()));
                }
                result
            }
            Found::NeverStarted | Found::Unknown => AttemptResult {
                failure: Some((
                    Outcome::Interrupted,
                    "stopped: the engine died during the attempt, and how it ended is not known".into(),
                )),
                ..AttemptResult::default()
            },
        };
        self.finished(step, attempt, result)
    }

    /// Takes approvals back, and questions about them, that show something else now than when they were asked.
    fn check_approvals(&mut self) -> Result<(), IllegalEvent> {
        let (state, circumstances) = (&*self.state, self.circumstances);
        let plan = &*state.plan;
        let goes_on = phase(plan, state, circumstances.attendance, circumstances) == Phase::Main;
        let asked = (0..plan.steps.len()).filter(|&step| {
            let given = state.steps[step].outcome() == Some(Outcome::Succeeded);
            let open = state.gates.contains_key(&step);
            matches!(plan.steps[step].action, Action::Approve(_))
                && (given || open)
                && may_be_void(plan, state, step, goes_on)
                // While something that it shows is done again, it isn't known yet.
                && state.needs_are_met(step)
                && !state.void_due.contains_key(&step)
        });
        let void: Vec<EventKind> = asked
            .filter_map(|step| {
                let reason = Some(gate::changed_since(plan, state, step, circumstances)?);
                let step = plan.steps[step].id.clone();
                Some(EventKind::GateClosed { step, result: "void".into(), reason })
            })
            .collect();
        self.record(void)
    }

    /// Records inputs that are no longer what was seen last. What was approved on
    /// them is void, which follows from the record.
    fn inputs_changed(&mut self, changed: Vec<(usize, String, Option<String>)>) -> Result<(), IllegalEvent> {
        for (step, path, sha256) in changed {
            let known = (step, path);
            if self.state.changed_inputs.get(&known) == Some(&sha256) {
                continue;
            }
            let (step, path) = known;
            let step = self.state.plan.steps[step].id.clone();
            self.record([EventKind::InputChanged { step, path, sha256 }])?;
        }
        Ok(())
    }

    /// Puts the questions that the resume is about, and takes its answers. An
    /// answer about an interrupted step wins over what is declared.
    fn asked_for(&mut self, question: &[usize], answers: &[Answer]) -> Result<(), IllegalEvent> {
        if self.state.cancel.is_some() || self.state.aborted.is_some() {
            return self.answers_about_undo(answers);
        }
        for &step in question {
            let opened = gate::about_failure(&self.state.plan, self.state, step);
            self.record(opened)?;
        }
        let outdated = gate::outdated(&self.state.plan, self.state, self.circumstances);
        self.record(outdated)?;
        for answer in answers {
            if let Some(step) = self.state.index_of(&answer.step)
                && self.state.interrupted.contains(&step)
                && !self.state.gates.contains_key(&step)
            {
                let survivors = self.circumstances.survivors.get(&step).cloned().unwrap_or_default();
                let opened = gate::about_interrupted(&self.state.plan, self.state, step, survivors);
                self.record([opened])?;
            }
            self.answered(answer)?;
        }
        Ok(())
    }

    /// In a run that is being ended only what is about undoing is answered.
    fn answers_about_undo(&mut self, answers: &[Answer]) -> Result<(), IllegalEvent> {
        for answer in answers {
            let about = self.state.asked_about(&answer.step);
            if about.is_some_and(|about| self.state.plan.steps[about].is_added()) {
                self.answered(answer)?;
            }
        }
        Ok(())
    }

    /// An attempt whose start is recorded and that never started: it is started
    /// under a new slot, unless the run ends. Where it must wait, for a decision
    /// or for what it needs, that attempt is over, and another follows in time.
    fn start_unstarted(&mut self, step: usize) -> Result<(), IllegalEvent> {
        let Status::Running(running) = &self.state.steps[step].status else { return Ok(()) };
        let attempt = running.number;
        if is_held(&self.state.plan, self.state, step) {
            let plan = &self.state.plan;
            let why = why_held_back(plan, self.state, Phase::of(&plan.steps[step]));
            let result = AttemptResult {
                failure: Some((Outcome::Cancelled, format!("spawn: not started: {why}"))),
                ..AttemptResult::default()
            };
            return self.finished(step, attempt, result);
        }
        let undecided = self
            .state
            .interrupted
            .iter()
            .any(|other| standing(&self.state.plan, self.state, *other, self.circumstances).is_open());
        let later = undecided
            || !self.state.needs_are_met(step)
            || is_guarded(&self.state.plan, self.state, step)
            || self.state.plan.steps[step].action.is_interactive()
            || !self.state.void_due.is_empty()
            || !self.state.lost.is_empty()
            || !self.state.restarting.is_empty();
        if later {
            let result = AttemptResult {
                failure: Some((Outcome::Interrupted, NEVER_STARTED.into())),
                ..AttemptResult::default()
            };
            return self.finished(step, attempt, result);
        }
        self.record([reissue(&self.state.plan, self.state, step, attempt, self.circumstances)])
    }
}

/// The events of an attempt's end.
fn end_of_attempt(plan: &Plan, step: usize, attempt: u32, mut result: AttemptResult) -> Vec<EventKind> {
    let id = &plan.steps[step].id;
    let mut events = Vec::new();
    if !result.leaked.is_empty() {
        let pids = result.leaked.iter().map(|left| left.pid).filter(|pid| *pid > 0).collect();
        events.push(EventKind::Leaked {
            step: id.clone(),
            pids,
            processes: std::mem::take(&mut result.leaked),
        });
    }
    for file in std::mem::take(&mut result.artifacts) {
        events.push(EventKind::Artifact {
            step: id.clone(),
            path: file.path,
            size: file.size,
            sha256: file.sha256,
        });
    }
    events.push(finished_event(plan, step, attempt, result));
    events
}

/// The record of an attempt's end itself, without what belongs to it: all that can still be said where the store failed.
#[must_use]
pub fn finished_event(plan: &Plan, step: usize, attempt: u32, result: AttemptResult) -> EventKind {
    let (outcome, reason) = match result.failure {
        None => (Outcome::Succeeded, None),
        Some((outcome, reason)) => (outcome, Some(reason)),
    };
    let finished = EventKind::StepFinished {
        step: plan.steps[step].id.clone(),
        attempt,
        outcome,
        reason,
        exit_code: result.exit_code,
        signal: result.signal,
        duration_ms: result.duration_ms,
        outputs: result.outputs,
        log_sha256: result.log_sha256,
        dropped_bytes: result.dropped_bytes,
        recovered: result.recovered,
        by: Vec::new(),
        choice: None,
        fields: indexmap::IndexMap::new(),
        values: result.values,
        warnings: result.warnings,
    };
    plan.steps[step].recorded(finished)
}
