//! What follows for steps that hold steps: what a failure inside keeps from starting, which items may start, and how a group, a call
//! or a step with items ends.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::follow::{Phase, Standing, is_moot, reason_held_back, standing};
use super::input::Circumstances;
use super::start::{cut_off_condition, not_started};
use crate::event::{EventKind, Outcome};
use crate::plan::{Action, Each, OnFailure, Plan, Step};
use crate::state::{RunState, Status};

/// Where nothing new may start: after a failure or a rejection in that part of the run, or because the run ends.
#[derive(Debug, Default)]
pub(super) struct Halting {
    /// The run itself: its steps, and its `finally`.
    run: [bool; 2],
    /// Groups, calls and steps with items; `true` is a called runbook's `finally`.
    inside: BTreeSet<(usize, bool)>,
}

impl Halting {
    pub(super) fn of(plan: &Plan, state: &RunState) -> Self {
        let mut halting = Self::default();
        halting.run[0] = super::follow::ends(state);
        let mut tolerated = BTreeMap::new();
        for &step in &state.failing {
            halting.spread(plan, state, step, &mut tolerated);
        }
        halting
    }

    /// From a step that failed, outwards to all that ends with it.
    fn spread(
        &mut self,
        plan: &Plan,
        state: &RunState,
        failed: usize,
        tolerated: &mut BTreeMap<usize, bool>,
    ) {
        let rejected = state.steps[failed].outcome() == Some(Outcome::Rejected);
        let mut at = failed;
        while let Some(group) = plan.steps[at].group {
            // What undoes a step ends nothing but itself.
            if plan.steps[group].undoes().is_some() {
                self.inside.insert((group, false));
                return;
            }
            if let Action::Each(each) = &plan.steps[group].action
                && !rejected
                && *tolerated
                    .entry(group)
                    .or_insert_with(|| failed_items(plan, state, group) <= each.max_failures)
            {
                return;
            }
            let seen = !self.inside.insert((group, plan.steps[at].cleanup));
            let spreads = match plan.steps[group].on_failure {
                OnFailure::Stop | OnFailure::Unsaid => true,
                // A person decides when it has ended.
                OnFailure::Ask | OnFailure::Continue | OnFailure::Warn => rejected,
            };
            // One that has ended stops what is around it by what it came to itself.
            let has_ended = state.steps[group].outcome().is_some();
            if !spreads || has_ended || (seen && !rejected) {
                return;
            }
            at = group;
        }
        self.run[usize::from(plan.steps[at].finally)] = true;
    }

    /// Whether nothing new may start in this part of the run.
    pub(super) fn of_run(&self, finally: bool) -> bool {
        self.run[usize::from(finally)]
    }

    /// Whether a step may not start. The `finally` of a called runbook that has begun runs whatever happened around it.
    pub(super) fn holds(&self, plan: &Plan, step: usize) -> bool {
        let mut at = step;
        while let Some(group) = plan.steps[at].group {
            // What was done is undone however the rest ended.
            if plan.steps[at].waits_for_unwinding() {
                return false;
            }
            let cleanup = plan.steps[at].cleanup;
            if self.inside.contains(&(group, cleanup)) {
                return true;
            }
            if cleanup {
                return false;
            }
            at = group;
        }
        !plan.steps[at].waits_for_unwinding() && self.of_run(plan.steps[step].finally)
    }

    fn is_nowhere(&self) -> bool {
        self.run == [false, false] && self.inside.is_empty()
    }
}

/// Whether a step may not start because of what failed, or because the run ends.
pub(super) fn is_held(plan: &Plan, state: &RunState, step: usize) -> bool {
    Halting::of(plan, state).holds(plan, step)
}

/// Whether what a step came to lets the group around it succeed.
fn fails_group(step: &Step, outcome: Option<Outcome>) -> bool {
    match outcome {
        Some(Outcome::Failed) => step.on_failure != OnFailure::Warn,
        Some(Outcome::Rejected | Outcome::Blocked | Outcome::Cancelled | Outcome::Interrupted) => true,
        Some(Outcome::Succeeded | Outcome::Skipped) | None => false,
    }
}

/// How many items of a step have failed.
fn failed_items(plan: &Plan, state: &RunState, each: usize) -> u32 {
    let failed = |item: &&usize| {
        let known = &state.steps[**item];
        let in_question = state.gates.contains_key(item) || state.settled.contains_key(item);
        // Of one that was interrupted it isn't known yet.
        !matches!(known.outcome(), Some(Outcome::Cancelled | Outcome::Interrupted))
            && fails_group(&plan.steps[**item], known.outcome())
            && !in_question
            && !state.retrying.contains(item)
    };
    u32::try_from(state.children(each).iter().filter(failed).count()).unwrap_or(u32::MAX)
}

