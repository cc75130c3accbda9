//! What a `resume` is asked for, judged before anything is written.

use indexmap::IndexMap;
use serde_json::Value;

use super::gate::{INTERRUPTED_WORDS, ROLLBACK_WORDS, failure_words, needs_reason, words_of};
use super::guard::WINDOW_WORDS;
use super::input::{Answer, Refusal, RefusalKind};
use super::may;
use super::unwind::undoable;
use crate::document::model::Outside;
use crate::event::{AheadAnswer, Gate, Identity, Outcome, RunOutcome, Via};
use crate::id::StepId;
use crate::plan::{Action, EvidenceRule, OnFailure, Options, Plan, Question, ROLLBACK, Role, Step};
use crate::state::{RunState, Status};

/// The options of `resume` that decide about steps.
#[derive(Debug, Clone, Default)]
pub struct ResumeRequest {
    /// Who resumes.
    pub by: String,
    /// `--retry STEP`.
    pub retry: Vec<StepId>,
    /// `--retry-failed`.
    pub retry_failed: bool,
    /// `--from STEP`: it and all that follows runs again.
    pub from: Option<StepId>,
    /// `--skip STEP=reason`.
    pub skip: Vec<(StepId, String)>,
    /// `--done STEP=reason`.
    pub done: Vec<(StepId, String)>,
    /// `--answer STEP=WORD` about a failed step, where the word is none of these: `undo`, `abort`.
    pub words: Vec<(StepId, String)>,
    /// Why, of steps under `retry` and `words`, where the command line says it.
    pub reasons: Vec<(StepId, String)>,
    /// `--output k=v`: what the steps under `--done` would have given.
    pub outputs: IndexMap<String, Value>,
    /// Whether somebody can be asked about the rest.
    pub attended: bool,
}

