//! One event, one line for people.

use indexmap::IndexMap;
use runbook_core::event::{Event, EventKind, Outcome, Via};
use runbook_core::id::StepId;
use runbook_core::state::Status;
use runbook_core::template::quote_for_display;
use runbook_runtime::run::View;

use super::next::Paste;
use super::wording::{Signs, count, gist, harmless, millis, started, titled, why};
use crate::console::{ATTENTION, DIM, STRONG, styled};

/// The line that tells of an event, with its newline; `None` where people needn't hear of it.
pub(super) fn sentence(event: &Event, view: View<'_>, signs: &Signs) -> Option<String> {
    let note = |sign: &str, text: &str| Some(format!("{} {text}\n", styled(ATTENTION, sign)));
    match &event.kind {
        EventKind::StepFinished {
            step,
            outcome,
            reason,
            duration_ms,
            warnings,
            by,
            recovered,
            attempt,
            ..
        } => {
            let (sign, colour) = signs.of(*outcome);
            let mut line = format!("{} {} {outcome}", styled(colour, sign), styled(STRONG, step));
            if *attempt > 1 {
                line.push_str(&format_args!(", attempt {attempt}").to_string());
            }
            if *duration_ms > 0 {
                line.push_str(&styled(DIM, format_args!(" in {}", millis(*duration_ms))));
            }
            if !by.is_empty() {
                line.push_str(&format_args!(" by {}", harmless(&by.join(", "))).to_string());
            }
            if let Some(reason) = reason {
                line.push_str(": ");
                line.push_str(&why(reason));
            }
            if *recovered {
                line.push_str(&styled(DIM, " (its end was found after a crash)"));
            }
            line.push('\n');
            for warning in warnings {
                line.push_str(&styled(ATTENTION, signs.attention));
                line.push_str(&format_args!(" {step} warns: {}\n", harmless(warning)).to_string());
            }
            Some(line)
        }
        EventKind::UndoFinished { step, attempt, outcome, reason, duration_ms, by, recovered, .. } => {
            let (sign, colour) = signs.of(*outcome);
            let how = match outcome {
                Outcome::Succeeded => "undone".to_owned(),
                other => format!("not undone, its undo {other}"),
            };
            let mut line = format!("{} {} {how}", styled(colour, sign), styled(STRONG, step));
            if *attempt > 1 {
                line.push_str(&format!(", attempt {attempt}"));
            }
            if *duration_ms > 0 {
                line.push_str(&styled(DIM, format_args!(" in {}", millis(*duration_ms))));
            }
            if !by.is_empty() {
                line.push_str(&format!(" by {}", harmless(&by.join(", "))));
            }
            if let Some(reason) = reason {
                line.push_str(&format!(": {}", harmless(reason)));
            }
            if *recovered {
                line.push_str(&styled(DIM, " (its end was found after a crash)"));
            }
            line.push('\n');
            Some(line)
        }
        EventKind::StepSkipped { step, reason, by } => {
            let (sign, colour) = signs.of(Outcome::Skipped);
            let by = by.as_ref().map_or_else(String::new, |by| format!(" by {}", harmless(by)));
            Some(format!("{} {} skipped{by}: {}\n", styled(colour, sign), styled(STRONG, step), why(reason)))
        }
        EventKind::StepBlocked { step, needs } => {
            let (sign, colour) = signs.of(Outcome::Blocked);
            Some(format!("{} {} blocked: needs {needs}\n", styled(colour, sign), styled(STRONG, step)))
        }
        EventKind::StepCancelled { step, reason } => {
            let (sign, colour) = signs.of(Outcome::Cancelled);
            Some(format!(
                "{} {} cancelled: {}\n",
                styled(colour, sign),
                styled(STRONG, step),
                harmless(reason)
            ))
        }
        EventKind::DoneChecked { step, attempt: 1.., done: Some(true), .. } => {
            let (sign, colour) = signs.of(Outcome::Succeeded);
            Some(format!(
                "{} {} succeeded: it took effect before it was interrupted (done_when)\n",
                styled(colour, sign),
                styled(STRONG, step)
            ))
        }
        EventKind::DoneChecked { step, attempt: 1.., done, reason } => {
            let why = reason.as_deref().map_or_else(String::new, |why| format!(": {}", harmless(why)));
            let found = match done {
                Some(_) => "did not take effect and is done again (done_when)",
                None => "is not known to have taken effect (done_when)",
            };
            note(signs.again, &format!("{step} {found}{why}"))
        }
        EventKind::RetryScheduled { step, delay_ms, .. } => {
            let when =
                if *delay_ms == 0 { "at once".to_owned() } else { format!("in {}", millis(*delay_ms)) };
            note(signs.again, &format!("{step} is tried again {when}"))
        }
        EventKind::DeadlinePassed { step } => note(signs.attention, &format!("{step} is past its deadline")),
        EventKind::Leaked { step, processes, .. } => {
            let named = |ended: bool| {
                let of = processes.iter().filter(|left| left.ended == ended);
                of.map(|left| match left.pid {
                    0 => harmless(&left.command),
                    pid => format!("{} ({pid})", harmless(&left.command)),
                })
                .collect::<Vec<_>>()
                .join(", ")
            };
            let mut parts = Vec::new();
            if processes.iter().any(|left| !left.ended) {
                parts.push(format!("{step} left something behind: {}", named(false)));
            }
            if processes.iter().any(|left| left.ended) {
                parts.push(format!(
                    "{step} left processes running, which were ended with it: {}",
                    named(true)
                ));
            }
            note(signs.attention, &parts.join("; "))
        }
        EventKind::BackgroundEnded { step, expected: false, reason } => note(
            signs.attention,
            &format!("the background command of {step} ended early: {}", harmless(reason)),
        ),
        EventKind::GateAnswered { step, answer, by, via, reason, items, evidence, env, .. } => {
            let mut text = format!("{step}: {} ", harmless(by));
            match (answer.as_str(), items.as_slice()) {
                ("", items) => {
                    let items: Vec<String> = items.iter().map(u32::to_string).collect();
                    text.push_str(&format!("ticked {}", items.join(", ")));
                }
                (answer, _) => text.push_str(&format!("said {answer}")),
            }
            let way = match via {
                Via::Terminal => "",
                Via::Command => " by command",
                Via::Ahead => " ahead of time",
                Via::Resume => " with resume",
            };
            text.push_str(way);
            if !evidence.is_empty() {
                text.push_str(", with evidence");
            }
            text.push_str(&changed(step, env, view));
            if let Some(reason) = reason {
                text.push_str(": ");
                text.push_str(&harmless(reason));
            }
            note(signs.question, &text)
        }
        // A terminal is what the step waited for: that its question is gone is no news.
        EventKind::GateClosed { step, result, .. } if result == "void" && waits_for_terminal(step, view) => {
            None
        }
        EventKind::GateClosed { step, result, reason }
            if matches!(result.as_str(), "expired" | "void" | "cancelled") =>
        {
            let why = reason.as_ref().map_or_else(String::new, |reason| format!(": {}", harmless(reason)));
            note(signs.question, &format!("the question of {step} is {result}{why}"))
        }
        EventKind::InputChanged { step, path, sha256 } => {
            let what = if sha256.is_some() { "has changed" } else { "is gone" };
            note(signs.attention, &format!("{}, an input of {step}, {what}", harmless(path)))
        }
        EventKind::Artifact { step, path, .. } => {
            Some(format!("{}\n", styled(DIM, format_args!("  {step} kept {}", harmless(path)))))
        }
        EventKind::Waiting { step, reason, until } => {
            let until = until.map_or_else(String::new, |until| format!(", until {until}"));
            note(signs.again, &format!("{step} waits{until}: {}", harmless(reason)))
        }
        EventKind::WindowOverridden { step, by, reason } => {
            let of = step.as_ref().map_or_else(String::new, |step| format!(" of {step}"));
            note(signs.attention, &format!("{} overrides the window{of}: {}", harmless(by), harmless(reason)))
        }
        EventKind::Note { by, text } => {
            note(signs.attention, &format!("{} notes: {}", harmless(by), harmless(text)))
        }
        EventKind::CancelRequested { by, reason, undo } => {
            let why = reason.as_ref().map_or_else(String::new, |reason| format!(": {}", harmless(reason)));
            let and = if *undo { " and undoes what was done" } else { "" };
            note(signs.attention, &format!("{} ends the run{and}{why}", harmless(by)))
        }
        EventKind::RunStopped { signal } => {
            let running = view.state.running.len();
            let tail = if running > 0 { ", and what runs is told to end" } else { "" };
            note(signs.attention, &format!("{signal}: nothing new starts{tail}"))
        }
        EventKind::RunResumed { by, host, rollback, .. } => {
            let what = if *rollback { "rolled back" } else { "resumed" };
            Some(format!(
                "{}\n",
                styled(DIM, format_args!("{what} by {} on {}", harmless(by), harmless(host)))
            ))
        }
        EventKind::RunAdopted { differences, .. } => {
            let lines = differences.iter().map(|difference| format!("    {}\n", harmless(difference)));
            let lines: String = lines.collect();
            note(signs.attention, "goes on with the edited runbook").map(|text| text + &lines)
        }
        EventKind::Rewound { step, by, steps } => {
            let all = count(steps.len(), "step");
            note(signs.attention, &format!("{} lets {step} and what follows run again: {all}", harmless(by)))
        }
        _ => None,
    }
}

