//! What the scheduler asks for: conditions, questions, items, locks, and how a command is shown.

use std::fmt::Write as _;

use indexmap::IndexMap;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::context::{Missing, SecretView, first_message, parse_template};
use super::leaf::{shown_leaf, shown_probe};
use super::texts::{Texts, json_of, missing_of};
use crate::event::Gate;
use crate::moment::Moment;
use crate::plan::{Action, Check, Plan, Probe};
use crate::schedule::{RenderedQuestion, Renderer, Shown};
use crate::state::RunState;
use crate::template::{Expression, Reference, RenderError};

impl Texts {
    /// The name of the lock that the whole run is under; none where it has none.
    ///
    /// # Errors
    /// Where it can't be rendered.
    pub fn run_lock(&self, plan: &Plan, state: &RunState) -> Result<Option<String>, String> {
        let Some(lock) = &plan.guards.lock else { return Ok(None) };
        if !lock.name.contains("{{") {
            return Ok(Some(lock.name.clone()));
        }
        let template = parse_template(&lock.name)?;
        let references: Vec<&Reference> = template.references().iter().collect();
        let masked = SecretView::Masked;
        let context = self.sight(plan, state, None, &masked, Missing::Fails).context(&references)?;
        template.render(&context).map(Some).map_err(RenderError::in_one_line)
    }

    /// The name of a called runbook's own lock, whose texts are in that runbook's names.
    fn lock_of_called(
        &self,
        plan: &Plan,
        state: &RunState,
        call: usize,
        name: &str,
    ) -> Result<String, String> {
        let template = parse_template(name)?;
        let references: Vec<&Reference> = template.references().iter().collect();
        let masked = SecretView::Masked;
        let mut sight = self.sight(plan, state, None, &masked, Missing::Fails);
        sight.scope = Some(call);
        template.render(&sight.context(&references)?).map_err(RenderError::in_one_line)
    }

    /// A check as people are shown it: its probe in one line.
    fn shown_probe(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        check: &Check,
    ) -> Result<String, String> {
        let masked = SecretView::Masked;
        let mut text = |source: &str| self.text(plan, state, step, source, &masked, missing_of(plan, step));
        match &check.probe {
            Probe::Run(command) => Ok(self.command(plan, state, step, command, &masked)?.1),
            other => shown_probe(other, &mut text).unwrap_or_else(|| Ok(String::new())),
        }
    }
}

impl Renderer for Texts {
    fn when(&self, plan: &Plan, state: &RunState, step: usize) -> Result<bool, String> {
        let Some(source) = &plan.steps[step].when else { return Ok(true) };
        let expression = Expression::parse(source).map_err(|errors| first_message(&errors))?;
        let references: Vec<&Reference> = expression.references().iter().collect();
        let masked = SecretView::Masked;
        let context =
            self.sight(plan, state, Some(step), &masked, missing_of(plan, step)).context(&references)?;
        expression.evaluate_bool(&context).map_err(|error| format!("when: {}", error.message))
    }

    fn shown(&self, plan: &Plan, state: &RunState, step: usize) -> Result<Shown, String> {
        let command = match &plan.steps[step].action {
            Action::Run(run) => self.command(plan, state, step, &run.command, &SecretView::Masked)?.1,
            Action::Check(check) => self.shown_probe(plan, state, step, check)?,
            Action::Wait(_) | Action::Http(_) | Action::Notify(_) => {
                let notifies = matches!(plan.steps[step].action, Action::Notify(_));
                let missing = if notifies { Missing::Shown } else { missing_of(plan, step) };
                let mut text =
                    |source: &str| self.text(plan, state, step, source, &SecretView::Masked, missing);
                let shown = shown_leaf(&plan.steps[step].action, &mut text);
                shown.unwrap_or_else(|| Ok(String::new()))?
            }
            _ => return Ok(Shown::default()),
        };
        let mut hash = Sha256::new();
        hash.update(command.as_bytes());
        let digest = hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Ok(Shown { command: Some(command), digest: Some(digest) })
    }

    fn wait_end(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        now: Moment,
    ) -> Result<Option<Moment>, String> {
        Self::wait_end(self, plan, state, step, now)
    }

    fn question(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        gate: Gate,
    ) -> Result<RenderedQuestion, String> {
        super::question::question(self, plan, state, step, gate)
    }

    fn items(&self, plan: &Plan, state: &RunState, step: usize) -> Result<Vec<Json>, String> {
        self.items_of(plan, state, step)
    }

    fn results(&self, plan: &Plan, state: &RunState, step: usize) -> Result<IndexMap<String, Json>, String> {
        self.results_of(plan, state, step)
    }

    fn until(&self, plan: &Plan, state: &RunState, step: usize) -> Result<bool, String> {
        self.until_of(plan, state, step)
    }

    fn lock(&self, plan: &Plan, state: &RunState, step: usize) -> Result<String, String> {
        let lock = plan.steps[step].guards.lock.as_ref().ok_or("the step has no lock")?;
        if matches!(&plan.steps[step].action, Action::Call(call) if call.has_own_lock) {
            return self.lock_of_called(plan, state, step, &lock.name);
        }
        self.text(plan, state, step, &lock.name, &SecretView::Masked, Missing::Fails)
    }

    fn outputs(&self, plan: &Plan, state: &RunState) -> IndexMap<String, Json> {
        let masked = SecretView::Masked;
        let sight = self.sight(plan, state, None, &masked, Missing::Fails);
        plan.outputs
            .iter()
            .filter_map(|(name, source)| {
                let expression = Expression::parse(source).ok()?;
                let references: Vec<&Reference> = expression.references().iter().collect();
                let value = expression.evaluate(&sight.context(&references).ok()?).ok()?;
                Some((name.clone(), json_of(&value)))
            })
            .collect()
    }
}
