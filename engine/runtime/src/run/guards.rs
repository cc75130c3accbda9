//! What the dispatcher does for steps that wait for a lock or a window.

use runbook_core::id::StepId;
use runbook_core::schedule::{Input, LockStanding, Wishes};
use runbook_core::state::Status;

use super::dispatcher::Dispatcher;
use super::locks;
use super::message::Message;
use crate::store::named_lock::{LockRequest, NamedLock};

impl Dispatcher<'_> {
    /// Takes the locks that steps want, beside the loop, and notes when a window opens.
    pub(super) fn wish(&mut self, wishes: Wishes) {
        self.wake_at = wishes.wake_at;
        self.look(wishes.looks);
        for (step, name, on_busy) in wishes.locks {
            self.lock_standings.insert(step, LockStanding::Asked);
            let known = &self.state.plan.steps[step];
            let request = LockRequest {
                lock: name,
                run: self.workshop.dir.run().clone(),
                runbook: self.state.plan.runbook.clone(),
                step: Some(known.id.clone()),
                hold_while_waiting: known.guards.lock.as_ref().is_some_and(|lock| lock.hold_while_waiting),
            };
            let (store, messages) = (self.store.clone(), self.messages.clone());
            tokio::spawn(async move {
                let busy = |why| Message::Lock { step, standing: LockStanding::Busy(why), lock: None };
                let notice = |why| {
                    let _ = messages.send(busy(why));
                };
                let message = match locks::acquire(&store, &request, on_busy, notice).await {
                    Ok(Ok(lock)) => {
                        let looked = tokio::task::spawn_blocking(move || {
                            locks::unfinished_under(&store, &request.lock, &request.run)
                        });
                        // The lock is ours; that others can't be looked at is no reason to leave it.
                        for note in looked.await.ok().and_then(Result::ok).unwrap_or_default() {
                            let _ = messages.send(Message::Record(note));
                        }
                        Message::Lock { step, standing: LockStanding::Taken, lock: Some(lock) }
                    }
                    Ok(Err(why)) => busy(why),
                    Err(error) => busy(error.to_string()),
                };
                let _ = messages.send(message);
            });
        }
    }

    /// What came of a lock.
    pub(super) fn lock_tried(&mut self, step: usize, standing: LockStanding, lock: Option<NamedLock>) {
        // Whoever wanted it may be over by now.
        if !self.lock_standings.contains_key(&step) {
            return;
        }
        if let Some(lock) = lock {
            self.workshop.locks.insert(Some(self.state.plan.steps[step].id.clone()), lock);
        }
        self.lock_standings.insert(step, standing);
        self.take(Input::Tick);
    }

    /// A lock that was busy is tried anew by the next attempt.
    pub(super) fn forget_busy_lock(&mut self, step: &StepId) {
        if let Some(step) = self.state.index_of(step)
            && matches!(self.lock_standings.get(&step), Some(LockStanding::Busy(_)))
        {
            self.lock_standings.remove(&step);
        }
    }

    /// Gives back the locks of steps that are over.
    pub(super) fn release_locks(&mut self) {
        let state = &self.state;
        let over: Vec<usize> = self
            .lock_standings
            .keys()
            .copied()
            .filter(|step| {
                matches!(state.steps[*step].status, Status::Ended(_))
                    && !state.retrying.contains(step)
                    && !state.interrupted.contains(step)
            })
            .collect();
        for step in over {
            self.lock_standings.remove(&step);
            self.workshop.locks.release(&self.state.plan.steps[step].id);
        }
    }

    /// Whether a retry that is due waits for something else.
    pub(super) fn is_held_up(&self, step: usize) -> bool {
        self.state.waiting.contains_key(&step)
            || self.state.gates.contains_key(&step)
            || matches!(self.lock_standings.get(&step), Some(LockStanding::Asked | LockStanding::Busy(_)))
    }
}