/// What follows from a request: the failed steps to ask about, and the answers
/// that the request gives.
///
/// # Errors
/// A [`Refusal`] with the exit status of `cli.md`: unknown steps and steps that
/// can't be retried are usage errors; a rejected, cancelled or undone run isn't
/// resumed; without anybody to ask, a failed run needs to be told what to do.
pub fn plan_resume(state: &RunState, request: &ResumeRequest) -> Result<(Vec<usize>, Vec<Answer>), Refusal> {
    let plan = &*state.plan;
    refuse_over(state)?;
    if state.outcome == Some(RunOutcome::Succeeded) {
        return Err(Refusal {
            kind: RefusalKind::Unchanged,
            message: "the run has succeeded already".into(),
        });
    }
    if request.from.is_some() {
        refuse_ending(state)?;
    }
    let again = match &request.from {
        Some(id) => rewindable(plan, state, id)?,
        None => Vec::new(),
    };
    let mut question = Vec::new();
    let mut answers: Vec<Answer> = Vec::new();
    let mut add = |id: &StepId, word: &str, reason: Option<&str>| -> Result<(), Refusal> {
        let step = decidable(plan, state, id, word)?;
        if again.contains(&step) || answers.iter().any(|answer| answer.step == *id) {
            return Err(Refusal::usage(format!("`{id}` is named twice: say one thing about it")));
        }
        if reason.is_some_and(|reason| reason.trim().is_empty()) {
            return Err(Refusal::usage(format!("`{word}` of `{id}` needs a reason: --{word} {id}=REASON")));
        }
        if state.outcome.is_some() && plan.steps[step].finally {
            // It runs again anyway, as the run had ended.
            return Ok(());
        }
        if state.steps[step].outcome() == Some(Outcome::Failed) {
            question.push(step);
        }
        answers.push(answer(request, id, word, reason));
        Ok(())
    };
    let why_of = |id: &StepId| {
        request.reasons.iter().find(|(named, _)| named == id).map(|(_, reason)| reason.as_str())
    };
    for id in &request.retry {
        let inside = state.index_of(id).map(|step| failed_inside(state, step)).unwrap_or_default();
        if inside.is_empty() {
            add(id, "retry", why_of(id))?;
        }
        for step in inside {
            add(&plan.steps[step].id, "retry", why_of(id))?;
        }
    }
    for (id, reason) in &request.skip {
        add(id, "skip", Some(reason))?;
    }
    for (id, reason) in &request.done {
        add(id, "done", Some(reason))?;
    }
    for (id, word) in &request.words {
        let words = state.index_of(id).map_or(&[][..], |step| failure_words(&plan.steps[step]));
        check_word(id, word, words)?;
        if word == "undo" && undoable(plan, state).order.is_empty() {
            return Err(Refusal::not_allowed("nothing that was done can be undone"));
        }
        add(id, word, why_of(id))?;
    }
    if request.retry_failed {
        for (index, (step, known)) in plan.steps.iter().zip(&state.steps).enumerate() {
            let named = again.contains(&index)
                || answers_name(&request.retry, &request.skip, &request.done, &step.id)
                || request.words.iter().any(|(named, _)| *named == step.id);
            if known.outcome() == Some(Outcome::Failed)
                && !step.finally
                && !step.is_added()
                && !named
                && is_cause(plan, state, index)
            {
                add(&step.id, "retry", None)?;
            }
        }
    }
    let undecided: Vec<usize> = plan
        .steps
        .iter()
        .enumerate()
        .filter(|(index, step)| {
            state.steps[*index].outcome() == Some(Outcome::Failed)
                && step.on_failure != OnFailure::Warn
                && !step.finally
                && !step.is_added()
                && !question.contains(index)
                && !again.contains(index)
                && !state.gates.contains_key(index)
                && is_cause(plan, state, *index)
        })
        .map(|(index, _)| index)
        .collect();
    if state.outcome == Some(RunOutcome::Failed) {
        if !undecided.is_empty() && question.is_empty() && !request.attended {
            let ids: Vec<&str> = undecided.iter().map(|step| plan.steps[*step].id.as_str()).collect();
            return Err(Refusal {
                kind: RefusalKind::Undecided,
                message: format!(
                    "{} failed, and nobody can be asked what to do: say --retry {} or --skip {}=REASON",
                    ids.join(", "),
                    ids[0],
                    ids[0]
                ),
            });
        }
        question.extend(undecided);
    }
    question.sort_unstable();
    question.dedup();
    Ok((question, answers))
}

/// A run that was undone, rejected or cancelled is not taken on any more.
pub(super) fn refuse_over(state: &RunState) -> Result<(), Refusal> {
    let Some(outcome) = state.outcome.filter(|outcome| *outcome != RunOutcome::Succeeded) else {
        return Ok(());
    };
    let undone = state.undos().find(|(step, _)| state.is_undone(*step));
    if let Some((step, _)) = undone {
        return Err(Refusal::not_allowed(format!(
            "`{}` was undone: the run is over, and can only be rolled back further; a new run starts afresh",
            state.plan.steps[step].id
        )));
    }
    if outcome == RunOutcome::Failed {
        return Ok(());
    }
    Err(Refusal::not_allowed(format!(
        "the run was {}; it is over, and a new run starts afresh",
        outcome.as_str()
    )))
}

/// What is on its way to its end only goes there.
pub(super) fn refuse_ending(state: &RunState) -> Result<(), Refusal> {
    let what = if state.outcome.is_some() {
        return Ok(());
    } else if state.unwinding {
        "what was done is being undone"
    } else if state.cancel.is_some() {
        "the run is being cancelled"
    } else if state.aborted.is_some() {
        "the run is being ended"
    } else {
        return Ok(());
    };
    Err(Refusal::not_allowed(format!("{what}: a plain resume goes on with that")))
}

