//! What stands before a run, and before it is taken on: its window and its lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use runbook_core::calendar::Standing;
use runbook_core::event::EventKind;
use runbook_core::id::RunId;
use runbook_core::moment::Moment;
use runbook_core::plan::{Lock, OnBusy, Outside, Plan};
use runbook_core::render::{NoOutput, RunFacts, Texts};
use runbook_core::schedule::{LockStanding, Renderer as _};
use runbook_core::state::{RunState, Status};

use super::error::SessionError;
use super::locks::{self, Locks};
use crate::clock::now;
use crate::store::identity::{current_user, hostname};
use crate::store::named_lock::{self, LockRequest};
use crate::store::{Store, StoreError};

/// What was settled before a run may go.
#[derive(Default)]
pub(super) struct Entry {
    /// The locks that this process has now.
    pub(super) locks: Arc<Locks>,
    /// The same as decisions see them, by step.
    pub(super) standings: BTreeMap<usize, LockStanding>,
    /// What is recorded of it.
    pub(super) events: Vec<EventKind>,
}

/// Refuses to begin outside the run's window, where that is declared.
pub(super) fn refuse_outside(plan: &Plan) -> Result<(), SessionError> {
    let Some(window) = plan.guards.window.as_ref().filter(|window| window.outside == Outside::Refuse) else {
        return Ok(());
    };
    match window.standing(now()) {
        Standing::Open => Ok(()),
        Standing::Shut { why, opens_at } => Err(SessionError::OutsideWindow {
            runbook: plan.runbook.clone(),
            why,
            opens: opens_at.map_or_else(
                || "it isn't known when it opens".into(),
                |at| format!("it opens at {}", at.for_people()),
            ),
        }),
    }
}

/// The record of a window that was overridden on the command line.
pub(super) fn overridden(reason: Option<&String>) -> Option<EventKind> {
    let reason = reason?.clone();
    Some(EventKind::WindowOverridden { step: None, by: current_user(), reason })
}

/// Takes the lock of a run that is about to be created.
pub(super) async fn enter(
    store: &Store,
    plan: &Arc<Plan>,
    run: &RunId,
    interactive: bool,
    notice: &mut dyn FnMut(String),
) -> Result<Entry, SessionError> {
    let mut entry = Entry::default();
    if plan.guards.lock.is_none() {
        return Ok(entry);
    }
    let texts = Texts {
        facts: RunFacts {
            id: run.clone(),
            user: current_user(),
            host: hostname(),
            // Nothing else may be used at the top.
            started_at: Moment::default(),
            dir: String::new(),
            interactive,
        },
        recorded: Arc::new(NoOutput),
    };
    let state = RunState::new(Arc::clone(plan));
    take_run_lock(store, &state, &texts, run, &mut entry, notice).await?;
    Ok(entry)
}

/// Takes the locks of a run that is taken on: its own, and those of steps that were cut off with it.
pub(super) async fn enter_again(
    store: &Store,
    state: &RunState,
    texts: &Texts,
    run: &RunId,
    notice: &mut dyn FnMut(String),
) -> Result<Entry, SessionError> {
    let mut entry = Entry::default();
    take_run_lock(store, state, texts, run, &mut entry, notice).await?;
    for (index, step) in state.plan.steps.iter().enumerate() {
        let Some(lock) = &step.guards.lock else { continue };
        if !matches!(state.steps[index].status, Status::Running(_)) {
            continue;
        }
        let name = texts.lock(&state.plan, state, index).map_err(SessionError::LockName)?;
        let request = LockRequest {
            lock: name.clone(),
            run: run.clone(),
            runbook: state.plan.runbook.clone(),
            step: Some(step.id.clone()),
            hold_while_waiting: lock.hold_while_waiting,
        };
        let taken = acquire(store, &request, lock, notice).await?;
        entry.locks.insert(Some(step.id.clone()), taken);
        entry.standings.insert(index, LockStanding::Taken);
        entry.events.push(EventKind::LockAcquired { lock: name, step: Some(step.id.clone()) });
    }
    let held: Vec<&str> = entry
        .events
        .iter()
        .filter_map(|event| match event {
            EventKind::LockAcquired { lock, .. } => Some(lock.as_str()),
            _ => None,
        })
        .collect();
    named_lock::forget(store, run, &held)?;
    Ok(entry)
}

async fn take_run_lock(
    store: &Store,
    state: &RunState,
    texts: &Texts,
    run: &RunId,
    entry: &mut Entry,
    notice: &mut dyn FnMut(String),
) -> Result<(), SessionError> {
    let Some(lock) = &state.plan.guards.lock else { return Ok(()) };
    let Some(name) = texts.run_lock(&state.plan, state).map_err(SessionError::LockName)? else {
        return Ok(());
    };
    let request = LockRequest {
        lock: name.clone(),
        run: run.clone(),
        runbook: state.plan.runbook.clone(),
        step: None,
        hold_while_waiting: lock.hold_while_waiting,
    };
    let taken = acquire(store, &request, lock, notice).await?;
    entry.locks.insert(None, taken);
    entry.events.extend(locks::unfinished_under(store, &name, run)?);
    entry.events.push(EventKind::LockAcquired { lock: name, step: None });
    Ok(())
}

async fn acquire(
    store: &Store,
    request: &LockRequest,
    lock: &Lock,
    notice: &mut dyn FnMut(String),
) -> Result<named_lock::NamedLock, SessionError> {
    let taken = locks::acquire(store, request, lock.on_busy, |why| notice(format!("waits: {why}"))).await;
    let skip = lock.on_busy == OnBusy::Skip && request.step.is_none();
    taken
        .map_err(|error: StoreError| SessionError::Store(error))?
        .map_err(|why| SessionError::NamedLockBusy { why, skip })
}
