//! The story of a rehearsal, for people who look why it went otherwise.

use super::report::Happened;
use crate::event::EventKind;
use crate::moment::Moment;
use crate::state::RunState;

/// What happened, in order.
pub(super) fn timeline(log: &[(Moment, EventKind)], state: &RunState) -> Vec<Happened> {
    let Some((start, _)) = log.first() else { return Vec::new() };
    log.iter()
        .filter_map(|(at, event)| {
            let what = words(event, state)?;
            let after_ms = u64::try_from(at.since(*start).as_millis()).unwrap_or(u64::MAX);
            Some(Happened { after_ms, step: event.step().map(ToString::to_string), what })
        })
        .collect()
}

fn words(event: &EventKind, state: &RunState) -> Option<String> {
    let container = |step: &crate::id::StepId| {
        state.index_of(step).is_some_and(|index| state.plan.steps[index].is_container())
    };
    let because = |what: String, reason: &Option<String>| match reason {
        Some(reason) => format!("{what}: {reason}"),
        None => what,
    };
    Some(match event {
        EventKind::StepStarted { step, attempt, why, .. } if *attempt > 1 && !container(step) => {
            because(format!("attempt {attempt}"), why)
        }
        EventKind::StepFinished { step, outcome, reason, .. } if !container(step) || reason.is_some() => {
            because(outcome.to_string(), reason)
        }
        EventKind::StepSkipped { reason, .. } => format!("skipped: {reason}"),
        EventKind::StepBlocked { needs, .. } => format!("blocked by {needs}"),
        EventKind::StepCancelled { reason, .. } => format!("cancelled: {reason}"),
        EventKind::DoneChecked { attempt: 1.., done, .. } => match done {
            Some(true) => "it had taken effect".into(),
            Some(false) => "it had not taken effect".into(),
            None => "whether it had taken effect can't be seen".into(),
        },
        EventKind::UndoStarted { attempt, why, .. } if *attempt > 1 => {
            because(format!("undo, attempt {attempt}"), why)
        }
        EventKind::RetryScheduled { delay_ms, .. } => {
            let delay = crate::duration::Duration::from(std::time::Duration::from_millis(*delay_ms));
            format!("tried again in {delay}")
        }
        EventKind::Items { list, .. } => format!("{} items", list.len()),
        EventKind::Waiting { reason, .. } => format!("waits: {reason}"),
        EventKind::GateOpened { prompt, .. } => {
            format!("asks: {}", prompt.lines().next().unwrap_or_default())
        }
        EventKind::GateAnswered { answer, by, .. } => format!("{by} says {answer}"),
        EventKind::UndoFinished { outcome, reason, .. } => because(format!("undo {outcome}"), reason),
        EventKind::BackgroundEnded { expected: false, reason, .. } => format!("ended too early: {reason}"),
        EventKind::RunResumed { .. } => "the engine died, and another went on".into(),
        EventKind::RunParked { waiting_for } => {
            let steps: Vec<&str> = waiting_for.iter().map(|gate| gate.step.as_str()).collect();
            format!("the run waits for {}", steps.join(", "))
        }
        EventKind::RunFinished { outcome, reason, .. } => because(format!("the run {outcome}"), reason),
        _ => return None,
    })
}
