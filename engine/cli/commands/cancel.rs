//! `runbook cancel`: stop a live run, or end one that no process holds.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use runbook_core::event::RunOutcome;
use runbook_core::schedule::Refusal;
use runbook_core::state::RunState;
use runbook_runtime::keeper::Helper;
use runbook_runtime::run::{self, AtHand, Carry, SessionError};
use runbook_runtime::store::inbox::{self, CancelFile, Request};
use runbook_runtime::store::lock::{Busy, LockError};
use runbook_runtime::store::{RunDir, lock};

use super::deliver::{Delivered, deliver};
use crate::context::Context;
use crate::drive;
use crate::error::CommandError;
use crate::exit_code;
use crate::options::Format;

/// How often is looked whether a live run has ended.
const LOOK_EVERY: Duration = Duration::from_millis(30);

/// Options of `cancel`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    // What remains of a parked run runs in this process.
    let helper = drive::helper()?;
    let store = context.store()?;
    let dir = store.run(&context.resolve(&store, &options.run)?)?;
    context.refuse_from_inside(dir.run())?;
    refuse_ended(&dir)?;
    if lock::is_held(&dir)?.is_none() {
        return end(context, helper, &dir, options);
    }
    let at_hand = AtHand::of(&run::open(&dir)?, &run::outside());
    let request = Request::Cancel(CancelFile {
        run: dir.run().clone(),
        reason: options.reason.as_ref().map(|reason| at_hand.text(reason)),
        at: run::now(),
        pid: std::process::id(),
    });
    let mut alone = false;
    let delivered = deliver(&dir, &request, |file| {
        // Its process has ended meanwhile; then it is for us.
        inbox::withdraw(&dir, file, || true)?;
        if lock::is_held(&dir)?.is_some() {
            return Err(SessionError::Lock(LockError::Busy(Busy { run: dir.run().clone(), holder: None })));
        }
        alone = true;
        Ok(Delivered::Taken { live: None })
    })?;
    if alone {
        refuse_ended(&dir)?;
        return end(context, helper, &dir, options);
    }
    match delivered {
        Delivered::Refused(error) => return Err(error),
        Delivered::Taken { .. } | Delivered::Unchanged(_) => {}
    }
    while lock::is_held(&dir)?.is_some() {
        std::thread::sleep(LOOK_EVERY);
    }
    let outcome = run::open(&dir)?.state.outcome;
    if context.global.format != Format::Json && !context.console.quiet {
        let word = outcome.map_or("not over yet", RunOutcome::as_str);
        context.console.print(&format!("run {} {word}\n", dir.run()));
    }
    Ok(exit_code::SUCCEEDED)
}

/// Ends a run that no process holds; what must still run for that runs here.
fn end(context: &Context, helper: Arc<Helper>, dir: &RunDir, options: &Options) -> Result<u8, CommandError> {
    let decide = |state: &RunState| match state.outcome {
        Some(outcome) => Err(Refusal::not_allowed(format!("run {} is over already: {outcome}", dir.run()))),
        None => Ok(Carry {
            question: Vec::new(),
            answers: Vec::new(),
            ahead: Vec::new(),
            override_window: None,
            cancel: Some(options.reason.clone()),
            rollback: false,
            adopt: None,
            rewind: None,
        }),
    };
    let code = drive::carry_on(context, helper, dir, &options.run, decide)??;
    // A run that was ended failed; to have ended it is a success.
    Ok(if code == exit_code::FAILED { exit_code::SUCCEEDED } else { code })
}

fn refuse_ended(dir: &RunDir) -> Result<(), CommandError> {
    match run::open(dir)?.state.outcome {
        Some(outcome) => Err(CommandError::refused(format!("run {} is over already: {outcome}", dir.run()))),
        None => Ok(()),
    }
}
