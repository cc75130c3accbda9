//! `runbook plan`: what would happen.

use std::path::PathBuf;

use clap::Args;
use runbook_core::id::StepId;
use runbook_core::plan::{Description, EvidenceRule, OnFailure, Plan, PlanLine, describe};
use runbook_core::template::quote_for_display;
use runbook_runtime::run::{plan_digest, plan_text, shell_without_pipefail};
use runbook_runtime::sanitize::{Style as SanitizeStyle, sanitize};
use serde_json::json;

use super::run::Parameters;
use crate::console::{ATTENTION, DIM, STRONG, styled};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::find::RunbookFile;
use crate::options::Format;
use crate::probing::{self, Probes};
use crate::report::wording::{Signs, count, harmless, wrap};
use crate::{drive, plan_file, planning};

/// Options of `plan`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The runbook
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) parameters: Parameters,
    /// Make the checks that need nothing of the run, once, and show what they see
    #[arg(long)]
    pub(crate) probe: bool,
    /// Write the plan to a file, which `run --plan` runs (`-`: to standard output)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    // Before anything makes this process large or gives it threads.
    let helper = options.probe.then(drive::helper).transpose()?;
    let loaded = planning::load_or_say(context, &options.name)?;
    let plan = planning::plan(context, &loaded, &options.parameters)?;
    if let Some(output) = &options.output {
        let RunbookFile { root, path, .. } = &loaded.file;
        plan_file::write(context, output, &plan, loaded.source.text(), root, path)?;
    }
    let RunbookFile { root, path, .. } = &loaded.file;
    let probes = helper.map(|helper| probing::probe(context, helper, &plan, root, path)).transpose()?;
    if options.output.as_deref().is_some_and(plan_file::is_standard_output) {
        context.console.say(&page(context, &plan, probes.as_ref()));
    } else {
        print(context, &plan, probes.as_ref());
    }
    Ok(probes.map_or(exit_code::SUCCEEDED, |probes| probes.exit_status()))
}

/// Shows a plan; the exit status.
pub(super) fn show(context: &Context, plan: &Plan) -> u8 {
    print(context, plan, None);
    exit_code::SUCCEEDED
}

fn print(context: &Context, plan: &Plan, probes: Option<&Probes>) {
    context.console.print(&page(context, plan, probes));
}

/// The plan as it is shown, in the format that is asked for.
fn page(context: &Context, plan: &Plan, probes: Option<&Probes>) -> String {
    let digest = plan_digest(&plan_text(plan));
    let mut described = describe(plan);
    warn_of_pipes(&mut described.steps, &context.environment.path);
    match context.global.format {
        Format::Json => {
            let mut value = json!({
                "runbook": plan.runbook,
                "title": plan.title,
                "digest": digest,
                "params": plan.params,
                "max_parallel": plan.max_parallel,
                "lock": described.lock,
                "window": described.window,
                "steps": described.steps,
                "groups": described.groups,
            });
            if let Some(probes) = probes {
                value["probes"] = probes.to_json();
            }
            format!("{value}\n")
        }
        Format::Text | Format::Github | Format::Gitlab => {
            let (width, plain) = (context.console.width, context.console.plain);
            let probed = probes.map(|probes| probes.to_text(width, plain));
            to_text(plan, &digest, &described, width, plain) + &probed.unwrap_or_default()
        }
    }
}

/// Says of each script whose pipes hide failures that they do (`language.md` §4).
fn warn_of_pipes(lines: &mut [PlanLine], folders: &[PathBuf]) {
    for line in lines {
        let shell = line.piped_in.as_deref().and_then(|shell| shell_without_pipefail(shell, folders));
        line.warnings.extend(shell.map(|shell| {
            format!("a failure inside a pipe goes unseen: `{shell}` is not told `pipefail`; use bash")
        }));
    }
}

