//! What compensates for a step: its action and keys, over what it inherits.

use indexmap::IndexMap;

use super::environment;
use super::step::Resolver;
use crate::document::model::Step;
use crate::document::text::Text;
use crate::plan::model::Undo;
use crate::plan::names::Place;

impl Resolver<'_> {
    /// The undo of a step; `None` where there is none or it is mistaken, which has been said.
    pub(super) fn undo(
        &mut self,
        step: &Step,
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
        let action = self.action_of(step, &undo.action, place, shell)?;
        let timeout = undo.timeout.or(self.default_timeout()).filter(|_| action.question().is_none());
        Some(Box::new(Undo {
            action,
            timeout,
            env: undo.env.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect(),
            always: undo.always,
        }))
    }
}