/// Which items may start now: worked out once a round for each step that has some.
#[derive(Default)]
pub(super) struct Admission {
    /// The first item that may not start yet, and how many more may run.
    known: BTreeMap<usize, (usize, u32)>,
}

impl Admission {
    /// Whether a step may start as far as it is an item; it then counts as one that runs.
    pub(super) fn admits(&mut self, plan: &Plan, state: &RunState, step: usize) -> bool {
        // An undo stands beside what it undoes, and takes nobody's place.
        let Some(group) = plan.steps[step].group.filter(|_| !plan.steps[step].waits_for_unwinding()) else {
            return true;
        };
        // The last words of a called runbook wait for what is done again above them, also where they had begun already. A command in
        // the background that is brought up again waits for nothing: others may rely on it.
        if plan.steps[step].cleanup && !state.steps[step].was_ready {
            let mut above = state.children(group).iter().filter(|child| !plan.steps[**child].cleanup);
            let over = state.is_let_start(step);
            return over
                && !above.any(|child| {
                    (state.retrying.contains(child) && !is_held(plan, state, *child))
                        || is_done_again(plan, state, *child)
                });
        }
        self.admits_item(plan, state, step)
    }

    /// Whether there is a place for a step, where it is an item.
    fn admits_item(&mut self, plan: &Plan, state: &RunState, step: usize) -> bool {
        let Some(group) = plan.steps[step].group else { return true };
        // What has begun before has its place.
        if state.steps[step].status != Status::Pending || is_asked(state, step) {
            return true;
        }
        let Action::Each(each) = &plan.steps[group].action else { return true };
        let place = plan.steps[step].item.as_ref().map_or(0, |item| item.index);
        let (bound, free) = self.known.entry(group).or_insert_with(|| room(each, state, group));
        if place >= *bound || *free == 0 {
            return false;
        }
        *free -= 1;
        true
    }
}

/// Whether it isn't known how a step ended, and it will be: nothing keeps it from being done again, or decided about.
fn is_done_again(plan: &Plan, state: &RunState, step: usize) -> bool {
    state.interrupted.contains(&step) && !is_moot(plan, state, step) && !is_held(plan, state, step)
}

/// Whether a person is asked, or was, whether to start an item: it is this item's turn.
fn is_asked(state: &RunState, item: usize) -> bool {
    state.gates.contains_key(&item) || state.steps[item].asked.is_some()
}

/// How far items may start, and how many more at once.
fn room(each: &Each, state: &RunState, group: usize) -> (usize, u32) {
    let items = state.children(group);
    let is_over = |place: usize| {
        let item = items[place];
        matches!(state.steps[item].status, Status::Ended(outcome) if outcome != Outcome::Interrupted)
            && !state.gates.contains_key(&item)
            && !state.retrying.contains(&item)
    };
    let runs = |item: &&usize| match state.steps[**item].status {
        Status::Running(_) | Status::Delayed { .. } => true,
        // One of which it isn't known how it ended has its place, until that is known.
        Status::Ended(Outcome::Interrupted) => true,
        Status::Ended(_) => state.retrying.contains(*item) || state.gates.contains_key(*item),
        Status::Pending => is_asked(state, **item),
    };
    let running = u32::try_from(items.iter().filter(runs).count()).unwrap_or(u32::MAX);
    (each.started_at_most(items.len(), is_over), each.max_parallel.saturating_sub(running))
}

/// Groups that had ended begin again around a step that goes on: that starts nothing by itself. An item waits until there is a place
/// for it, and last words for what is done again above them, unless nothing of it will start.
pub(super) fn reopen(plan: &Plan, state: &RunState, _: &Circumstances<'_>) -> Vec<EventKind> {
    let again = |step: &&usize| {
        let known = &state.steps[**step];
        plan.steps[**step].is_container() && known.attempts > 0 && !known.fresh
    };
    let mut again = state.ready_gates.iter().filter(again).peekable();
    if again.peek().is_none() {
        return Vec::new();
    }
    let halting = Halting::of(plan, state);
    let mut admission = Admission::default();
    let reopened = again.filter(|step| halting.holds(plan, **step) || admission.admits(plan, state, **step));
    reopened.map(|&step| started(plan, state, step, None)).collect()
}

