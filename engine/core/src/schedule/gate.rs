//! Questions to people, as they are put: their words, texts, digest and nonce.

use std::fmt::Write as _;

use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::fields;
use super::input::{Circumstances, RenderedQuestion};
use super::unwind::{Undoable, undoable};
use crate::event::{EventKind, Gate, LeakedProcess, Outcome, RunOutcome};
use crate::plan::{Action, Plan, Step};
use crate::state::RunState;

/// The words that settle a question about a failed step.
const FAILURE_WORDS: [&str; 5] = ["retry", "skip", "done", "undo", "abort"];
/// The same under `finally`, and in what undoes: nothing is left to be undone.
const FAILURE_WORDS_FINALLY: [&str; 4] = ["retry", "skip", "done", "abort"];
/// The same for an approval, which passes only by its own answers.
const FAILURE_WORDS_APPROVE: [&str; 3] = ["retry", "undo", "abort"];
/// The words that decide whether what was done is undone.
pub(super) const ROLLBACK_WORDS: [&str; 2] = ["undo", "keep"];
/// The words that settle a question about an undo that failed.
pub(super) const UNDO_WORDS: [&str; 3] = ["retry", "skip", "abort"];
/// The same where it isn't known how it ended.
pub(super) const UNDO_INTERRUPTED_WORDS: [&str; 4] = ["retry", "skip", "done", "abort"];
/// The same for a step of which it isn't known how it ended.
pub(super) const INTERRUPTED_WORDS: [&str; 5] = ["retry", "skip", "done", "failed", "abort"];
/// What can be said about a step that waits for a terminal.
const TERMINAL_WORDS: [&str; 1] = ["skip"];
/// While processes of it still run, nothing else can be decided.
const SURVIVORS_WORDS: [&str; 2] = ["wait", "end"];

/// Whether an answer with this word needs a reason (`cli.md`).
#[must_use]
pub fn needs_reason(gate: Gate, word: &str) -> bool {
    match word {
        "reject" | "skip" | "failed" | "override" => true,
        "done" => matches!(gate, Gate::Failure | Gate::Interrupted | Gate::Undo),
        _ => false,
    }
}

