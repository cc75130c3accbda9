//! `resume --adopt`: the runbook as it is now, what differs, and whether a person wants that.

use indexmap::IndexMap;
use runbook_core::event::RunOutcome;
use runbook_core::plan::{GivenValue, Plan, Selection};
use runbook_core::schedule::{Adoption, plan_adoption};
use runbook_runtime::run::{self, plan_digest, plan_text};
use runbook_runtime::store::RunDir;

use crate::console::{ATTENTION, styled};
use crate::context::Context;
use crate::error::CommandError;
use crate::planning;
use crate::report::wording::{Signs, harmless, wrap};

/// A runbook as it is now, planned with the values of a run.
pub(crate) struct Proposal {
    /// What would run.
    pub(crate) plan: Plan,
    /// Its digest.
    pub(crate) digest: String,
    /// Its text.
    pub(crate) text: String,
}

/// Plans the runbook of a run as it is now, and shows what differs. Nothing where there is nothing to adopt.
///
/// # Errors
/// Where the runbook is gone or has mistakes, where it doesn't fit what has happened, and where a person says no.
pub(crate) fn propose(context: &Context, dir: &RunDir) -> Result<Option<Proposal>, CommandError> {
    let state = run::open(dir)?.state;
    if matches!(state.outcome, Some(RunOutcome::Succeeded | RunOutcome::Rejected | RunOutcome::Cancelled)) {
        return Ok(None);
    }
    let (environment, _) = run::read_environment(dir)?;
    let file = environment.file.display().to_string();
    if !environment.file.is_file() {
        return Err(CommandError::usage(format!("the runbook is gone: there is no {file}")));
    }
    let loaded = planning::load_or_say(context, &file)?;
    let declared = |name: &String| loaded.document.params.iter().any(|(known, _)| **known == **name);
    let given: IndexMap<String, GivenValue> = state
        .plan
        .params
        .iter()
        .filter(|(name, value)| declared(name) && !value.is_null())
        .map(|(name, value)| (name.clone(), GivenValue::Data(value.clone().into())))
        .collect();
    let plan = planning::make(context, &loaded, given, &Selection::recorded(&state.plan))?;
    let digest = plan_digest(&plan_text(&plan));
    if !context.console.non_interactive
        && let Some(line) = context.console.announcement(dir.run(), &state.plan.runbook)
    {
        context.console.say(&line);
    }
    let Some(adoption) = plan_adoption(&state, plan.clone(), digest.clone())? else {
        if !context.console.non_interactive {
            context.console.say("nothing to adopt: the runbook is what this run goes by\n");
        }
        return Ok(None);
    };
    // Where nobody is asked, the record shows the same.
    if !context.console.non_interactive && !confirmed(context, &adoption)? {
        return Err(CommandError::refused("the run goes on as it was, or not at all: nothing was adopted"));
    }
    Ok(Some(Proposal { plan, digest, text: loaded.source.text().to_owned() }))
}

/// Shows what differs, and asks for a whole word.
fn confirmed(context: &Context, adoption: &Adoption) -> Result<bool, CommandError> {
    let signs = Signs::new(context.console.plain);
    let mut text = String::from("The runbook has changed since:\n");
    for difference in &adoption.differences {
        let line = format!("  {} {}", styled(ATTENTION, signs.attention), harmless(difference));
        text.push_str(wrap(&line, context.console.width, "      ").trim_end());
        text.push('\n');
    }
    context.console.say(&text);
    let answer = dialoguer::Input::<String>::new()
        .with_prompt("Go on with it? (yes, no)")
        .validate_with(|text: &String| match text.trim() {
            "yes" | "no" => Ok(()),
            _ => Err("write yes or no"),
        })
        .interact_text()
        .map_err(|error| CommandError::refused("nobody said whether to adopt it").with_cause(&error))?;
    Ok(answer.trim() == "yes")
}