/// Groups, calls and steps with items that a crash cut off when nothing in them had begun, and whose beginning was only recorded
/// because they can't begin: their end.
pub(super) fn never_began(
    plan: &Plan,
    state: &RunState,
    circumstances: &Circumstances<'_>,
) -> Vec<EventKind> {
    let untouched = |step: &&usize| {
        let mut children = state.children(**step).iter();
        !state.itemized.contains(*step) && children.all(|child| state.steps[*child].status == Status::Pending)
    };
    let cut_off = state.open.iter().filter(untouched).filter_map(|&step| {
        let reason = cut_off_condition(plan, state, step, circumstances).err()?;
        let attempt = state.steps[step].attempts;
        Some(not_started(&plan.steps[step], attempt, &reason))
    });
    cut_off.collect()
}

/// The record that a group, call or step with items begins.
pub(super) fn started(plan: &Plan, state: &RunState, index: usize, why: Option<String>) -> EventKind {
    let known = &state.steps[index];
    EventKind::StepStarted {
        step: plan.steps[index].id.clone(),
        attempt: known.attempts + 1,
        command: None,
        digest: None,
        boot: None,
        slot: None,
        why: why.or_else(|| known.why.clone()),
        until: None,
    }
}

/// Settles the items of steps that have begun.
pub(super) fn settle_items(
    plan: &Plan,
    state: &RunState,
    circumstances: &Circumstances<'_>,
) -> Vec<EventKind> {
    let mut events = Vec::new();
    let halting = Halting::of(plan, state);
    for &step in state.open.difference(&state.itemized) {
        let Action::Each(each) = &plan.steps[step].action else { continue };
        // What is held does not look any more: it is closed without items.
        if halting.holds(plan, step) {
            continue;
        }
        let settled = circumstances.renderer.items(plan, state, step);
        let settled = settled.and_then(|list| fitting(each, plan, step, list));
        match settled {
            Ok(list) => events.push(EventKind::Items { step: plan.steps[step].id.clone(), list }),
            Err(why) => {
                let reason = Some(format!("template: for_each: {why}"));
                events.extend(ended(plan, state, step, (Outcome::Failed, reason), circumstances));
            }
        }
    }
    events
}

/// The items, where all ids that they make are short enough.
fn fitting(
    each: &Each,
    plan: &Plan,
    step: usize,
    list: Vec<serde_json::Value>,
) -> Result<Vec<serde_json::Value>, String> {
    let longest = each.body.iter().map(Step::longest_id).max().unwrap_or(0);
    let digits = list.len().to_string().len() + 2;
    if longest + digits > crate::id::STEP_ID_LENGTH_MAX {
        return Err(format!("the ids of `{}` would be too long", plan.steps[step].id));
    }
    Ok(list)
}

/// What is inside a step that has ended, and has not run, ends as that step did.
pub(super) fn pass_on(plan: &Plan, state: &RunState, _: &Circumstances<'_>) -> Vec<EventKind> {
    let mut events = Vec::new();
    for &container in &state.abandoned {
        let Some(outcome) = state.steps[container].outcome() else { continue };
        let id = &plan.steps[container].id;
        let mut blocked: BTreeMap<usize, usize> = BTreeMap::new();
        for &child in state.children(container) {
            let step = plan.steps[child].id.clone();
            match (&state.steps[child].status, outcome) {
                (Status::Pending, Outcome::Skipped | Outcome::Succeeded) => {
                    let reason = format!("{id} was skipped");
                    events.push(EventKind::StepSkipped { step, reason, by: None });
                }
                (Status::Pending, Outcome::Blocked) => {
                    let needs = state.steps[container].result.reason.as_deref();
                    let needs = needs.and_then(|reason| reason.strip_prefix("needs ")?.parse().ok());
                    events.push(EventKind::StepBlocked { step, needs: needs.unwrap_or_else(|| id.clone()) });
                }
                (Status::Pending | Status::Delayed { .. }, _) => {
                    // What was blocked before a resume is blocked after it.
                    let culprit = blocking(plan, state, child, &blocked);
                    events.push(match culprit.filter(|_| state.steps[child].status == Status::Pending) {
                        Some(culprit) => {
                            blocked.insert(child, culprit);
                            EventKind::StepBlocked { step, needs: plan.steps[culprit].id.clone() }
                        }
                        None => EventKind::StepCancelled { step, reason: format!("{id} has ended") },
                    });
                }
                (Status::Running(_) | Status::Ended(_), _) => {}
            }
        }
    }
    events
}

