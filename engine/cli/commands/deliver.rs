//! How a request reaches a run: through its inbox where a process holds the run, by this process alone where none does.

use std::time::{Duration, Instant};

use runbook_core::event::{Event, EventKind};
use runbook_runtime::run::{self, SessionError};
use runbook_runtime::store::RunDir;
use runbook_runtime::store::inbox::{self, FileName, Request};
use runbook_runtime::store::lock::{self, LockError};

use crate::error::{CommandError, ErrorKind};
use crate::exit_code;

/// How long a live run has to react (`cli.md`).
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked for its word.
const LOOK_EVERY: Duration = Duration::from_millis(15);

/// What came of a request.
#[derive(Debug)]
pub(super) enum Delivered {
    /// It is recorded; by the process that holds the run, or by this one.
    Taken {
        /// The request's file, where another process took it and goes on with the run.
        live: Option<FileName>,
    },
    /// It is so already: nothing was recorded.
    Unchanged(String),
    /// It isn't taken.
    Refused(CommandError),
}

/// Puts a request into the run's inbox, and sees to it that somebody decides about it. `alone` decides where no process holds the run.
///
/// # Errors
/// Where a live run doesn't react, or the store can't be used. The request is taken back then.
pub(super) fn deliver(
    dir: &RunDir,
    request: &Request,
    mut alone: impl FnMut(&FileName) -> Result<Delivered, SessionError>,
) -> Result<Delivered, CommandError> {
    let file = inbox::put(dir, request)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(verdict) = inbox::verdict(dir, &file)? {
            return Ok(match (verdict.accepted, verdict.exit_code) {
                (true, _) => Delivered::Taken { live: Some(file) },
                (false, exit_code::SUCCEEDED) => Delivered::Unchanged(verdict.message),
                (false, exit_code::USAGE) => Delivered::Refused(CommandError::usage(verdict.message)),
                (false, exit_code::STORE) => Delivered::Refused(CommandError::store(verdict.message)),
                (false, _) => Delivered::Refused(CommandError::refused(verdict.message)),
            });
        }
        if lock::is_held(dir)?.is_none() {
            if event_of(dir, &file)?.is_some() {
                return Ok(Delivered::Taken { live: None });
            }
            match alone(&file) {
                // Somebody has just taken the run on, and reads its inbox.
                Err(SessionError::Lock(LockError::Busy(_))) => {}
                Ok(taken @ Delivered::Taken { .. }) => return Ok(taken),
                Ok(other) => {
                    take_back(dir, &file)?;
                    return Ok(other);
                }
                Err(error) => {
                    take_back(dir, &file)?;
                    return Err(error.into());
                }
            }
        }
        if Instant::now() >= deadline && take_back(dir, &file)? {
            return Err(CommandError::new(
                ErrorKind::Refused,
                format!(
                    "the process that holds run {} did not react in {} s; the request is taken back",
                    dir.run(),
                    PATIENCE.as_secs()
                ),
            ));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Takes a request back, where nobody has taken it; whether it is gone.
pub(super) fn take_back(dir: &RunDir, file: &FileName) -> Result<bool, CommandError> {
    match inbox::withdraw(dir, file, || matches!(event_of(dir, file), Ok(None))) {
        Ok(gone) => Ok(gone),
        Err(error) if error.is_missing() => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// The event that took a request, where one has.
pub(super) fn event_of(dir: &RunDir, file: &FileName) -> Result<Option<Event>, CommandError> {
    let events = run::open(dir)?.events;
    let is_it = |event: &Event| matches!(&event.kind, EventKind::GateAnswered { file: Some(name), .. } if name == file.as_str());
    Ok(events.into_iter().find(is_it))
}