/// The steps that run again from one on.
fn rewindable(plan: &Plan, state: &RunState, id: &StepId) -> Result<Vec<usize>, Refusal> {
    let Some(step) = state.index_of(id).filter(|step| !plan.steps[*step].is_added()) else {
        return Err(Refusal::usage(format!("the run has no step `{id}`")));
    };
    if plan.steps[step].finally {
        return Err(Refusal::usage(format!("`{id}` stands under finally, which runs again by itself")));
    }
    let begun = state.steps[step].attempts > 0 || state.steps[step].outcome() == Some(Outcome::Skipped);
    if !begun {
        return Err(Refusal::usage(format!("`{id}` has not started: there is nothing to run again")));
    }
    let skipped = |around: &usize| state.steps[*around].outcome() == Some(Outcome::Skipped);
    if let Some(around) = plan.containers_of(step).find(skipped) {
        let around = &plan.steps[around].id;
        return Err(Refusal::usage(format!(
            "`{id}` stands in `{around}`, which was skipped: say --from {around}"
        )));
    }
    Ok(state.following(step))
}

/// The steps inside a group, call or step with items that failed by themselves.
fn failed_inside(state: &RunState, step: usize) -> Vec<usize> {
    let mut failed = Vec::new();
    for &child in state.children(step) {
        let inside = failed_inside(state, child);
        if inside.is_empty() && state.steps[child].outcome() == Some(Outcome::Failed) {
            failed.push(child);
        }
        failed.extend(inside);
    }
    failed
}

/// Whether a failed step failed by itself, and all around it did not pass because of it.
fn is_cause(plan: &Plan, state: &RunState, step: usize) -> bool {
    let passed =
        |around: usize| matches!(state.steps[around].outcome(), Some(Outcome::Succeeded | Outcome::Skipped));
    failed_inside(state, step).is_empty() && !plan.containers_of(step).any(passed)
}

/// What follows from `runbook rollback`: the answers that it gives, and whether
/// the run must be ended first.
#[derive(Debug)]
pub struct Rollback {
    /// Answers to questions that are open about undoing, or about a failure.
    pub answers: Vec<Answer>,
    /// A question about undoing is open that an answer on the command line is for.
    pub is_answered_ahead: bool,
    /// It hasn't ended: undoing it ends it.
    pub ends: bool,
}

/// Judges a `rollback` of a run that no process holds, with the answers that are given together with it.
///
/// # Errors
/// Where nothing is left to undo, which is no mistake.
pub fn plan_rollback(state: &RunState, by: &str, ahead: &[AheadAnswer]) -> Result<Rollback, Refusal> {
    let plan = &*state.plan;
    let said = |step: usize| ahead.iter().any(|answer| answer.step == plan.steps[step].id);
    let answer_to = |step: usize, word: &str| Answer {
        word: word.to_owned(),
        ..answer(
            &ResumeRequest { by: by.to_owned(), ..ResumeRequest::default() },
            &plan.steps[step].id,
            word,
            None,
        )
    };
    let open = |kind: Gate| {
        state.gates.iter().find(|(_, gate)| gate.gate == kind).map(|(step, gate)| (*step, gate.words.clone()))
    };
    let answered = |answers| Ok(Rollback { answers, is_answered_ahead: false, ends: false });
    let about_undo = open(Gate::Rollback).or_else(|| open(Gate::Undo));
    if about_undo.is_some_and(|(step, _)| said(step)) {
        return Ok(Rollback { answers: Vec::new(), is_answered_ahead: true, ends: false });
    }
    if let Some((step, _)) = open(Gate::Rollback) {
        return answered(vec![answer_to(step, "undo")]);
    }
    if let Some((step, words)) = open(Gate::Undo) {
        // How an interrupted undo ended is for a person to say.
        let failed = state.steps[step].outcome() == Some(Outcome::Failed);
        let retries = failed && words.iter().any(|word| word == "retry");
        return answered(if retries { vec![answer_to(step, "retry")] } else { Vec::new() });
    }
    if undoable(plan, state).order.is_empty() && (state.outcome.is_some() || !state.unwinding) {
        return Err(Refusal::unchanged("nothing is left to undo"));
    }
    if let Some((step, _)) = open(Gate::Failure).filter(|(_, words)| words.iter().any(|word| word == "undo"))
    {
        return answered(vec![answer_to(step, "undo")]);
    }
    let ends = state.outcome.is_none() && !state.unwinding;
    Ok(Rollback { answers: Vec::new(), is_answered_ahead: false, ends })
}

