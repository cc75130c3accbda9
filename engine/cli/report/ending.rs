//! The closing block: what happened, why, and what to do next (`cli.md`, "Every ending says what to do next").

use runbook_core::event::{Gate, Outcome, RunOutcome};
use runbook_core::id::{RunId, StepId};
use runbook_core::moment::Moment;
use runbook_core::plan::OnFailure;
use runbook_core::state::RunState;
use runbook_runtime::capture::{CaptureLog, Stream};
use runbook_runtime::run::View;
use runbook_runtime::sanitize::{Colour, TerminalStream};
use runbook_runtime::store::RunDir;
use unicode_width::UnicodeWidthStr as _;

use super::next::Paste;
use super::undoing::Undoing;
use super::wording::{Signs, count, duration, harmless, why, wrap};
use crate::console::{ATTENTION, BAD, DIM, GOOD, STRONG, styled};
use crate::context::Context;

/// How many of the last lines of a failed step are quoted.
pub(crate) const TAIL_LINES: usize = 5;

/// What the closing block is made of, beside the run's state.
#[derive(Debug, Clone)]
pub(crate) struct Closing {
    /// The run.
    pub(crate) run: RunId,
    /// How commands for it are written.
    pub(crate) paste: Paste,
    /// The last lines that the failed step printed, made harmless.
    pub(crate) tail: Vec<String>,
    /// The store failed: nothing new was started since.
    pub(crate) store_failure: Option<String>,
    /// Now.
    pub(crate) now: Moment,
}

/// The last lines that an attempt printed, made harmless; those of standard error where there are any.
pub(crate) fn tail_of(dir: &RunDir, step: &StepId, attempt: u32, count: usize) -> Vec<String> {
    // A log that isn't there or can't be read has nothing to quote; `verify` says what is wrong with it.
    let Ok(log) = CaptureLog::open(&dir.log_path(step, attempt)) else { return Vec::new() };
    let lines = log.tail_lines(4 * count).unwrap_or_default();
    let complaints =
        lines.iter().any(|(stream, line)| *stream == Stream::Stderr && !line.trim_ascii().is_empty());
    let wanted: Vec<String> = lines
        .into_iter()
        .filter(|(stream, line)| (!complaints || *stream == Stream::Stderr) && !line.trim_ascii().is_empty())
        .map(|(_, line)| harmless_bytes(&line))
        .collect();
    let from = wanted.len().saturating_sub(count);
    wanted[from..].to_vec()
}

/// A line of output without its colours.
fn harmless_bytes(line: &[u8]) -> String {
    let mut stream = TerminalStream::new(Colour::Drop);
    let mut text = String::new();
    stream.push(line, &mut text);
    stream.finish(&mut text);
    text.trim_end().to_owned()
}

/// What can be done about a run that has failed: a run of which something was undone is over for good.
pub(crate) fn after_failure(view: View<'_>, paste: &Paste, undoing: &Undoing) -> Vec<String> {
    let mut commands = Vec::new();
    let at = culprit(view).map(|step| &view.plan.steps[step]);
    commands.extend(at.map(|step| paste.command("logs", &[step.id.as_str()])));
    if !undoing.has_begun {
        commands.push(match at.filter(|step| !step.finally) {
            Some(step) => paste.command("resume", &["--retry", step.id.as_str()]),
            None => paste.command("resume", &[]),
        });
    }
    commands.extend(undoing.is_left.then(|| paste.command("rollback", &[])));
    commands
}

/// The step that decided a failure or rejection: what the ending names, and whose output it quotes.
pub(crate) fn culprit(view: View<'_>) -> Option<usize> {
    let aborted = view
        .state
        .aborted
        .as_ref()
        .and_then(|step| view.plan.steps.iter().position(|s| s.id.as_str() == step));
    let decides = |index: &usize| {
        let step = &view.plan.steps[*index];
        match view.state.steps[*index].outcome() {
            Some(Outcome::Rejected | Outcome::Interrupted) => true,
            Some(Outcome::Failed) => step.on_failure != OnFailure::Warn,
            _ => false,
        }
    };
    let first = |index: &usize| {
        // A failure that stops the run explains more than one that lets it go on.
        let goes_on = view.plan.steps[*index].on_failure == OnFailure::Continue;
        (view.plan.steps[*index].finally, goes_on, view.state.steps[*index].finished_at)
    };
    let steps = || view.plan.declared().map(|(index, _)| index);
    let mut found = aborted.or_else(|| steps().filter(decides).min_by_key(first))?;
    // A group, call or step with items failed because of something in it: that is what to look at.
    while let Some(inside) = cause_inside(view, found) {
        found = inside;
    }
    Some(found)
}

