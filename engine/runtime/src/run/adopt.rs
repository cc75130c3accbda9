//! Going on with an edited runbook: its plan takes the place of the old one, which stays beside it.
//!
//! ```text
//! 1. plan-<digest>.json, runbook-<digest>.yaml   the old ones, durable
//! 2. plan.json, runbook.yaml                     the new ones, durable
//! 3. journal: run_adopted                        from here on the new plan counts
//! ```
//!
//! Between 2 and 3 the journal names the old plan, which is found beside; the next resume puts it back.

use std::borrow::Cow;
use std::sync::Arc;

use runbook_core::event::EventKind;
use runbook_core::plan::Plan;
use runbook_core::schedule::Adoption;
use runbook_core::state::{RunState, Status};
use sha2::{Digest, Sha256};

use super::dispatcher::now;
use super::error::SessionError;
use super::files::hex;
use super::opened::{PLAN_BYTES_MAX, plan_text};
use super::recover::Recovery;
use crate::journal::Replay;
use crate::store::{PLAN, RUNBOOK, RunDir, former_plan, former_runbook};

/// An edited runbook that a run goes on with.
pub struct Edited {
    /// Its plan, and in what that differs.
    pub adoption: Adoption,
    /// Its text.
    pub text: String,
}

impl Edited {
    /// What is recorded.
    #[must_use]
    pub fn event(&self) -> EventKind {
        self.adoption.event()
    }

    /// The state as it will be.
    pub(super) fn applied(&self, state: &RunState) -> Result<RunState, SessionError> {
        let mut after = state.clone();
        after.offer(self.adoption.digest.clone(), Arc::clone(&self.adoption.plan));
        after.apply(now(), &self.event())?;
        Ok(after)
    }
}

/// The state before the first event, with all plans that the journal names; and whether the last of them is the one in `plan.json`.
pub(super) fn first_state(dir: &RunDir, replay: &Replay) -> Result<(RunState, bool), SessionError> {
    let mut digests = Vec::new();
    for event in
        replay.events.iter().filter(|event| matches!(event.kind_name(), "run_created" | "run_adopted"))
    {
        match event.typed(&replay.run)?.kind {
            EventKind::RunCreated { plan_digest, .. } | EventKind::RunAdopted { plan_digest, .. } => {
                digests.push(plan_digest);
            }
            _ => {}
        }
    }
    let (Some(first), Some(last)) = (digests.first(), digests.last()) else {
        return Err(SessionError::NotCreated);
    };
    let (current, is_in_place) = find_plan(dir, last)?;
    let plan = |digest: &str| {
        if digest == last.as_str() { Ok(Arc::clone(&current)) } else { former(dir, digest) }
    };
    let mut state = RunState::new(plan(first)?);
    for digest in digests.iter().skip(1) {
        state.offer(digest.clone(), plan(digest)?);
    }
    Ok((state, is_in_place))
}

/// A plan that the journal names by its digest.
///
/// # Errors
/// Where it can't be read, or none of the run's plans has this digest.
pub fn read_plan(dir: &RunDir, recorded: &str) -> Result<Arc<Plan>, SessionError> {
    find_plan(dir, recorded).map(|(plan, _)| plan)
}

/// The same, and whether it is the one in `plan.json`.
fn find_plan(dir: &RunDir, recorded: &str) -> Result<(Arc<Plan>, bool), SessionError> {
    // Another one has taken its place, or an adoption was cut off before it was recorded.
    match read(dir, PLAN, recorded) {
        Err(foreign @ SessionError::ForeignPlan { .. }) => match former(dir, recorded) {
            Ok(plan) => Ok((plan, false)),
            Err(_) => Err(foreign),
        },
        other => other.map(|plan| (plan, true)),
    }
}

fn former(dir: &RunDir, digest: &str) -> Result<Arc<Plan>, SessionError> {
    read(dir, &former_plan(digest), digest)
}