/// Judges answers given ahead of time by this user, before anything runs: one that could
/// never count is refused (`language.md` §6).
///
/// # Errors
/// Steps and words that don't exist are usage errors; what could never count
/// may not be.
pub fn check_ahead(plan: &Plan, answers: &[AheadAnswer], user: &str) -> Result<(), Refusal> {
    check_ahead_of(plan, answers, (user, user))
}

/// Judges answers that are given ahead of time by who takes a run on.
///
/// # Errors
/// The same, and where a question is decided already.
pub fn check_ahead_again(state: &RunState, answers: &[AheadAnswer], user: &str) -> Result<(), Refusal> {
    for answer in answers {
        let decided = state.asked_about(&answer.step).and_then(|step| state.steps[step].outcome());
        if let Some(outcome @ (Outcome::Succeeded | Outcome::Rejected | Outcome::Skipped)) = decided {
            return Err(Refusal::not_allowed(format!("`{}` is decided already: {outcome}", answer.step)));
        }
    }
    let starter = state.created.as_ref().map_or(user, |created| created.user.as_str());
    let mut others = Vec::new();
    for answer in answers {
        let about = state.asked_about(&answer.step);
        let undoes = about.is_some_and(|step| state.plan.steps[step].undoes().is_some());
        match about.and_then(|step| state.gates.get(&step)) {
            // What happened has opened this question: the plan alone doesn't know it.
            Some(gate)
                if undoes
                    || matches!(gate.gate, Gate::Failure | Gate::Interrupted | Gate::Undo | Gate::Window) =>
            {
                let words: Vec<&str> = gate.words.iter().map(String::as_str).collect();
                check_word(&answer.step, &answer.word, &words)?;
                check_reason(&answer.step, gate.gate, answer)?;
            }
            None if may_be_interrupted(state, &answer.step) => {
                check_word(&answer.step, &answer.word, &INTERRUPTED_WORDS)?;
                check_reason(&answer.step, Gate::Interrupted, answer)?;
            }
            _ => others.push(answer.clone()),
        }
    }
    check_ahead_of(&state.plan, &others, (user, starter))
}

/// `user` gives the answers, `starter` started the run.
fn check_ahead_of(
    plan: &Plan,
    answers: &[AheadAnswer],
    (user, starter): (&str, &str),
) -> Result<(), Refusal> {
    for (position, answer) in answers.iter().enumerate() {
        let id = &answer.step;
        let question = || plan.steps.iter().find(|step| step.role == Role::Rollback && step.id == *id);
        let declared = plan.index_of(id).map(|step| &plan.steps[step]);
        let Some(step) = declared.or_else(question).or_else(|| of_item(plan, id)) else {
            return Err(Refusal::usage(format!("the runbook has no step `{id}`")));
        };
        if WINDOW_WORDS.contains(&answer.word.as_str()) && may_ask_about_window(plan, step) {
            check_reason(id, Gate::Window, answer)?;
            continue;
        }
        if let Some(words) = words_beside(step, &answer.word) {
            check_word(id, &answer.word, words)?;
            check_reason(id, if id.as_str() == ROLLBACK { Gate::Rollback } else { Gate::Failure }, answer)?;
            continue;
        }
        let Some((gate, question)) = meant(step, &answer.word) else {
            return Err(Refusal::usage(match &step.action {
                Action::Each(_) => format!("`{id}` asks once for each item: name it, as in `{id}[0]`"),
                action => format!("`{id}` asks nothing: it is a `{}` step", action.kind()),
            }));
        };
        if let Some(words) = known_words(gate, question) {
            check_word(id, &answer.word, &words)?;
        }
        if answers[..position].iter().any(|before| before.step == *id) {
            return Err(Refusal::usage(format!("`{id}` is answered twice ahead of time")));
        }
        check_reason(id, gate, answer)?;
        let person = plan.people.person_of_user(user);
        may::may_say_it(plan, id, question, (person, &answer.word), (starter, Identity::User))?;
        let missing = question.fields.iter().find(|(_, spec)| spec.required && spec.default.is_none());
        if let Some((field, _)) = missing.filter(|_| may::goes_on(gate, &answer.word)) {
            return Err(Refusal::not_allowed(format!(
                "`{id}` asks for the field `{field}`, which can't be given ahead of time; answer it when it is open"
            )));
        }
        if answer.word == "done" && question.evidence == EvidenceRule::Required {
            return Err(Refusal::not_allowed(format!(
                "`{id}` needs evidence, which can't be given ahead of time; answer it when it is open"
            )));
        }
    }
    Ok(())
}

