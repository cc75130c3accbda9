//! What a step is called, for people who watch a run.

use std::sync::Arc;

use super::context::{Missing, Recorded, RunFacts, SecretView, Sight, Stream, parse_template};
use crate::id::StepId;
use crate::moment::Moment;
use crate::plan::{Plan, shown};
use crate::state::RunState;
use crate::template::Reference;

/// The title of a step (`language.md` §3) as far as its values are known from the state alone; each other one stands as `‹…›`. None where the step has
/// no title, so that it is called by its id.
#[must_use]
pub fn title(plan: &Plan, state: &RunState, step: usize) -> Option<String> {
    let title = plan.steps[step].title.as_deref()?;
    if !title.contains("{{") {
        return Some(title.to_owned());
    }
    Some(rendered(plan, state, step, title).or_else(|| with_names(title)).unwrap_or_else(|| title.to_owned()))
}

/// The title with its values; none where one of them isn't known.
fn rendered(plan: &Plan, state: &RunState, step: usize, title: &str) -> Option<String> {
    let template = parse_template(title).ok()?;
    let references: Vec<&Reference> = template.references().iter().collect();
    // What is of the run itself stands as a mark.
    let facts = RunFacts {
        id: "20000101T000000-aaaa".parse().ok()?,
        user: String::new(),
        host: String::new(),
        started_at: Moment::default(),
        dir: String::new(),
        interactive: false,
    };
    let sight = Sight {
        plan,
        state,
        facts: &facts,
        recorded: &Unread,
        secrets: &SecretView::Masked,
        missing: Missing::Shown,
        marks_run: true,
        step: Some(step),
        scope: plan.steps[step].group,
        own: None,
    };
    template.render(&sight.context(&references).ok()?).ok()
}

/// The title with the name of each value in its place.
fn with_names(title: &str) -> Option<String> {
    let template = parse_template(title).ok()?;
    let mut named = String::with_capacity(title.len());
    let mut rest = title;
    let mut at = 0;
    for (start, expression) in template.expressions() {
        let end = start + expression.source().len();
        let before = title.get(at..start)?;
        named.push_str(before.get(..before.rfind("{{")?)?);
        named.push_str(&format!("‹{}›", shown(expression)));
        rest = title.get(end..)?;
        rest = rest.get(rest.find("}}")? + 2..)?;
        at = title.len() - rest.len();
    }
    named.push_str(rest);
    Some(named)
}

/// What steps printed isn't read for the sake of a title.
struct Unread;

impl Recorded for Unread {
    fn output(&self, step: &StepId, _: u32, _: Stream) -> Result<Arc<str>, String> {
        Err(format!("the output of {step} is not read"))
    }
}