/// A question that waits, and the commands that answer it.
pub(super) fn question(
    event: &Event,
    view: View<'_>,
    signs: &Signs,
    paste: Option<&Paste>,
) -> Option<String> {
    let EventKind::GateOpened { step, prompt, .. } = &event.kind else { return None };
    let index = view.state.asked_about(step)?;
    let gate = view.state.gates.get(&index)?;
    let asking = &view.plan.steps[index];
    let mut text = format!(
        "{} {}{} waits for a person: {}\n",
        styled(ATTENTION, signs.question),
        styled(STRONG, step),
        styled(DIM, titled_aside(step, view)),
        harmless(prompt)
    );
    for command in paste.into_iter().flat_map(|paste| paste.answers(step, asking, gate, false)) {
        text.push_str(&format!("  {} {command}\n", signs.next));
    }
    Some(text)
}

/// ` — Title —` of a step within a sentence.
fn titled_aside(step: &StepId, view: View<'_>) -> String {
    let title = titled(step, view);
    if title.is_empty() { title } else { format!("{title} —") }
}

/// Whether a step is one that needs a terminal, and hasn't had one yet.
fn waits_for_terminal(step: &StepId, view: View<'_>) -> bool {
    let index = view.state.index_of(step);
    index.is_some_and(|index| {
        view.plan.steps[index].action.is_interactive() && view.state.steps[index].outcome().is_none()
    })
}