/// The step that an id with indexes means, which only the run makes: `deploy[1]`, `stage[0].check`.
fn of_item<'p>(plan: &'p Plan, id: &StepId) -> Option<&'p Step> {
    fn find<'p>(step: &'p Step, id: &str) -> Option<&'p Step> {
        step.held_back().find_map(|inner| {
            let is_it = inner.id.as_str() == id && !matches!(inner.action, Action::Each(_));
            if is_it { Some(inner) } else { find(inner, id) }
        })
    }
    let mut plain = String::new();
    for (position, part) in id.as_str().split('[').enumerate() {
        plain.push_str(match part.split_once(']') {
            Some((index, rest)) if position > 0 && index.bytes().all(|byte| byte.is_ascii_digit()) => rest,
            _ => part,
        });
    }
    if plain == id.as_str() { None } else { plan.steps.iter().find_map(|step| find(step, &plain)) }
}

/// The question that a word ahead of time is meant for: the one before the step, where it is one of its words, else the step's own.
fn meant<'p>(step: &'p Step, word: &str) -> Option<(Gate, &'p Question)> {
    let ask = step.ask.as_deref().map(|question| (Gate::Ask, question));
    let own = step.action.question();
    if words_of(Gate::Ask).contains(&word) { ask.or(own) } else { own.or(ask) }
}

/// The words of a question, where all of them are known before the run.
fn known_words(gate: Gate, question: &Question) -> Option<Vec<&str>> {
    match (gate, &question.options) {
        (Gate::Choose, Some(Options::Named(options))) => {
            let names: Vec<&str> = options.keys().map(String::as_str).collect();
            (!names.iter().any(|name| name.contains("{{"))).then_some(names)
        }
        (Gate::Choose, _) => None,
        _ => Some(words_of(gate).to_vec()),
    }
}

/// The words for a question that is no step's own: whether to undo, or what to do
/// about a failure where a person decides.
fn words_beside(step: &Step, word: &str) -> Option<&'static [&'static str]> {
    if step.ask.is_some() && words_of(Gate::Ask).contains(&word) {
        return None;
    }
    match (step.role, step.on_failure) {
        (Role::Rollback, _) => Some(&ROLLBACK_WORDS),
        (_, OnFailure::Ask) if step.action.question().is_none() => Some(failure_words(step)),
        _ => None,
    }
}

/// Whether it isn't known how the step ended, so that going on asks about it.
fn may_be_interrupted(state: &RunState, id: &StepId) -> bool {
    state.asked_about(id).is_some_and(|step| {
        let (declared, known) = (&state.plan.steps[step], &state.steps[step]);
        let is_cut_off = matches!(known.status, Status::Running(_)) || known.was_cut_off(declared);
        is_cut_off && !declared.is_container() && declared.action.question().is_none()
    })
}

