//! The scheduler without a world: random plans, random outcomes, a crash at
//! every point of the record, and tables of what each documented case comes to
//! (`engine.md` §7). Nothing here starts a process or looks at a clock.

mod generator;
mod holding;
mod invariants;
mod plans;
mod properties;
mod simulator;
mod sketch;
mod tables;
mod unwinding;
mod world;