/// Of the steps that this one holds, the first that made it fail.
fn cause_inside(view: View<'_>, holder: usize) -> Option<usize> {
    let decides = |index: usize| {
        view.plan.steps[index].group == Some(holder)
            && view.plan.steps[index].on_failure != OnFailure::Warn
            && matches!(
                view.state.steps[index].outcome(),
                Some(Outcome::Failed | Outcome::Rejected | Outcome::Interrupted)
            )
    };
    let inside = view.plan.declared().map(|(index, _)| index).filter(|index| decides(*index));
    inside.min_by_key(|index| view.state.steps[*index].finished_at)
}

impl Closing {
    /// The closing block's material for a run that this process has carried. `named`: how the run is named in commands.
    pub(crate) fn new(
        context: &Context,
        dir: &RunDir,
        view: View<'_>,
        store_failure: Option<String>,
        named: &str,
    ) -> Self {
        let tail = culprit(view).map_or_else(Vec::new, |step| {
            let attempt = view.state.steps[step].result.attempt;
            tail_of(dir, &view.plan.steps[step].id, attempt, TAIL_LINES)
        });
        Self {
            run: dir.run().clone(),
            paste: Paste::new(context, named),
            tail,
            store_failure,
            now: runbook_runtime::run::now(),
        }
    }

