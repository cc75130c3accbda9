//! The command line as it is typed. Each command's own options stand in its file under `commands/`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use runbook_core::event::AheadAnswer;
use runbook_core::id::StepId;

use crate::commands::{
    answer, cancel, completions, doctor, gc, init, list, lock, logs, man, new, note, plan, resume, rollback,
    run, runs, schema, show, status, test, validate, verify, watch,
};

/// Runs operations procedures: a YAML graph of checks, commands and approvals, with a recorded, resumable run log.
#[derive(Debug, Parser)]
#[command(
    name = "runbook",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    subcommand_required = true
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Plan, then execute
    Run(run::Options),
    /// What would happen: order, rendered commands, gates
    Plan(plan::Options),
    /// Go on with a run: crashed, interrupted, parked or failed
    Resume(resume::Options),
    /// Say yes to an approval
    Approve(answer::ApproveOptions),
    /// Say no to an approval
    Reject(answer::RejectOptions),
    /// Tick items of a manual step, or end it
    Done(answer::DoneOptions),
    /// Pick one of several options
    Choose(answer::ChooseOptions),
    /// Answer any other question of a run
    Answer(answer::AnswerOptions),
    /// Stop a live run and wait for its end, or end a parked one
    Cancel(cancel::Options),
    /// Undo what a run has done, the last first
    Rollback(rollback::Options),
    /// Add a line to a run's timeline
    Note(note::Options),
    /// Where a run stands and what it waits for
    Status(status::Options),
    /// The runs so far
    Runs(runs::Options),
    /// A run in another process, live
    Watch(watch::Options),
    /// A step's output
    Logs(logs::Options),
    /// The runbooks, with title, owner and last run
    List(list::Options),
    /// A runbook as a page to read
    Show(show::Options),
    /// Named locks
    Lock(lock::Options),
    /// All mistakes of runbooks, each with its place
    Validate(validate::Options),
    /// Rehearse runbooks: their scenarios on a simulated clock, without a process
    Test(test::Options),
    /// Whether a run's record is as it was written
    Verify(verify::Options),
    /// Delete old finished runs
    Gc(gc::Options),
    /// The JSON Schema of runbooks
    Schema(schema::Options),
    /// Start a runbook
    New(new::Options),
    /// Start a project
    Init(init::Options),
    /// What is wrong with this set-up
    Doctor(doctor::Options),
    /// What makes a shell complete the words of this command
    Completions(completions::Options),
    /// The manual pages
    Man(man::Options),
}

impl Command {
    /// Whether the exit status says what became of a run or an answer. It does so even where nobody could be told on standard output; of the other
    /// commands what they print is the result.
    pub(crate) fn is_told_by_status(&self) -> bool {
        match self {
            Self::Run(_)
            | Self::Resume(_)
            | Self::Approve(_)
            | Self::Reject(_)
            | Self::Done(_)
            | Self::Choose(_)
            | Self::Answer(_)
            | Self::Cancel(_)
            | Self::Rollback(_)
            | Self::Note(_) => true,
            Self::Plan(_)
            | Self::Status(_)
            | Self::Runs(_)
            | Self::Watch(_)
            | Self::Logs(_)
            | Self::List(_)
            | Self::Show(_)
            | Self::Lock(_)
            | Self::Validate(_)
            | Self::Test(_)
            | Self::Verify(_)
            | Self::Gc(_)
            | Self::Schema(_)
            | Self::New(_)
            | Self::Init(_)
            | Self::Doctor(_)
            | Self::Completions(_)
            | Self::Man(_) => false,
        }
    }
}

/// The commands of the contract that later versions have.
const LATER: &[&str] = &["report", "diff", "stats", "lint", "graph", "import", "export", "serve"];

/// Whether later versions have this command.
pub(crate) fn comes_later(command: &str) -> bool {
    LATER.contains(&command)
}

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