/// What keeps a step from ever starting, where that is something it needs: itself, or what that was blocked by.
fn blocking(plan: &Plan, state: &RunState, step: usize, blocked: &BTreeMap<usize, usize>) -> Option<usize> {
    let needed = plan.steps[step].needs.iter().find(|need| match state.steps[**need].status {
        Status::Ended(Outcome::Failed) => plan.steps[**need].on_failure.stops(),
        Status::Ended(Outcome::Rejected | Outcome::Blocked | Outcome::Interrupted) => true,
        Status::Ended(Outcome::Succeeded | Outcome::Skipped | Outcome::Cancelled)
        | Status::Pending
        | Status::Running(_)
        | Status::Delayed { .. } => blocked.contains_key(*need),
    });
    needed.copied()
}

/// Ends each group, call and step with items of which all is over.
pub(super) fn close(plan: &Plan, state: &RunState, circumstances: &Circumstances<'_>) -> Vec<EventKind> {
    let mut events = Vec::new();
    let mut halting = None;
    for &step in &state.open {
        if !state.children_are_over(step) {
            continue;
        }
        let halting = halting.get_or_insert_with(|| Halting::of(plan, state));
        let waits = |child: &usize| {
            let held = halting.holds(plan, *child);
            let unknown = || match standing(plan, state, *child, circumstances) {
                Standing::Moot => false,
                // What is held is not done again.
                Standing::Declared(_) => !held,
                Standing::Looked | Standing::Undecided => true,
            };
            (state.retrying.contains(child) && !held) || (state.interrupted.contains(child) && unknown())
        };
        let unsettled = matches!(plan.steps[step].action, Action::Each(_)) && !state.itemized.contains(&step);
        if state.children(step).iter().any(waits) || (unsettled && !halting.holds(plan, step)) {
            continue;
        }
        let how = if unsettled {
            (Outcome::Cancelled, Some(reason_held_back(plan, state, step, None)))
        } else {
            outcome_of(plan, state, step, circumstances)
        };
        events.extend(ended(plan, state, step, how, circumstances));
    }
    events
}

/// How a step ends by what the steps inside it came to.
fn outcome_of(
    plan: &Plan,
    state: &RunState,
    step: usize,
    circumstances: &Circumstances<'_>,
) -> (Outcome, Option<String>) {
    let children = state.children(step);
    let outcome = |child: &usize| state.steps[*child].outcome();
    let because = |child: usize| {
        let reason = state.steps[child].result.reason.as_deref().unwrap_or("it did not pass");
        // One of a step inside a step inside names it already.
        let named = plan.steps[child].is_container() && reason.ends_with(')');
        Some(if named { reason.to_owned() } else { format!("{reason} ({})", plan.steps[child].id) })
    };
    // An undo that did not come to its end has failed, whatever kept it from that.
    let undoes = plan.steps[step].undoes().is_some();
    if let Some(&rejected) = children.iter().find(|child| outcome(child) == Some(Outcome::Rejected)) {
        return (if undoes { Outcome::Failed } else { Outcome::Rejected }, because(rejected));
    }
    let failed = |child: &&usize| {
        outcome(child) == Some(Outcome::Failed) && fails_group(&plan.steps[**child], outcome(child))
    };
    let tolerates = match &plan.steps[step].action {
        Action::Each(each) => each.max_failures,
        _ => 0,
    };
    let failures = u32::try_from(children.iter().filter(failed).count()).unwrap_or(u32::MAX);
    if failures > tolerates
        && let Some(&first) = children.iter().find(failed)
    {
        return (Outcome::Failed, because(first));
    }
    let unfinished = |child: &&usize| {
        matches!(outcome(child), Some(Outcome::Blocked | Outcome::Cancelled | Outcome::Interrupted))
    };
    if let Some(&child) = children.iter().find(unfinished) {
        if undoes {
            return (Outcome::Failed, because(child));
        }
        return (Outcome::Cancelled, Some(reason_held_back(plan, state, step, None)));
    }
    let Action::Steps(group) = &plan.steps[step].action else { return (Outcome::Succeeded, None) };
    let Some(repeat) = &group.repeat else { return (Outcome::Succeeded, None) };
    match circumstances.renderer.until(plan, state, step) {
        Ok(true) => (Outcome::Succeeded, None),
        Ok(false) => {
            let round = state.steps[step].attempts_in_round;
            let why = format!(
                "expectation: until `{}` did not hold after round {round} of {}",
                repeat.until, repeat.times
            );
            (Outcome::Failed, Some(why))
        }
        Err(why) => (Outcome::Failed, Some(format!("template: {why}"))),
    }
}

