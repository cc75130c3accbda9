//! The runtime of `runbook`.

pub mod capture;
pub mod clock;
pub mod journal;
pub mod keeper;
pub mod probe;
pub mod redact;
pub mod run;
pub mod sanitize;
pub mod secrets;
pub mod signature;
pub mod store;
