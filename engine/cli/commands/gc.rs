//! `runbook gc`: delete old finished runs.

use clap::Args;
use runbook_core::duration::Duration;
use runbook_core::moment::Moment;
use runbook_runtime::run;
use runbook_runtime::store::Summary;
use runbook_runtime::store::old::{self, Kept, Why};
use serde_json::Value;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::options::Format;
use crate::report::wording::{count, distance, harmless};

/// Options of `gc`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Runs that ended so long ago or longer, as in 90d
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub(crate) older_than: Duration,
}

fn age(text: &str) -> Result<Duration, String> {
    text.parse::<Duration>().map_err(|error| error.to_string())
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let store = context.store()?;
    let now = run::now();
    let age: std::time::Duration = options.older_than.into();
    let mut found = old::finished(&store)?;
    found.retain(|summary| summary.finished_at.is_some_and(|finished| now.since(finished) >= age));
    let (gone, kept) =
        if context.global.dry_run { (found, Vec::new()) } else { old::delete_all(&store, found) };
    for Kept { run, why } in &kept {
        context.console.say(&format!("run {run} stays: {}\n", harmless(&why.to_string())));
    }
    tell(context, &gone, now);
    let unwritten = kept.iter().any(|Kept { why, .. }| matches!(why, Why::Store(_)));
    Ok(if unwritten { exit_code::STORE } else { exit_code::SUCCEEDED })
}

/// What is gone is a result, how much that was is talk.
fn tell(context: &Context, gone: &[Summary], now: Moment) {
    if context.global.format == Format::Json {
        let values: Vec<Value> = gone.iter().map(super::runs::to_json).collect();
        context.console.print(&format!("{}\n", Value::from(values)));
        return;
    }
    for summary in gone {
        let ended = summary.finished_at.map_or_else(String::new, |finished| distance(finished, now));
        context.console.print(&format!("{}  {}  ended {ended}\n", summary.run, harmless(&summary.runbook)));
    }
    if !context.console.quiet {
        let verb = if context.global.dry_run { "would be deleted" } else { "deleted" };
        context.console.say(&format!("{} {verb}\n", count(gone.len(), "run")));
    }
}
