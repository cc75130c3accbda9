//! Questions to people: opened, judged and settled by one set of rules,
//! whatever they are about and wherever they are answered.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::input::{Answer, Circumstances, Refusal, RefusalKind, RenderedQuestion};
use crate::event::{EventKind, Gate, Identity, Outcome, Via};
use crate::plan::{EvidenceRule, OnExpiry, OnInterrupt, Plan};
use crate::state::{OpenGate, RunState, Status};

/// The words that settle a question about a failed step in this version.
const FAILURE_WORDS: [&str; 4] = ["retry", "skip", "done", "abort"];
/// The same for a step of which it isn't known how it ended.
const INTERRUPTED_WORDS: [&str; 5] = ["retry", "skip", "done", "failed", "abort"];
/// While processes of it still run, nothing else can be decided.
const SURVIVORS_WORDS: [&str; 2] = ["wait", "end"];

/// Whether an answer with this word needs a reason (`cli.md`).
#[must_use]
pub fn needs_reason(gate: Gate, word: &str) -> bool {
    match word {
        "reject" | "skip" | "failed" | "override" => true,
        "done" => matches!(gate, Gate::Failure | Gate::Interrupted),
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
    field(&shown.prompt);
    field(shown.details.as_deref().unwrap_or_default());
    for item in &shown.checklist {
        field(item);
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

/// The opening of a step's own question.
///
/// # Errors
/// Where its texts can't be rendered.
pub(super) fn opening(
    plan: &Plan,
    state: &RunState,
    step: usize,
    circumstances: &Circumstances<'_>,
) -> Result<EventKind, String> {
    let Some((gate, question)) = plan.steps[step].action.question() else {
        return Err("the step asks nothing".into());
    };
    let shown = circumstances.renderer.question(plan, state, step)?;
    let plan_digest = state.created.as_ref().map_or("", |created| &created.plan_digest);
    let digest = gate_digest(plan_digest, state, plan, &shown);
    let words: &[&str] = match gate {
        Gate::Approve => &["approve", "reject"],
        _ => &["done", "failed"],
    };
    Ok(EventKind::GateOpened {
        step: plan.steps[step].id.clone(),
        gate,
        nonce: nonce(plan, state, step, &digest),
        prompt: shown.prompt,
        from: Vec::new(),
        quorum: 1,
        expires_at: question.expires.map(|expires| circumstances.now.after(expires.into())),
        digest,
        details: shown.details,
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        checklist: shown.checklist,
        survivors: Vec::new(),
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
    survivors: Vec<crate::event::LeakedProcess>,
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
    }
}

/// Puts the question what to do about a step that has failed.
pub(super) fn open_failure(plan: &Plan, state: &RunState, step: usize) -> Vec<EventKind> {
    if state.gates.contains_key(&step) || state.steps[step].outcome() != Some(Outcome::Failed) {
        return Vec::new();
    }
    let reason = state.steps[step].result.reason.as_deref().unwrap_or("it failed");
    let prompt = format!("{} failed ({reason}). What now?", plan.steps[step].id);
    vec![about_ended(plan, state, step, Gate::Failure, prompt, &FAILURE_WORDS, Vec::new())]
}

/// Settles by declaration, or puts the question, what to do about each step of
/// which it isn't known how it ended (`language.md` §8).
pub(super) fn open_interrupted(
    plan: &Plan,
    state: &RunState,
    circumstances: &Circumstances<'_>,
) -> Vec<EventKind> {
    let mut events = Vec::new();
    for &step in &state.interrupted {
        if state.gates.contains_key(&step) {
            continue;
        }
        let declared = &plan.steps[step];
        let survivors = circumstances.survivors.get(&step).cloned().unwrap_or_default();
        if !survivors.is_empty() {
            let pids: Vec<String> = survivors.iter().map(|p| format!("{} ({})", p.pid, p.command)).collect();
            let prompt = format!(
                "{} was interrupted, and processes of it still run: {}. Wait for them, or end them?",
                declared.id,
                pids.join(", ")
            );
            events.push(about_ended(
                plan,
                state,
                step,
                Gate::Interrupted,
                prompt,
                &SURVIVORS_WORDS,
                survivors,
            ));
            continue;
        }
        let prompt = format!(
            "{} was interrupted: it had started, and how it ended is not known. Did it take effect?",
            declared.id
        );
        let repeatable = declared.action.is_repeatable() || declared.action.is_background();
        match (repeatable, declared.on_interrupt) {
            (true, _) => events.push(again(
                plan,
                state,
                step,
                "a check changes nothing and is done again",
                circumstances,
            )),
            (false, OnInterrupt::Rerun) => {
                events.push(again(plan, state, step, "on_interrupt: rerun", circumstances));
            }
            (false, OnInterrupt::Fail) => {
                events.push(about_ended(
                    plan,
                    state,
                    step,
                    Gate::Interrupted,
                    prompt,
                    &INTERRUPTED_WORDS,
                    Vec::new(),
                ));
                events.push(EventKind::GateClosed {
                    step: declared.id.clone(),
                    result: "failed".into(),
                    reason: Some("on_interrupt: fail".into()),
                });
            }
            (false, OnInterrupt::Ask) => {
                events.push(about_ended(
                    plan,
                    state,
                    step,
                    Gate::Interrupted,
                    prompt,
                    &INTERRUPTED_WORDS,
                    Vec::new(),
                ));
            }
        }
    }
    events
}

/// Takes back questions about interrupted steps that were put while processes
/// of them still ran, or the other way round: another question is due now.
pub(super) fn take_back_outdated(
    plan: &Plan,
    state: &RunState,
    circumstances: &Circumstances<'_>,
) -> Vec<EventKind> {
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

/// Another attempt of an interrupted step, by declaration.
fn again(
    plan: &Plan,
    state: &RunState,
    step: usize,
    why: &str,
    circumstances: &Circumstances<'_>,
) -> EventKind {
    let shown = circumstances.renderer.shown(plan, state, step).unwrap_or_default();
    let process = matches!(plan.steps[step].action, crate::plan::Action::Run(_));
    let offset = state.interrupted.iter().take_while(|other| **other < step).count();
    EventKind::StepStarted {
        step: plan.steps[step].id.clone(),
        attempt: state.steps[step].attempts + 1,
        command: shown.command,
        digest: shown.digest,
        boot: process.then(|| circumstances.boot.to_owned()),
        slot: process.then(|| state.next_slot + u32::try_from(offset).unwrap_or(0)),
        why: Some(why.to_owned()),
    }
}

/// What follows for open questions without anybody answering now: they are
/// opened anew where a void left them closed, answered by what was said ahead
/// of time, and closed where they have expired.
pub(super) fn settle(plan: &Plan, state: &RunState, circumstances: &Circumstances<'_>) -> Vec<EventKind> {
    let mut events = Vec::new();
    for (index, known) in state.steps.iter().enumerate() {
        let Status::Running(_) = known.status else { continue };
        if plan.steps[index].action.question().is_some() && !state.gates.contains_key(&index) {
            if let Ok(opened) = opening(plan, state, index, circumstances) {
                events.push(opened);
            }
        }
    }
    for (&step, gate) in &state.gates {
        if gate.expires_at.is_some_and(|at| at <= circumstances.now) {
            events.extend(expire(plan, state, step));
            continue;
        }
        let Some(ahead) = state.ahead.iter().find(|ahead| ahead.step == plan.steps[step].id) else {
            continue;
        };
        let by = state.created.as_ref().map_or_else(String::new, |created| created.user.clone());
        let answer = Answer {
            step: ahead.step.clone(),
            nonce: None,
            digest: None,
            word: ahead.word.clone(),
            by,
            via: Via::Ahead,
            identity: Identity::User,
            reason: ahead.reason.clone(),
            fields: IndexMap::new(),
            items: Vec::new(),
            all_items: true,
            evidence: Vec::new(),
            outputs: IndexMap::new(),
            file: None,
        };
        if let Ok(taken) = judge(plan, state, &answer, circumstances) {
            events.extend(taken);
        }
    }
    events
}

/// The closing of questions that nobody answered in time.
pub(super) fn expired(plan: &Plan, state: &RunState, circumstances: &Circumstances<'_>) -> Vec<EventKind> {
    let overdue = |at: crate::moment::Moment| at <= circumstances.now;
    let steps =
        state.gates.iter().filter(|(_, gate)| gate.expires_at.is_some_and(overdue)).map(|(step, _)| *step);
    steps.flat_map(|step| expire(plan, state, step)).collect()
}

fn expire(plan: &Plan, state: &RunState, step: usize) -> Vec<EventKind> {
    let id = &plan.steps[step].id;
    let on_expiry =
        plan.steps[step].action.question().map_or(OnExpiry::Fail, |(_, question)| question.on_expiry);
    let outcome = match on_expiry {
        OnExpiry::Reject => Outcome::Rejected,
        OnExpiry::Fail => Outcome::Failed,
    };
    let mut events = vec![EventKind::GateClosed { step: id.clone(), result: "expired".into(), reason: None }];
    events.extend(gate_finished(
        plan,
        state,
        step,
        outcome,
        Some("expired: nobody answered in time".into()),
        None,
    ));
    events
}

/// The end of a gate's attempt, where its step runs.
fn gate_finished(
    plan: &Plan,
    state: &RunState,
    step: usize,
    outcome: Outcome,
    reason: Option<String>,
    answer: Option<&Answer>,
) -> Option<EventKind> {
    let Status::Running(running) = &state.steps[step].status else { return None };
    let mut by: Vec<String> = Vec::new();
    if let Some(gate) = state.gates.get(&step) {
        by.extend(gate.answers.iter().filter(|given| given.word != "reject").map(|given| given.by.clone()));
    }
    if let Some(answer) = answer {
        by.push(answer.by.clone());
    }
    let mut seen = BTreeSet::new();
    by.retain(|person| seen.insert(person.clone()));
    Some(EventKind::StepFinished {
        step: plan.steps[step].id.clone(),
        attempt: running.number,
        outcome,
        reason,
        exit_code: None,
        signal: None,
        duration_ms: 0,
        outputs: IndexMap::new(),
        log_sha256: None,
        dropped_bytes: 0,
        recovered: false,
        by,
        choice: None,
        fields: answer.map(|answer| answer.fields.clone()).unwrap_or_default(),
        values: IndexMap::new(),
        warnings: Vec::new(),
    })
}

/// The run ends while questions are open: they are taken back.
pub(super) fn close_cancelled(plan: &Plan, state: &RunState, finally: bool, why: &str) -> Vec<EventKind> {
    let mut events = Vec::new();
    for &step in state.gates.keys() {
        if plan.steps[step].finally != finally {
            continue;
        }
        events.push(EventKind::GateClosed {
            step: plan.steps[step].id.clone(),
            result: "cancelled".into(),
            reason: Some(why.to_owned()),
        });
        events.extend(gate_finished(
            plan,
            state,
            step,
            Outcome::Cancelled,
            Some(format!("operator: {why}")),
            None,
        ));
    }
    events
}

/// Inputs that are no longer what was seen: recorded, and what was approved on
/// them is void.
pub(super) fn inputs_changed(
    plan: &Plan,
    state: &RunState,
    changed: Vec<(usize, String, Option<String>)>,
) -> Vec<EventKind> {
    if changed.is_empty() {
        return Vec::new();
    }
    let what: Vec<String> = changed.iter().map(|(_, path, _)| path.clone()).collect();
    let why = format!("{} changed since", what.join(", "));
    let mut events: Vec<EventKind> = changed
        .into_iter()
        .map(|(step, path, sha256)| EventKind::InputChanged {
            step: plan.steps[step].id.clone(),
            path,
            sha256,
        })
        .collect();
    for (index, step) in plan.steps.iter().enumerate() {
        let approve = step.action.question().is_some_and(|(gate, _)| gate == Gate::Approve);
        let given = state.steps[index].outcome() == Some(Outcome::Succeeded);
        if approve && (given || state.gates.contains_key(&index)) {
            events.push(EventKind::GateClosed {
                step: step.id.clone(),
                result: "void".into(),
                reason: Some(why.clone()),
            });
        }
    }
    events
}

/// Judges one answer: the events that it causes, or why it isn't taken.
///
/// # Errors
/// A [`Refusal`] says what to do instead; nothing has changed then.
pub(super) fn judge(
    plan: &Plan,
    state: &RunState,
    answer: &Answer,
    circumstances: &Circumstances<'_>,
) -> Result<Vec<EventKind>, Refusal> {
    let id = &answer.step;
    let Some(step) = state.index_of(id) else {
        return Err(Refusal::usage(format!("the run has no step `{id}`")));
    };
    let Some(gate) = state.gates.get(&step) else {
        return Err(not_open(plan, state, step));
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
        if ticks.is_empty() {
            return Err(Refusal::usage(format!("nothing is said about `{id}`")));
        }
        return Ok(vec![answered(answer, ticks)]);
    }
    if !gate.words.iter().any(|word| *word == answer.word) {
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
        return Err(Refusal {
            kind: RefusalKind::Unchanged,
            message: format!("{} has said `{}` to `{id}` already", answer.by, answer.word),
        });
    }
    let mut events = Vec::new();
    match (gate.gate, answer.word.as_str()) {
        (Gate::Manual, "done") => {
            let open = open_items(gate, &ticks);
            if !open.is_empty() {
                let items: Vec<String> = open.iter().map(|(n, item)| format!("{n} ({item})")).collect();
                return Err(Refusal::not_allowed(format!(
                    "`{id}` isn't done while items are open: {}; tick them with --item, or all the rest with --all",
                    items.join(", ")
                )));
            }
            let rule = plan.steps[step].action.question().map_or(EvidenceRule::None, |(_, q)| q.evidence);
            let shown =
                !answer.evidence.is_empty() || gate.answers.iter().any(|given| !given.evidence.is_empty());
            if rule == EvidenceRule::Required && !shown {
                return Err(Refusal::usage(format!(
                    "`{id}` needs evidence: a note (--note), a link (--link) or a file (--attach)"
                )));
            }
            events.push(answered(answer, ticks));
            events.push(closed(id, "done"));
            events.extend(gate_finished(plan, state, step, Outcome::Succeeded, None, Some(answer)));
        }
        (Gate::Manual, "failed") => {
            events.push(answered(answer, ticks));
            events.push(closed(id, "failed"));
            let reason = format!("operator: {}", answer.reason.as_deref().unwrap_or_default());
            events.extend(gate_finished(plan, state, step, Outcome::Failed, Some(reason), Some(answer)));
        }
        (Gate::Approve, "approve") => {
            events.push(answered(answer, ticks));
            let people: BTreeSet<&str> = gate
                .answers
                .iter()
                .filter(|given| given.word == "approve")
                .map(|given| given.by.as_str())
                .chain([answer.by.as_str()])
                .collect();
            if people.len() >= gate.quorum as usize {
                events.push(closed(id, "approve"));
                events.extend(gate_finished(plan, state, step, Outcome::Succeeded, None, Some(answer)));
            }
        }
        (Gate::Approve, "reject") => {
            events.push(answered(answer, ticks));
            events.push(closed(id, "reject"));
            let reason = format!("operator: {}", answer.reason.as_deref().unwrap_or_default());
            events.extend(gate_finished(plan, state, step, Outcome::Rejected, Some(reason), Some(answer)));
        }
        (Gate::Failure | Gate::Interrupted, "skip") => {
            events.push(answered(answer, ticks));
            events.push(closed(id, "skip"));
            events.push(EventKind::StepSkipped {
                step: id.clone(),
                reason: format!("operator: {}", answer.reason.as_deref().unwrap_or_default()),
                by: Some(answer.by.clone()),
            });
        }
        (_, word) => {
            events.push(answered(answer, ticks));
            events.push(closed(id, word));
        }
    }
    Ok(events)
}

fn not_open(plan: &Plan, state: &RunState, step: usize) -> Refusal {
    let id = &plan.steps[step].id;
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

fn closed(step: &crate::id::StepId, result: &str) -> EventKind {
    EventKind::GateClosed { step: step.clone(), result: result.to_owned(), reason: None }
}
