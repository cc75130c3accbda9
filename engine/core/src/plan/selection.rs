//! Which steps a run leaves out: `--tags` and `--skip-tags` (`cli.md`).

use std::collections::BTreeSet;

use super::model::Plan;
use crate::diagnostic::suggest;
use crate::document::model::{Action, Runbook, Step};

/// How the reason begins with which a step is left out.
const SKIPPED: &str = "left out by --skip-tags ";
const WANTED: &str = "left out by --tags ";

/// What the command line selects by tags. Nothing: every step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// `--tags`: only steps with one of these; empty: all.
    pub tags: Vec<String>,
    /// `--skip-tags`: no step with one of these.
    pub skip_tags: Vec<String>,
}

impl Selection {
    /// Why a step with these tags, its own and those of what it stands in, is left out. An approval never is.
    pub(super) fn leaves_out(&self, step: &Step, inherited: &[String]) -> Option<String> {
        if matches!(step.action, Action::Approve(_)) {
            return None;
        }
        let has =
            |wanted: &String| step.tags.iter().any(|tag| **tag == **wanted) || inherited.contains(wanted);
        if let Some(tag) = self.skip_tags.iter().find(|tag| has(tag)) {
            return Some(format!("{SKIPPED}{tag}"));
        }
        let wanted = self.tags.is_empty() || self.tags.iter().any(has);
        (!wanted).then(|| format!("{WANTED}{}", self.tags.join(",")))
    }

    /// What a plan was made with, as far as it left something out.
    #[must_use]
    pub fn recorded(plan: &Plan) -> Self {
        let mut selection = Self::default();
        for why in plan.laid_out().steps.iter().filter_map(|step| step.guards.left_out.as_ref()) {
            if let Some(tag) = why.strip_prefix(SKIPPED)
                && !selection.skip_tags.iter().any(|known| known == tag)
            {
                selection.skip_tags.push(tag.to_owned());
            } else if let Some(tags) = why.strip_prefix(WANTED) {
                selection.tags = tags.split(',').map(str::to_owned).collect();
            }
        }
        selection
    }

    /// A tag that no step has: a typing mistake would leave out too much, or too little.
    ///
    /// # Errors
    /// What is wrong, with the nearest tag.
    pub fn check(&self, runbook: &Runbook) -> Result<(), String> {
        let mut known = BTreeSet::new();
        runbook.top_steps().for_each(|step| collect(step, &mut known));
        for (option, wanted) in [("--tags", &self.tags), ("--skip-tags", &self.skip_tags)] {
            for tag in wanted {
                if !known.contains(tag.as_str()) {
                    let near = suggest(tag, known.iter().copied());
                    let help = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                    return Err(format!("{option}: no step has the tag `{tag}`{help}"));
                }
            }
        }
        Ok(())
    }
}

fn collect<'d>(step: &'d Step, tags: &mut BTreeSet<&'d str>) {
    tags.extend(step.tags.iter().map(|tag| tag.as_str()));
    if let Action::Steps(group) = &step.action {
        group.steps.iter().for_each(|step| collect(step, tags));
    }
}
