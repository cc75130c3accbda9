//! What stands between a step that could start and its start: windows, then locks.
//!
//! Both are looked at before every attempt. The clock is an argument, and so is
//! what the runtime found when it tried to take a lock: this only says what is
//! wanted, and what follows from what was found.

use super::gate;
use super::input::{Circumstances, LockStanding};
use crate::calendar::{Standing, Window};
use crate::event::{EventKind, Outcome};
use crate::moment::Moment;
use crate::plan::{OnBusy, Outside, Plan, Step};
use crate::state::{RunState, Status};

/// The words that settle a question about a window.
pub(super) const WINDOW_WORDS: [&str; 3] = ["wait", "override", "abort"];

/// What the runtime is to do so that guarded steps can start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Locks to be taken: step by index, name, and what is declared where it is busy.
    pub locks: Vec<(usize, String, OnBusy)>,
    /// When time alone lets a step start.
    pub wake_at: Option<Moment>,
    /// Steps whose `done_when` is to be looked at, by index.
    pub looks: Vec<usize>,
}

/// Whether a step may start now.
#[expect(clippy::large_enum_variant, reason = "one is made for a step that could start, and is gone at once")]
pub(super) enum Entrance {
    /// It may; with what is recorded before it does.
    Open(Vec<EventKind>),
    /// Not yet; with what is recorded of that, once.
    Later(Option<EventKind>),
    /// It fails for this reason.
    Failed(String),
    /// It is left out for this reason.
    Skipped(String),
}

/// Whether overriding the windows of a run can change anything: its own is shut and would hold something, or a step that may
/// still start has one, even where that is open now. What was overridden already stays so.
///
/// `again` are the steps that whoever takes the run on decides about, and those that run again with them.
#[must_use]
pub fn override_matters(state: &RunState, again: &[usize], now: Moment) -> bool {
    fn has_window(step: &Step) -> bool {
        step.guards.window.is_some() || step.held_back().any(has_window)
    }
    let plan = &*state.plan;
    let is_shut = |window: &Window| matches!(window.standing(now), Standing::Shut { .. });
    let open = || {
        plan.steps.iter().enumerate().filter(|(step, _)| may_start(state, *step, again)).map(|(_, step)| step)
    };
    // The run's own is asked once more by every process that takes the run on, before the first step that it starts;
    // one that refuses does so at once.
    let holds = |window: &Window| {
        is_shut(window)
            && (window.outside == Outside::Refuse
                || !state.entry_overridden && open().any(|step| !step.finally))
    };
    !state.window_overridden.contains(&None)
        && (plan.guards.window.as_ref().is_some_and(holds) || open().any(has_window))
}

/// Whether an attempt of a step may still start, as far as it can be known before the run is taken on.
fn may_start(state: &RunState, step: usize, again: &[usize]) -> bool {
    let declared = &state.plan.steps[step];
    let is_around = |inner: usize| state.plan.containers_of(inner).any(|around| around == step);
    if again.iter().any(|other| *other == step || is_around(*other)) {
        return true;
    }
    // What must be done in the end is done again when a run that had ended goes on.
    if state.outcome.is_some() && declared.finally {
        return true;
    }
    match state.steps[step].status {
        // A question that is open has passed its window.
        Status::Running(_) => declared.action.question().is_none(),
        Status::Ended(Outcome::Succeeded | Outcome::Skipped | Outcome::Rejected) => false,
        Status::Ended(Outcome::Failed) => {
            let is_asked = state.gates.contains_key(&step) || state.settled.contains_key(&step);
            is_asked || state.retrying.contains(&step)
        }
        Status::Ended(Outcome::Blocked) => state.outcome.is_some() || !again.is_empty(),
        Status::Ended(_) | Status::Pending | Status::Delayed { .. } => true,
    }
}

/// Asks all that stands before a step.
pub(super) fn admit(
    plan: &Plan,
    state: &RunState,
    step: usize,
    circumstances: &Circumstances<'_>,
    wishes: &mut Wishes,
) -> Entrance {
    let guards = &plan.steps[step].guards;
    // The run's own window is about its beginning; what must be done in the end is done at any time.
    let entering = !state.entered && !state.entry_overridden && !plan.steps[step].finally;
    let of_run = plan.guards.window.as_ref().filter(|window| entering && window.outside != Outside::Refuse);
    for (window, of) in [(of_run, None), (guards.window.as_ref(), Some(step))] {
        let Some(window) = window else { continue };
        if state.window_overridden.contains(&None) || state.window_overridden.contains(&of) {
            continue;
        }
        if let Some(held) = outside(plan, state, step, (window, of), circumstances, wishes) {
            return held;
        }
    }
    lock(plan, state, step, circumstances, wishes)
}

