//! The exit statuses of `cli.md`: a promise that scripts build on.

/// Succeeded; of an answering command: recorded, whatever the answer.
pub(crate) const SUCCEEDED: u8 = 0;
/// The run failed, or was ended by `runbook cancel`; of `validate` and `verify`: there are findings.
pub(crate) const FAILED: u8 = 1;
/// Usage, an unknown run or step, an invalid runbook or parameter: nothing ran.
pub(crate) const USAGE: u8 = 2;
/// Parked: it waits for a person.
pub(crate) const WAITING: u8 = 3;
/// A person rejected it, or an approval expired with `on_expiry: reject`.
pub(crate) const REJECTED: u8 = 4;
/// Refused before anything ran, or an answer that may not be given.
pub(crate) const REFUSED: u8 = 5;
/// The journal or the store could not be written or read, or can't be trusted.
pub(crate) const STORE: u8 = 6;
/// A decision about an interrupted or failed step is needed, and nobody can be asked.
pub(crate) const UNDECIDED: u8 = 7;
/// A bug in runbook.
pub(crate) const BUG: u8 = 70;
/// Stopped by SIGHUP.
pub(crate) const HUNG_UP: u8 = 129;
/// Stopped by SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;
/// Stopped by SIGTERM.
pub(crate) const TERMINATED: u8 = 143;
