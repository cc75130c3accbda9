//! The pure core of `runbook`: the language, the plan, the vocabulary of events
//! and the decisions. It does no I/O, reads no clock and prints nothing.

pub mod calendar;
pub mod diagnostic;
pub mod document;
pub mod duration;
pub mod event;
pub mod id;
pub mod moment;
pub mod plan;
pub mod render;
pub mod scenario;
pub mod schedule;
pub mod source;
pub mod state;
pub mod template;
