//! `runbook runs`: the runs so far.

use clap::{Args, ValueEnum};
use runbook_core::moment::Moment;
use runbook_runtime::run;
use runbook_runtime::store::index::{self, Filter};
use runbook_runtime::store::{Standing, Summary};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::status::standing_word;
use crate::console::{DIM, styled};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::options::Format;
use crate::report::wording::{distance, duration, harmless, pad, wrap};

/// Options of `runs`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only runs of this runbook
    #[arg(value_name = "NAME", conflicts_with = "runbook")]
    pub(crate) name: Option<String>,
    /// The same
    #[arg(long, value_name = "NAME")]
    pub(crate) runbook: Option<String>,
    /// Only runs that stand like this (repeatable)
    #[arg(long, value_enum, value_name = "OUTCOME")]
    pub(crate) outcome: Vec<Wanted>,
    /// Only runs that wait for a person: each question, whom it waits for and since when
    #[arg(long)]
    pub(crate) waiting: bool,
    /// Only runs that this user started
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Only runs that started so long ago at most (`7d`), or at that day or later (`2026-11-01`)
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub(crate) since: Option<Since>,
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

/// From when on runs are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// So long before now.
    Ago(std::time::Duration),
    /// At that moment.
    At(Moment),
}

/// `7d`, or a day (from its midnight, UTC), or a moment with its zone.
fn since(text: &str) -> Result<Since, String> {
    if let Ok(span) = text.parse::<runbook_core::duration::Duration>() {
        return Ok(Since::Ago(span.into()));
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Since::At(at.into()));
    }
    text.parse::<jiff::civil::Date>()
        .and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC))
        .map(|midnight| Since::At(midnight.timestamp().into()))
        .map_err(|_| {
            "write a duration like 7d, a day like 2026-11-01 or a moment like 2026-11-01T08:00Z".into()
        })
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let now = run::now();
    let mut outcomes: Vec<Standing> = options.outcome.iter().map(|wanted| (*wanted).into()).collect();
    let picked = outcomes.clone();
    if options.waiting {
        // A question may be open while other steps run, or since the process died.
        outcomes.extend([Standing::Waiting, Standing::Running, Standing::Interrupted]);
    }
    let name = options.name.as_deref().or(options.runbook.as_deref());
    let filter = Filter {
        runbook: name.map(|name| context.runbook_meant(name)).transpose()?,
        outcomes,
        since: options.since.map(|since| match since {
            Since::Ago(span) => {
                let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
                Moment::from_millis(now.as_millis().saturating_sub(millis))
            }
            Since::At(at) => at,
        }),
        user: options.user.clone(),
        limit: options.limit.filter(|_| !options.waiting),
    };
    let mut listed = index::list(&context.store()?, &filter)?;
    if options.waiting {
        listed.retain(|run| {
            run.outcome == Standing::Waiting || !run.waiting_for.is_empty() || picked.contains(&run.outcome)
        });
        listed.truncate(options.limit.unwrap_or(usize::MAX));
    }
    match context.global.format {
        Format::Json => {
            let values: Vec<Value> = listed.iter().map(to_json).collect();
            context.console.print(&format!("{}\n", Value::from(values)));
        }
        Format::Text | Format::Github | Format::Gitlab if listed.is_empty() => {
            context.console.say("No runs.\n");
        }
        Format::Text | Format::Github | Format::Gitlab => {
            let mut text = String::new();
            let columns = columns(&listed, context.console.width);
            for summary in &listed {
                text.push_str(&table(std::slice::from_ref(summary), columns, now));
                if options.waiting {
                    text.push_str(&questions(summary, now, context.console.width));
                }
            }
            context.console.print(&text);
        }
    }
    Ok(exit_code::SUCCEEDED)
}

/// The shape of `cli.md`.
pub(super) fn to_json(summary: &Summary) -> Value {
    json!({
        "run": summary.run,
        "runbook": summary.runbook,
        "path": summary.path,
        "outcome": summary.outcome,
        "started_at": summary.started_at,
        "finished_at": summary.finished_at,
        "user": summary.user,
        "waiting_for": summary.waiting_for,
    })
}

/// Whom the questions of a run wait for, and since when.
fn questions(summary: &Summary, now: Moment, width: usize) -> String {
    let mut text = String::new();
    for waiting in &summary.waiting_for {
        let from =
            if waiting.from.is_empty() { "anyone".to_owned() } else { harmless(&waiting.from.join(", ")) };
        let since =
            waiting.since.map_or_else(String::new, |at| format!(" since {}", duration(now.since(at))));
        let until =
            waiting.expires_at.map_or_else(String::new, |at| format!(", expires {}", distance(at, now)));
        let line = format!("    {}  {from}{since}{until}: {}", waiting.step, harmless(&waiting.prompt));
        text.push_str(&wrap(&line, width, "      "));
        text.push('\n');
    }
    text
}

/// The runbook as a list names it: by its path, where that tells it from another one of the same name.
fn shown_name(summary: &Summary) -> &str {
    let is_longer = summary.path.rsplit('/').next() == Some(summary.runbook.as_str());
    if is_longer { &summary.path } else { &summary.runbook }
}

/// How wide the names are shown.
fn columns(runs: &[Summary], width: usize) -> usize {
    runs.iter().map(|run| shown_name(run).width()).max().unwrap_or(0).min(width.saturating_sub(46).max(12))
}

/// A line a run.
fn table(runs: &[Summary], columns: usize, now: Moment) -> String {
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
            pad(&harmless(shown_name(summary)), columns),
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
            let text = anstream::adapter::strip_str(&table(&runs, columns(&runs, width), now)).to_string();
            insta::assert_snapshot!(format!("a_line_a_run_{width}"), text);
        }
    }
}
