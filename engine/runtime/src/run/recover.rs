//! What a resume finds: the attempts that ran when the last engine ended, and
//! what their witnesses say of them (`engine.md` §4).

use std::collections::BTreeMap;

use runbook_core::event::{EventKind, LeakedProcess};
use runbook_core::id::StepId;
use runbook_core::plan::{Action, Plan};
use runbook_core::render::Texts;
use runbook_core::schedule::Found;
use runbook_core::state::{RunState, Status};

use super::conclude::conclude;
use super::files;
use crate::journal::{RawEvent, Replay};
use crate::keeper::{self, Claim, Ending, Survivor, Verdict, Witness, WitnessError};
use crate::redact::Masker;
use crate::store::RunDir;

/// Why a run can't be recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The witness file can't be used.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// A command was claimed that the journal doesn't know: it lost records.
    #[error(
        "slot {slot} of the witness file was used, and the journal knows nothing of it: the journal has lost records"
    )]
    LostRecord {
        /// The slot.
        slot: u32,
    },
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// For each attempt that ran: step and verdict.
    pub found: Vec<(usize, Found)>,
    /// Attempts that still run: step, attempt, slot, boot. To be waited for.
    pub attached: Vec<(usize, u32, u32, String)>,
    /// Processes of attempts whose end isn't known.
    pub survivors: BTreeMap<usize, Vec<LeakedProcess>>,
    /// Who had started the attempts whose end isn't known: their sessions tell what is left of them.
    pub claims: BTreeMap<usize, Claim>,
}

