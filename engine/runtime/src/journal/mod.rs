//! The journal: everything that is known about a run, one fact a line, each
//! line vouching for the one before it (`engine.md` §3).
//!
//! One [`Writer`] appends; [`read`] checks and gives back what was recorded;
//! a [`Follower`] sees what another process adds. None of them knows what the
//! events mean.

mod error;
mod follow;
mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use error::JournalError;
pub use follow::Follower;
pub(crate) use reader::opened_at;
pub use reader::{RawEvent, Replay, Torn, read};
pub use writer::{Recorded, Writer};