/// The plan for people: each step with what it does, in the order in which they may start.
fn to_text(plan: &Plan, digest: &str, described: &Description, width: usize, plain: bool) -> String {
    let signs = Signs::new(plain);
    let title =
        if plan.title == plan.runbook { String::new() } else { format!(": {}", harmless(&plan.title)) };
    let mut text = format!("{}{title}\n", styled(STRONG, harmless(&plan.runbook)));
    for (name, value) in &plan.params {
        let value = value.as_str().map_or_else(|| value.to_string(), quote_for_display);
        text.push_str(&wrap(&format!("  {name} = {}", harmless(&value)), width, "      "));
        text.push('\n');
    }
    for (what, guard) in [("lock", &described.lock), ("window", &described.window)] {
        if let Some(guard) = guard {
            text.push_str(&wrap(&format!("  {what}: {}", harmless(guard)), width, "      "));
            text.push('\n');
        }
    }
    text.push_str(&format!("  {}\n", styled(DIM, format_args!("digest {digest}"))));
    let mut finally = false;
    let lines = &described.steps;
    for (index, line) in lines.iter().enumerate() {
        text.push('\n');
        if line.finally && !finally {
            finally = true;
            text.push_str("In the end, whatever happened:\n\n");
        }
        let previous = index.checked_sub(1).map(|previous| &lines[previous]);
        text.push_str(&entered(line, previous, &described.groups, width));
        text.push_str(&wrap(&headline(line, previous), width, "     "));
        text.push('\n');
        for part in body(line) {
            for piece in part.lines() {
                text.push_str(&format!("     {piece}\n"));
            }
        }
        let sign = styled(ATTENTION, signs.attention);
        for warning in &line.warnings {
            text.push_str(&wrap(&format!("     {sign} {}", harmless(warning)), width, "       "));
            text.push('\n');
        }
        if !line.not_behind.is_empty() {
            let gates = ids(&line.not_behind);
            text.push_str(&format!(
                "     {sign} may run before {gates} is answered: it doesn't wait for it\n"
            ));
        }
    }
    text
}

/// The group whose steps follow, where the one before stands in another, with what holds for it as a whole.
fn entered(line: &PlanLine, previous: Option<&PlanLine>, groups: &[PlanLine], width: usize) -> String {
    if line.group.is_none() || previous.is_some_and(|previous| previous.group == line.group) {
        return String::new();
    }
    let known = previous.map_or_else(Vec::new, |previous| around(previous, groups));
    let mut text = String::new();
    for group in around(line, groups).into_iter().rev() {
        let is_known = known.iter().any(|known| known.id == group.id);
        let (notes, parts) = if is_known { (Vec::new(), Vec::new()) } else { (notes(&group), body(&group)) };
        let is_innermost = line.group.as_deref() == Some(group.id.as_str());
        if !is_innermost && notes.is_empty() && parts.is_empty() {
            continue;
        }
        let title = group.title.as_ref().map_or_else(String::new, |title| format!(" — {}", harmless(title)));
        let said = if notes.is_empty() { String::new() } else { format!(" {}", notes.join("; ")) };
        text.push_str(&wrap(&format!("In {}{title}:{said}", styled(STRONG, &group.id)), width, "     "));
        text.push('\n');
        for piece in parts.iter().flat_map(|part| part.lines()) {
            text.push_str(&format!("     {piece}\n"));
        }
        text.push('\n');
    }
    text
}

/// The groups around a step, the nearest first, without what their steps show themselves.
fn around(line: &PlanLine, groups: &[PlanLine]) -> Vec<PlanLine> {
    let find = |id: Option<&str>| groups.iter().find(|group| Some(group.id.as_str()) == id);
    std::iter::successors(find(line.group.as_deref()), |group| find(group.group.as_deref()))
        .map(|group| {
            let mut group = group.clone();
            (group.for_each, group.cwd) = (None, None);
            group.env.clear();
            group
        })
        .collect()
}

/// `apply — Apply the release (run), after gate; retried 2 times`.
fn headline(line: &PlanLine, previous: Option<&PlanLine>) -> String {
    let title = line.title.as_ref().map_or_else(String::new, |title| format!(" — {}", harmless(title)));
    let mut text = format!("{}{title} ({})", styled(STRONG, &line.id), line.kind);
    match (line.needs.as_slice(), previous) {
        ([], Some(before)) if before.finally == line.finally => text.push_str(", starts at once"),
        ([], _) => {}
        ([only], Some(before)) if *only == before.id => {}
        (needs, _) => text.push_str(&format!(", after {}", ids(needs))),
    }
    let notes = notes(line);
    if !notes.is_empty() {
        text.push_str("; ");
        text.push_str(&notes.join("; "));
    }
    text
}

/// What bounds it, and under which conditions it starts.
fn notes(line: &PlanLine) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(line.for_each.iter().map(|items| format!("for each of {}", harmless(items))));
    notes.extend(line.left_out.iter().map(|why| harmless(why)));
    notes.extend(line.lock.iter().map(|lock| format!("under the lock {}", harmless(lock))));
    notes.extend(line.window.iter().map(|window| format!("may start {}", harmless(window))));
    if let Some(check) = &line.done_when {
        notes.push(format!("skipped where it is done already: {}", harmless(check)));
    }
    if let Some(when) = &line.when {
        notes.push(format!("when {}", harmless(when)));
    }
    if let Some(retry) = &line.retry {
        notes.push(format!("up to {} after a failure", count(retry.times as usize, "more attempt")));
    }
    if line.interactive {
        notes.push("at a terminal of its own".into());
    }
    let bounds = [
        ("timeout", line.timeout),
        ("within", line.within),
        ("holds for", line.hold),
        ("expires after", line.expires),
        ("should take at most", line.deadline),
    ];
    notes.extend(bounds.into_iter().filter_map(|(what, span)| span.map(|span| format!("{what} {span}"))));
    match line.on_failure {
        OnFailure::Unsaid | OnFailure::Stop => {}
        OnFailure::Ask => notes.push("after a failure a person decides".into()),
        OnFailure::Continue => notes.push("a failure lets the run go on".into()),
        OnFailure::Warn => notes.push("a failure is only a warning".into()),
    }
    if line.cleanup {
        notes.push("whatever happened".into());
    }
    notes.extend(line.repeat.iter().map(|until| format!("again until {}", harmless(until))));
    notes
}

