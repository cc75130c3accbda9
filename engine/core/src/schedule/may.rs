//! Who may answer what, on whatever surface.

use indexmap::IndexMap;

use super::input::{Answer, Refusal};
use crate::event::{Gate, Identity};
use crate::id::StepId;
use crate::plan::{People, Plan, Question};
use crate::state::{OpenGate, RunState};

/// The person who answers. Whose a signature is was found by its key; a user is whose entry names her.
pub(super) fn person<'a>(people: &'a People, answer: &'a Answer) -> &'a str {
    match answer.identity {
        Identity::Signed => &answer.by,
        Identity::User => people.person_of_user(&answer.by),
    }
}

/// Whether this person may say this word to this question.
///
/// # Errors
/// Why not, and who may.
pub(super) fn may_say(
    plan: &Plan,
    state: &RunState,
    id: &StepId,
    question: &Question,
    answer: &Answer,
) -> Result<(), Refusal> {
    let person = person(&plan.people, answer);
    let starter = state.created.as_ref().map_or("", |created| created.user.as_str());
    may_say_it(plan, id, question, (person, &answer.word), (starter, answer.identity))
}

/// The same of an answer that is given before there is a run.
pub(super) fn may_say_it(
    plan: &Plan,
    id: &StepId,
    question: &Question,
    (person, word): (&str, &str),
    (starter, identity): (&str, Identity),
) -> Result<(), Refusal> {
    if question.signed && identity != Identity::Signed {
        return Err(Refusal::not_allowed(format!(
            "`{id}` takes only signed answers: answer it with --sign, from a shell"
        )));
    }
    if !plan.people.may_answer(&question.from, person) {
        return Err(Refusal::not_allowed(format!(
            "{person} may not answer `{id}`: it takes the answer of {}",
            question.from.join(", ")
        )));
    }
    if question.not_self && word == "approve" && plan.people.person_of_user(starter) == person {
        return Err(Refusal::not_allowed(format!(
            "{person} started the run, and `{id}` needs the approval of somebody else"
        )));
    }
    Ok(())
}

/// The words of an open question that a user who types at the terminal may not say, each with why.
#[must_use]
pub fn barred_words(
    plan: &Plan,
    state: &RunState,
    step: usize,
    gate: &OpenGate,
    user: &str,
) -> IndexMap<String, String> {
    let step = &plan.steps[step];
    let Some(question) = step.question(gate.gate) else { return IndexMap::new() };
    let person = plan.people.person_of_user(user);
    let starter = state.created.as_ref().map_or("", |created| created.user.as_str());
    let said = gate
        .words
        .iter()
        .map(|word| (word, may_say_it(plan, &step.id, question, (person, word), (starter, Identity::User))));
    said.filter_map(|(word, may)| Some((word.clone(), may.err()?.message))).collect()
}

/// Whether a word lets the run go on past the question, so that all its fields must be filled in.
#[must_use]
pub fn goes_on(gate: Gate, word: &str) -> bool {
    match gate {
        Gate::Approve => word == "approve",
        Gate::Manual => word == "done",
        Gate::Ask => word == "yes",
        Gate::Choose => !word.is_empty(),
        Gate::Failure | Gate::Interrupted | Gate::Rollback | Gate::Undo | Gate::Window | Gate::Terminal => {
            false
        }
    }
}
