//! From one input to all that follows from it.

use super::gate;
use super::input::{AttemptResult, Attendance, Circumstances, Decision, Found, Input};
use crate::event::{EventKind, Outcome, WaitingFor};
use crate::plan::{OnFailure, Plan, Retry};
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
    plan: &Plan,
    state: &mut RunState,
    input: Input,
    circumstances: &Circumstances<'_>,
) -> Result<Decision, IllegalEvent> {
    let mut decision = Decision::default();
    let take = |state: &mut RunState, events: Vec<EventKind>, decision: &mut Decision| {
        for event in events {
            state.apply(plan, circumstances.now, &event)?;
            decision.events.push(event);
        }
        Ok::<(), IllegalEvent>(())
    };
    let mut attendance = circumstances.attendance;
    match input {
        Input::Started | Input::Tick => {}
        Input::OperatorLeft => attendance = Attendance::Nobody,
        Input::Recorded(event) => take(state, vec![event], &mut decision)?,
        Input::BackgroundEnded { step, expected, reason } => {
            if state.backgrounds.contains(&step) {
                let step = plan.steps[step].id.clone();
                take(state, vec![EventKind::BackgroundEnded { step, expected, reason }], &mut decision)?;
            }
        }
        Input::Stopped { signal } => {
            if state.stopped.is_none() {
                take(state, vec![EventKind::RunStopped { signal }], &mut decision)?;
            }
        }
        Input::Cancelled { by, reason } => {
            if state.cancel.is_none() && state.outcome.is_none() {
                take(state, vec![EventKind::CancelRequested { by, reason }], &mut decision)?;
            }
        }
        Input::Finished { step, attempt, result } => {
            // The end of an attempt that is over already is told once only.
            if matches!(&state.steps[step].status, Status::Running(running) if running.number == attempt) {
                let events = finished(plan, state, step, attempt, *result, circumstances);
                take(state, events, &mut decision)?;
            }
        }
        Input::Answered(answer) => match gate::judge(plan, state, &answer, circumstances) {
            Ok(events) => take(state, events, &mut decision)?,
            Err(refusal) => decision.refusal = Some(refusal),
        },
        Input::Resumed { by, host, version, found, changed_inputs, question, answers } => {
            take(state, vec![EventKind::RunResumed { by, host, version }], &mut decision)?;
            for (step, found) in found {
                let events = recovered(plan, state, step, found, circumstances);
                take(state, events, &mut decision)?;
            }
            let events = gate::inputs_changed(plan, state, changed_inputs);
            take(state, events, &mut decision)?;
            for step in question {
                let events = gate::open_failure(plan, state, step);
                take(state, events, &mut decision)?;
            }
            let events = gate::take_back_outdated(plan, state, circumstances);
            take(state, events, &mut decision)?;
            let events = gate::open_interrupted(plan, state, circumstances);
            take(state, events, &mut decision)?;
            for answer in answers {
                match gate::judge(plan, state, &answer, circumstances) {
                    Ok(events) => take(state, events, &mut decision)?,
                    Err(refusal) => decision.refusal = Some(refusal),
                }
            }
        }
    }
    for _ in 0..rounds_max(plan) {
        let follow = follow(plan, state, attendance, circumstances);
        decision.end_backgrounds = follow.end_backgrounds;
        if follow.events.is_empty() {
            return Ok(decision);
        }
        take(state, follow.events, &mut decision)?;
    }
    unreachable!("deciding went in a circle over {} steps", plan.steps.len())
}

/// The events of an attempt's end.
fn finished(
    plan: &Plan,
    state: &RunState,
    step: usize,
    attempt: u32,
    result: AttemptResult,
    circumstances: &Circumstances<'_>,
) -> Vec<EventKind> {
    let id = &plan.steps[step].id;
    let mut events = Vec::new();
    if !result.leaked.is_empty() {
        events.push(EventKind::Leaked { step: id.clone(), pids: result.leaked });
    }
    for file in result.artifacts {
        events.push(EventKind::Artifact {
            step: id.clone(),
            path: file.path,
            size: file.size,
            sha256: file.sha256,
        });
    }
    let failed = matches!(result.failure, Some((Outcome::Failed, _)));
    let retry = if failed { retry_delay(plan, state, step, result.exit_code, result.jitter) } else { None };
    let (outcome, reason) = match result.failure {
        None => (Outcome::Succeeded, None),
        Some((outcome, reason)) => (outcome, Some(reason)),
    };
    events.push(EventKind::StepFinished {
        step: id.clone(),
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
    });
    if let Some(delay) = retry {
        events.push(EventKind::RetryScheduled {
            step: id.clone(),
            attempt,
            delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            due_at: circumstances.now.after(delay),
        });
    }
    events
}

