//! Reads all declared secrets before anything runs (language.md §1, §7).
//!
//! `read` goes through the declarations and collects what is wrong, `command` runs a `{command: […]}`. The values themselves are
//! `crate::redact`'s types.

mod command;
mod error;
mod read;

pub use command::COMMAND_TIMEOUT;
pub use error::{SecretError, SecretReason};
pub use read::{SecretSource, read_all, read_at_hand};

/// Anything longer is no secret but a mistake (a log, a device), and must not fill the memory.
const VALUE_LEN_MAX: usize = 1024 * 1024;