/// The digest of what is approved: the plan, the inputs as they are now, and
/// all that is shown. Not in it: the run, time and host.
#[must_use]
pub fn gate_digest(plan_digest: &str, state: &RunState, plan: &Plan, shown: &RenderedQuestion) -> String {
    let mut hash = Sha256::new();
    let mut field = |text: &str| {
        // Lengths keep two fields from passing for other two.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    field(plan_digest);
    for ((step, path), sha256) in &state.changed_inputs {
        field(plan.steps[*step].id.as_str());
        field(path);
        field(sha256.as_deref().unwrap_or("gone"));
    }
    if shown.without_run.is_empty() {
        field(&shown.prompt);
        field(shown.details.as_deref().unwrap_or_default());
    }
    for text in &shown.without_run {
        field(text);
    }
    for item in &shown.checklist {
        field(item);
    }
    for (name, meaning) in &shown.options {
        field(name);
        field(meaning);
    }
    for choice in shown.choices.values().flatten() {
        field(choice);
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The one use of a question: the same question asked again has another.
fn nonce(plan: &Plan, state: &RunState, step: usize, digest: &str) -> String {
    let mut hash = Sha256::new();
    if let Some(created) = &state.created {
        hash.update(created.at.as_millis().to_be_bytes());
        hash.update(created.user.as_bytes());
        hash.update(created.host.as_bytes());
    }
    hash.update(plan.steps[step].id.as_str().as_bytes());
    hash.update(state.steps[step].gates_opened.to_be_bytes());
    hash.update(digest.as_bytes());
    hex(&hash.finalize())[..32].to_owned()
}

/// The words that answer a question which a runbook declares; of a choice, its options.
#[must_use]
pub fn words_of(gate: Gate) -> &'static [&'static str] {
    match gate {
        Gate::Approve => &["approve", "reject"],
        Gate::Manual => &["done", "failed"],
        Gate::Ask => &["yes", "no"],
        _ => &[],
    }
}

/// What is no longer what an approval, given or asked for, was bound to: nothing where it is all the same.
pub(super) fn changed_since(
    plan: &Plan,
    state: &RunState,
    step: usize,
    circumstances: &Circumstances<'_>,
) -> Option<String> {
    let asked = state.steps[step].asked_about.as_deref()?;
    let shown = match circumstances.renderer.question(plan, state, step, Gate::Approve) {
        Ok(shown) => shown,
        Err(error) => return Some(format!("what it shows can't be shown any more: {error}")),
    };
    let plan_digest = state.created.as_ref().map_or("", |created| &created.plan_digest);
    if gate_digest(plan_digest, state, plan, &shown) == asked.digest {
        return None;
    }
    let prompt = (shown.prompt != asked.prompt).then_some("the prompt");
    let details = (shown.details != asked.details).then_some("the details");
    let changed: Vec<&str> = prompt.into_iter().chain(details).collect();
    let what = if changed.is_empty() { "what is approved".to_owned() } else { changed.join(" and ") };
    Some(format!("{what} changed since"))
}

/// The opening of a step's own question, or of the one that is put before it.
///
/// # Errors
/// Where its texts can't be rendered.
pub(super) fn opening(
    plan: &Plan,
    state: &RunState,
    step: usize,
    gate: Gate,
    circumstances: &Circumstances<'_>,
) -> Result<EventKind, String> {
    let Some(question) = plan.steps[step].question(gate) else {
        return Err("the step asks nothing".into());
    };
    let shown = circumstances.renderer.question(plan, state, step, gate)?;
    let plan_digest = state.created.as_ref().map_or("", |created| &created.plan_digest);
    let digest = gate_digest(plan_digest, state, plan, &shown);
    let words = match gate {
        Gate::Choose => shown.options.iter().map(|(name, _)| name.clone()).collect(),
        _ => words_of(gate).iter().map(|word| (*word).to_owned()).collect(),
    };
    Ok(EventKind::GateOpened {
        step: plan.steps[step].id.clone(),
        gate,
        nonce: nonce(plan, state, step, &digest),
        from: question.from.clone(),
        quorum: question.quorum.max(1),
        expires_at: question.expires.map(|expires| circumstances.now.after(expires.into())),
        digest,
        words,
        fields: fields::asked(question, &shown),
        prompt: shown.prompt,
        details: shown.details,
        checklist: shown.checklist,
        survivors: Vec::new(),
        options: shown.options.into_iter().collect(),
    })
}

/// A question about a step that has ended, in the engine's own words.
fn about_ended(
    plan: &Plan,
    state: &RunState,
    step: usize,
    gate: Gate,
    prompt: String,
    words: &[&str],
    survivors: Vec<LeakedProcess>,
) -> EventKind {
    let shown = RenderedQuestion { prompt: prompt.clone(), ..RenderedQuestion::default() };
    let plan_digest = state.created.as_ref().map_or("", |created| &created.plan_digest);
    let digest = gate_digest(plan_digest, state, plan, &shown);
    EventKind::GateOpened {
        step: plan.steps[step].id.clone(),
        gate,
        nonce: nonce(plan, state, step, &digest),
        prompt,
        from: Vec::new(),
        quorum: 1,
        expires_at: None,
        digest,
        details: None,
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        checklist: Vec::new(),
        survivors,
        options: IndexMap::new(),
        fields: IndexMap::new(),
    }
}

/// Puts the question whether to start outside a window.
pub(super) fn about_window(
    plan: &Plan,
    state: &RunState,
    step: usize,
    prompt: String,
    words: &[&str],
) -> EventKind {
    about_ended(plan, state, step, Gate::Window, prompt, words, Vec::new())
}

/// Says that a step waits for a terminal.
pub(super) fn about_terminal(plan: &Plan, state: &RunState, step: usize) -> EventKind {
    let prompt = format!("{} needs a terminal: resume the run at one", plan.steps[step].id);
    about_ended(plan, state, step, Gate::Terminal, prompt, &TERMINAL_WORDS, Vec::new())
}

/// Puts the question what to do about a step that has failed.
pub(super) fn about_failure(plan: &Plan, state: &RunState, step: usize) -> Option<EventKind> {
    if state.gates.contains_key(&step) || state.steps[step].outcome() != Some(Outcome::Failed) {
        return None;
    }
    let reason = state.steps[step].result.reason.as_deref().unwrap_or("it failed");
    let prompt = format!("{} failed ({reason}). What now?", plan.steps[step].id);
    let mut words = failure_words(&plan.steps[step]).to_vec();
    if !may_undo(plan, state) {
        words.retain(|word| *word != "undo");
    }
    Some(about_ended(plan, state, step, Gate::Failure, prompt, &words, Vec::new()))
}

/// Whether anything that was done can be undone, or that is being done.
fn may_undo(plan: &Plan, state: &RunState) -> bool {
    let is_done = || !undoable(plan, state).order.is_empty();
    state.undos().any(|(step, _)| state.running.contains(&step) || state.retrying.contains(&step))
        || is_done()
}

/// The words that settle the question about this step's failure, where what was done can be undone.
pub(super) fn failure_words(step: &Step) -> &'static [&'static str] {
    match &step.action {
        Action::Approve(_) => &FAILURE_WORDS_APPROVE,
        _ if step.finally || step.is_added() => &FAILURE_WORDS_FINALLY,
        _ => &FAILURE_WORDS,
    }
}

/// Puts the question whether to undo what was done.
pub(super) fn about_rollback(plan: &Plan, state: &RunState, undoable: &Undoable) -> Option<EventKind> {
    let question = state.rollback_question()?;
    let ids = |steps: &[usize]| {
        steps.iter().map(|step| plan.steps[*step].id.as_str()).collect::<Vec<_>>().join(", ")
    };
    let how = match state.verdict(plan) {
        RunOutcome::Cancelled => "was cancelled",
        RunOutcome::Rejected => "was rejected",
        RunOutcome::Failed | RunOutcome::Succeeded => "failed",
    };
    let mut prompt = format!("The run {how}. Undo what was done, in this order: {}?", ids(&undoable.order));
    if !undoable.left_out.is_empty() {
        let left_out = ids(&undoable.left_out);
        prompt.push_str(&format!(" Not undone, as it didn't succeed: {left_out}."));
    }
    Some(about_ended(plan, state, question, Gate::Rollback, prompt, &ROLLBACK_WORDS, Vec::new()))
}

/// Puts the question what to do about an undo that failed, or of which it isn't
/// known how it ended.
pub(super) fn about_undo(
    plan: &Plan,
    state: &RunState,
    undo: usize,
    survivors: Vec<LeakedProcess>,
) -> EventKind {
    let (id, known) = (&plan.steps[undo].id, &state.steps[undo]);
    let (prompt, words): (String, &[&str]) = if !survivors.is_empty() {
        let pids: Vec<String> = survivors.iter().map(|p| format!("{} ({})", p.pid, p.command)).collect();
        let pids = pids.join(", ");
        let prompt = format!(
            "The undo of {id} was interrupted, and processes of it still run: {pids}. Wait for them, or end them?"
        );
        (prompt, &SURVIVORS_WORDS)
    } else if known.outcome() == Some(Outcome::Interrupted) {
        let prompt = format!(
            "The undo of {id} was interrupted: it had started, and how it ended is not known. What now?"
        );
        (prompt, &UNDO_INTERRUPTED_WORDS)
    } else {
        let reason = known.result.reason.as_deref().unwrap_or("it failed");
        (format!("The undo of {id} failed ({reason}). What now?"), &UNDO_WORDS)
    };
    about_ended(plan, state, undo, Gate::Undo, prompt, words, survivors)
}

/// Puts the question what to do about a step of which it isn't known how it
/// ended. While processes of it still run, only they can be decided about.
pub(super) fn about_interrupted(
    plan: &Plan,
    state: &RunState,
    step: usize,
    survivors: Vec<LeakedProcess>,
) -> EventKind {
    let id = &plan.steps[step].id;
    if survivors.is_empty() {
        let reason = state.steps[step].result.reason.as_deref().unwrap_or_default();
        let prompt = match reason.strip_prefix("stopped: SIG") {
            // Its end is known, whether it heeded the signal or had to be killed; what it had done by then is not.
            Some(signal) => {
                format!("{id} was stopped with the run (SIG{signal}) before it was over. Did it take effect?")
            }
            _ => format!(
                "{id} was interrupted: it had started, and how it ended is not known. Did it take effect?"
            ),
        };
        return about_ended(plan, state, step, Gate::Interrupted, prompt, &INTERRUPTED_WORDS, survivors);
    }
    let pids: Vec<String> = survivors.iter().map(|p| format!("{} ({})", p.pid, p.command)).collect();
    let prompt = format!(
        "{id} was interrupted, and processes of it still run: {}. Wait for them, or end them?",
        pids.join(", ")
    );
    about_ended(plan, state, step, Gate::Interrupted, prompt, &SURVIVORS_WORDS, survivors)
}

/// Takes back questions about interrupted steps that were put while processes
/// of them still ran, or the other way round: another question is due now.
pub(super) fn outdated(plan: &Plan, state: &RunState, circumstances: &Circumstances<'_>) -> Vec<EventKind> {
    let outdated = state.interrupted.iter().filter(|step| {
        let survive = circumstances.survivors.get(step).is_some_and(|processes| !processes.is_empty());
        state.gates.get(step).is_some_and(|gate| gate.survivors.is_empty() == survive)
    });
    outdated
        .map(|step| EventKind::GateClosed {
            step: plan.steps[*step].id.clone(),
            result: "void".into(),
            reason: Some("what still runs of it has changed".into()),
        })
        .collect()
}