    /// The word of the last line on standard output.
    pub(crate) fn word(&self, state: &RunState) -> &'static str {
        match (state.outcome, &state.stopped, &self.store_failure) {
            (Some(outcome), _, _) => outcome.as_str(),
            (None, Some(_), _) => "stopped",
            (None, None, Some(_)) => "interrupted",
            (None, None, None) => "waiting",
        }
    }

    /// Whether nobody needs to hear of it.
    pub(crate) fn is_success(&self, state: &RunState) -> bool {
        self.store_failure.is_none() && state.outcome == Some(RunOutcome::Succeeded)
    }

    /// The block.
    pub(crate) fn to_text(&self, view: View<'_>, width: usize, plain: bool) -> String {
        let signs = Signs::new(plain);
        let state = view.state;
        let name = styled(STRONG, harmless(&view.plan.runbook));
        let mut details: Vec<String> = Vec::new();
        let mut commands: Vec<String> = Vec::new();
        let (sign, headline) = if let Some(failure) = &self.store_failure {
            details.push(format!("  {}", harmless(failure)));
            details.push(
                "  Nothing new was started since. What ran is recorded as far as that was possible.\n".into(),
            );
            commands.push(self.paste.command("verify", &[]));
            commands.push(self.paste.command("resume", &[]));
            (styled(BAD, signs.bad), format!("{name} could not be recorded"))
        } else if let Some(outcome) = state.outcome {
            self.finished(view, outcome, &mut details, &mut commands, &signs, &name)
        } else if let Some(signal) = &state.stopped {
            self.stopped(view, signal, &mut details, &mut commands, &signs, &name)
        } else {
            self.parked(view, &mut details, &mut commands, &signs, &name)
        };
        let mut text = headline_with_id(&format!("{sign} {headline}"), &self.run, width);
        for detail in details {
            text.push_str(&wrap(detail.trim_end_matches('\n'), width, "    "));
            text.push('\n');
        }
        for command in commands {
            text.push_str(&format!("  {} {command}\n", styled(DIM, signs.next)));
        }
        text
    }

    fn finished(
        &self,
        view: View<'_>,
        outcome: RunOutcome,
        details: &mut Vec<String>,
        commands: &mut Vec<String>,
        signs: &Signs,
        name: &str,
    ) -> (String, String) {
        let state = view.state;
        let took = match (&state.created, state.finished_at) {
            (Some(created), Some(finished)) => format!(" in {}", duration(finished.since(created.at))),
            _ => String::new(),
        };
        let undoing = Undoing::of(view);
        let undo_lines = || undoing.sentences.iter().map(|sentence| format!("  {sentence}"));
        match outcome {
            RunOutcome::Succeeded => {
                if undoing.has_begun {
                    details.extend(undo_lines());
                }
                details.push(format!("  {}{took}", progress(view)));
                details.extend(
                    tolerated(view).map(|text| format!("  {} {text}", styled(ATTENTION, signs.attention))),
                );
                commands.push(self.paste.command("status", &[]));
                (styled(GOOD, signs.good), format!("{name} succeeded"))
            }
            RunOutcome::Cancelled => {
                let (by, reason) = state.cancel.clone().unwrap_or_default();
                let why = reason.map_or_else(String::new, |reason| format!(": {}", harmless(&reason)));
                details.push(format!("  {}{took}", progress(view)));
                details.extend(undo_lines());
                commands.push(self.paste.command("status", &[]));
                commands.extend(undoing.is_left.then(|| self.paste.command("rollback", &[])));
                (styled(BAD, signs.bad), format!("{name} was cancelled by {}{why}", harmless(&by)))
            }
            RunOutcome::Rejected => {
                let at = culprit(view);
                let said = at.map_or_else(String::new, |step| {
                    let result = &state.steps[step].result;
                    let by = if result.by.is_empty() {
                        String::new()
                    } else {
                        format!(" by {}", harmless(&result.by.join(", ")))
                    };
                    let why = result.reason.as_deref().map_or_else(String::new, |why| {
                        format!(": {}", harmless(why.strip_prefix("operator: ").unwrap_or(why)))
                    });
                    format!(" at {}{by}{why}", view.plan.steps[step].id)
                });
                details.push(format!("  {}{took}", progress(view)));
                details.extend(undo_lines());
                commands.push(self.paste.command("status", &[]));
                commands.extend(undoing.is_left.then(|| self.paste.command("rollback", &[])));
                (styled(BAD, signs.bad), format!("{name} was rejected{said}"))
            }
            RunOutcome::Failed => {
                let at = culprit(view);
                let what = match at {
                    Some(step) => failure_of(view, step),
                    None => state
                        .finish_reason
                        .as_deref()
                        .map_or_else(String::new, |why| format!(": {}", harmless(why))),
                };
                details.extend(self.tail.iter().map(|line| format!("    {line}")));
                details.extend(others(view, at));
                details.push(format!("  {}{took}", progress(view)));
                details.extend(undo_lines());
                commands.extend(at.is_none().then(|| self.paste.command("status", &[])));
                commands.extend(after_failure(view, &self.paste, &undoing));
                (styled(BAD, signs.bad), format!("{name} failed{what}"))
            }
        }
    }

    fn stopped(
        &self,
        view: View<'_>,
        signal: &str,
        details: &mut Vec<String>,
        commands: &mut Vec<String>,
        signs: &Signs,
        name: &str,
    ) -> (String, String) {
        let cut: Vec<&str> = view
            .plan
            .steps
            .iter()
            .zip(&view.state.steps)
            .filter(|(_, known)| known.outcome() == Some(Outcome::Cancelled) && known.result.attempt > 0)
            .map(|(step, _)| step.id.as_str())
            .collect();
        details.push(format!("  {}", progress(view)));
        if !cut.is_empty() {
            details.push(format!(
                "  {} cut off, and asked about when the run goes on: {}",
                if cut.len() == 1 { "This step was" } else { "These steps were" },
                cut.join(", ")
            ));
        }
        commands.push(self.paste.command("status", &[]));
        commands.push(self.paste.command("resume", &[]));
        (styled(ATTENTION, signs.attention), format!("{name} was stopped by {signal}"))
    }

    fn parked(
        &self,
        view: View<'_>,
        details: &mut Vec<String>,
        commands: &mut Vec<String>,
        signs: &Signs,
        name: &str,
    ) -> (String, String) {
        details.push(format!("  {}", progress(view)));
        for (index, gate) in &view.state.gates {
            let step: &StepId = &view.plan.steps[*index].id;
            // Our own questions name the step themselves.
            let own = matches!(
                gate.gate,
                Gate::Failure | Gate::Interrupted | Gate::Rollback | Gate::Undo | Gate::Terminal
            );
            let about = if own { String::new() } else { format!("{step}: ") };
            let line = format!("{} {about}{}", signs.question, harmless(&gate.prompt));
            details.push(format!("  {line}"));
            if let Some(expires) = gate.expires_at {
                details.push(format!(
                    "    until {} ({})",
                    super::wording::moment(expires),
                    super::wording::distance(expires, self.now)
                ));
            }
            commands.extend(self.paste.answers(step, &view.plan.steps[*index], gate, true));
        }
        if view.state.gates.is_empty() {
            commands.push(self.paste.command("resume", &[]));
        }
        let undecided = view.state.gates.values().any(|gate| gate.gate == Gate::Interrupted);
        let what = if undecided { "needs a decision" } else { "waits for a person" };
        (styled(ATTENTION, signs.question), format!("{name} {what}"))
    }
}

