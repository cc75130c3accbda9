//! Keepers that have nothing to keep: an attempt that ended and left nothing running leaves its keeper as it was, so that the next attempt can have
//! it. That saves a fork, the copying of what the fork shares, and an end: most of what a keeper costs a short command.

use std::os::fd::OwnedFd;
use std::sync::Mutex;

/// How many keepers may wait: as many as commonly run at once. A keeper beyond it ends, which only costs a fork later.
const WAITING_MAX: usize = 64;

/// The engine's ends of the connections to keepers that wait. Closing one ends its keeper.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<OwnedFd>>);

impl Pool {
    /// A pool with one keeper in it.
    pub(super) fn with(keeper: OwnedFd) -> Self {
        Self(Mutex::new(vec![keeper]))
    }

    /// Lets a keeper wait, or end where enough wait already.
    pub(super) fn put(&self, keeper: OwnedFd) {
        let mut waiting = self.waiting();
        if waiting.len() < WAITING_MAX {
            waiting.push(keeper);
        }
    }

    /// The keeper that has waited least: its memory is the warmest.
    pub(super) fn take(&self) -> Option<OwnedFd> {
        self.waiting().pop()
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<OwnedFd>> {
        // Nothing that could panic runs under the lock.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
