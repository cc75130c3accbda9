//! The command line as it is typed. The options of all commands stand in [`crate::options`], each command's own in its file under
//! `commands/`.

use clap::{Parser, Subcommand};

use crate::commands::{
    answer, cancel, completions, doctor, gc, init, list, lock, logs, man, new, note, plan, resume, rollback,
    run, runs, schema, show, status, test, validate, verify, watch,
};
use crate::options::Global;

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory as _;

    use super::*;
    use crate::options::{ColorChoice, Patience};

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
