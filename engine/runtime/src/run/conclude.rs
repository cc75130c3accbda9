//! From the end of a command or check to the result that is recorded:
//! expectations, outputs, artifacts.

use indexmap::IndexMap;
use runbook_core::event::Outcome;
use runbook_core::plan::{Action, Command, Plan};
use runbook_core::render::{Measured, Stream, Texts, from_terminal, reason_of_check, recordable};
use runbook_core::schedule::{AttemptResult, Input, KeptFile};
use runbook_core::state::RunState;
use serde_json::Value;

use super::dispatcher::Dispatcher;
use super::exit::{EndOrder, result_of, signal_name};
use super::files;
use super::message::{CheckEnd, Message};
use super::printed::{USABLE_BYTES_MAX, read_text};
use super::process::ProcessEnd;
use crate::capture::{self, CaptureLog, parse_outputs};
use crate::keeper::{Ended, Exit, SpawnPart, Verdict};
use crate::store::RunDir;

/// A result that waits for its artifacts.
pub(super) struct Conclusion {
    attempt: u32,
    result: AttemptResult,
}

/// How a command ended, in words.
#[must_use]
pub(super) fn words(end: &ProcessEnd) -> String {
    match end {
        ProcessEnd::Exited(exit) => match exit.ended {
            Ended::Exited(code) => format!("exit {code}"),
            Ended::Signalled(number) => format!("signal {}", signal_name(number)),
            Ended::NotSpawned(failure) => format!("spawn: {failure}"),
            Ended::StillRunning => "it may not be signalled, and still runs".to_owned(),
        },
        ProcessEnd::NotStarted(reason) => format!("spawn: {reason}"),
        ProcessEnd::Lost => "stopped: its keeper is gone".to_owned(),
    }
}

/// What a command's end comes to, before artifacts are kept.
#[must_use]
pub(super) fn conclude(
    plan: &Plan,
    state: &RunState,
    texts: &Texts,
    dir: &RunDir,
    step: usize,
    attempt: u32,
    exit: &Exit,
    ordered: Option<&EndOrder>,
) -> AttemptResult {
    let known = &plan.steps[step];
    let mut result = result_of(exit, known.timeout.map(Into::into), ordered);
    match outputs_of(dir, plan, step, attempt, exit) {
        Ok(outputs) => result.outputs = outputs,
        Err(error) => {
            result.failure.get_or_insert((Outcome::Failed, format!("output: {error}")));
        }
    }
    let Action::Run(run) = &known.action else { return result };
    if let (Ended::NotSpawned(failure), Command::Argv(argv), Some((_, reason))) =
        (&exit.ended, &run.command, &mut result.failure)
        && failure.part == SpawnPart::Program
        && let Some(program) = argv.first().filter(|program| !program.contains("{{"))
    {
        reason.push_str(&format!(" ({program})"));
    }
    let exited = matches!(exit.ended, Ended::Exited(_)) && exit.ended_by.is_none() && ordered.is_none();
    let exit_code = result.exit_code;
    texts.conclude_command(plan, state, step, exited, &mut result, || {
        measured_of(dir, plan, step, attempt, &run.expect, exit_code)
    });
    result
}

/// What the command appended to `RUNBOOK_OUTPUT`, kept at the end of its log.
fn outputs_of(
    dir: &RunDir,
    plan: &Plan,
    step: usize,
    attempt: u32,
    exit: &Exit,
) -> Result<IndexMap<String, Value>, String> {
    if exit.outputs_unreadable {
        return Err("the values in the file behind RUNBOOK_OUTPUT can't be read or kept".to_owned());
    }
    if exit.log.is_none() {
        return Ok(IndexMap::new());
    }
    let path = dir.log_path(&plan.steps[step].files_id(), attempt);
    let read = CaptureLog::open(&path)
        .and_then(|log| log.read_stream(capture::Stream::Outputs, USABLE_BYTES_MAX))
        .map_err(|error| format!("the step's log can't be read: {error}"))?;
    let pairs = parse_outputs(&read.bytes).map_err(|error| error.to_string())?;
    Ok(pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect())
}

/// The names of a command's result, as far as its expressions use them.
fn measured_of(
    dir: &RunDir,
    plan: &Plan,
    step: usize,
    attempt: u32,
    expect: &[String],
    exit_code: Option<i32>,
) -> Result<Measured, String> {
    let known = &plan.steps[step];
    let uses = |name: &str| expect.iter().chain(known.outputs.values()).any(|text| text.contains(name));
    let mut measured = Measured::default();
    if let Some(code) = exit_code {
        measured.values.insert("exit_code".into(), code.into());
    }
    if ["stdout", "json", "lines", "number"].into_iter().any(uses) {
        let stdout = read_text(dir, &known.files_id(), attempt, Stream::Stdout)?;
        measured.stdout = Some(if known.action.is_interactive() { from_terminal(&stdout) } else { stdout });
    }
    if uses("stderr") {
        measured.stderr = Some(read_text(dir, &known.files_id(), attempt, Stream::Stderr)?);
    }
    Ok(measured)
}

