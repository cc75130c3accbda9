//! The real binary killed, starved of disk, and taken on again. The oracle is a ledger that the steps write themselves.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../helpers/mod.rs"]
mod helpers;

mod beginnings;
mod helper;
mod killed;
mod store;
