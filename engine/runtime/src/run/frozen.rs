//! What a plan that was made earlier has seen, and what is there now.

use std::path::Path;
use std::sync::Arc;

use runbook_core::id::{RunId, StepId};
use runbook_core::moment::Moment;
use runbook_core::plan::Plan;
use runbook_core::render::{NoOutput, RunFacts, Texts};
use runbook_core::state::RunState;

use super::recover::changed_inputs;

/// The inputs of a plan's steps that are no longer what the plan has seen: step, path, and what the file is now (lower-case hex of its
/// SHA-256; absent where it is gone).
#[must_use]
pub fn inputs_since_planning(plan: &Plan, root: &Path) -> Vec<(StepId, String, Option<String>)> {
    let plan = Arc::new(plan.laid_out());
    let state = RunState::new(Arc::clone(&plan));
    // Where inputs are depends on nothing of the run.
    let facts = RunFacts {
        id: RunId::new(jiff::Timestamp::UNIX_EPOCH, [0; 4]),
        user: String::new(),
        host: String::new(),
        started_at: Moment::default(),
        dir: String::new(),
        interactive: false,
    };
    let texts = Texts { facts, recorded: Arc::new(NoOutput) };
    let changed = changed_inputs(&plan, &state, &texts, root);
    changed.into_iter().map(|(step, path, now)| (plan.steps[step].id.clone(), path, now)).collect()
}