/// The events of what became of an attempt whose engine is gone.
fn recovered(
    plan: &Plan,
    state: &RunState,
    step: usize,
    found: Found,
    circumstances: &Circumstances<'_>,
) -> Vec<EventKind> {
    let Status::Running(running) = &state.steps[step].status else { return Vec::new() };
    let attempt = running.number;
    match found {
        Found::StillRunning => Vec::new(),
        Found::NeverStarted => vec![EventKind::AttemptReissued {
            step: plan.steps[step].id.clone(),
            attempt,
            slot: state.next_slot,
            boot: circumstances.boot.to_owned(),
        }],
        Found::Ended(result) => {
            finished(plan, state, step, attempt, AttemptResult { recovered: true, ..*result }, circumstances)
        }
        Found::Unknown => {
            let result = AttemptResult {
                failure: Some((
                    Outcome::Interrupted,
                    "stopped: the engine died during the attempt, and how it ended is not known".into(),
                )),
                ..AttemptResult::default()
            };
            finished(plan, state, step, attempt, result, circumstances)
        }
    }
}

/// How long to wait before the next attempt, where there is to be one.
fn retry_delay(
    plan: &Plan,
    state: &RunState,
    step: usize,
    exit_code: Option<i32>,
    jitter: f64,
) -> Option<std::time::Duration> {
    let retry: &Retry = plan.steps[step].retry.as_ref()?;
    let used = state.steps[step].attempts_in_round;
    let ending = state.cancel.is_some()
        || state.stopped.is_some()
        || is_halting(state, plan.steps[step].finally, plan);
    let meant = retry.exit_codes.is_empty() || exit_code.is_some_and(|code| retry.exit_codes.contains(&code));
    if used > retry.times || ending || !meant {
        return None;
    }
    let longest = retry.max_delay.as_millis() as f64;
    let grown =
        retry.delay.as_millis() as f64 * retry.backoff.powi(i32::try_from(used).unwrap_or(i32::MAX) - 1);
    let mut delay = if grown.is_finite() { grown.clamp(0.0, longest) } else { longest };
    if retry.jitter {
        delay *= 1.0 - jitter.clamp(0.0, 1.0) / 2.0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to a duration above"
    )]
    Some(std::time::Duration::from_millis(delay as u64))
}

/// Whether nothing new may start in this part of the run.
fn is_halting(state: &RunState, finally: bool, plan: &Plan) -> bool {
    let failing = state.failing.iter().any(|step| plan.steps[*step].finally == finally);
    failing
        || (!finally
            && (state.cancel.is_some() || state.aborted.is_some() || state.background_failure.is_some()))
}

#[derive(Default)]
struct Follow {
    events: Vec<EventKind>,
    end_backgrounds: bool,
}

impl From<Vec<EventKind>> for Follow {
    fn from(events: Vec<EventKind>) -> Self {
        Self { events, end_backgrounds: false }
    }
}

/// The events that follow from the state alone: one round of them.
pub(super) fn follow_up(
    plan: &Plan,
    state: &RunState,
    attendance: Attendance,
    circumstances: &Circumstances<'_>,
) -> Vec<EventKind> {
    follow(plan, state, attendance, circumstances).events
}

