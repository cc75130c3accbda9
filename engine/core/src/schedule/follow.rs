//! What follows from the state alone, one round at a time.

use super::done;
use super::gate;
use super::guard::Wishes;
use super::input::{Attendance, Circumstances, LockStanding};
use super::settle::{bring_up, settle};
use super::start::start;
use super::structure::{Admission, Halting, close, hold_back, is_held, pass_on, reopen, settle_items};
use super::terminal::arrived;
use super::unwind::{is_due, unwind};
use crate::event::{EventKind, Outcome, RunOutcome, WaitingFor};
use crate::plan::{Action, OnFailure, OnInterrupt, Plan, Step};
use crate::state::RunState;

/// Why an attempt is over that is known not to have begun.
pub(super) const NEVER_STARTED: &str = "stopped: the engine died before it had started";

/// Which part of the run's steps may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The steps proper.
    Main,
    /// What was done is undone, when those are over.
    Undo,
    /// Those under `finally`, when all the rest is over.
    Finally,
}

/// What is to become of a step of which it isn't known how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It stays as it is: the run is being ended.
    Moot,
    /// It is done again, and why that may be, unless the run ends.
    Declared(&'static str),
    /// Its `done_when` is being looked at, and decides.
    Looked,
    /// A person decides, or processes of it still run.
    Undecided,
}

impl Standing {
    /// Whether nothing else starts before it is known what becomes of the step.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Looked | Self::Undecided)
    }
}

/// What follows in one round.
#[derive(Default)]
pub(super) struct Follow {
    pub(super) events: Vec<EventKind>,
    pub(super) end_backgrounds: bool,
    pub(super) wishes: Wishes,
}

impl From<Vec<EventKind>> for Follow {
    fn from(events: Vec<EventKind>) -> Self {
        Self { events, ..Self::default() }
    }
}

/// Whether the steps proper are ended, whatever failed of them.
pub(super) fn ends(state: &RunState) -> bool {
    state.cancel.is_some() || state.aborted.is_some() || state.background_failure.is_some() || state.unwinding
}

impl Phase {
    /// The part of the run that a step belongs to.
    pub(super) fn of(step: &Step) -> Self {
        match step {
            step if step.is_added() => Self::Undo,
            step if step.finally => Self::Finally,
            _ => Self::Main,
        }
    }
}

pub(super) fn standing(
    plan: &Plan,
    state: &RunState,
    step: usize,
    circumstances: &Circumstances<'_>,
) -> Standing {
    let declared = &plan.steps[step];
    if is_moot(plan, state, step) {
        Standing::Moot
    } else if state.gates.contains_key(&step)
        || state.settled.contains_key(&step)
        || survives(circumstances, step)
    {
        Standing::Undecided
    } else if state.steps[step].result.reason.as_deref() == Some(NEVER_STARTED) {
        Standing::Declared("it had never started")
    } else if declared.waits_for_unwinding() {
        Standing::Undecided
    } else if let Some(standing) = done::of_interrupted(plan, state, step) {
        standing
    } else if declared.action.is_repeatable() {
        Standing::Declared(match declared.action {
            Action::Http(_) => "a request that changes nothing is sent again",
            Action::Notify(_) => "a message that may not have arrived is sent again",
            _ => "a check changes nothing and is done again",
        })
    } else if declared.action.is_background() {
        Standing::Declared("the background command is started again")
    } else {
        match declared.on_interrupt {
            OnInterrupt::Rerun => Standing::Declared("on_interrupt: rerun"),
            OnInterrupt::Ask | OnInterrupt::Fail => Standing::Undecided,
        }
    }
}

/// Whether what was approved can be taken back: something may still rely on it. What undoes a step and has
/// begun goes on, whatever the rest came to.
pub(super) fn may_be_void(plan: &Plan, state: &RunState, step: usize, main_goes_on: bool) -> bool {
    let declared = &plan.steps[step];
    match declared.is_added() {
        true => plan.undo_around(step).is_some_and(|undo| state.open.contains(&undo)),
        false => main_goes_on || declared.finally,
    }
}

