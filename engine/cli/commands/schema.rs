//! `runbook schema`: the JSON Schema of runbooks.

use clap::{Args, ValueEnum};
use runbook_core::document::schema;
use runbook_core::event::event_schema;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;

/// Options of `schema`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Of which kind of file
    #[arg(value_enum, value_name = "KIND", default_value_t = Kind::Runbook)]
    pub(crate) kind: Kind,
}

/// The kinds of files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A runbook.
    Runbook,
    /// `project.yaml`.
    Project,
    /// `NAME.test.yaml`.
    Scenario,
    /// A line of the journal.
    Event,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let schema = match options.kind {
        Kind::Runbook => schema::runbook_schema(),
        Kind::Project => schema::project_schema(),
        Kind::Scenario => schema::scenario_schema(),
        Kind::Event => event_schema(),
    };
    context.console.print(&format!("{schema:#}\n"));
    Ok(exit_code::SUCCEEDED)
}
