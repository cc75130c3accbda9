//! What follows for open questions from the record alone: what recorded answers
//! decide, what has expired, what is void, what was said ahead of time.
//!
//! Each rule looks at the state and not at the input, so a run that was cut off
//! between an answer and its consequence goes on with the consequence. All of
//! it is proportional to what is open.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::clocks;
use super::follow::{Phase, may_be_void, phase, reason_held_back};
use super::gate;
use super::input::{Answer, Circumstances};
use super::judge::judge;
use super::start::{EXPIRED, cut_off_condition, not_started, of_template, retry_delay};
use super::structure::is_held;
use super::wait;
use crate::event::{EventKind, Gate, Identity, Outcome, Via};
use crate::plan::{OnExpiry, OnInterrupt, Plan};
use crate::state::{GivenAnswer, OpenGate, RunState, SettledGate, Status};

/// What answers and clocks have settled. It starts nothing and asks nothing, so
/// it may be done where no process carries the run on.
pub(super) fn settle(plan: &Plan, state: &RunState, circumstances: &Circumstances<'_>) -> Vec<EventKind> {
    let overdue = clocks::overdue(plan, state, circumstances);
    if !overdue.is_empty() {
        return overdue;
    }
    let events: Vec<EventKind> = state
        .settled
        .iter()
        .flat_map(|(&step, settled)| consequence(plan, state, step, settled, circumstances))
        .collect();
    if !events.is_empty() {
        return events;
    }
    let events = wait::over(plan, state, circumstances);
    if !events.is_empty() {
        return events;
    }
    // An approval that is to be taken back decides nothing any more.
    let counting = state.gates.iter().filter(|(step, _)| !state.void_due.contains_key(step));
    counting
        .filter_map(|(&step, gate)| {
            let expired = || gate.expires_at.is_some_and(|at| at <= circumstances.now);
            let (result, reason) =
                decision(plan, step, gate).or_else(|| expired().then(|| ("expired".to_owned(), None)))?;
            Some(EventKind::GateClosed { step: plan.steps[step].id.clone(), result, reason })
        })
        .collect()
}

/// What a live run does about its questions and failures before it starts
/// anything: takes approvals back, asks what is to be asked, and schedules the
/// declared retries that a crash kept from being scheduled.
pub(super) fn bring_up(plan: &Plan, state: &RunState, circumstances: &Circumstances<'_>) -> Vec<EventKind> {
    let mut events = Vec::new();
    let main_goes_on = phase(plan, state, circumstances.attendance, circumstances) == Phase::Main;
    for (&step, why) in &state.void_due {
        if may_be_void(plan, state, step, main_goes_on) {
            let step = plan.steps[step].id.clone();
            events.push(EventKind::GateClosed { step, result: "void".into(), reason: Some(why.clone()) });
        }
    }
    if !events.is_empty() {
        return events;
    }
    for &step in &state.unasked {
        if is_held(plan, state, step) {
            let why = reason_held_back(plan, state, step, None);
            events.extend(end(plan, state, step, Outcome::Cancelled, Some(why), &[], circumstances));
            continue;
        }
        let asked = plan.steps[step].action.question().map_or(Gate::Approve, |(gate, _)| gate);
        let opening = cut_off_condition(plan, state, step, circumstances)
            .and_then(|()| gate::opening(plan, state, step, asked, circumstances).map_err(of_template));
        match opening {
            Ok(opened) => events.push(opened),
            Err(why) => {
                events.extend(end(plan, state, step, Outcome::Failed, Some(why), &[], circumstances));
            }
        }
    }
    for &step in &state.retrying {
        let known = &state.steps[step];
        if let Some(delay) = retry_delay(plan, state, step, known.attempts_in_round, 0.0) {
            events.push(EventKind::RetryScheduled {
                step: plan.steps[step].id.clone(),
                attempt: known.attempts,
                delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
                due_at: circumstances.now.after(delay),
            });
        }
    }
    if !events.is_empty() {
        return events;
    }
    ahead(plan, state, circumstances)
}

/// Answers that were given together with the command that started the run, or took it on.
fn ahead(plan: &Plan, state: &RunState, circumstances: &Circumstances<'_>) -> Vec<EventKind> {
    state
        .ahead
        .iter()
        .filter(|ahead| state.asked_about(&ahead.step).is_some_and(|step| state.gates.contains_key(&step)))
        .filter_map(|ahead| {
            let answer = Answer {
                step: ahead.step.clone(),
                nonce: None,
                digest: None,
                word: ahead.word.clone(),
                by: ahead.by.clone().unwrap_or_else(|| {
                    state.created.as_ref().map_or_else(String::new, |created| created.user.clone())
                }),
                via: Via::Ahead,
                identity: Identity::User,
                reason: ahead.reason.clone(),
                fields: IndexMap::new(),
                items: Vec::new(),
                // As everything that is said ahead, the items are ticked unseen, which the record says.
                all_items: true,
                evidence: Vec::new(),
                outputs: IndexMap::new(),
                env: IndexMap::new(),
                file: None,
            };
            judge(plan, state, &answer, circumstances).ok()
        })
        .take(1)
        .collect()
}