/// What follows from the state alone: one round of it.
fn follow(
    plan: &Plan,
    state: &RunState,
    attendance: Attendance,
    circumstances: &Circumstances<'_>,
) -> Follow {
    if state.outcome.is_some() || state.parked.is_some() || state.stopped.is_some() || state.created.is_none()
    {
        return Follow::default();
    }
    let finally = state.main_is_over() && state.gates.keys().all(|step| plan.steps[*step].finally);
    let ending = state.cancel.is_some() || state.aborted.is_some();

    if !ending {
        let events = gate::open_interrupted(plan, state, circumstances);
        if !events.is_empty() {
            return events.into();
        }
    }
    let events = gate::settle(plan, state, circumstances);
    if !events.is_empty() {
        return events.into();
    }
    if is_halting(state, finally, plan) {
        let events = hold_back(plan, state, finally);
        if !events.is_empty() {
            return events.into();
        }
    } else if state.interrupted.is_empty() || (ending && finally) {
        let events = start(plan, state, finally, circumstances);
        if !events.is_empty() {
            return events.into();
        }
    }
    let unresolved = !state.gates.is_empty() || !(state.interrupted.is_empty() || ending);
    if state.all_is_over() && !unresolved {
        return finish(plan, state, circumstances);
    }
    let idle = state.running.is_empty() && state.delayed.is_empty();
    if idle && !state.gates.is_empty() && attendance == Attendance::Nobody {
        return park(plan, state);
    }
    Follow::default()
}

/// After a failure, a rejection or a cancel: closes what waits, and, once
/// nothing runs any more, says of each step that did not start why it won't.
fn hold_back(plan: &Plan, state: &RunState, finally: bool) -> Vec<EventKind> {
    let why = match (&state.cancel, &state.aborted, &state.background_failure) {
        (Some((by, _)), _, _) => format!("cancelled by {by}"),
        (None, Some(step), _) => format!("the run was aborted at {step}"),
        (None, None, Some(reason)) => reason.clone(),
        (None, None, None) => match state.failing.iter().find(|step| plan.steps[**step].finally == finally) {
            Some(step) => format!("{} did not pass", plan.steps[*step].id),
            None => "the run ends".into(),
        },
    };
    let mut events = gate::close_cancelled(plan, state, finally, &why);
    for step in &state.delayed {
        if plan.steps[*step].finally == finally {
            events.push(EventKind::StepCancelled { step: plan.steps[*step].id.clone(), reason: why.clone() });
        }
    }
    if !events.is_empty() || !state.running.is_empty() {
        return events;
    }
    // Topological order: what a step needs is judged before the step.
    let mut blocked = vec![None; plan.steps.len()];
    for (index, step) in plan.steps.iter().enumerate() {
        if step.finally != finally || state.steps[index].status != Status::Pending {
            continue;
        }
        let culprit = step.needs.iter().find_map(|need| match state.steps[*need].status {
            Status::Ended(Outcome::Failed) if plan.steps[*need].on_failure == OnFailure::Stop => Some(*need),
            Status::Ended(Outcome::Rejected | Outcome::Blocked | Outcome::Interrupted) => Some(*need),
            _ => blocked[*need].map(|_| *need),
        });
        if let Some(culprit) = culprit {
            blocked[index] = Some(culprit);
            events.push(EventKind::StepBlocked {
                step: step.id.clone(),
                needs: plan.steps[culprit].id.clone(),
            });
        } else {
            events.push(EventKind::StepCancelled { step: step.id.clone(), reason: why.clone() });
        }
    }
    events
}

/// Starts what can start: ready steps in the plan's order, then retries that are due.
fn start(plan: &Plan, state: &RunState, finally: bool, circumstances: &Circumstances<'_>) -> Vec<EventKind> {
    let limit = circumstances.max_parallel.unwrap_or(plan.max_parallel) as usize;
    let mut free = limit.saturating_sub(state.running.len());
    let mut slot = state.next_slot;
    let mut events = Vec::new();
    let due = state.delayed.iter().filter(
        |step| matches!(state.steps[**step].status, Status::Delayed { due_at } if due_at <= circumstances.now),
    );
    for &index in state.ready.iter().chain(due) {
        let step = &plan.steps[index];
        if step.finally != finally {
            continue;
        }
        let takes_slot = step.action.takes_slot();
        if takes_slot && free == 0 {
            continue;
        }
        let before = events.len();
        start_one(plan, state, index, &mut slot, circumstances, &mut events);
        let runs = matches!(events.last(), Some(EventKind::StepStarted { .. }));
        if takes_slot && runs && events.len() > before {
            free -= 1;
        }
    }
    events
}

