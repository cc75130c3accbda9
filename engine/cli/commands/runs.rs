//! `runbook runs`: the runs so far.

use clap::{Args, ValueEnum};
use runbook_core::moment::Moment;
use runbook_runtime::run;
use runbook_runtime::store::index::{self, Filter};
use runbook_runtime::store::{Standing, Summary};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::status::standing_word;
use crate::args::Format;
use crate::console::{DIM, styled};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::report::wording::{distance, duration, harmless, pad};

/// Options of `runs`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only runs of this runbook
    #[arg(long, value_name = "NAME")]
    pub(crate) runbook: Option<String>,
    /// Only runs that stand like this (repeatable)
    #[arg(long, value_enum, value_name = "OUTCOME")]
    pub(crate) outcome: Vec<Wanted>,
    /// Only runs that wait for a person
    #[arg(long)]
    pub(crate) waiting: bool,
    /// Only runs that this user started
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// At most so many, the latest first
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// The outcomes that runs can be picked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    Succeeded,
    Failed,
    Rejected,
    Cancelled,
    Waiting,
    Running,
    Interrupted,
}

impl From<Wanted> for Standing {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Succeeded => Self::Succeeded,
            Wanted::Failed => Self::Failed,
            Wanted::Rejected => Self::Rejected,
            Wanted::Cancelled => Self::Cancelled,
            Wanted::Waiting => Self::Waiting,
            Wanted::Running => Self::Running,
            Wanted::Interrupted => Self::Interrupted,
        }
    }
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let waiting = options.waiting.then_some(Standing::Waiting);
    let filter = Filter {
        runbook: options.runbook.clone(),
        outcomes: options.outcome.iter().map(|wanted| (*wanted).into()).chain(waiting).collect(),
        since: None,
        user: options.user.clone(),
        limit: options.limit,
    };
    let listed = index::list(&context.store()?, &filter)?;
    match context.global.format {
        Format::Json => {
            let values: Vec<Value> = listed.iter().map(to_json).collect();
            context.console.print(&format!("{}\n", Value::from(values)));
        }
        Format::Text | Format::Github | Format::Gitlab if listed.is_empty() => {
            context.console.say("No runs.\n");
        }
        Format::Text | Format::Github | Format::Gitlab => {
            context.console.print(&table(&listed, run::now(), context.console.width));
        }
    }
    Ok(exit_code::SUCCEEDED)
}

/// The shape of `cli.md`.
pub(super) fn to_json(summary: &Summary) -> Value {
    json!({
        "run": summary.run,
        "runbook": summary.runbook,
        "outcome": summary.outcome,
        "started_at": summary.started_at,
        "finished_at": summary.finished_at,
        "user": summary.user,
        "waiting_for": summary.waiting_for,
    })
}

/// A line a run.
fn table(runs: &[Summary], now: Moment, width: usize) -> String {
    let columns =
        runs.iter().map(|run| run.runbook.width()).max().unwrap_or(0).min(width.saturating_sub(46).max(12));
    let mut text = String::new();
    for summary in runs {
        let word = standing_word(summary.outcome);
        let visible = anstream::adapter::strip_str(&word).to_string();
        let fill = " ".repeat(11usize.saturating_sub(visible.width()));
        let took = match summary.finished_at {
            Some(finished) => duration(finished.since(summary.started_at)),
            None => String::new(),
        };
        let mut line = format!(
            "{}  {}  {word}{fill}  {}",
            styled(DIM, &summary.run),
            pad(&harmless(&summary.runbook), columns),
            if took.is_empty() { distance(summary.started_at, now) } else { took }
        );
        let steps: Vec<&str> = summary.waiting_for.iter().map(|waiting| waiting.step.as_str()).collect();
        if steps.is_empty() && summary.outcome == Standing::Waiting {
            line.push_str("  answered: resume goes on");
        } else if !steps.is_empty() {
            line.push_str(&format!("  waits at {}", steps.join(", ")));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_run() {
        let summary = |run: &str, outcome: &str, finished: Value, waiting: Value| -> Summary {
            serde_json::from_value(json!({
                "run": run, "runbook": "deploy-production", "outcome": outcome,
                "started_at": "2026-11-22T02:30:00Z", "finished_at": finished, "user": "ana", "waiting_for": waiting,
            }))
            .expect("a summary")
        };
        let gate =
            json!([{"step": "approve", "gate": "approve", "prompt": "?", "from": [], "expires_at": null}]);
        let runs = [
            summary("20261122T023000-k3f9", "waiting", Value::Null, gate),
            summary("20261122T023000-aaaa", "succeeded", "2026-11-22T02:33:05Z".into(), json!([])),
        ];
        let now: Moment = serde_json::from_value("2026-11-22T02:42:03Z".into()).expect("a moment");
        for width in [60, 100] {
            let text = anstream::adapter::strip_str(&table(&runs, now, width)).to_string();
            insta::assert_snapshot!(format!("a_line_a_run_{width}"), text);
        }
    }
}