fn read(dir: &RunDir, name: &str, recorded: &str) -> Result<Arc<Plan>, SessionError> {
    let path = dir.path().join(name);
    let bytes = dir.directory().read(name, PLAN_BYTES_MAX)?;
    let found = hex(&Sha256::digest(&bytes));
    if found != recorded {
        return Err(SessionError::ForeignPlan { path, found, recorded: recorded.to_owned() });
    }
    // Checked as a whole, a text needn't be checked string by string.
    let plan = match std::str::from_utf8(&bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(&bytes),
    };
    plan.map(Arc::new).map_err(|source| SessionError::Malformed { path, source })
}

/// Puts the plan back that the journal names, where an adoption was cut off before it was recorded.
pub(super) fn mend(dir: &RunDir, state: &RunState) -> Result<(), SessionError> {
    let Some(created) = &state.created else { return Ok(()) };
    let digest = &created.plan_digest;
    let directory = dir.directory();
    let plan = directory.read(&former_plan(digest), PLAN_BYTES_MAX)?;
    directory.replace(PLAN, &plan)?;
    if let Ok(text) = directory.read(&former_runbook(digest), PLAN_BYTES_MAX) {
        directory.replace(RUNBOOK, &text)?;
    }
    Ok(())
}

/// Writes the new plan in the place of the old one. What follows is its record.
pub(super) fn put(dir: &RunDir, state: &mut RunState, edited: Edited) -> Result<(), SessionError> {
    let directory = dir.directory();
    if let Some(created) = &state.created {
        let digest = &created.plan_digest;
        let plan = directory.read(PLAN, PLAN_BYTES_MAX)?;
        directory.replace(&former_plan(digest), &plan)?;
        if let Ok(text) = directory.read(RUNBOOK, PLAN_BYTES_MAX) {
            directory.replace(&former_runbook(digest), &text)?;
        }
    }
    let Edited { adoption, text } = edited;
    directory.replace(PLAN, plan_text(&adoption.plan).as_bytes())?;
    directory.replace(RUNBOOK, text.as_bytes())?;
    state.offer(adoption.digest, adoption.plan);
    Ok(())
}

/// What is edited, or is to run again, must not run.
pub(super) fn refuse_while_it_runs(
    state: &RunState,
    after: &RunState,
    recovery: &Recovery,
    again: &[usize],
    adopts: bool,
) -> Result<(), SessionError> {
    let attached = recovery.attached.iter().map(|(step, ..)| (*step, "its keeper".to_owned()));
    let survivors = recovery.survivors.iter().map(|(step, processes)| {
        let named: Vec<String> =
            processes.iter().map(|process| format!("{} ({})", process.pid, process.command)).collect();
        (*step, named.join(", "))
    });
    for (step, processes) in attached.chain(survivors) {
        let id = &state.plan.steps[step].id;
        if adopts || after.place_of(&state.plan, step).is_some_and(|step| again.contains(&step)) {
            return Err(SessionError::StillRuns { step: id.clone(), processes });
        }
    }
    Ok(())
}

/// What was found, by the places that steps have in the new plan.
pub(super) fn moved(recovery: Recovery, state: &RunState, after: &RunState) -> Recovery {
    let place = |step: usize| after.place_of(&state.plan, step);
    let Recovery { found, attached, survivors, claims } = recovery;
    Recovery {
        found: found.into_iter().filter_map(|(step, found)| Some((place(step)?, found))).collect(),
        attached: attached
            .into_iter()
            .filter_map(|(step, attempt, slot, boot)| Some((place(step)?, attempt, slot, boot)))
            .collect(),
        survivors: survivors.into_iter().filter_map(|(step, left)| Some((place(step)?, left))).collect(),
        claims: claims.into_iter().filter_map(|(step, claim)| Some((place(step)?, claim))).collect(),
    }
}

/// The state in which steps that run again have not ended: their inputs count.
pub(super) fn before_again<'s>(state: &'s RunState, again: &[usize]) -> Cow<'s, RunState> {
    let mut before = Cow::Borrowed(state);
    for step in again {
        before.to_mut().steps[*step].status = Status::Pending;
    }
    before
}
