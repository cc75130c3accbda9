//! `runbook lock list`: who holds which named lock.

use clap::{Args, Subcommand};
use runbook_runtime::run::taken_locks;
use serde_json::json;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::options::Format;
use crate::report::wording::harmless;

/// Options of `lock`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do with named locks.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Who holds what
    List,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    match options.command {
        Command::List => list(context),
    }
}

fn list(context: &Context) -> Result<u8, CommandError> {
    let taken = taken_locks(&context.store()?)?;
    if context.global.format == Format::Json {
        let locks: Vec<_> = taken
            .iter()
            .map(|(taken, _)| {
                let mut value = json!(taken.holder);
                value["lock"] = taken.lock.as_str().into();
                value["parked"] = taken.is_parked.into();
                value
            })
            .collect();
        context.console.print(&format!("{}\n", json!(locks)));
        return Ok(exit_code::SUCCEEDED);
    }
    if taken.is_empty() {
        context.console.say("no lock is held\n");
    }
    for (_, words) in &taken {
        context.console.print(&format!("{}\n", harmless(words)));
    }
    Ok(exit_code::SUCCEEDED)
}
