//! The pure core of `runbook`.
