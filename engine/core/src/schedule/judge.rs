//! One answer, judged: whoever gives it, and on whatever surface.
//!
//! Judging only says whether the answer is taken. What it settles follows from
//! the recorded answers (`settle`), so that a crash right after the record
//! loses nothing.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::Value;

use super::gate::needs_reason;
use super::input::{Answer, Circumstances, Refusal};
use super::{fields, may};
use crate::event::{EventKind, Evidence, Gate, Identity, Outcome};
use crate::plan::{EvidenceRule, Plan};
use crate::state::{OpenGate, RunState, Said, Status};

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
    let Some(step) = state.asked_about(id) else {
        return Err(Refusal::usage(format!("the run has no step `{id}`")));
    };
    if state.waits.contains(&step) {
        super::wait::judge(state, step, answer)?;
        let by = may::person(&plan.people, answer);
        return Ok(answered(answer, answer.word.clone(), by, Vec::new(), IndexMap::new()));
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
    let question = plan.steps[step].question(gate.gate);
    let by = may::person(&plan.people, answer);
    let ticks = ticks(gate, answer)?;
    if answer.word.is_empty() {
        if answer.items.is_empty() {
            return Err(Refusal::usage(format!("nothing is said about `{id}`")));
        }
        if let Some(question) = question {
            may::may_say(plan, state, id, question, answer)?;
        }
        if ticks.is_empty() {
            return Err(Refusal::unchanged(format!("these items of `{id}` are ticked already")));
        }
        return Ok(answered(answer, String::new(), by, ticks, IndexMap::new()));
    }
    let Some(word) = word_of(gate, &answer.word) else {
        return Err(unknown_word(gate, answer));
    };
    if let Some(question) = question {
        may::may_say(plan, state, id, question, answer)?;
    }
    if needs_reason(gate.gate, word) && answer.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(Refusal::usage(format!("`{word}` of `{id}` needs a reason: --reason TEXT")));
    }
    may_change_env(plan, step, gate, answer)?;
    if gate.answers.iter().any(|given| given.by == by && given.word == word) {
        return Err(Refusal::unchanged(format!("{by} has said `{word}` to `{id}` already")));
    }
    let specs = question.map(|question| &question.fields);
    let none = IndexMap::new();
    let goes_on = may::goes_on(gate.gate, word);
    let fields = fields::checked(id, specs.unwrap_or(&none), &gate.fields, &answer.fields, goes_on)?;
    if (gate.gate, word) == (Gate::Manual, "done") {
        may_be_done(plan, step, gate, answer, &ticks)?;
    }
    Ok(answered(answer, word.to_owned(), by, ticks, fields))
}

/// The word that is meant: one of the question's, or the option with this number. A name wins over a number.
#[must_use]
pub fn word_of<'g>(gate: &'g OpenGate, typed: &str) -> Option<&'g str> {
    if let Some(word) = gate.words.iter().find(|word| *word == typed) {
        return Some(word);
    }
    if gate.gate != Gate::Choose {
        return None;
    }
    let number: usize = typed.parse().ok().filter(|_| typed.bytes().all(|byte| byte.is_ascii_digit()))?;
    gate.words.get(number.checked_sub(1)?).map(String::as_str)
}

fn unknown_word(gate: &OpenGate, answer: &Answer) -> Refusal {
    if gate.gate == Gate::Failure && answer.word == "undo" {
        return Refusal::not_allowed(format!(
            "nothing that was done can be undone: `{}` takes {}",
            answer.step,
            gate.words.join(", ")
        ));
    }
    let near = (gate.gate == Gate::Choose)
        .then(|| crate::diagnostic::suggest(&answer.word, gate.words.iter().map(String::as_str)))
        .flatten()
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let what = if gate.gate == Gate::Choose { "no option of" } else { "no answer to" };
    Refusal::usage(format!(
        "`{}` is {what} `{}`: it takes {}{near}",
        answer.word,
        answer.step,
        gate.words.join(", ")
    ))
}

