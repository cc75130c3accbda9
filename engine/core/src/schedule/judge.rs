//! One answer, judged: whoever gives it, and on whatever surface.
//!
//! Judging only says whether the answer is taken. What it settles follows from
//! the recorded answers (`settle`), so that a crash right after the record
//! loses nothing.

use std::collections::BTreeSet;

use super::gate::needs_reason;
use super::input::{Answer, Circumstances, Refusal};
use crate::event::{EventKind, Gate, Outcome};
use crate::plan::{EvidenceRule, Plan};
use crate::state::{OpenGate, RunState, Status};

/// Judges one answer: the event that records it, or why it isn't taken.
///
/// # Errors
/// A [`Refusal`] says what to do instead; nothing has changed then.
pub(super) fn judge(
    plan: &Plan,
    state: &RunState,
    answer: &Answer,
    circumstances: &Circumstances<'_>,
) -> Result<EventKind, Refusal> {
    let id = &answer.step;
    let Some(step) = state.index_of(id) else {
        return Err(Refusal::usage(format!("the run has no step `{id}`")));
    };
    if state.waits.contains(&step) {
        super::wait::judge(state, step, answer)?;
        return Ok(answered(answer, Vec::new()));
    }
    let Some(gate) = state.gates.get(&step) else {
        return Err(not_open(plan, state, step, answer));
    };
    if answer.nonce.as_ref().is_some_and(|nonce| *nonce != gate.nonce) {
        return Err(Refusal::not_allowed(format!(
            "the question of `{id}` has been asked anew since this answer was written; look at it again and answer that"
        )));
    }
    if answer.digest.as_ref().is_some_and(|digest| *digest != gate.digest) {
        return Err(Refusal::not_allowed(format!(
            "what `{id}` asks to approve has changed since this answer was written"
        )));
    }
    if gate.expires_at.is_some_and(|at| at <= circumstances.now) {
        return Err(Refusal::not_allowed(format!("the question of `{id}` has expired")));
    }
    let ticks = ticks(gate, answer)?;
    if answer.word.is_empty() {
        if answer.items.is_empty() {
            return Err(Refusal::usage(format!("nothing is said about `{id}`")));
        }
        if ticks.is_empty() {
            return Err(Refusal::unchanged(format!("these items of `{id}` are ticked already")));
        }
        return Ok(answered(answer, ticks));
    }
    if !gate.words.contains(&answer.word) {
        return Err(Refusal::usage(format!(
            "`{}` is no answer to `{id}`: it takes {}",
            answer.word,
            gate.words.join(", ")
        )));
    }
    if needs_reason(gate.gate, &answer.word)
        && answer.reason.as_ref().is_none_or(|reason| reason.trim().is_empty())
    {
        return Err(Refusal::usage(format!("`{}` of `{id}` needs a reason: --reason TEXT", answer.word)));
    }
    if gate.answers.iter().any(|given| given.by == answer.by && given.word == answer.word) {
        return Err(Refusal::unchanged(format!(
            "{} has said `{}` to `{id}` already",
            answer.by, answer.word
        )));
    }
    if (gate.gate, answer.word.as_str()) == (Gate::Manual, "done") {
        may_be_done(plan, step, gate, answer, &ticks)?;
    }
    Ok(answered(answer, ticks))
}

/// Whether a manual step may be ended as done.
fn may_be_done(
    plan: &Plan,
    step: usize,
    gate: &OpenGate,
    answer: &Answer,
    ticks: &[u32],
) -> Result<(), Refusal> {
    let id = &answer.step;
    let open = open_items(gate, ticks);
    if !open.is_empty() {
        let items: Vec<String> = open.iter().map(|(n, item)| format!("{n} ({item})")).collect();
        return Err(Refusal::not_allowed(format!(
            "`{id}` isn't done while items are open: {}; tick them with --item, or all the rest with --all",
            items.join(", ")
        )));
    }
    let rule = plan.steps[step].action.question().map_or(EvidenceRule::None, |(_, q)| q.evidence);
    let shown = !answer.evidence.is_empty() || gate.answers.iter().any(|given| !given.evidence.is_empty());
    if rule == EvidenceRule::Required && !shown {
        return Err(Refusal::usage(format!(
            "`{id}` needs evidence: a note (--note), a link (--link) or a file (--attach)"
        )));
    }
    Ok(())
}

fn not_open(plan: &Plan, state: &RunState, step: usize, answer: &Answer) -> Refusal {
    let id = &plan.steps[step].id;
    if said_before(state, step, answer) {
        return Refusal::unchanged(format!("{} has said `{}` to `{id}` already", answer.by, answer.word));
    }
    let kind = plan.steps[step].action.question().map(|(gate, _)| gate);
    match &state.steps[step].status {
        Status::Ended(outcome) if kind.is_some() => Refusal::not_allowed(format!(
            "`{id}` is decided already: {outcome}{}",
            match state.steps[step].result.by.as_slice() {
                [] => String::new(),
                by => format!(" by {}", by.join(", ")),
            }
        )),
        Status::Pending if kind.is_some() => {
            Refusal::not_allowed(format!("the question of `{id}` isn't open yet"))
        }
        Status::Ended(outcome) => {
            Refusal::not_allowed(format!("nothing is asked about `{id}`: it {outcome}"))
        }
        Status::Pending | Status::Running(_) | Status::Delayed { .. } => {
            Refusal::not_allowed(format!("nothing is asked about `{id}` now"))
        }
    }
}

/// Whether the step ended by just this word of just this person.
fn said_before(state: &RunState, step: usize, answer: &Answer) -> bool {
    let word_fits = match state.steps[step].outcome() {
        Some(Outcome::Succeeded) => matches!(answer.word.as_str(), "approve" | "done"),
        Some(Outcome::Rejected) => answer.word == "reject",
        Some(Outcome::Failed) => answer.word == "failed",
        Some(Outcome::Skipped) => answer.word == "skip",
        Some(Outcome::Blocked | Outcome::Cancelled | Outcome::Interrupted) | None => false,
    };
    word_fits && state.steps[step].result.by.contains(&answer.by)
}

/// The items that an answer ticks which were still open.
fn ticks(gate: &OpenGate, answer: &Answer) -> Result<Vec<u32>, Refusal> {
    let count = u32::try_from(gate.checklist.len()).unwrap_or(u32::MAX);
    for item in &answer.items {
        if *item == 0 || *item > count {
            return Err(Refusal::usage(format!(
                "`{}` has no item {item}: its items are 1 to {count}",
                answer.step
            )));
        }
    }
    let wanted: BTreeSet<u32> = if answer.all_items && answer.word == "done" {
        (1..=count).collect()
    } else {
        answer.items.iter().copied().collect()
    };
    Ok(wanted.into_iter().filter(|item| !gate.ticked.contains_key(item)).collect())
}

fn open_items<'a>(gate: &'a OpenGate, ticks: &[u32]) -> Vec<(u32, &'a str)> {
    (1u32..)
        .zip(&gate.checklist)
        .filter(|(number, _)| !gate.ticked.contains_key(number) && !ticks.contains(number))
        .map(|(number, item)| (number, item.as_str()))
        .collect()
}

fn answered(answer: &Answer, items: Vec<u32>) -> EventKind {
    EventKind::GateAnswered {
        step: answer.step.clone(),
        answer: answer.word.clone(),
        by: answer.by.clone(),
        via: answer.via,
        identity: answer.identity,
        reason: answer.reason.clone(),
        fields: answer.fields.clone(),
        evidence: answer.evidence.clone(),
        items,
        outputs: answer.outputs.clone(),
        file: answer.file.clone(),
    }
}