/// `STEP=WORD[:REASON]`.
fn ahead_answer(text: &str) -> Result<AheadAnswer, String> {
    let (step, answer) = text.split_once('=').ok_or("write STEP=WORD or STEP=WORD:REASON")?;
    let (word, reason) = match answer.split_once(':') {
        Some((word, reason)) => (word, Some(reason.to_owned()).filter(|reason| !reason.trim().is_empty())),
        None => (answer, None),
    };
    if word.is_empty() {
        return Err("write STEP=WORD or STEP=WORD:REASON".into());
    }
    Ok(AheadAnswer { step: step_id(step)?, word: word.to_owned(), reason, by: None })
}

/// `STEP=REASON`, short for `STEP=approve:REASON`.
fn ahead_approval(text: &str) -> Result<AheadAnswer, String> {
    let (step, reason) = step_reason(text)?;
    Ok(AheadAnswer { step, word: "approve".into(), reason: Some(reason), by: None })
}

/// A step's id.
pub(crate) fn step_id(text: &str) -> Result<StepId, String> {
    text.parse().map_err(|error: runbook_core::id::InvalidId| error.to_string())
}

/// `STEP=REASON`, with a reason.
pub(crate) fn step_reason(text: &str) -> Result<(StepId, String), String> {
    match text.split_once('=') {
        Some((step, reason)) if !reason.trim().is_empty() => Ok((step_id(step)?, reason.to_owned())),
        _ => Err("write STEP=REASON".into()),
    }
}

/// A reason that says something.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("say why".into()) } else { Ok(text.to_owned()) }
}

/// `KEY=VALUE`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_command_is_both_here_and_later() {
        let command = Arguments::command();
        for here in command.get_subcommands() {
            assert!(!comes_later(here.get_name()), "{}", here.get_name());
        }
    }

    #[test]
    fn answers_ahead_are_read() {
        let table = [
            ("gate=approve", Some(("gate", "approve", None))),
            ("gate=approve:looked at it", Some(("gate", "approve", Some("looked at it")))),
            ("gate=reject:a: b", Some(("gate", "reject", Some("a: b")))),
            ("gate=approve:", Some(("gate", "approve", None))),
            ("gate=", None),
            ("gate", None),
            ("Not A Step=approve", None),
        ];
        for (text, expected) in table {
            let read = ahead_answer(text).ok();
            let read = read
                .as_ref()
                .map(|answer| (answer.step.as_str(), answer.word.as_str(), answer.reason.as_deref()));
            assert_eq!(read, expected, "{text}");
        }
        assert!(ahead_approval("gate=").is_err());
        assert_eq!(ahead_approval("gate=fine").map(|answer| answer.word), Ok("approve".into()));
    }

    #[test]
    fn a_colour_is_chosen_with_and_without_an_equals_sign() {
        let table: [(&[&str], ColorChoice); 5] = [
            (&["runbook", "runs"], ColorChoice::Auto),
            (&["runbook", "--color", "never", "runs"], ColorChoice::Never),
            (&["runbook", "runs", "--color", "always"], ColorChoice::Always),
            (&["runbook", "runs", "--color=never"], ColorChoice::Never),
            (&["runbook", "runs", "--color"], ColorChoice::Always),
        ];
        for (line, expected) in table {
            let read = Arguments::try_parse_from(line).map(|arguments| arguments.global.color);
            assert_eq!(read.ok(), Some(expected), "{line:?}");
        }
    }

    #[test]
    fn global_options_stand_anywhere() {
        let line = [
            "runbook",
            "--state",
            "/s",
            "run",
            "deploy",
            "-p",
            "a=b",
            "--wait=5m",
            "--approve",
            "gate=seen",
            "-vv",
        ];
        let arguments = Arguments::try_parse_from(line).expect("parses");
        assert_eq!(arguments.global.wait, Some(Patience::For(Duration::from_secs(300))));
        assert_eq!(arguments.global.verbose, 2);
        assert_eq!(arguments.global.ahead().len(), 1);
        let arguments = Arguments::try_parse_from(["runbook", "run", "--wait", "deploy"]).expect("parses");
        assert_eq!(arguments.global.wait, Some(Patience::Forever));
        for wrong in [["runbook", "run", "a", "--wait=30"], ["runbook", "run", "a", "--max-parallel=0"]] {
            assert!(Arguments::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}