/// Whether the run is being ended, so that it doesn't matter any more how a step ended.
pub(super) fn is_moot(plan: &Plan, state: &RunState, step: usize) -> bool {
    Phase::of(&plan.steps[step]) == Phase::Main
        && (state.cancel.is_some() || state.aborted.is_some() || state.unwinding)
        && !has_last_words(plan, state, step)
}

/// Whether a step belongs to the `finally` of a called runbook, which runs although the run ends.
fn has_last_words(plan: &Plan, state: &RunState, step: usize) -> bool {
    plan.is_last_words(step) && !is_held(plan, state, step)
}

/// Whether processes of an interrupted step still run.
fn survives(circumstances: &Circumstances<'_>, step: usize) -> bool {
    circumstances.survivors.get(&step).is_some_and(|survivors| !survivors.is_empty())
}

pub(super) fn phase(
    plan: &Plan,
    state: &RunState,
    attendance: Attendance,
    circumstances: &Circumstances<'_>,
) -> Phase {
    let is_main = |step: &usize| Phase::of(&plan.steps[*step]) == Phase::Main;
    let goes_on = |step: &usize| match standing(plan, state, *step, circumstances) {
        Standing::Moot => false,
        Standing::Looked | Standing::Undecided => true,
        // What is held, be it in its group alone, is neither done again nor waited for.
        Standing::Declared(_) => !is_held(plan, state, *step),
    };
    let tries_again = |step: &usize| is_main(step) && !is_held(plan, state, *step);
    // What has passed already and only starts again is brought up for what is still to come.
    let brought_up = |step: &usize| state.steps[*step].was_ready;
    let over = state.main_is_over_but_for_restarts()
        && !state.gates.keys().any(is_main)
        && !state.settled.keys().any(is_main)
        && !state.interrupted.iter().filter(|step| is_main(step) && !brought_up(step)).any(goes_on)
        && !state.retrying.iter().any(tries_again);
    if !over {
        Phase::Main
    } else if is_due(plan, state, attendance, circumstances) {
        Phase::Undo
    } else {
        Phase::Finally
    }
}

/// One round of what follows in a run that this process carries on.
pub(super) fn follow(
    plan: &Plan,
    state: &RunState,
    attendance: Attendance,
    circumstances: &Circumstances<'_>,
) -> Follow {
    if state.outcome.is_some() || state.parked.is_some() || state.stopped.is_some() || state.created.is_none()
    {
        return Follow::default();
    }
    let settled = settle(plan, state, circumstances);
    if !settled.is_empty() {
        return settled.into();
    }
    // What people decide about a failure is asked before anything is taken back, or ends, because of it.
    let asked = ask_about_failures(plan, state, attendance);
    if !asked.is_empty() {
        return asked.into();
    }
    for rule in
        [bring_up, gate::outdated, arrived, ask_about_interrupted, reopen, settle_items, pass_on, close]
    {
        let events = rule(plan, state, circumstances);
        if !events.is_empty() {
            return events.into();
        }
    }
    let undecided =
        state.interrupted.iter().any(|step| standing(plan, state, *step, circumstances).is_open());
    let phase = phase(plan, state, attendance, circumstances);
    let mut wishes = Wishes::default();
    let halting = Halting::of(plan, state);
    let mut events = match phase {
        Phase::Undo => unwind(plan, state, attendance, circumstances, &mut wishes),
        Phase::Main | Phase::Finally => Vec::new(),
    };
    if events.is_empty() {
        let why = why_held_back(plan, state, phase);
        events = hold_back(plan, state, phase, &halting, &why, circumstances);
    }
    if events.is_empty() && !undecided {
        events = start(plan, state, phase, &halting, circumstances, &mut wishes);
    }
    if !events.is_empty() {
        return events.into();
    }
    if phase != Phase::Undo && state.all_is_over() && state.gates.is_empty() && !undecided {
        return finish(plan, state, circumstances);
    }
    // A retry that falls due can't start while a step is undecided, or what it waits for is asked again.
    let mut admission = Admission::default();
    let mut may_start = |step: usize| {
        let in_phase = Phase::of(&plan.steps[step]) == phase && !halting.holds(plan, step);
        in_phase && state.needs_are_met(step) && admission.admits(plan, state, step)
    };
    let outlived = state.outliving.keys().any(|step| survives(circumstances, *step));
    let retries =
        !undecided && state.delayed.iter().any(|step| !state.gates.contains_key(step) && may_start(*step));
    let looked = |step: &&usize| standing(plan, state, **step, circumstances) == Standing::Looked;
    wishes.looks.extend(state.interrupted.iter().filter(looked));
    // What waits for a lock, a window or a look goes on by itself.
    let held_up = !state.waiting.is_empty()
        || !wishes.locks.is_empty()
        || !wishes.looks.is_empty()
        || has_asked(circumstances);
    let idle = state.running.is_empty() && state.waits.is_empty() && !retries && !outlived && !held_up;
    if idle && !state.gates.is_empty() && attendance == Attendance::Nobody {
        return park(plan, state);
    }
    Follow { wishes, ..Follow::default() }
}