/// The end of a step that holds others.
fn ended(
    plan: &Plan,
    state: &RunState,
    step: usize,
    (outcome, reason): (Outcome, Option<String>),
    circumstances: &Circumstances<'_>,
) -> Option<EventKind> {
    let Status::Running(running) = &state.steps[step].status else { return None };
    let (mut outcome, mut reason) = (outcome, reason);
    let mut outputs = IndexMap::new();
    if outcome == Outcome::Succeeded {
        match circumstances.renderer.results(plan, state, step) {
            Ok(results) => outputs = results,
            Err(why) => (outcome, reason) = (Outcome::Failed, Some(format!("template: {why}"))),
        }
    }
    let failed = |child: &&usize| state.steps[**child].outcome() == Some(Outcome::Failed);
    let warnings = match &plan.steps[step].action {
        Action::Each(_) if outcome == Outcome::Succeeded => {
            let tolerated = state.children(step).iter().filter(failed);
            tolerated.map(|child| format!("{} failed", plan.steps[*child].id)).collect()
        }
        _ => Vec::new(),
    };
    let finished = EventKind::StepFinished {
        step: plan.steps[step].id.clone(),
        attempt: running.number,
        outcome,
        reason,
        exit_code: None,
        signal: None,
        duration_ms: u64::try_from(circumstances.now.since(running.started_at).as_millis())
            .unwrap_or(u64::MAX),
        outputs,
        log_sha256: None,
        dropped_bytes: 0,
        recovered: false,
        by: Vec::new(),
        choice: None,
        fields: IndexMap::new(),
        values: IndexMap::new(),
        warnings,
    };
    Some(plan.steps[step].recorded(finished))
}

/// After a failure, a rejection or a cancel: closes what waits, and, once nothing of it runs any more, says of each step that did not
/// start why it won't.
pub(super) fn hold_back(
    plan: &Plan,
    state: &RunState,
    phase: Phase,
    halting: &Halting,
    why: &str,
    circumstances: &Circumstances<'_>,
) -> Vec<EventKind> {
    if halting.is_nowhere() {
        return Vec::new();
    }
    let held = |step: &usize| Phase::of(&plan.steps[*step]) == phase && halting.holds(plan, *step);
    let mut events = Vec::new();
    for (step, gate) in state.gates.iter().filter(|(step, _)| held(step)) {
        // Of a step that may have taken effect it must be known, whatever else failed.
        let ends =
            phase == Phase::Main && (state.cancel.is_some() || state.aborted.is_some() || state.unwinding);
        if gate.gate == crate::event::Gate::Interrupted && !ends {
            continue;
        }
        events.push(EventKind::GateClosed {
            step: plan.steps[*step].id.clone(),
            result: "cancelled".into(),
            reason: Some(why.to_owned()),
        });
    }
    for &step in state.waits.iter().filter(|step| held(step)) {
        events.extend(super::wait::held_back(plan, state, step, circumstances));
    }
    for step in state.delayed.iter().filter(|step| held(step)) {
        events.push(EventKind::StepCancelled { step: plan.steps[*step].id.clone(), reason: why.to_owned() });
    }
    if !events.is_empty() || state.running.iter().any(held) {
        return events;
    }
    // Topological order: what a step needs, and what it is in, is judged before the step.
    let mut blocked: BTreeMap<usize, usize> = BTreeMap::new();
    // What needs a group that is still to end is judged when it has.
    let mut deferred: BTreeSet<usize> = BTreeSet::new();
    for (index, step) in plan.steps.iter().enumerate() {
        if state.steps[index].status != Status::Pending || !held(&index) {
            continue;
        }
        let is_open = |need: &usize| state.open.contains(need) || deferred.contains(need);
        if step.needs.iter().any(is_open) || step.group.is_some_and(|group| deferred.contains(&group)) {
            deferred.insert(index);
            continue;
        }
        let needed = blocking(plan, state, index, &blocked);
        let around = step.group.and_then(|group| blocked.get(&group));
        events.push(match needed.or(around.copied()) {
            Some(culprit) => {
                blocked.insert(index, culprit);
                EventKind::StepBlocked { step: step.id.clone(), needs: plan.steps[culprit].id.clone() }
            }
            None => EventKind::StepCancelled { step: step.id.clone(), reason: why.to_owned() },
        });
    }
    events
}