/// What follows where a window is shut; nothing where it is open.
fn outside(
    plan: &Plan,
    state: &RunState,
    step: usize,
    (window, of): (&Window, Option<usize>),
    circumstances: &Circumstances<'_>,
    wishes: &mut Wishes,
) -> Option<Entrance> {
    let Standing::Shut { why, opens_at } = window.standing(circumstances.now) else { return None };
    let waits = window.outside == Outside::Wait || state.window_waits.contains(&of);
    let opens = opens_at.map_or_else(
        || "it isn't known when it opens".to_owned(),
        |at| format!("it opens at {}", at.for_people()),
    );
    if window.outside == Outside::Ask && !waits {
        let asked = state.gates.contains_key(&step) || state.settled.contains_key(&step);
        // One question about the run, however many steps could begin it.
        let by_other =
            of.is_none() && state.gates.values().any(|gate| gate.gate == crate::event::Gate::Window);
        if asked || by_other {
            return Some(Entrance::Later(None));
        }
        let what = if of.is_none() { plan.runbook.as_str() } else { plan.steps[step].id.as_str() };
        let prompt = format!("{what} is outside its window: {why}; {opens}. What now?");
        return Some(Entrance::Later(Some(gate::about_window(plan, state, step, prompt, &WINDOW_WORDS))));
    }
    let (true, Some(at)) = (waits, opens_at) else {
        return Some(Entrance::Failed(format!("window: {why}; {opens}")));
    };
    wishes.wake_at = Some(wishes.wake_at.map_or(at, |earlier| earlier.min(at)));
    Some(wait(plan, state, step, format!("window: {why}"), Some(at)))
}

/// What follows from the step's lock.
fn lock(
    plan: &Plan,
    state: &RunState,
    step: usize,
    circumstances: &Circumstances<'_>,
    wishes: &mut Wishes,
) -> Entrance {
    let Some(lock) = &plan.steps[step].guards.lock else { return Entrance::Open(Vec::new()) };
    let name = match circumstances.renderer.lock(plan, state, step) {
        Ok(name) => name,
        Err(error) => return Entrance::Failed(format!("template: lock: {error}")),
    };
    // What the run or a group holds, a step in it need not take.
    let mut under =
        std::iter::successors(Some(step), |inner| plan.steps[*inner].group).map(Some).chain([None]);
    if under.any(|of| state.locks.get(&of) == Some(&name)) {
        return Entrance::Open(Vec::new());
    }
    // Two steps of one run under one lock are never at the same time either.
    if state.locks.iter().any(|(of, held)| *of != Some(step) && *held == name) {
        return Entrance::Later(None);
    }
    match circumstances.locks.get(&step) {
        None => {
            let wanted = wishes.locks.iter().any(|(_, wanted, _)| *wanted == name);
            if !wanted {
                wishes.locks.push((step, name, lock.on_busy));
            }
            Entrance::Later(None)
        }
        Some(LockStanding::Asked) => Entrance::Later(None),
        Some(LockStanding::Taken) => {
            let step = Some(plan.steps[step].id.clone());
            Entrance::Open(vec![EventKind::LockAcquired { lock: name, step }])
        }
        Some(LockStanding::Busy(why)) => match lock.on_busy {
            OnBusy::Fail => Entrance::Failed(format!("lock: {why}")),
            OnBusy::Skip => Entrance::Skipped(format!("lock: {why}")),
            OnBusy::Wait => wait(plan, state, step, format!("lock: {why}"), None),
        },
    }
}

/// A wait is recorded once, so that people see what is waited for.
fn wait(plan: &Plan, state: &RunState, step: usize, reason: String, until: Option<Moment>) -> Entrance {
    let known = state.waiting.get(&step).is_some_and(|known| *known == reason);
    let event = EventKind::Waiting { step: plan.steps[step].id.clone(), reason, until };
    Entrance::Later((!known).then_some(event))
}

/// Whether anything stands before a step at all.
pub(super) fn is_guarded(plan: &Plan, state: &RunState, step: usize) -> bool {
    let guards = &plan.steps[step].guards;
    let of_run = !state.entered && plan.guards.window.is_some() && !plan.steps[step].finally;
    of_run || guards.window.is_some() || guards.lock.is_some()
}