/// Whether a lock is being tried for a step.
fn has_asked(circumstances: &Circumstances<'_>) -> bool {
    circumstances.locks.values().any(|standing| *standing == LockStanding::Asked)
}

/// What follows where no process carries the run on: what is settled, and the
/// end of the run where nothing is left that would have to run.
pub(super) fn follow_unattended(
    plan: &Plan,
    state: &RunState,
    circumstances: &Circumstances<'_>,
) -> Vec<EventKind> {
    if state.outcome.is_some() || state.created.is_none() {
        return Vec::new();
    }
    let events = settle(plan, state, circumstances);
    if !events.is_empty() || state.stopped.is_some() {
        return events;
    }
    end_at_once(plan, state, circumstances).unwrap_or_default()
}

/// The rest of the run, where it ends without anything being started or asked.
fn end_at_once(plan: &Plan, state: &RunState, circumstances: &Circumstances<'_>) -> Option<Vec<EventKind>> {
    let runs = !state.running.is_empty() || !state.waits.is_empty();
    if runs || !state.gates.is_empty() || !state.backgrounds.is_empty() {
        return None;
    }
    let mut imagined = state.clone();
    imagined.parked = None;
    let mut events = Vec::new();
    while imagined.outcome.is_none() {
        let next = follow(plan, &imagined, Attendance::Waiting, circumstances).events;
        if next.is_empty() {
            return None;
        }
        for event in next {
            // A group begins and ends around its steps, and starts nothing by itself.
            let of_group = event
                .step()
                .and_then(|id| imagined.index_of(id))
                .is_some_and(|step| plan.steps[step].is_container());
            let begins = matches!(event, EventKind::StepStarted { .. } | EventKind::StepFinished { .. });
            let harmless = (begins && of_group)
                || matches!(
                    event,
                    EventKind::StepSkipped { .. }
                        | EventKind::StepBlocked { .. }
                        | EventKind::StepCancelled { .. }
                        | EventKind::RunFinished { .. }
                );
            if !harmless || imagined.apply(circumstances.now, &event).is_err() {
                return None;
            }
            events.push(event);
        }
    }
    Some(events)
}

/// Puts the question about each interrupted step that nothing else decides.
/// Where `on_interrupt: fail` decides, question and answer are recorded alike.
fn ask_about_interrupted(plan: &Plan, state: &RunState, circumstances: &Circumstances<'_>) -> Vec<EventKind> {
    let mut events = Vec::new();
    for &step in &state.interrupted {
        let asked = state.gates.contains_key(&step) || state.settled.contains_key(&step);
        let survivors = circumstances.survivors.get(&step).cloned().unwrap_or_default();
        let decided = state.outliving.contains_key(&step) && !survivors.is_empty();
        let open = standing(plan, state, step, circumstances) == Standing::Undecided;
        if open && !asked && !decided {
            events.push(if plan.steps[step].undoes().is_some() {
                gate::about_undo(plan, state, step, survivors)
            } else {
                gate::about_interrupted(plan, state, step, survivors)
            });
        }
    }
    events
}

