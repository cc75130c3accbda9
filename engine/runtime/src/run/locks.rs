//! The named locks of a run: taken, handed to keepers, given back.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use runbook_core::event::EventKind;
use runbook_core::id::{RunId, StepId};
use runbook_core::plan::OnBusy;

use super::opened;
use crate::store::index::{self, Filter};
use crate::store::lock::{self, PATIENCE};
use crate::store::named_lock::{self, LockRequest, LockTaken, NamedLock};
use crate::store::{Standing, Store, StoreError};

/// How often a lock is tried that will be refused in the end.
const RETRY_EVERY: Duration = Duration::from_millis(20);
/// How often a lock is tried that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The named locks that this process has: the run's (`None`) and its steps'.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: Mutex<BTreeMap<Option<StepId>, NamedLock>>,
}

impl Locks {
    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<Option<StepId>, NamedLock>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a lock until it is released.
    pub(super) fn insert(&self, of: Option<StepId>, lock: NamedLock) {
        self.held().insert(of, lock);
    }

    /// Gives the lock of a step back.
    pub(super) fn release(&self, step: &StepId) {
        self.held().remove(&Some(step.clone()));
    }

    /// Gives all back; those that are declared so stay taken where the run is parked.
    pub(super) fn release_all(&self, is_parked: bool) {
        for lock in std::mem::take(&mut *self.held()).into_values() {
            if is_parked {
                lock.stays_while_parked();
            }
        }
    }

    /// What the keeper of a step's attempt is to hold.
    pub(super) fn inherited(&self, step: &StepId) -> Vec<OwnedFd> {
        let held = self.held();
        held.iter()
            .filter(|(of, _)| of.as_ref().is_none_or(|of| is_in(step.as_str(), of.as_str())))
            .filter_map(|(_, lock)| {
                lock.duplicate()
                    .inspect_err(|error| tracing::error!(%error, "a lock can't be handed on"))
                    .ok()
            })
            .collect()
    }
}

/// Whether a step is another one, or in its group, its call or its items.
fn is_in(step: &str, outer: &str) -> bool {
    step.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '@']))
}

/// Takes a named lock, as declared: after some tries it is busy, or it is waited for.
/// `notice` is told once who has it meanwhile.
///
/// # Errors
/// Where the lock's file can't be used. The inner error says who has it.
pub(super) async fn acquire(
    store: &Store,
    request: &LockRequest,
    on_busy: OnBusy,
    mut notice: impl FnMut(String),
) -> Result<Result<NamedLock, String>, StoreError> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        let taken = match NamedLock::try_acquire(store, request)? {
            Ok(lock) => return Ok(Ok(lock)),
            Err(taken) => taken,
        };
        let waits = on_busy == OnBusy::Wait;
        if !waits && (taken.is_parked || begun.elapsed() >= PATIENCE) {
            return Ok(Err(describe(store, &taken)));
        }
        if waits && !told {
            told = true;
            notice(describe(store, &taken));
        }
        tokio::time::sleep(if waits { LOOK_EVERY } else { RETRY_EVERY }).await;
    }
}

/// Who has a lock, since when, and at which step.
#[must_use]
pub fn describe(store: &Store, taken: &LockTaken) -> String {
    let Some(holder) = &taken.holder else { return taken.to_string() };
    let at = match where_it_is(store, &holder.run) {
        Some((steps, _)) if taken.is_parked => format!(", parked{steps}"),
        Some((steps, true)) => steps,
        // The engine was killed, and keepers still have the lock.
        Some((steps, false)) => format!("{steps}, its engine is gone, what it started still runs"),
        None => String::new(),
    };
    format!("{taken}{at}")
}

/// The steps that a run is at, in words, and whether an engine has it.
fn where_it_is(store: &Store, run: &RunId) -> Option<(String, bool)> {
    let dir = store.run(run).ok()?;
    let opened = opened::open(&dir).ok()?;
    let state = &opened.state;
    let at = state.running.iter().chain(state.gates.keys()).chain(&state.delayed);
    let mut names: Vec<&str> = at.map(|step| state.plan.steps[*step].id.as_str()).collect();
    names.dedup();
    let at = if names.is_empty() { String::new() } else { format!(", at {}", names.join(", ")) };
    Some((at, lock::is_held(&dir).ok()?.is_some()))
}

/// A line about each other run that is unfinished and was under this lock, by itself or with a step that isn't over.
///
/// # Errors
/// Where the state directory can't be read.
pub(super) fn unfinished_under(store: &Store, name: &str, own: &RunId) -> Result<Vec<EventKind>, StoreError> {
    let outcomes = vec![Standing::Waiting, Standing::Interrupted];
    let listed = index::list(store, &Filter { outcomes, ..Filter::default() })?;
    // A step whose end isn't known may have left half of its work.
    let at = |run: &RunId| {
        let opened = store.run(run).ok().and_then(|dir| opened::open(&dir).ok())?;
        let mut held = opened.state.locks.iter().filter(|(_, lock)| *lock == name);
        if let Some(step) = held.find_map(|(of, _)| *of) {
            return Some(format!(", at {}", opened.state.plan.steps[step].id));
        }
        let mut events = opened.events.iter().map(|event| &event.kind);
        events
            .any(|event| matches!(event, EventKind::LockAcquired { lock, step: None } if lock == name))
            .then(String::new)
    };
    let about = |run: &RunId, standing: Standing| {
        let at = at(run)?;
        let standing = if standing == Standing::Waiting { "parked" } else { "interrupted" };
        let text = format!("run {run} is unfinished under the lock `{name}`: it is {standing}{at}");
        Some(EventKind::Note { by: "runbook".into(), text })
    };
    let others = listed.into_iter().filter(|summary| summary.run != *own);
    Ok(others.filter_map(|summary| about(&summary.run, summary.outcome)).collect())
}

/// The named locks that are taken, each with who has it in words.
///
/// # Errors
/// Where the state directory can't be read.
pub fn taken_locks(store: &Store) -> Result<Vec<(LockTaken, String)>, StoreError> {
    let taken = named_lock::list(store)?;
    Ok(taken.into_iter().map(|taken| (taken.clone(), describe(store, &taken))).collect())
}
