//! The options that every command takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use runbook_core::event::AheadAnswer;

use crate::values::{ahead_answer, ahead_approval};

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The folder of runbooks [env: RUNBOOK_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Where runs are recorded [env: RUNBOOK_STATE]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Never ask; a run that needs a person parks
    #[arg(long, global = true)]
    pub(crate) non_interactive: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto,
        num_args = 0..=1, default_missing_value = "always")]
    pub(crate) color: ColorChoice,
    /// No live lines, no box drawing: for screen readers and slow lines
    #[arg(long, global = true)]
    pub(crate) plain: bool,
    /// Say only what went wrong
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say what the engine does (twice: in detail)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// The form of the results
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Write the steps as JUnit XML, too
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// How many steps may run at a time
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_parallel: Option<u32>,
    /// What a failure does where a step says nothing
    #[arg(long, global = true, value_enum, value_name = "WHAT")]
    pub(crate) on_failure: Option<OnFailure>,
    /// Answer a question ahead of time (repeatable)
    #[arg(long, global = true, value_name = "STEP=WORD[:REASON]", value_parser = ahead_answer)]
    pub(crate) answer: Vec<AheadAnswer>,
    /// Approve ahead of time (repeatable)
    #[arg(long, global = true, value_name = "STEP=REASON", value_parser = ahead_approval)]
    pub(crate) approve: Vec<AheadAnswer>,
    /// Stay where a run would park, for so long: answers from elsewhere are taken
    #[arg(long, global = true, value_name = "DURATION", num_args = 0..=1, require_equals = true,
        default_missing_value = "forever", value_parser = patience)]
    pub(crate) wait: Option<Patience>,
    /// Show what would happen (as `plan` does)
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// Only steps with one of these tags (approvals stay in); `list`: only such runbooks
    #[arg(long, global = true, value_name = "T,…")]
    pub(crate) tags: Option<String>,
    /// No step with one of these tags (approvals stay in); `list`: no such runbook
    #[arg(long, global = true, value_name = "T,…")]
    pub(crate) skip_tags: Option<String>,
}

impl Global {
    /// The tags of `--tags` and of `--skip-tags`, one by one.
    pub(crate) fn selected_tags(&self) -> (Vec<String>, Vec<String>) {
        let words = |option: &Option<String>| -> Vec<String> {
            let list = option.iter().flat_map(|list| list.split(','));
            list.map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect()
        };
        (words(&self.tags), words(&self.skip_tags))
    }

    /// The answers given ahead of time, in the order of their gates' names on the command line.
    pub(crate) fn ahead(&self) -> Vec<AheadAnswer> {
        self.answer.iter().chain(&self.approve).cloned().collect()
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// At a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// The form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For jobs on GitHub.
    Github,
    /// For jobs on GitLab.
    Gitlab,
}

/// What a failure does to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFailure {
    /// Start nothing new, let what runs finish.
    Stop,
    /// Dependents go on; the run still fails.
    Continue,
    /// Dependents go on; the run may succeed.
    Warn,
    /// A person decides.
    Ask,
}

/// How long a run that would park stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until it ends.
    Forever,
    /// For so long.
    For(Duration),
}

/// `forever` stands for `--wait` without a duration; nobody else writes it.
fn patience(text: &str) -> Result<Patience, String> {
    if text == "forever" {
        return Ok(Patience::Forever);
    }
    text.parse::<runbook_core::duration::Duration>()
        .map(|duration| Patience::For(duration.into()))
        .map_err(|error| error.to_string())
}
