//! The values that an expression can see.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use super::reference::{Reference, canonical_name};
use super::value::Placeholder;

/// What a step has under a name.
#[derive(Debug, Clone)]
pub enum StepValue {
    /// A value.
    Value(Value),
    /// The name exists but this step has no value for it; `| default(…)` catches it.
    Undefined {
        /// Why, as a fragment: `the step was skipped`.
        why: String,
    },
    /// A text that stands for the value where people read it: `‹steps.x.stdout: skipped›`.
    Placeholder(String),
    /// There is no such step or no such name.
    Missing,
}

/// Gives the values of steps, each loaded only when an expression asks for it.
pub trait StepValues: Send + Sync {
    /// Returns what the step has under `field`, such as `stdout` or `outputs`.
    ///
    /// `step` is the id as the author wrote it. Ids that differ only in `-` and `_` are the same: look it up under
    /// [`canonical_name`].
    fn get(&self, step: &str, field: &str) -> StepValue;
}

/// The values that templates and expressions are rendered with. Cheap to clone.
#[derive(Clone, Default)]
pub struct Context {
    values: BTreeMap<String, Value>,
    steps: Option<Arc<dyn StepValues>>,
}

impl Context {
    /// Makes a context without any value.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a bare name such as `item` or `status`.
    pub fn set(&mut self, name: &str, value: Value) -> &mut Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// Sets a name that holds names, such as `params` or `env`: what is declared as `my-name` is found as `my_name`, too.
    pub fn set_names<N: Into<String>>(
        &mut self,
        name: &str,
        entries: impl IntoIterator<Item = (N, Value)>,
    ) -> &mut Self {
        let entries = entries.into_iter().map(|(name, value)| {
            let name = name.into();
            (canonical_name(&name), (name, value))
        });
        self.set(name, Value::from_object(Names(entries.collect())))
    }

    /// Sets where the values of `steps` come from.
    pub fn set_steps(&mut self, steps: Arc<dyn StepValues>) -> &mut Self {
        self.steps = Some(steps);
        self
    }
}

impl fmt::Debug for Context {
    // Values may be secrets: only their names are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("names", &self.values.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A value of a step that was looked up and is not there.
#[derive(Debug, Clone)]
pub(crate) struct Miss {
    pub(crate) step: String,
    pub(crate) field: String,
    pub(crate) why: Option<String>,
}

/// The root of one evaluation: the context, and a note of every step value that was missed. Minijinja's own undefined
/// value can't carry a reason, so the reason is kept here until it is known whether `| default(…)` caught it.
#[derive(Clone)]
pub(crate) struct Evaluation {
    context: Context,
    /// Names below an undefined step value that something catches, as `steps.x.outputs.file | default(…)` does: the
    /// step, its field, and how many parts follow.
    caught: Arc<[(String, String, usize)]>,
    misses: Arc<Mutex<Vec<Miss>>>,
}

impl Evaluation {
    pub(crate) fn new(context: &Context, references: &[Reference]) -> Self {
        let caught =
            references.iter().filter(|reference| reference.defaulted).filter_map(|reference| match reference
                .path
                .as_slice()
            {
                [steps, step, field, rest @ ..] if steps == "steps" && !rest.is_empty() => {
                    Some((step.clone(), field.clone(), rest.len()))
                }
                _ => None,
            });
        Self { context: context.clone(), caught: caught.collect(), misses: Arc::default() }
    }

    pub(crate) fn root(&self) -> Value {
        Value::from_object(Root(self.clone()))
    }

    pub(crate) fn misses(&self) -> Vec<Miss> {
        self.misses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows a written-out name as an expression would.
    pub(crate) fn look_up(&self, path: &[String]) -> Option<Value> {
        let (first, rest) = path.split_first()?;
        let mut value = self.name(first)?;
        for part in rest {
            value = value.get_item(&Value::from(part.as_str())).ok().filter(|value| !value.is_undefined())?;
        }
        Some(value)
    }

    fn name(&self, name: &str) -> Option<Value> {
        if name == "steps" && self.context.steps.is_some() {
            return Some(Value::from_object(Steps(self.clone())));
        }
        self.context.values.get(name).cloned()
    }

    fn step_value(&self, step: &str, field: &str) -> Option<Value> {
        let why = match self.context.steps.as_ref()?.get(step, field) {
            StepValue::Value(value) => return Some(value),
            StepValue::Placeholder(text) => return Some(Value::from_object(Placeholder(text))),
            StepValue::Undefined { why } => Some(why),
            StepValue::Missing => None,
        };
        let miss = Miss { step: step.to_owned(), field: field.to_owned(), why };
        self.misses.lock().unwrap_or_else(PoisonError::into_inner).push(miss);
        let caught = self.caught.iter().filter(|(known, name, _)| known == step && name == field);
        caught.map(|(_, _, parts)| *parts).max().map(|parts| Value::from_object(Absent { parts }))
    }
}

impl fmt::Debug for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.context.fmt(f)
    }
}

#[derive(Debug)]
struct Root(Evaluation);

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.name(key.as_str()?)
    }
}

#[derive(Debug)]
struct Steps(Evaluation);

impl Object for Steps {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let step = key.as_str()?.to_owned();
        Some(Value::from_object(Step { evaluation: self.0.clone(), step }))
    }
}

#[derive(Debug)]
struct Step {
    evaluation: Evaluation,
    step: String,
}

impl Object for Step {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.evaluation.step_value(&self.step, key.as_str()?)
    }
}

/// Names under their canonical form, each with the form in which it was declared.
#[derive(Debug)]
struct Names(BTreeMap<String, (String, Value)>);

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(&canonical_name(key.as_str()?)).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.values().map(|(name, _)| Value::from(name.as_str())).collect())
    }
}

/// Stands for an undefined value whose parts are looked up before `| default(…)` can catch them: strictly, minijinja
/// fails at the first part.
#[derive(Debug)]
struct Absent {
    parts: usize,
}

impl Object for Absent {
    fn get_value(self: &Arc<Self>, _key: &Value) -> Option<Value> {
        (self.parts > 1).then(|| Value::from_object(Self { parts: self.parts - 1 }))
    }
}