fn start_one(
    plan: &Plan,
    state: &RunState,
    index: usize,
    slot: &mut u32,
    circumstances: &Circumstances<'_>,
    events: &mut Vec<EventKind>,
) {
    let step = &plan.steps[index];
    let known = &state.steps[index];
    let attempt = known.attempts + 1;
    let started =
        |command: Option<String>, digest: Option<String>, slot: Option<u32>| EventKind::StepStarted {
            step: step.id.clone(),
            attempt,
            command,
            digest,
            boot: slot.map(|_| circumstances.boot.to_owned()),
            slot,
            why: match (&known.why, &known.status) {
                (Some(why), _) => Some(why.clone()),
                (None, Status::Delayed { .. }) => Some(format!(
                    "retry {} of {}",
                    known.attempts_in_round,
                    step.retry.as_ref().map_or(0, |r| r.times)
                )),
                (None, _) => None,
            },
        };
    // `when` is settled once, before the first attempt of a round.
    if step.when.is_some() && known.attempts_in_round == 0 && known.status == Status::Pending {
        match circumstances.renderer.when(plan, state, index) {
            Ok(true) => {}
            Ok(false) => {
                events.push(EventKind::StepSkipped {
                    step: step.id.clone(),
                    reason: format!("when: {}", step.when.as_deref().unwrap_or_default()),
                    by: None,
                });
                return;
            }
            Err(error) => {
                events.push(started(None, None, None));
                events.push(not_rendered(step, attempt, &error));
                return;
            }
        }
    }
    if step.action.question().is_some() {
        match gate::opening(plan, state, index, circumstances) {
            Ok(opened) => {
                events.push(started(None, None, None));
                events.push(opened);
            }
            Err(error) => {
                events.push(started(None, None, None));
                events.push(not_rendered(step, attempt, &error));
            }
        }
        return;
    }
    match circumstances.renderer.shown(plan, state, index) {
        Ok(shown) => {
            let own_slot = match step.action {
                crate::plan::Action::Run(_) => {
                    *slot += 1;
                    Some(*slot - 1)
                }
                crate::plan::Action::Check(_)
                | crate::plan::Action::Approve(_)
                | crate::plan::Action::Manual(_) => None,
            };
            events.push(started(shown.command, shown.digest, own_slot));
        }
        Err(error) => {
            events.push(started(None, None, None));
            events.push(not_rendered(step, attempt, &error));
        }
    }
}

/// The end of an attempt whose texts could not be rendered: nothing of it ran.
fn not_rendered(step: &crate::plan::Step, attempt: u32, error: &str) -> EventKind {
    EventKind::StepFinished {
        step: step.id.clone(),
        attempt,
        outcome: Outcome::Failed,
        reason: Some(format!("template: {error}")),
        exit_code: None,
        signal: None,
        duration_ms: 0,
        outputs: indexmap::IndexMap::new(),
        log_sha256: None,
        dropped_bytes: 0,
        recovered: false,
        by: Vec::new(),
        choice: None,
        fields: indexmap::IndexMap::new(),
        values: indexmap::IndexMap::new(),
        warnings: Vec::new(),
    }
}

/// The end of the run: the first that applies of cancelled, rejected, failed, succeeded.
fn finish(plan: &Plan, state: &RunState, circumstances: &Circumstances<'_>) -> Follow {
    if !state.backgrounds.is_empty() {
        return Follow { events: Vec::new(), end_backgrounds: true };
    }
    let outcome = state.verdict(plan);
    let reason = match &state.cancel {
        Some((by, reason)) => {
            let why = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            Some(format!("cancelled by {by}{why}"))
        }
        None => state.background_failure.clone(),
    };
    vec![EventKind::RunFinished { outcome, reason, outputs: circumstances.renderer.outputs(plan, state) }]
        .into()
}

fn park(plan: &Plan, state: &RunState) -> Follow {
    if !state.backgrounds.is_empty() {
        return Follow { events: Vec::new(), end_backgrounds: true };
    }
    let waiting_for = state
        .gates
        .iter()
        .map(|(step, gate)| WaitingFor { step: plan.steps[*step].id.clone(), gate: gate.gate })
        .collect();
    vec![EventKind::RunParked { waiting_for }].into()
}
