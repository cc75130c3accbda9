//! `runbook approve`, `reject`, `done` and `answer`: one way for every answer that is given from elsewhere.

use std::path::PathBuf;

use clap::Args;
use runbook_core::id::StepId;

use crate::args::{key_value, step_id};
use crate::context::Context;
use crate::error::CommandError;

/// Which question is meant.
#[derive(Debug, Args)]
pub(crate) struct Question {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The step; without it the only open question of this kind
    #[arg(value_name = "STEP", value_parser = step_id)]
    pub(crate) step: Option<StepId>,
}

/// What every answering command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Go on with the run at once, in this process
    #[arg(long)]
    pub(crate) resume: bool,
    /// Not supported yet
    #[arg(long = "field", value_name = "KEY=VALUE", value_parser = key_value, hide = true)]
    pub(crate) fields: Vec<(String, String)>,
    /// Not supported yet
    #[arg(long, value_name = "KEYFILE", num_args = 0..=1, require_equals = true, hide = true)]
    pub(crate) sign: Option<Option<PathBuf>>,
}

/// Options of `approve`.
#[derive(Debug, Args)]
pub(crate) struct ApproveOptions {
    #[command(flatten)]
    pub(crate) question: Question,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `reject`.
#[derive(Debug, Args)]
pub(crate) struct RejectOptions {
    #[command(flatten)]
    pub(crate) question: Question,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `done`.
#[derive(Debug, Args)]
pub(crate) struct DoneOptions {
    #[command(flatten)]
    pub(crate) question: Question,
    /// Tick this item, from 1 (repeatable); without it the step is ended
    #[arg(long = "item", value_name = "N")]
    pub(crate) items: Vec<u32>,
    /// Tick all the rest and end the step
    #[arg(long, conflicts_with = "failed")]
    pub(crate) all: bool,
    /// Evidence: free text (repeatable)
    #[arg(long = "note", value_name = "TEXT")]
    pub(crate) notes: Vec<String>,
    /// Evidence: a link (repeatable)
    #[arg(long = "link", value_name = "URL")]
    pub(crate) links: Vec<String>,
    /// Evidence: a file (repeatable)
    #[arg(long = "attach", value_name = "FILE")]
    pub(crate) attachments: Vec<PathBuf>,
    /// It could not be done: say why with --reason
    #[arg(long)]
    pub(crate) failed: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `answer`.
#[derive(Debug, Args)]
pub(crate) struct AnswerOptions {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The step
    #[arg(value_name = "STEP", value_parser = step_id)]
    pub(crate) step: StepId,
    /// The word, as it would be typed at the prompt
    #[arg(value_name = "WORD")]
    pub(crate) word: String,
    /// Not supported yet
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = key_value, hide = true)]
    pub(crate) env: Vec<(String, String)>,
    /// A value that the step would have given, with `done` (repeatable)
    #[arg(long = "output", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) outputs: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Executes `approve`; the exit status.
pub(crate) fn approve(_context: &Context, _options: ApproveOptions) -> Result<u8, CommandError> {
    Err(CommandError::not_yet("`runbook approve`"))
}

/// Executes `reject`; the exit status.
pub(crate) fn reject(_context: &Context, _options: RejectOptions) -> Result<u8, CommandError> {
    Err(CommandError::not_yet("`runbook reject`"))
}

/// Executes `done`; the exit status.
pub(crate) fn done(_context: &Context, _options: DoneOptions) -> Result<u8, CommandError> {
    Err(CommandError::not_yet("`runbook done`"))
}

/// Executes `answer`; the exit status.
pub(crate) fn answer(_context: &Context, _options: AnswerOptions) -> Result<u8, CommandError> {
    Err(CommandError::not_yet("`runbook answer`"))
}
