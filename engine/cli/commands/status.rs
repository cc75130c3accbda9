//! `runbook status`: where a run stands and what it waits for.

use clap::Args;
use runbook_core::event::Outcome;
use runbook_core::moment::Moment;
use runbook_core::plan::Step;
use runbook_core::state::{RunState, Status};
use runbook_runtime::run::{self, Opened, View};
use runbook_runtime::store::{Place, Standing, Summary, lock, summarize};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::console::{ATTENTION, BAD, DIM, GOOD, STRONG, styled};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::options::Format;
use crate::report::Undoing;
use crate::report::ending::after_failure;
use crate::report::next::Paste;
use crate::report::wording::{Signs, count, distance, duration, harmless, millis, moment, pad, why, wrap};

/// Options of `status`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub(crate) run: String,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let store = context.store()?;
    let dir = store.run(&context.resolve(&store, &options.run)?)?;
    // First the lock, then the journal: what is written in between is seen, and a run that ends in between is not called interrupted.
    let mut is_held = lock::is_held(&dir)?.is_some();
    let opened = run::open(&dir)?;
    is_held = is_held && opened.state.outcome.is_none();
    let Some(mut summary) = summarize(&opened.replay, is_held) else {
        return Err(CommandError::store(format!("the journal of run {} has no beginning", dir.run())));
    };
    summary.path = Place::of_run(&dir).map_or_else(|| summary.runbook.clone(), |place| place.path);
    match context.global.format {
        Format::Json => {
            let value = to_json(&summary, &opened, is_held);
            context.console.print(&format!("{value}\n"));
        }
        Format::Text | Format::Github | Format::Gitlab => {
            let sheet = Sheet {
                summary: &summary,
                opened: &opened,
                is_held,
                paste: Paste::new(context, options.run.as_str()),
                now: run::now(),
                width: context.console.width,
                plain: context.console.plain,
            };
            context.console.print(&sheet.to_text());
        }
    }
    Ok(exit_code::SUCCEEDED)
}

/// The word for a step: its outcome, or what stands in for it until there is one.
fn word(opened: &Opened, index: usize, is_held: bool) -> &'static str {
    let is_over = opened.state.outcome.is_some();
    match &opened.state.steps[index].status {
        Status::Ended(outcome) => outcome.as_str(),
        Status::Pending if opened.state.gates.contains_key(&index) => "waiting",
        Status::Pending => "pending",
        Status::Running(_) if opened.state.gates.contains_key(&index) => "waiting",
        Status::Running(_) | Status::Delayed { .. } if is_held && !is_over => "running",
        Status::Running(_)
            if opened.state.plan.steps[index].is_container() && opened.state.parked.is_some() =>
        {
            "waiting"
        }
        Status::Running(_) => "interrupted",
        Status::Delayed { .. } => "pending",
    }
}

/// The steps as they are read: each followed by what it holds, also by items that are only known since the run knows them.
fn in_order(state: &RunState) -> Vec<(usize, &Step)> {
    // What undoes by a called runbook is of interest once it has begun.
    let begun = |index: usize| state.steps[index].attempts > 0;
    let is_read =
        |(index, step): &(usize, &Step)| !step.is_added() || (!step.waits_for_unwinding() && begun(*index));
    let plan = &state.plan;
    let mut steps: Vec<(usize, &Step)> = plan.steps.iter().enumerate().filter(is_read).collect();
    steps.sort_by_cached_key(|(index, _)| {
        let mut path: Vec<usize> = plan.containers_of(*index).collect();
        path.reverse();
        path.push(*index);
        path
    });
    steps
}

/// The shape of `cli.md`.
fn to_json(summary: &Summary, opened: &Opened, is_held: bool) -> Value {
    let steps: Vec<Value> = in_order(&opened.state)
        .into_iter()
        .map(|(index, step)| {
            let known = &opened.state.steps[index];
            let is_over = known.outcome().is_some() && known.result.attempt > 0;
            json!({
                "id": step.id,
                "outcome": word(opened, index, is_held),
                "attempts": known.attempts,
                "exit_code": known.result.exit_code,
                "duration_ms": is_over.then_some(known.result.duration_ms),
                "reason": known.result.reason,
                "undone": opened.state.is_undone(index),
            })
        })
        .collect();
    let mut value = super::runs::to_json(summary);
    value["steps"] = steps.into();
    value
}

/// The page for people.
struct Sheet<'a> {
    summary: &'a Summary,
    opened: &'a Opened,
    is_held: bool,
    paste: Paste,
    now: Moment,
    width: usize,
    plain: bool,
}