/// The word that the answers so far have settled a question with, and the
/// reason where no answer did.
fn decision(plan: &Plan, step: usize, gate: &OpenGate) -> Option<(String, Option<String>)> {
    let said = |word: &'static str| gate.answers.iter().filter(move |given| given.word == word);
    if gate.gate == Gate::Approve {
        if said("reject").next().is_some() {
            return Some(("reject".into(), None));
        }
        let people: BTreeSet<&str> = said("approve").map(|given| given.by.as_str()).collect();
        return (!people.is_empty() && people.len() >= gate.quorum as usize)
            .then(|| ("approve".into(), None));
    }
    if let Some(given) = gate.answers.iter().find(|given| !given.word.is_empty()) {
        return Some((given.word.clone(), None));
    }
    let declared = gate.gate == Gate::Interrupted
        && gate.survivors.is_empty()
        && plan.steps[step].on_interrupt == OnInterrupt::Fail;
    declared.then(|| ("failed".into(), Some("on_interrupt: fail".into())))
}

/// What a closed question came to.
fn consequence(
    plan: &Plan,
    state: &RunState,
    step: usize,
    settled: &SettledGate,
    circumstances: &Circumstances<'_>,
) -> Vec<EventKind> {
    let said: Vec<&GivenAnswer> =
        settled.gate.answers.iter().filter(|given| given.word == settled.result).collect();
    let why = said.last().and_then(|given| given.reason.clone()).unwrap_or_default();
    let skipped = |reason: String| EventKind::StepSkipped {
        step: plan.steps[step].id.clone(),
        reason,
        by: said.last().map(|given| given.by.clone()),
    };
    match settled.gate.gate {
        Gate::Window => {
            return vec![EventKind::WindowOverridden {
                step: Some(plan.steps[step].id.clone()),
                by: said.last().map_or_else(String::new, |given| given.by.clone()),
                reason: why,
            }];
        }
        Gate::Failure | Gate::Interrupted | Gate::Terminal => {
            return vec![skipped(format!("operator: {why}"))];
        }
        Gate::Ask => {
            let ask = plan.steps[step].ask.as_deref();
            let fails = ask.is_some_and(|question| question.on_expiry == OnExpiry::Fail);
            return match settled.result.as_str() {
                "expired" if fails => expired_before_start(plan, state, step),
                "expired" => vec![skipped(EXPIRED.into())],
                _ if why.is_empty() => vec![skipped("operator: answered no".into())],
                _ => vec![skipped(format!("operator: answered no: {why}"))],
            };
        }
        _ => {}
    }
    let chosen = settled.gate.gate == Gate::Choose && !said.is_empty();
    let (outcome, reason) = match settled.result.as_str() {
        _ if chosen => (Outcome::Succeeded, None),
        "reject" => (Outcome::Rejected, Some(format!("operator: {why}"))),
        "failed" => (Outcome::Failed, Some(format!("operator: {why}"))),
        "cancelled" => {
            (Outcome::Cancelled, Some(reason_held_back(plan, state, step, settled.reason.as_deref())))
        }
        "expired" => {
            let declared = plan.steps[step].action.question().map(|(_, question)| question.on_expiry);
            let outcome = if declared == Some(OnExpiry::Fail) { Outcome::Failed } else { Outcome::Rejected };
            (outcome, Some(EXPIRED.into()))
        }
        _ => (Outcome::Succeeded, None),
    };
    // Whoever ticked an item has a part in what was done.
    let part: Vec<&GivenAnswer> =
        if settled.result == "done" { settled.gate.answers.iter().collect() } else { said };
    let mut events: Vec<EventKind> =
        end(plan, state, step, outcome, reason, &part, circumstances).into_iter().collect();
    if let (true, Some(EventKind::StepFinished { choice, .. })) = (chosen, events.first_mut()) {
        *choice = Some(settled.result.clone());
    }
    events
}

/// A step whose question before it expired with `on_expiry: fail`: one attempt, of which nothing ran.
fn expired_before_start(plan: &Plan, state: &RunState, step: usize) -> Vec<EventKind> {
    let attempt = state.steps[step].attempts + 1;
    let started = EventKind::StepStarted {
        step: plan.steps[step].id.clone(),
        attempt,
        command: None,
        digest: None,
        boot: None,
        slot: None,
        until: None,
        why: (attempt > 1).then(|| "its question expired".to_owned()),
    };
    vec![started, not_started(&plan.steps[step], attempt, EXPIRED)]
}

/// The end of an attempt of a step that asks people.
fn end(
    plan: &Plan,
    state: &RunState,
    step: usize,
    outcome: Outcome,
    reason: Option<String>,
    answers: &[&GivenAnswer],
    circumstances: &Circumstances<'_>,
) -> Option<EventKind> {
    let Status::Running(running) = &state.steps[step].status else { return None };
    let mut by: Vec<String> = Vec::new();
    for given in answers {
        if !by.contains(&given.by) {
            by.push(given.by.clone());
        }
    }
    let finished = EventKind::StepFinished {
        step: plan.steps[step].id.clone(),
        attempt: running.number,
        outcome,
        reason,
        exit_code: None,
        signal: None,
        duration_ms: u64::try_from(circumstances.now.since(running.started_at).as_millis())
            .unwrap_or(u64::MAX),
        outputs: IndexMap::new(),
        log_sha256: None,
        dropped_bytes: 0,
        recovered: false,
        by,
        choice: None,
        // Of the answers that decided it the last one's; where it is what somebody ticked, those that were given at all.
        fields: answers
            .iter()
            .rev()
            .map(|given| &given.fields)
            .find(|fields| !fields.is_empty())
            .cloned()
            .unwrap_or_default(),
        values: IndexMap::new(),
        warnings: Vec::new(),
    };
    Some(plan.steps[step].recorded(finished))
}
