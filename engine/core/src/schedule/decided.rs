//! Answers on the command line of `resume` and `rollback` that are about what has happened already: a step that failed, an
//! undo that failed. The rest of them are ahead of time.

use super::gate::{UNDO_INTERRUPTED_WORDS, UNDO_WORDS, failure_words, words_of};
use super::guard::WINDOW_WORDS;
use super::resume::{ResumeRequest, check_ahead_again, check_reason, check_word};
use crate::event::{AheadAnswer, Gate, Outcome};
use crate::id::StepId;
use crate::schedule::Refusal;
use crate::state::RunState;

/// Takes out of `ahead` what decides about steps that have failed, as `--retry`, `--skip` and `--done` do, and adds it to
/// the request.
#[must_use]
pub fn decided_ahead(
    state: &RunState,
    request: &ResumeRequest,
    ahead: Vec<AheadAnswer>,
) -> (ResumeRequest, Vec<AheadAnswer>) {
    let mut decided = request.clone();
    let mut rest = Vec::new();
    for answer in ahead {
        if !decides(state, request, &answer) {
            rest.push(answer);
            continue;
        }
        let AheadAnswer { step, word, reason, .. } = answer;
        let why = reason.unwrap_or_default();
        match word.as_str() {
            "skip" => decided.skip.push((step, why)),
            "done" => decided.done.push((step, why)),
            _ => {
                if !why.trim().is_empty() {
                    decided.reasons.push((step.clone(), why));
                }
                if word == "retry" { decided.retry.push(step) } else { decided.words.push((step, word)) }
            }
        }
    }
    (decided, rest)
}

/// Whether an answer is about a failure that nobody has been asked about, and that nothing else on the command line decides.
fn decides(state: &RunState, request: &ResumeRequest, answer: &AheadAnswer) -> bool {
    let (plan, id) = (&*state.plan, &answer.step);
    let Some(step) = state.index_of(id) else { return false };
    let word = answer.word.as_str();
    let declared = &plan.steps[step];
    // Of a step that asks nothing by itself every other word is wrong, where nothing makes it start again.
    let is_only_failed = declared.action.question().is_none()
        && declared.ask.is_none()
        && !request.retry_failed
        && !WINDOW_WORDS.contains(&word);
    let named =
        request.retry.contains(id) || request.skip.iter().chain(&request.done).any(|(named, _)| named == id);
    let again = request.from.as_ref().and_then(|from| state.index_of(from));
    state.steps[step].outcome() == Some(Outcome::Failed)
        && (is_only_failed || failure_words(declared).contains(&word))
        && !state.retrying.contains(&step)
        && state.asked_about(id).is_none_or(|about| !state.gates.contains_key(&about))
        && !named
        && !again.is_some_and(|from| state.following(from).contains(&step))
}

/// Judges answers that are given together with `rollback`: to questions that are open about undoing, and to those that
/// come when an undo fails again.
///
/// # Errors
/// As for every answer ahead of time.
pub fn check_ahead_of_rollback(state: &RunState, answers: &[AheadAnswer], user: &str) -> Result<(), Refusal> {
    let mut others = Vec::new();
    for answer in answers {
        let is_open = state.asked_about(&answer.step).is_some_and(|step| state.gates.contains_key(&step));
        match undo_of(state, &answer.step).filter(|_| !is_open) {
            Some(undo) => check_word_about_undo(state, undo, answer)?,
            None => others.push(answer.clone()),
        }
    }
    check_ahead_again(state, &others, user)
}

fn undo_of(state: &RunState, id: &StepId) -> Option<usize> {
    state.index_of(id).and_then(|step| state.undo_of(step))
}

fn check_word_about_undo(state: &RunState, undo: usize, answer: &AheadAnswer) -> Result<(), Refusal> {
    let known = &state.steps[undo];
    let own = state.plan.steps[undo].action.question().map(|(gate, _)| gate);
    if let Some(gate) = own.filter(|gate| words_of(*gate).contains(&answer.word.as_str())) {
        return check_reason(&answer.step, gate, answer);
    }
    // Of one that has failed, or is still to run, it is known how it ended when the question comes.
    let ends_known = known.outcome() == Some(Outcome::Failed) || known.attempts == 0;
    let words: &[&str] = if ends_known { &UNDO_WORDS } else { &UNDO_INTERRUPTED_WORDS };
    check_word(&answer.step, &answer.word, words)?;
    check_reason(&answer.step, Gate::Undo, answer)
}
