//! What the black-box tests share: a project of its own for each test, the real binary, and ways to wait that
//! are no sleeps.
//!
//! Each test binary uses its part of this.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    unused_macro_rules,
    reason = "each test binary uses its part"
)]

mod environment;
mod journal;
mod live;
mod output;
mod process;
mod server;
mod services;
mod terminal;
mod waiting;

pub(crate) use environment::{HOLD, TestEnvironment};
pub(crate) use journal::{Journal, events_of};
pub(crate) use live::Live;
pub(crate) use output::{Finished, Output};
pub(crate) use process::{Process, processes_of_run, send};
pub(crate) use server::{Answer, Server};
pub(crate) use services::{Service, postgres, prometheus, redis, tls};
pub(crate) use terminal::{Connection, Terminal};
pub(crate) use waiting::eventually;

/// A shell command that waits until the run's journal has so many lines that say `kind`: what a test needs to have happened has happened
/// then, however slow the machine is.
macro_rules! until_recorded {
    ($kind:literal) => {
        $crate::helpers::until_recorded!($kind, 1)
    };
    ($kind:literal, $count:literal) => {
        concat!(
            // The pattern doesn't match itself, which the record of the command holds.
            "until [ $(cat $RUNBOOK_RUN_DIR/../journal* | grep -c kind.[:].",
            $kind,
            ") -ge ",
            $count,
            " ]; do sleep 0.02; done"
        )
    };
}
pub(crate) use until_recorded;

/// An example of the page about the language, by its place among those in YAML.
pub(crate) fn language_example(place: usize) -> String {
    let page = include_str!("../../docs/language.md");
    let block = page.split("```yaml\n").nth(place + 1).expect("an example");
    block.split("```").next().expect("its end").to_owned()
}