/// Whether a person may be asked to start the step, or the run with it, outside of its window.
fn may_ask_about_window(plan: &Plan, step: &Step) -> bool {
    let windows = [&step.guards.window, &plan.guards.window];
    windows.into_iter().flatten().any(|window| window.outside == Outside::Ask)
}

pub(super) fn check_word(id: &StepId, word: &str, words: &[&str]) -> Result<(), Refusal> {
    if words.contains(&word) {
        return Ok(());
    }
    Err(Refusal::usage(format!("`{word}` is no answer to `{id}`: it takes {}", words.join(", "))))
}

pub(super) fn check_reason(id: &StepId, gate: Gate, answer: &AheadAnswer) -> Result<(), Refusal> {
    let given = answer.reason.as_ref().is_some_and(|reason| !reason.trim().is_empty());
    if given || !needs_reason(gate, &answer.word) {
        return Ok(());
    }
    Err(Refusal::usage(format!(
        "`{}` of `{id}` needs a reason: --answer {id}={}:REASON",
        answer.word, answer.word
    )))
}

fn answers_name(retry: &[StepId], skip: &[(StepId, String)], done: &[(StepId, String)], id: &StepId) -> bool {
    retry.contains(id) || skip.iter().chain(done).any(|(named, _)| named == id)
}

/// The step, where a person may decide about it in this way.
fn decidable(plan: &Plan, state: &RunState, id: &StepId, word: &str) -> Result<usize, Refusal> {
    let Some(step) = state.index_of(id) else {
        return Err(Refusal::usage(format!("the run has no step `{id}`")));
    };
    if word != "retry" && plan.steps[step].action.question().is_some_and(|(gate, _)| gate == Gate::Approve) {
        return Err(Refusal::usage(format!(
            "`{id}` is an approval: it passes only by its own answers, so it can't be skipped or done by hand"
        )));
    }
    if state.outcome.is_some()
        && let Some(undone) = plan.undone_by(step)
    {
        return Err(Refusal::usage(format!(
            "`{id}` belongs to the undo of `{}`, which `runbook rollback` tries again",
            plan.steps[undone].id
        )));
    }
    let known = &state.steps[step];
    let asks = plan.steps[step].action.question().is_some();
    if state.outcome.is_some() && plan.steps[step].finally && word != "retry" {
        return Err(Refusal::usage(format!(
            "`{id}` stands under finally, which runs again by itself: there is nothing to {word}"
        )));
    }
    match known.status {
        Status::Running(_) if asks && word != "done" => Err(Refusal::usage(format!(
            "the question of `{id}` is open: answer it, there is nothing to {word}"
        ))),
        Status::Ended(Outcome::Failed | Outcome::Interrupted) | Status::Running(_) => Ok(step),
        Status::Ended(Outcome::Cancelled) if known.was_cut_off(&plan.steps[step]) => Ok(step),
        Status::Ended(outcome) => Err(Refusal::usage(format!(
            "`{id}` {}{outcome}: only a step that failed or was interrupted can be told to {word}",
            outcome.auxiliary()
        ))),
        Status::Pending | Status::Delayed { .. } => {
            Err(Refusal::usage(format!("`{id}` has not started: there is nothing to {word}")))
        }
    }
}

fn answer(request: &ResumeRequest, id: &StepId, word: &str, reason: Option<&str>) -> Answer {
    Answer {
        step: id.clone(),
        nonce: None,
        digest: None,
        word: word.to_owned(),
        by: request.by.clone(),
        via: Via::Resume,
        identity: Identity::User,
        reason: reason.map(str::to_owned),
        fields: IndexMap::new(),
        items: Vec::new(),
        all_items: false,
        evidence: Vec::new(),
        outputs: if word == "done" { request.outputs.clone() } else { IndexMap::new() },
        env: IndexMap::new(),
        file: None,
    }
}
