//! `runbook note`: a line for a run's timeline.

use clap::Args;
use runbook_runtime::run::{self, AtHand};
use runbook_runtime::store::identity::current_user;
use runbook_runtime::store::inbox::{self, NoteFile, Request};

use super::deliver::{Delivered, deliver};
use crate::console::{GOOD, styled};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::report::wording::Signs;

/// Options of `note`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The line
    #[arg(value_name = "TEXT")]
    pub(crate) text: String,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let text = options.text.trim();
    if text.is_empty() {
        return Err(CommandError::usage("the note is empty"));
    }
    let store = context.store()?;
    let dir = store.run(&context.resolve(&store, &options.run)?)?;
    let text = AtHand::of(&run::open(&dir)?, &run::outside()).text(text);
    let note =
        NoteFile { run: dir.run().clone(), text: text.clone(), at: run::now(), pid: std::process::id() };
    let delivered = deliver(&dir, &Request::Note(note), |file| {
        // What this process records itself needs no request.
        inbox::withdraw(&dir, file, || true)?;
        let noted = run::note_line(&store, &dir, &current_user(), &text)?;
        Ok(noted
            .refusal
            .map_or(Delivered::Taken { live: None }, |refusal| Delivered::Refused(refusal.into())))
    })?;
    match delivered {
        Delivered::Taken { .. } | Delivered::Unchanged(_) => {
            if !context.console.quiet {
                let sign = Signs::new(context.console.plain).good;
                context.console.say(&format!("{} noted in run {}\n", styled(GOOD, sign), dir.run()));
            }
            Ok(exit_code::SUCCEEDED)
        }
        Delivered::Refused(error) => Err(error),
    }
}
