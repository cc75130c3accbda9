//! The state directory: runs, their locks, the answers that other processes
//! give them, the index of all runs, and the check of what was recorded
//! (`engine.md` §3, §5, §6).

mod error;
mod files;
pub mod identity;
pub mod lock;
mod mode;
mod run_directory;
mod state_directory;

pub use error::{Family, StoreError};
pub use files::Directory;
pub use run_directory::{
    ARTIFACTS, ENVIRONMENT, FILES, INBOX, LOCK, LOGS, PLAN, RUNBOOK, RunDir, WITNESS, log_name, segment_name,
};
pub use state_directory::Store;