/// Puts the question about each failed step of which a person decides
/// (`language.md` §8), unless the run ends for another reason: only then is there
/// nothing to decide.
fn ask_about_failures(plan: &Plan, state: &RunState, attendance: Attendance) -> Vec<EventKind> {
    let is_asked = |step: usize| {
        let (declared, known) = (&plan.steps[step], &state.steps[step]);
        // Of an undo that is over, or that nobody goes on with, it is asked as of a whole.
        let is_over =
            declared.is_added() && (!state.unwinding || state.unwinding_stopped || state.finally_has_begun);
        if is_over {
            return false;
        }
        let wanted = match declared.on_failure {
            OnFailure::Ask => true,
            // What is inside a group is asked about itself.
            OnFailure::Unsaid => attendance == Attendance::Operator && !declared.is_container(),
            OnFailure::Stop | OnFailure::Continue | OnFailure::Warn => false,
        };
        wanted && known.outcome() == Some(Outcome::Failed) && !known.failure_was_asked
    };
    let halted = |phase: Phase| {
        let others = || {
            let alike = |step: &&usize| Phase::of(&plan.steps[**step]) == phase;
            state.failing.iter().filter(alike).filter(|step| plan.steps[**step].group.is_none())
        };
        // What comes last has nothing done again before it.
        let is_over = phase == Phase::Main && (ends(state) || state.finally_has_begun);
        is_over || others().any(|step| !is_asked(*step))
    };
    state
        .failing
        .iter()
        .filter(|step| is_asked(**step) && !halted(Phase::of(&plan.steps[**step])))
        .filter_map(|step| gate::about_failure(plan, state, *step))
        .collect()
}

pub(super) fn why_held_back(plan: &Plan, state: &RunState, phase: Phase) -> String {
    if phase == Phase::Main {
        if let Some((by, _)) = &state.cancel {
            return format!("cancelled by {by}");
        }
        if let Some(step) = &state.aborted {
            return format!("the run was aborted at {step}");
        }
        if let Some(reason) = &state.background_failure {
            return reason.clone();
        }
    }
    let in_phase = |step: &&usize| Phase::of(&plan.steps[**step]) == phase;
    let cause = state
        .failing
        .iter()
        .filter(in_phase)
        .find(|step| matches!(state.steps[**step].outcome(), Some(Outcome::Failed | Outcome::Rejected)));
    cause.map_or_else(
        || "the run ends".into(),
        |step| match state.steps[*step].outcome() {
            Some(Outcome::Rejected) => format!("{} was rejected", plan.steps[*step].id),
            _ => format!("{} failed", plan.steps[*step].id),
        },
    )
}

/// Why a step that had begun is taken back, as its record says it: by a person's word, or because of what happened elsewhere in the run. `why` is what was
/// said when its question was closed.
pub(super) fn reason_held_back(plan: &Plan, state: &RunState, step: usize, why: Option<&str>) -> String {
    let known = &plan.steps[step];
    let phase = Phase::of(known);
    let by_person = phase == Phase::Main && (state.cancel.is_some() || state.aborted.is_some());
    // A command that was stopped while it ran is said so, and this one was not.
    let ran = known.action.takes_slot() && state.steps[step].attempts > 0;
    let word = if by_person || ran { "operator" } else { "stopped" };
    let why = why.map_or_else(|| why_held_back(plan, state, phase), str::to_owned);
    format!("{word}: {why}")
}

fn finish(plan: &Plan, state: &RunState, circumstances: &Circumstances<'_>) -> Follow {
    if !state.backgrounds.is_empty() {
        return Follow { end_backgrounds: true, ..Follow::default() };
    }
    let outcome = state.verdict(plan);
    let reason = match outcome {
        RunOutcome::Cancelled => state.cancel.as_ref().map(|(by, reason)| {
            let why = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            format!("cancelled by {by}{why}")
        }),
        RunOutcome::Failed => state.background_failure.clone(),
        RunOutcome::Rejected | RunOutcome::Succeeded => None,
    };
    vec![EventKind::RunFinished { outcome, reason, outputs: circumstances.renderer.outputs(plan, state) }]
        .into()
}

fn park(plan: &Plan, state: &RunState) -> Follow {
    if !state.backgrounds.is_empty() {
        return Follow { end_backgrounds: true, ..Follow::default() };
    }
    let waiting_for = state
        .gates
        .iter()
        .map(|(step, gate)| WaitingFor { step: plan.steps[*step].id.clone(), gate: gate.gate })
        .collect();
    vec![EventKind::RunParked { waiting_for }].into()
}
