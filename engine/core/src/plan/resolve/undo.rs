//! What compensates for a step: its action and keys, over what it inherits.

use indexmap::IndexMap;

use super::environment;
use super::step::Resolver;
use super::structure::around;
use crate::document::model::{self as document, Step};
use crate::document::text::Text;
use crate::id::StepId;
use crate::plan::model::{Action, Role, Step as Resolved, Undo};
use crate::plan::names::Place;
use crate::plan::structure::Group;

/// What the call by which a step is undone is called, after the step's id.
const UNDO: &str = "undo";

impl<'d> Resolver<'d> {
    /// The undo of a step; `None` where there is none or it is mistaken, which has been said.
    pub(super) fn undo(
        &mut self,
        step: &'d Step,
        place: Place<'_>,
        inherited: &IndexMap<String, Text>,
        shell: &[String],
        finally: bool,
    ) -> Option<Box<Undo>> {
        let undo = step.undo.as_ref()?;
        if finally {
            let message = "`undo` has no meaning under `finally`: what was done is undone before".to_owned();
            self.checker.report.error("meaningless-key", step.id.span(), message);
        }
        // The step itself is over by then.
        let place = place.with_itself();
        environment::check(&mut self.checker, &undo.env, place);
        let mut merged = inherited.clone();
        merged.extend(undo.env.iter().map(|(name, text)| (name.to_string(), text.clone())));
        let own = environment::environment(&merged, place.env);
        let place = Place { env: &own, ..place };
        let (action, steps) = match &undo.action.0 {
            document::Action::Call(call) => {
                let env = merged.into_iter().map(|(name, text)| (name, text.to_string())).collect();
                (Action::Steps(Group::default()), self.undo_by_call(step, call, place, env)?)
            }
            _ => (self.action_of(step, &undo.action, place, shell)?, Vec::new()),
        };
        let bounded = action.question().is_none() && steps.is_empty();
        let timeout = undo.timeout.or(self.default_timeout()).filter(|_| bounded);
        Some(Box::new(Undo {
            action,
            steps,
            timeout,
            env: undo.env.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect(),
            always: undo.always,
        }))
    }

    /// The call of a runbook that undoes a step, and the steps of that runbook.
    fn undo_by_call(
        &mut self,
        step: &'d Step,
        call: &'d document::Call,
        place: Place<'_>,
        env: IndexMap<String, String>,
    ) -> Option<Vec<Resolved>> {
        self.refuse_step_called_undo(step);
        let id = format!("{}.{UNDO}", *step.id);
        let (called, guards, mut steps) = self.inline(step, call, &id, place)?;
        // What undoes is not undone itself.
        steps.iter_mut().for_each(without_undo);
        let Ok(whole) = format!("{}{id}", self.prefix).parse::<StepId>() else {
            let message = format!("the whole id `{}` is too long", crate::document::node::crop(&id));
            self.checker.report.error("long-id", step.id.span(), message);
            return None;
        };
        let first = Resolved::added(&whole, Role::Declared, Action::Call(Box::new(called)));
        Some(around(Resolved { env, guards, ..first }, steps))
    }

    /// The undo of a group has the id that a step `undo` in it would have.
    fn refuse_step_called_undo(&mut self, step: &Step) {
        let is_it = |inner: &&Step| **inner.id == *UNDO;
        let (span, help) = match &step.action {
            document::Action::Steps(group) => match group.steps.iter().find(is_it) {
                Some(inner) => (inner.id.span(), "give the step another id".to_owned()),
                None => return,
            },
            document::Action::Call(call) => {
                let called = self.calls.find(self.checker.report.file(), &call.call);
                let Ok(document) = called.map(|called| called.document) else { return };
                if !document.steps.iter().chain(&document.finally).any(|inner| is_it(&inner)) {
                    return;
                }
                (step.id.span(), format!("give the step `{UNDO}` of `{}` another id", call.call))
            }
            _ => return,
        };
        let message = format!("`{0}.{UNDO}` is a step in `{0}` and the undo of `{0}`", *step.id);
        let diagnostic = self.checker.report.make("duplicate-id", span, message);
        self.checker.report.push(diagnostic.with_help(help));
    }
}

fn without_undo(step: &mut Resolved) {
    step.undo = None;
    step.held_back_mut().for_each(without_undo);
}