/// ` at smoke (exit 1 after 3 attempts)`.
fn failure_of(view: View<'_>, step: usize) -> String {
    let known = &view.state.steps[step];
    let reason = known.result.reason.as_deref().unwrap_or("it failed");
    let attempts = if known.attempts > 1 {
        format!(" after {}", count(known.attempts as usize, "attempt"))
    } else {
        String::new()
    };
    format!(" at {} ({}{attempts})", view.plan.steps[step].id, why(reason))
}

/// The other steps that failed, a line each.
fn others(view: View<'_>, at: Option<usize>) -> impl Iterator<Item = String> + '_ {
    let failed = move |index: &usize| {
        let failed = view.state.steps[*index].outcome() == Some(Outcome::Failed);
        failed && Some(*index) != at && cause_inside(view, *index).is_none()
    };
    view.plan
        .declared()
        .map(|(index, _)| index)
        .filter(failed)
        .map(move |step| format!("  also failed{}", failure_of(view, step)))
}

/// Failures that the runbook lets pass.
fn tolerated(view: View<'_>) -> impl Iterator<Item = String> + '_ {
    let failed = move |index: &usize| view.state.steps[*index].outcome() == Some(Outcome::Failed);
    view.plan
        .declared()
        .map(|(index, _)| index)
        .filter(failed)
        .map(move |step| format!("failed{}, which the runbook allows", failure_of(view, step)))
}

/// `5 of 8 steps passed`.
fn progress(view: View<'_>) -> String {
    let passed = view
        .plan
        .declared()
        .map(|(index, _)| index)
        .filter(|step| {
            matches!(view.state.steps[*step].outcome(), Some(Outcome::Succeeded | Outcome::Skipped))
        })
        .count();
    format!("{passed} of {} passed", count(view.plan.declared().count(), "step"))
}

/// The headline with the run's id beside it, or below where it doesn't fit.
fn headline_with_id(headline: &str, run: &RunId, width: usize) -> String {
    let visible = anstream::adapter::strip_str(headline).to_string();
    let id = styled(DIM, run);
    if visible.width() + 4 + run.as_str().len() <= width {
        format!("{headline}    {id}\n")
    } else {
        format!("{}\n  {id}\n", wrap(headline, width, "  "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{Story, run_id};

    fn block(story: &Story, tail: &[&str], store_failure: Option<&str>, width: usize, plain: bool) -> String {
        let run = run_id();
        let closing = Closing {
            run,
            paste: Paste::for_tests(),
            tail: tail.iter().map(|line| (*line).to_owned()).collect(),
            store_failure: store_failure.map(str::to_owned),
            now: Moment::from_millis(1_795_314_700_000),
        };
        let text = closing.to_text(story.view(), width, plain);
        format!("{}= {}\n", anstream::adapter::strip_str(&text), closing.word(&story.state))
    }

    #[test]
    fn every_ending_says_what_to_do_next() {
        let stories = [
            ("succeeded", Story::succeeded()),
            ("failed", Story::failed()),
            ("rejected", Story::rejected()),
            ("cancelled", Story::cancelled()),
            ("parked", Story::parked()),
            ("undecided", Story::undecided()),
            ("stopped", Story::stopped()),
        ];
        let mut all = String::new();
        for (name, story) in &stories {
            let tail: &[&str] =
                if *name == "failed" { &["curl: (22) The requested URL returned error: 503"] } else { &[] };
            for width in [60, 100] {
                all.push_str(&format!(
                    "--- {name}, {width} columns\n{}",
                    block(story, tail, None, width, false)
                ));
            }
        }
        let failure =
            "no space left for /state/runs/x/journal-000001.jsonl: No space left on device (os error 28)";
        all.push_str(&format!(
            "--- store failure\n{}",
            block(&Story::failed(), &[], Some(failure), 60, false)
        ));
        all.push_str(&format!("--- plain\n{}", block(&Story::parked(), &[], None, 60, true)));
        insta::assert_snapshot!(all);
    }
}