/// What it does, asks and keeps: each a text of one or more lines.
fn body(line: &PlanLine) -> Vec<String> {
    let foreign = |text: &str| sanitize(text, SanitizeStyle::Text);
    let mut parts: Vec<String> = Vec::new();
    parts.extend(
        line.env.iter().map(|(name, value)| format!("{name}={}", foreign(&quote_for_display(value)))),
    );
    parts.extend(line.cwd.iter().map(|cwd| format!("in {}", foreign(cwd))));
    parts.extend(line.command.iter().map(|command| foreign(command.trim_end())));
    parts.extend(line.stdin.iter().map(|text| format!("reads {}", foreign(text.trim_end()))));
    parts.extend(line.body.iter().map(|text| format!("sends {}", foreign(text.trim_end()))));
    parts.extend(line.ready.iter().map(|ready| format!("ready when {}", foreign(ready))));
    parts.extend(line.ask.iter().map(|ask| format!("asks before: {}", foreign(ask))));
    parts.extend(line.prompt.iter().map(|prompt| foreign(prompt)));
    parts.extend(line.details.iter().map(|details| foreign(details)));
    parts.extend(line.checklist.iter().map(|item| format!("[ ] {}", foreign(item))));
    match line.evidence {
        Some(EvidenceRule::Required) => parts.push("with evidence".into()),
        Some(EvidenceRule::Optional) => parts.push("evidence may be given".into()),
        Some(EvidenceRule::None) | None => {}
    }
    parts.extend(people(line).iter().map(|part| foreign(part)));
    if let Some(undo) = &line.undo {
        let always = if line.undo_always { ", also where it failed" } else { "" };
        parts.push(format!("undone by{always}: {}", foreign(undo.trim_end())));
    }
    for step in &line.undo_steps {
        let what = step.command.as_ref().or(step.prompt.as_ref()).map(|text| foreign(text.trim_end()));
        parts.push(format!("  {} ({})", step.id, step.kind));
        parts.extend(what.iter().flat_map(|text| text.lines()).map(|line| format!("    {line}")));
    }
    parts.extend(line.expect.iter().map(|expected| format!("expects {}", foreign(expected))));
    parts.extend(line.warn.iter().map(|expected| format!("warns unless {}", foreign(expected))));
    if !line.inputs.is_empty() {
        parts.push(format!("reads {}", foreign(&line.inputs.join(", "))));
    }
    if !line.artifacts.is_empty() {
        parts.push(format!("keeps {}", foreign(&line.artifacts.join(", "))));
    }
    parts
}

/// Who answers and how, and who is told.
fn people(line: &PlanLine) -> Vec<String> {
    let mut parts: Vec<String> = line
        .options
        .iter()
        .map(
            |(name, meaning)| {
                if meaning.is_empty() { format!("( ) {name}") } else { format!("( ) {name}: {meaning}") }
            },
        )
        .collect();
    parts.extend(line.options_from.iter().map(|source| format!("( ) one of {source}")));
    let signed = if line.signed { "signed " } else { "" };
    let from = if line.from.is_empty() { String::new() } else { format!(" of {}", line.from.join(", ")) };
    match line.quorum {
        Some(quorum) if quorum > 1 => parts.push(format!("answered by {quorum} {signed}people{from}")),
        _ if !from.is_empty() || line.signed => parts.push(format!("answered {signed}by one{from}")),
        _ => {}
    }
    if !line.fields.is_empty() {
        let fields = line.fields.iter().map(|(name, kind)| format!("{name} ({kind})"));
        parts.push(format!("asks for {}", fields.collect::<Vec<_>>().join(", ")));
    }
    parts.extend(line.escalate.iter().map(|rung| format!("tells {} after {}", rung.notify, rung.after)));
    parts
}

fn ids(steps: &[StepId]) -> String {
    steps.iter().map(StepId::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_plan_shows_every_step() {
        let plan = fixture::plan();
        let described = describe(&plan);
        for (width, plain) in [(60, false), (100, true)] {
            let text = to_text(&plan, &"d".repeat(64), &described, width, plain);
            let text = anstream::adapter::strip_str(&text).to_string();
            insta::assert_snapshot!(format!("a_plan_shows_every_step_{width}"), text);
        }
    }
}