impl Dispatcher<'_> {
    /// A command of a step is over.
    pub(super) fn process_ended(&mut self, step: usize, attempt: u32, end: ProcessEnd) {
        let Some(task) = self.tasks.get_mut(&step).filter(|task| task.attempt == attempt) else { return };
        if let Some(end_check) = &task.end_check {
            let _ = end_check.send(true);
        }
        let order = task.order.clone();
        let not_ready = task.not_ready.clone();
        let exit = match end {
            ProcessEnd::Exited(exit) => exit,
            ProcessEnd::NotStarted(reason) => {
                self.tasks.remove(&step);
                if matches!(reason, crate::keeper::NotStarted::Store { .. }) {
                    self.store_broke(reason.to_string());
                }
                self.finish_unstarted(step, attempt, &format!("spawn: {reason}"));
                return;
            }
            ProcessEnd::Lost => {
                self.keeper_lost(step, attempt);
                return;
            }
        };
        self.tasks.remove(&step);
        if let Some(errno) = exit.store_failure {
            let error = std::io::Error::from_raw_os_error(errno);
            self.store_broke(format!(
                "the output of {} can't be recorded: {error}",
                self.state.plan.steps[step].id
            ));
        }
        let mut result = conclude(
            &self.state.plan,
            &self.state,
            &self.texts,
            &self.workshop.dir,
            step,
            attempt,
            &exit,
            order.as_ref(),
        );
        if self.state.plan.steps[step].action.is_background() {
            // It was to live on: whatever its status, it ended too early.
            let how =
                result.failure.as_ref().map_or_else(|| "exit 0".to_owned(), |(_, reason)| reason.clone());
            let outcome = if order.is_some() { Outcome::Cancelled } else { Outcome::Failed };
            let why = match (not_ready, &order) {
                (Some(why), _) => format!("expectation: it was not ready: {why}"),
                (None, Some(order)) => order.reason.clone(),
                (None, None) => format!("{how} before it was ready"),
            };
            result.failure = Some((outcome, why));
        }
        self.keep_or_finish(step, attempt, result);
    }

    /// A check, or the readiness of a background command, is known.
    pub(super) fn check_ended(&mut self, step: usize, attempt: u32, end: CheckEnd) {
        let background = self.state.plan.steps[step].action.is_background();
        let Some(task) = self.tasks.get_mut(&step).filter(|task| task.attempt == attempt) else { return };
        if background && (end.cut_off || end.failure.is_some()) {
            // The command's own end tells the rest.
            if let Some(failure) = end.failure {
                task.not_ready = Some(failure);
                if let Some(control) = &task.control {
                    control.terminate();
                }
            }
            return;
        }
        let order = task.order.clone();
        let mut result = AttemptResult {
            duration_ms: end.duration_ms,
            values: recordable(&end.measured),
            exit_code: end
                .measured
                .values
                .get("exit_code")
                .and_then(Value::as_i64)
                .and_then(|c| c.try_into().ok()),
            warnings: end.warnings,
            ..AttemptResult::default()
        };
        result.failure = if end.cut_off {
            let reason = order.map_or_else(|| "stopped".to_owned(), |order| order.reason);
            Some((Outcome::Cancelled, reason))
        } else {
            end.failure.map(|failure| (Outcome::Failed, reason_of_check(&failure)))
        };
        if result.failure.is_none() {
            self.texts.declare_outputs(&self.state.plan, &self.state, step, &end.measured, &mut result);
        }
        if background {
            self.lives_on(step);
        } else {
            self.tasks.remove(&step);
        }
        self.keep_or_finish(step, attempt, result);
    }

    /// Copies the artifacts of a step that succeeded, beside the loop; then it
    /// is finished.
    pub(super) fn keep_or_finish(&mut self, step: usize, attempt: u32, result: AttemptResult) {
        let known = &self.state.plan.steps[step];
        if result.failure.is_some() || known.artifacts.is_empty() {
            self.finish(step, attempt, result);
            return;
        }
        // The step's own outputs are in sight: they are not in the state yet.
        let mut seen = self.state.clone();
        seen.steps[step].result.outputs.clone_from(&result.outputs);
        seen.steps[step].result.attempt = attempt;
        seen.steps[step].result.exit_code = result.exit_code;
        let globs = self.texts.artifacts(&self.state.plan, &seen, step);
        let (Ok(globs), Some(folder)) = (&globs, self.folder_of(step)) else {
            let why = globs.err().unwrap_or_else(|| "its folder isn't known".to_owned());
            self.finish(
                step,
                attempt,
                AttemptResult { failure: Some((Outcome::Failed, format!("template: {why}"))), ..result },
            );
            return;
        };
        let (globs, stem) = (globs.clone(), known.id.file_stem());
        let dir = self.dir().clone();
        let (messages, masker) = (self.messages.clone(), self.workshop.masker.clone());
        self.concluded.insert(step, Conclusion { attempt, result });
        self.tasks.insert(step, super::dispatcher::Task::new(attempt));
        tokio::task::spawn_blocking(move || {
            let files = dir.artifacts().map_err(|error| error.to_string()).and_then(|kept| {
                files::keep_artifacts(&kept, &stem, &folder, &globs, &masker).map_err(|e| e.to_string())
            });
            let _ = messages.send(Message::Kept { step, attempt, files });
        });
    }

    /// The artifacts of a step were copied, or could not be.
    pub(super) fn kept(&mut self, step: usize, attempt: u32, files: Result<Vec<KeptFile>, String>) {
        self.tasks.remove(&step);
        let Some(Conclusion { attempt: of, mut result }) = self.concluded.remove(&step) else { return };
        if of != attempt {
            return;
        }
        match files {
            Ok(files) => result.artifacts = files,
            Err(why) => result.failure = Some((Outcome::Failed, format!("output: artifacts: {why}"))),
        }
        self.finish(step, attempt, result);
    }

    /// An attempt that never got so far as to run.
    pub(super) fn finish_unstarted(&mut self, step: usize, attempt: u32, reason: &str) {
        let failure = Some((Outcome::Failed, reason.to_owned()));
        self.finish(step, attempt, AttemptResult { failure, ..AttemptResult::default() });
    }

    pub(super) fn finish(&mut self, step: usize, attempt: u32, mut result: AttemptResult) {
        let mut random = [0; 2];
        // Without randomness the delay is merely not spread.
        let _ = getrandom::fill(&mut random);
        result.jitter = f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
        if let Some((_, reason)) = &mut result.failure
            && !self.workshop.masker.is_empty()
        {
            *reason = self.workshop.masker.text(reason);
        }
        self.take(Input::Finished { step, attempt, result: Box::new(result) });
    }

    /// A keeper died under a living engine: its slot tells, as on resume.
    fn keeper_lost(&mut self, step: usize, attempt: u32) {
        let slot = match &self.state.steps[step].status {
            runbook_core::state::Status::Running(running) => running.slot.zip(running.boot.clone()),
            _ => None,
        };
        let verdict = match slot {
            None => Err("it had no witness".to_owned()),
            Some((slot, boot)) => crate::keeper::Witness::open(&self.dir().witness_path())
                .and_then(|witness| witness.settle(slot, &boot))
                .map_err(|error| error.to_string()),
        };
        self.attached_ended(step, attempt, verdict);
    }

    /// What the witness says of an attempt that this engine can't hear any more.
    pub(super) fn attached_ended(&mut self, step: usize, attempt: u32, verdict: Result<Verdict, String>) {
        let order = self.tasks.remove(&step).and_then(|task| task.order);
        match verdict {
            Ok(Verdict::Exited(exit)) => {
                let mut result = conclude(
                    &self.state.plan,
                    &self.state,
                    &self.texts,
                    &self.workshop.dir,
                    step,
                    attempt,
                    &exit,
                    order.as_ref(),
                );
                result.recovered = true;
                self.keep_or_finish(step, attempt, result);
            }
            Ok(Verdict::NeverStarted) => {
                self.finish_unstarted(
                    step,
                    attempt,
                    "spawn: its keeper ended before it could start the command",
                );
            }
            verdict @ (Ok(Verdict::StillRunning { .. } | Verdict::Unknown { .. }) | Err(_)) => {
                if let Ok(Verdict::StillRunning { claim } | Verdict::Unknown { claim }) = verdict {
                    self.claims.extend(claim.map(|claim| (step, claim)));
                }
                let found = crate::keeper::survivors(
                    self.dir().run().as_str(),
                    self.state.plan.steps[step].id.as_str(),
                    self.claims.get(&step),
                )
                .unwrap_or_default();
                self.survive(step, &found);
                let failure = Some((
                    Outcome::Interrupted,
                    "stopped: its keeper died, and how it ended is not known".to_owned(),
                ));
                self.finish(step, attempt, AttemptResult { failure, ..AttemptResult::default() });
            }
        }
    }
}