/// What an answer changes in the environment of a step: ` with X=new (was old)`.
fn changed(step: &StepId, env: &IndexMap<String, String>, view: View<'_>) -> String {
    if env.is_empty() {
        return String::new();
    }
    let own = view.state.index_of(step).map(|index| &view.plan.steps[index].env);
    let before = |name: &String| own.and_then(|own| own.get(name)).or_else(|| view.plan.env.get(name));
    let changes: Vec<String> = env
        .iter()
        .map(|(name, value)| {
            let was = before(name).map_or_else(|| "not set".to_owned(), |was| quote_for_display(was));
            format!("{name}={} (was {})", harmless(&quote_for_display(value)), harmless(&was))
        })
        .collect();
    format!(" with {}", changes.join(", "))
}

/// The line that tells of a start. Gates have none: their question follows.
pub(super) fn start(event: &Event, view: View<'_>, signs: &Signs) -> Option<String> {
    let (EventKind::StepStarted { step: id, attempt, command, why, .. }
    | EventKind::UndoStarted { step: id, attempt, command, why, .. }) = &event.kind
    else {
        return None;
    };
    let step = started(event, view)?;
    if step.action.question().is_some() {
        return None;
    }
    let mut line = format!("{} {}", styled(DIM, signs.start), styled(STRONG, id));
    if step.undoes().is_some() {
        line.push_str(" is being undone");
    }
    if *attempt > 1 {
        let why = why.as_ref().map_or_else(String::new, |why| format!(" ({})", harmless(why)));
        line.push_str(&format!(" attempt {attempt}{why}"));
    }
    let title = titled(id, view);
    if title.is_empty() {
        line.push_str(&styled(DIM, format_args!(" {}", gist(step, None, command.as_deref()))));
    } else {
        line.push_str(&styled(DIM, title));
    }
    line.push('\n');
    Some(line)
}

/// The steps that run and the questions that wait, for the line that says that all is well.
pub(super) fn heartbeat(now: runbook_core::moment::Moment, view: View<'_>) -> Option<String> {
    let mut parts = Vec::new();
    let running: Vec<String> = view
        .state
        .running
        .iter()
        .filter_map(|index| match &view.state.steps[*index].status {
            Status::Running(attempt) => {
                let span = super::wording::duration(now.since(attempt.started_at));
                Some(format!("{} ({span})", view.plan.steps[*index].id))
            }
            Status::Pending | Status::Delayed { .. } | Status::Ended(_) => None,
        })
        .collect();
    if !running.is_empty() {
        parts.push(format!("running: {}", running.join(", ")));
    }
    let waiting: Vec<&str> =
        view.state.gates.keys().map(|index| view.plan.steps[*index].id.as_str()).collect();
    if !waiting.is_empty() {
        parts.push(format!("waiting for a person: {}", waiting.join(", ")));
    }
    let delayed: Vec<&str> =
        view.state.delayed.iter().map(|index| view.plan.steps[*index].id.as_str()).collect();
    if !delayed.is_empty() {
        parts.push(format!("to be tried again: {}", delayed.join(", ")));
    }
    (!parts.is_empty()).then(|| format!("{}\n", parts.join("; ")))
}
