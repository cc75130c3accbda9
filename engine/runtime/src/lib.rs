//! The runtime of `runbook`.