/// Whether an answer may change the environment: only that of a step that is tried
/// again, and only what is declared for it.
fn may_change_env(plan: &Plan, step: usize, gate: &OpenGate, answer: &Answer) -> Result<(), Refusal> {
    let Some(first) = answer.env.keys().next() else { return Ok(()) };
    let id = &answer.step;
    if answer.word != "retry" || !matches!(gate.gate, Gate::Failure | Gate::Interrupted) {
        return Err(Refusal::usage(format!("`{first}` can only be changed with `retry` of a step")));
    }
    let own = &plan.steps[step].env;
    let unknown = answer.env.keys().find(|name| !own.contains_key(*name) && !plan.env.contains_key(*name));
    let Some(unknown) = unknown else { return Ok(()) };
    let known: Vec<&str> = own.keys().chain(plan.env.keys()).map(String::as_str).collect();
    let known =
        if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
    Err(Refusal::usage(format!("`{id}` has no `{unknown}` under `env`: {known}")))
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
    let earlier = gate.answers.iter().flat_map(|given| &given.evidence);
    let shown = answer.evidence.iter().chain(earlier).any(Evidence::says_something);
    if rule == EvidenceRule::Required && !shown {
        return Err(Refusal::usage(format!(
            "`{id}` needs evidence: a note (--note), a link (--link) or a file (--attach)"
        )));
    }
    Ok(())
}

fn not_open(plan: &Plan, state: &RunState, step: usize, answer: &Answer) -> Refusal {
    let id = &plan.steps[step].id;
    let by = may::person(&plan.people, answer);
    if said_before(plan, state, step, answer, by) {
        return Refusal::unchanged(format!("{by} has said `{}` to `{id}` already", answer.word));
    }
    let asks = plan.steps[step].ask.is_some();
    let kind = plan.steps[step].action.question().map(|(gate, _)| gate).or(asks.then_some(Gate::Ask));
    match &state.steps[step].status {
        Status::Ended(outcome) if kind.is_some() => Refusal::not_allowed(format!(
            "`{id}` is decided already: {outcome}{}",
            match state.steps[step].result.by.as_slice() {
                [] => match &state.steps[step].result.reason {
                    // Nobody's word but the clock's.
                    Some(reason) if reason.starts_with("expired") => format!(", {reason}"),
                    _ => String::new(),
                },
                by => format!(" by {}", by.join(", ")),
            }
        )),
        Status::Pending if kind.is_some() && state.last_said(step).is_none() => {
            Refusal::not_allowed(format!("the question of `{id}` isn't open yet"))
        }
        Status::Ended(outcome) => Refusal::not_allowed(format!(
            "nothing is asked about `{id}`: it {}{outcome}",
            outcome.auxiliary()
        )),
        Status::Pending | Status::Running(_) | Status::Delayed { .. } => {
            Refusal::not_allowed(match state.last_said(step) {
                Some(said) => format!("`{id}` is decided already: {} by {}", said.word, said.by.join(", ")),
                None => format!("nothing is asked about `{id}` now"),
            })
        }
    }
}

/// Whether the question was settled, or the step ended, by just this word of just this person.
fn said_before(plan: &Plan, state: &RunState, step: usize, answer: &Answer, by: &str) -> bool {
    let same = |said: &Said| said.word == answer.word || said.number.as_ref() == Some(&answer.word);
    if state.last_said(step).is_some_and(|said| same(said) && said.by.iter().any(|person| person == by)) {
        return true;
    }
    if answer.word == "yes" && state.steps[step].asked.as_deref() == Some(by) {
        return true;
    }
    let choice = state.steps[step].result.choice.as_ref();
    let word_fits = match state.steps[step].outcome() {
        Some(Outcome::Succeeded) if choice.is_some() => choice == Some(&answer.word),
        Some(Outcome::Succeeded) => {
            let is_approval = matches!(plan.steps[step].action.question(), Some((Gate::Approve, _)));
            answer.word == if is_approval { "approve" } else { "done" }
        }
        Some(Outcome::Rejected) => answer.word == "reject",
        Some(Outcome::Failed) => answer.word == "failed",
        Some(Outcome::Skipped) => matches!(answer.word.as_str(), "skip" | "no"),
        Some(Outcome::Blocked | Outcome::Cancelled | Outcome::Interrupted) | None => false,
    };
    word_fits && state.steps[step].result.by.iter().any(|person| person == by)
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

fn answered(
    answer: &Answer,
    word: String,
    by: &str,
    items: Vec<u32>,
    fields: IndexMap<String, Value>,
) -> EventKind {
    let user = answer.identity == Identity::User && answer.by != by;
    EventKind::GateAnswered {
        step: answer.step.clone(),
        answer: word,
        by: by.to_owned(),
        user: user.then(|| answer.by.clone()),
        via: answer.via,
        identity: answer.identity,
        reason: answer.reason.clone(),
        fields,
        evidence: answer.evidence.clone(),
        items,
        outputs: answer.outputs.clone(),
        env: answer.env.clone(),
        file: answer.file.clone(),
    }
}
