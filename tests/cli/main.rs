//! The real binary, from the outside: what the specification promises of the language and the command line.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../helpers/mod.rs"]
mod helpers;

mod actions;
mod adopt;
mod attempts;
mod checks;
mod comfort;
mod decisions;
mod deployment;
mod diagnostics;
mod done_when;
mod environment;
mod examples;
mod exit_codes;
mod failure;
mod gates;
mod gc;
mod guards;
mod interactive;
mod large;
mod names;
mod operations;
mod order;
mod outcomes;
mod pairs;
mod people;
mod plan_files;
mod plan_page;
mod plan_probe;
mod probes;
mod project;
mod promises;
mod prompts;
mod quoting;
mod results;
mod resume;
mod rows;
mod rows_actions;
mod rows_names;
mod rows_steps;
mod rows_top;
mod scenarios;
mod secrets;
mod shapes;
mod sharing;
mod stopping;
mod streams;
mod structure;
mod titles;
mod undo;
mod undo_call;
