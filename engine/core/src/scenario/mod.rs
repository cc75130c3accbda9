//! Scenario tests (`language.md` §10): a runbook rehearsed on the real scheduler, with a simulated clock and no process.
//!
//! - `validate` finds what is wrong in a scenario before it is rehearsed;
//! - `rehearse` is an engine whose journal is a list and whose clock is a number: it feeds [`schedule::advance`](crate::schedule::advance);
//! - `world` says how an attempt ends, by its stub and by what the runbook expects of it; `stubs` finds the stub, `answers` what people say;
//! - `judge` compares what came of it with what is expected, `timeline` tells it.
//!
//! Nothing here knows better than the scheduler: what may start, what a failure means and when the run is over is decided there.

mod answers;
mod judge;
mod names;
mod policy;
mod rehearse;
mod report;
mod stubs;
#[cfg(test)]
mod tests;
mod timeline;
mod validate;
mod world;

pub use rehearse::rehearse;
pub use report::{Happened, Mismatch, Report};
pub use validate::{given, mistakes};