impl Sheet<'_> {
    fn to_text(&self) -> String {
        let Summary { run, runbook, outcome, started_at, finished_at, user, .. } = self.summary;
        let standing = standing_word(*outcome);
        let mut text = format!("{} {standing}    {}\n", styled(STRONG, harmless(runbook)), styled(DIM, run));
        let mut about = format!("  started {} by {}", moment(*started_at), harmless(user));
        match finished_at {
            Some(finished) => about.push_str(&format!(", took {}", duration(finished.since(*started_at)))),
            None => about.push_str(&format!(", {}", distance(*started_at, self.now))),
        }
        text.push_str(&wrap(&about, self.width, "  "));
        text.push_str("\n\n");
        text.push_str(&self.steps());
        text.push_str(&self.questions());
        text.push_str(&self.next());
        text
    }

    fn steps(&self) -> String {
        let signs = Signs::new(self.plain);
        let steps = &self.opened.state.plan.steps;
        let columns =
            steps.iter().map(|step| step.id.as_str().width()).max().unwrap_or(0).min(self.width / 2);
        let mut text = String::new();
        for (index, step) in in_order(&self.opened.state) {
            let known = &self.opened.state.steps[index];
            let word = word(self.opened, index, self.is_held);
            let (sign, colour) = match known.outcome() {
                Some(outcome) => signs.of(outcome),
                None if word == "waiting" => (signs.question, ATTENTION),
                None if word == "interrupted" => (signs.attention, ATTENTION),
                None if word == "running" => (signs.start, STRONG),
                None => (signs.pending, DIM),
            };
            let mut notes: Vec<String> = Vec::new();
            if known.outcome().is_some() && known.result.duration_ms > 0 {
                notes.push(millis(known.result.duration_ms));
            }
            if let Status::Running(attempt) = &known.status {
                notes.push(format!("since {}", duration(self.now.since(attempt.started_at))));
                notes.extend(
                    attempt
                        .until
                        .map(|until| format!("until {} ({})", moment(until), distance(until, self.now))),
                );
            }
            if let (Status::Pending, Some(what)) = (&known.status, self.opened.state.waiting.get(&index)) {
                notes.push(format!("waits: {}", harmless(what)));
            }
            if known.attempts > 1 {
                notes.push(count(known.attempts as usize, "attempt"));
            }
            if !known.result.by.is_empty() {
                notes.push(format!("by {}", harmless(&known.result.by.join(", "))));
            }
            if self.opened.state.is_undone(index) {
                notes.push("undone".into());
            }
            if let Some(reason) = &known.result.reason {
                notes.push(why(reason));
            }
            let sign = styled(colour, sign);
            let line = format!(
                "  {sign} {}  {}  {}",
                pad(step.id.as_str(), columns),
                pad(word, 11),
                notes.join(", ")
            );
            text.push_str(wrap(line.trim_end(), self.width, "      ").trim_end());
            text.push('\n');
        }
        text
    }

    fn questions(&self) -> String {
        let mut text = String::new();
        for (index, gate) in &self.opened.state.gates {
            let asking = &self.opened.state.plan.steps[*index];
            let step = &asking.id;
            let from =
                if gate.from.is_empty() { "anyone".to_owned() } else { harmless(&gate.from.join(", ")) };
            let until = gate
                .expires_at
                .map_or_else(String::new, |at| format!(", expires {}", distance(at, self.now)));
            let since = duration(self.now.since(gate.opened_at));
            let ask = format!(
                "{} waits for {from} since {since}{until}: {}",
                styled(STRONG, step),
                harmless(&gate.prompt)
            );
            text.push('\n');
            text.push_str(&wrap(&ask, self.width, "  "));
            text.push('\n');
            for (number, item) in (1u32..).zip(&gate.checklist) {
                let tick = if gate.ticked.contains_key(&number) { "x" } else { " " };
                text.push_str(&wrap(
                    &format!("  [{tick}] {number}. {}", harmless(item)),
                    self.width,
                    "         ",
                ));
                text.push('\n');
            }
            text.push_str(&self.commands(self.paste.answers(step, asking, gate, !self.is_held)));
        }
        text
    }

    /// What can be done about a run that waits for no answer.
    fn next(&self) -> String {
        let view = View::of(&self.opened.state);
        let commands = match self.summary.outcome {
            Standing::Interrupted => vec![self.paste.command("resume", &[])],
            Standing::Waiting if self.opened.state.gates.is_empty() => {
                vec![self.paste.command("resume", &[])]
            }
            Standing::Failed => after_failure(view, &self.paste, &Undoing::of(view)),
            Standing::Running
            | Standing::Waiting
            | Standing::Succeeded
            | Standing::Rejected
            | Standing::Cancelled => Vec::new(),
        };
        if commands.is_empty() { String::new() } else { format!("\n{}", self.commands(commands)) }
    }

    fn commands(&self, commands: Vec<String>) -> String {
        let arrow = styled(DIM, Signs::new(self.plain).next);
        commands.into_iter().map(|command| format!("  {arrow} {command}\n")).collect()
    }
}

/// The word for where a run stands.
pub(super) fn standing_word(standing: Standing) -> String {
    let (word, colour) = match standing {
        Standing::Running => ("running", STRONG),
        Standing::Waiting => ("waiting", ATTENTION),
        Standing::Interrupted => ("interrupted", ATTENTION),
        Standing::Succeeded => (Outcome::Succeeded.as_str(), GOOD),
        Standing::Failed => (Outcome::Failed.as_str(), BAD),
        Standing::Rejected => (Outcome::Rejected.as_str(), BAD),
        Standing::Cancelled => (Outcome::Cancelled.as_str(), BAD),
    };
    styled(colour, word)
}
