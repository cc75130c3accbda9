//! The state directory: runs, their locks, the answers that other processes
//! give them, the index of all runs, and the check of what was recorded
//! (`engine.md` §3, §5, §6).

mod error;
pub mod evidence;
mod files;
#[cfg(test)]
pub(crate) mod fixture;
pub mod identity;
pub mod inbox;
pub mod index;
pub mod lock;
mod mode;
mod named;
pub mod named_lock;
mod new_files;
pub mod old;
mod place;
mod resolve;
mod run_directory;
mod share;
mod state_directory;
mod summary;
#[cfg(test)]
mod tests;
mod verify;
mod watch;

pub use error::{Family, StoreError};
pub use files::Directory;
pub use new_files::NewFiles;
pub(crate) use new_files::begin;
pub(crate) use place::ENVIRONMENT_BYTES_MAX;
pub use place::Place;
pub use resolve::ResolveError;
pub(crate) use run_directory::artifact_parts;
pub use run_directory::{
    ARTIFACTS, ENVIRONMENT, FILES, INBOX, LOCK, LOGS, PLAN, RUNBOOK, RunDir, WITNESS, former_plan,
    former_runbook, log_name, segment_name,
};
pub use share::{ShareError, share};
pub use state_directory::Store;
pub use summary::{Runbook, Standing, Summary, SummaryFold, Waiting, summarize};
pub use verify::{Problem, verify};
pub use watch::Watch;
