//! The runtime of `runbook`.

pub mod probe;
pub mod redact;
pub mod sanitize;
pub mod secrets;