/// Looks at every attempt that ran, and decides those that had not started for good.
///
/// # Errors
/// A witness file that can't be used, or that knows more than the journal.
pub(super) async fn recover(
    plan: &Plan,
    state: &RunState,
    texts: &Texts,
    dir: &RunDir,
    replay: &Replay,
    masker: &Masker,
) -> Result<Recovery, RecoverError> {
    let mut recovery = Recovery::default();
    let witness = match Witness::open(&dir.witness_path()) {
        Ok(witness) => Some(witness),
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(witness) = &witness {
        if let Some(slot) = witness.used_slots(state.next_slot)?.first().copied() {
            return Err(RecoverError::LostRecord { slot });
        }
        end_backgrounds(plan, state, witness, replay).await?;
    }
    // None of them lives any more; those that are still of use are started again.
    recovery.found.extend(state.backgrounds.iter().map(|step| (*step, Found::Unknown)));
    for (step, known) in state.steps.iter().enumerate() {
        let Status::Running(running) = &known.status else { continue };
        if !plan.steps[step].action.takes_slot() {
            continue;
        }
        let (Some(witness), Some(slot), Some(boot)) = (&witness, running.slot, &running.boot) else {
            recovery.found.push((step, Found::Unknown));
            continue;
        };
        let verdict = witness.settle(slot, boot)?;
        let found = match verdict {
            Verdict::NeverStarted => Found::NeverStarted,
            Verdict::Exited(exit) => {
                let mut result = conclude(plan, state, texts, dir, step, running.number, &exit, None);
                if result.failure.is_none() && !plan.steps[step].artifacts.is_empty() {
                    keep(plan, state, texts, dir, masker, step, running.number, &mut result);
                }
                Found::Ended(Box::new(result))
            }
            Verdict::StillRunning { claim } if plan.steps[step].action.is_background() => {
                // A command in the background is started again by a resume.
                if let Some(claim) = &claim {
                    let _ = keeper::end_keeper(claim, Ending::Terminate);
                }
                keeper::wait_for_slot(&dir.witness_path(), slot, boot).await?;
                Found::Unknown
            }
            Verdict::StillRunning { .. } => {
                recovery.attached.push((step, running.number, slot, boot.clone()));
                Found::StillRunning
            }
            Verdict::Unknown { claim } => {
                let id = plan.steps[step].id.as_str();
                let left = keeper::survivors(dir.run().as_str(), id, claim.as_ref()).unwrap_or_default();
                if !left.is_empty() {
                    recovery.survivors.insert(step, named(&left));
                }
                recovery.claims.extend(claim.map(|claim| (step, claim)));
                Found::Unknown
            }
        };
        recovery.found.push((step, found));
    }
    // Of steps that were interrupted before, something may run still.
    for step in &state.interrupted {
        let id = plan.steps[*step].id.as_str();
        let claim = match (&witness, last_slot(replay, &plan.steps[*step].id)) {
            (Some(witness), Some((slot, boot))) => match witness.inspect(slot, &boot)? {
                Verdict::Unknown { claim } => claim,
                Verdict::StillRunning { .. } | Verdict::NeverStarted | Verdict::Exited(_) => None,
            },
            _ => None,
        };
        let left = keeper::survivors(dir.run().as_str(), id, claim.as_ref()).unwrap_or_default();
        recovery.claims.extend(claim.map(|claim| (*step, claim)));
        if !left.is_empty() {
            recovery.survivors.insert(*step, named(&left));
        }
    }
    Ok(recovery)
}

/// Processes by pid and command, for the record.
#[must_use]
pub(super) fn named(survivors: &[Survivor]) -> Vec<LeakedProcess> {
    survivors
        .iter()
        .map(|survivor| LeakedProcess {
            pid: u32::try_from(survivor.identity.pid).unwrap_or(0),
            command: survivor.command.clone(),
            ended: false,
        })
        .collect()
}

/// Background commands that outlived the last engine are ended: the resume
/// starts them again.
async fn end_backgrounds(
    plan: &Plan,
    state: &RunState,
    witness: &Witness,
    replay: &Replay,
) -> Result<(), WitnessError> {
    for (step, known) in plan.steps.iter().enumerate() {
        let ended = matches!(state.steps[step].status, Status::Ended(_));
        if !known.action.is_background() || !ended {
            continue;
        }
        let Some((slot, boot)) = last_slot(replay, &known.id) else { continue };
        if let Verdict::StillRunning { claim: Some(claim) } = witness.inspect(slot, &boot)? {
            let _ = keeper::end_keeper(&claim, Ending::Terminate);
            while matches!(witness.inspect(slot, &boot)?, Verdict::StillRunning { .. }) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    }
    Ok(())
}

/// The slot in which a step was started last. Few steps are asked about, so nothing is kept of all the others.
fn last_slot(replay: &Replay, id: &StepId) -> Option<(u32, String)> {
    let starts = |event: &&RawEvent| matches!(event.kind_name(), "step_started" | "attempt_reissued");
    replay.events.iter().rev().filter(starts).find_map(|event| match event.typed(&replay.run).ok()?.kind {
        EventKind::StepStarted { step, slot: Some(slot), boot: Some(boot), .. }
        | EventKind::AttemptReissued { step, slot, boot, .. }
            if step == *id =>
        {
            Some((slot, boot))
        }
        _ => None,
    })
}

fn keep(
    plan: &Plan,
    state: &RunState,
    texts: &Texts,
    dir: &RunDir,
    masker: &Masker,
    step: usize,
    attempt: u32,
    result: &mut runbook_core::schedule::AttemptResult,
) {
    let mut seen = state.clone();
    seen.steps[step].result.outputs.clone_from(&result.outputs);
    seen.steps[step].result.attempt = attempt;
    let kept = texts.artifacts(plan, &seen, step).and_then(|globs| {
        let root = root_of(dir)?;
        let folder = texts.cwd(plan, &seen, step)?.map_or_else(|| root.clone(), |cwd| root.join(cwd));
        let kept = dir.artifacts().map_err(|error| error.to_string())?;
        files::keep_artifacts(&kept, &plan.steps[step].id.file_stem(), &folder, &globs, masker)
            .map_err(|e| e.to_string())
    });
    match kept {
        Ok(kept) => result.artifacts = kept,
        Err(why) => {
            result.failure =
                Some((runbook_core::event::Outcome::Failed, format!("output: artifacts: {why}")));
        }
    }
}

fn root_of(dir: &RunDir) -> Result<std::path::PathBuf, String> {
    super::opened::read_environment(dir)
        .map(|(environment, _)| environment.root)
        .map_err(|error| error.to_string())
}

/// Inputs of steps that are still to run which are no longer what the plan, or
/// a later approval, has seen.
#[must_use]
pub(super) fn changed_inputs(
    plan: &Plan,
    state: &RunState,
    texts: &Texts,
    root: &std::path::Path,
) -> Vec<(usize, String, Option<String>)> {
    let mut changed = Vec::new();
    for (step, known) in plan.steps.iter().enumerate() {
        let over = matches!(
            state.steps[step].status,
            Status::Ended(runbook_core::event::Outcome::Succeeded | runbook_core::event::Outcome::Skipped)
        );
        if over || known.inputs.is_empty() || matches!(known.action, Action::Approve(_)) {
            continue;
        }
        let Ok(cwd) = texts.cwd(plan, state, step) else { continue };
        let folder = cwd.map_or_else(|| root.to_owned(), |cwd| root.join(cwd));
        let mut seen = known.inputs.files.clone();
        for ((of, path), sha256) in &state.changed_inputs {
            if *of == step {
                match sha256 {
                    Some(sha256) => seen.insert(path.clone(), sha256.clone()),
                    None => seen.shift_remove(path),
                };
            }
        }
        for (path, sha256) in files::changed_inputs(&folder, &known.inputs.globs, &seen) {
            changed.push((step, path, sha256));
        }
    }
    changed
}
