//! Which names exist at one place of a runbook, known before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::suggest;

use super::error::TemplateError;
use super::reference::{Reference, canonical_name};

/// What every step has (language.md §7).
pub(crate) const STEP_FIELDS: &[&str] = &[
    "outcome",
    "succeeded",
    "failed",
    "skipped",
    "exit_code",
    "stdout",
    "stderr",
    "json",
    "lines",
    "number",
    "outputs",
    "choice",
    "fields",
    "by",
    "artifacts",
    "duration",
    "attempts",
    "items",
];
/// What `run` has (language.md §7).
pub(crate) const RUN_FIELDS: &[&str] =
    &["id", "name", "started_at", "user", "host", "interactive", "dir", "outcome", "failed", "succeeded"];

/// The names that something has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// Any: they are only known when the runbook runs.
    Open,
    /// Just these.
    Known(BTreeSet<String>),
}

impl Names {
    /// Makes a closed set of names.
    pub fn known<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::Known(names.into_iter().map(Into::into).collect())
    }

    /// Makes the empty set: nothing of this kind is declared.
    #[must_use]
    pub fn none() -> Self {
        Self::Known(BTreeSet::new())
    }
}

/// Whether secrets may appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretUse {
    /// In `env`, `http`, `notify`, probe URLs and headers.
    Allowed,
    /// Everywhere else.
    Refused,
}

/// The names of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepNames {
    /// What may follow `steps.<id>.`, such as `stdout` and `outcome`.
    pub fields: Names,
    /// What may follow `steps.<id>.outputs.`.
    pub outputs: Names,
    /// What may follow `steps.<id>.fields.`.
    pub answers: Names,
}

impl StepNames {
    /// Makes the names of a step of which nothing more is known: all names of the language, any outputs and answers.
    #[must_use]
    pub fn any() -> Self {
        Self { fields: Names::known(STEP_FIELDS.iter().copied()), outputs: Names::Open, answers: Names::Open }
    }
}

/// Whether a step may be named here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepUse {
    /// It is surely finished by now, or it is the step itself in its `outputs`, `artifacts` or `undo`.
    Available(StepNames),
    /// It exists but may still run, or start later.
    NotFinished,
    /// It is the step itself, where that has no result yet.
    Itself,
}

/// The steps that a place can see. Ids that differ only in `-` and `_` are the same.
pub trait StepScope {
    /// Looks an id up as the author wrote it.
    fn find(&self, id: &str) -> Option<StepUse>;
    /// Returns the ids that may be named, for suggestions.
    fn ids(&self) -> Vec<String>;
}

impl StepScope for BTreeMap<String, StepUse> {
    fn find(&self, id: &str) -> Option<StepUse> {
        let wanted = canonical_name(id);
        self.get(id)
            .or_else(|| {
                self.iter().find(|(known, _)| canonical_name(known) == wanted).map(|(_, found)| found)
            })
            .cloned()
    }

    fn ids(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// The names that exist at one place of a runbook.
#[derive(Clone, Copy)]
pub struct Scope<'s> {
    /// What may follow `params.`.
    pub params: &'s Names,
    /// What may follow `env.`.
    pub env: &'s Names,
    /// What may follow `secrets.`.
    pub secrets: &'s Names,
    /// Whether secrets may appear here.
    pub secret_use: SecretUse,
    /// What may follow `project.vars.`.
    pub project_vars: &'s Names,
    /// What may follow `run.`; [`Scope::RUN_NAMES`] for all.
    pub run: &'s [&'s str],
    /// The steps that can be named.
    pub steps: &'s dyn StepScope,
    /// Bare names: `item`, `index`, `target`, and what the probe or result has, such as `status` and `headers`.
    pub bare: &'s [&'s str],
}

impl Scope<'_> {
    /// All names of `run`.
    pub const RUN_NAMES: &'static [&'static str] = RUN_FIELDS;

    /// Checks names against what exists here; all that is wrong is returned.
    #[must_use]
    pub fn check(&self, references: &[Reference]) -> Vec<TemplateError> {
        references.iter().filter_map(|reference| self.check_one(reference)).collect()
    }

    fn check_one(&self, reference: &Reference) -> Option<TemplateError> {
        let path: Vec<&str> = reference.path.iter().map(String::as_str).collect();
        let (first, rest) = path.split_first()?;
        if self.bare.contains(first) {
            return None;
        }
        match (*first, rest) {
            ("params", _) => self.declared(reference, "parameter", "params", self.params, rest),
            ("env", _) => self.declared(reference, "variable", "env", self.env, rest),
            ("secrets", _) => self.secret(reference, rest),
            ("project", ["vars", rest @ ..]) => {
                self.declared(reference, "project variable", "project.vars", self.project_vars, rest)
            }
            ("project", _) => Some(unknown(
                reference,
                "`project` has only `vars`".to_owned(),
                "write `project.vars.name`".to_owned(),
            )),
            ("run", [field, ..]) if self.run.contains(field) => None,
            ("run", [field, ..]) => {
                let message = if RUN_FIELDS.contains(field) {
                    format!("`run.{field}` does not exist here")
                } else {
                    format!("there is no `run.{field}`")
                };
                Some(unknown(reference, message, suggestion(field, self.run.iter().copied(), "`run` has")))
            }
            ("run", []) => Some(unknown(
                reference,
                "`run` is no value of its own".to_owned(),
                listed(self.run.iter().copied(), "`run` has"),
            )),
            ("steps", _) => self.step(reference, rest),
            (name, _) => Some(self.unknown_name(reference, name)),
        }
    }

    fn declared(
        &self,
        reference: &Reference,
        kind: &str,
        of: &str,
        names: &Names,
        rest: &[&str],
    ) -> Option<TemplateError> {
        let Names::Known(known) = names else {
            return None;
        };
        let name = rest.first()?;
        if holds(known, name) {
            return None;
        }
        // `params.my-name` is parsed as a subtraction of `params.my`.
        let dashed = known.iter().find(|known| known.starts_with(&format!("{name}-")));
        let help = match dashed {
            Some(dashed) => format!(
                "`-` is read as a subtraction: write `{of}.{}` or `{of}[\"{dashed}\"]`",
                canonical_name(dashed)
            ),
            None if known.is_empty() => format!("no {kind} is declared"),
            None => suggestion(name, known.iter().map(String::as_str), "declared are"),
        };
        Some(unknown(reference, format!("there is no {kind} `{name}`"), help))
    }

    fn secret(&self, reference: &Reference, rest: &[&str]) -> Option<TemplateError> {
        if self.secret_use == SecretUse::Refused {
            let name = rest.first().copied().unwrap_or("name");
            return Some(
                TemplateError::new(
                    reference.range.clone(),
                    "secret-place",
                    "a secret can't be used here: it would be seen",
                )
                .with_help(format!(
                    "pass it by `env: {{{}: \"{{{{ secrets.{name} }}}}\"}}` and use that variable",
                    name.to_uppercase().replace('-', "_")
                )),
            );
        }
        if rest.is_empty() {
            return Some(unknown(
                reference,
                "secrets are used one by one".to_owned(),
                "write `secrets.name`".to_owned(),
            ));
        }
        self.declared(reference, "secret", "secrets", self.secrets, rest)
    }

    fn step(&self, reference: &Reference, rest: &[&str]) -> Option<TemplateError> {
        let Some((id, rest)) = rest.split_first() else {
            let message = "which step is meant must be written out".to_owned();
            return Some(unknown(reference, message, "write `steps.id` or `steps[\"group.id\"]`".to_owned()));
        };
        let refuse = |message: String, help: String| {
            Some(TemplateError::new(reference.range.clone(), "step-not-finished", message).with_help(help))
        };
        match self.steps.find(id) {
            Some(StepUse::Available(names)) => {
                let inside = rest.first().map(|field| format!("{id}.{field}"));
                match inside.filter(|dotted| matches!(self.steps.find(dotted), Some(StepUse::Available(_)))) {
                    Some(dotted) if !STEP_FIELDS.contains(&rest[0]) => Some(unknown(
                        reference,
                        format!("steps have no `{}`", rest[0]),
                        format!("write `steps[\"{dotted}\"]`"),
                    )),
                    _ => step_field(reference, id, &names, rest),
                }
            }
            Some(StepUse::NotFinished) => {
                refuse(format!("`steps.{id}` may not be finished here"), format!("add `{id}` to `needs`"))
            }
            Some(StepUse::Itself) => refuse(
                format!("`steps.{id}` is this step itself, which has no result yet"),
                "a step can be named in its own `outputs`, `artifacts` and `undo`".to_owned(),
            ),
            None => {
                let ids = self.steps.ids();
                let dotted =
                    rest.first().map(|next| format!("{id}.{next}")).filter(|dotted| ids.contains(dotted));
                let help = match dotted {
                    Some(dotted) => format!("write `steps[\"{dotted}\"]`"),
                    None => suggestion(id, ids.iter().map(String::as_str), "the steps are"),
                };
                Some(unknown(reference, format!("there is no step `{id}`"), help))
            }
        }
    }

    fn unknown_name(&self, reference: &Reference, name: &str) -> TemplateError {
        let mut known: Vec<&str> = vec!["params", "env", "secrets", "run", "steps", "project"];
        known.extend(self.bare);
        let in_params = matches!(self.params, Names::Known(params) if holds(params, name));
        let help = if in_params {
            format!("did you mean `params.{name}`?")
        } else if matches!(self.steps.find(name), Some(StepUse::Available(_))) {
            format!("did you mean `steps.{name}`?")
        } else if matches!(name, "True" | "False" | "None" | "null") {
            "write `true`, `false` or `none`".to_owned()
        } else {
            suggestion(name, known.iter().copied(), "the names here are")
        };
        unknown(reference, format!("`{name}` is not defined here"), help)
    }
}

fn step_field(reference: &Reference, id: &str, names: &StepNames, rest: &[&str]) -> Option<TemplateError> {
    let (field, rest) = rest.split_first()?;
    if let Names::Known(fields) = &names.fields
        && !holds(fields, field)
    {
        let message = if STEP_FIELDS.contains(field) {
            format!("step `{id}` has no `{field}`")
        } else {
            format!("steps have no `{field}`")
        };
        return Some(unknown(
            reference,
            message,
            suggestion(field, fields.iter().map(String::as_str), "it has"),
        ));
    }
    let (kind, known) = match *field {
        "outputs" => ("output", &names.outputs),
        "fields" => ("field", &names.answers),
        _ => return None,
    };
    let (Names::Known(known), Some(name)) = (known, rest.first()) else {
        return None;
    };
    if holds(known, name) {
        return None;
    }
    let help = if known.is_empty() {
        format!("it declares no {field}")
    } else {
        suggestion(name, known.iter().map(String::as_str), "it has")
    };
    Some(unknown(reference, format!("step `{id}` has no {kind} `{name}`"), help))
}

fn holds(names: &BTreeSet<String>, name: &str) -> bool {
    if names.contains(name) {
        return true;
    }
    let wanted = canonical_name(name);
    names.iter().any(|known| canonical_name(known) == wanted)
}

fn unknown(reference: &Reference, message: String, help: String) -> TemplateError {
    TemplateError::new(reference.range.clone(), "undefined-name", message).with_help(help)
}

fn suggestion<'n>(name: &str, known: impl Iterator<Item = &'n str> + Clone, intro: &str) -> String {
    match suggest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => listed(known, intro),
    }
}

fn listed<'n>(known: impl Iterator<Item = &'n str>, intro: &str) -> String {
    const SHOWN: usize = 20;
    let names: Vec<&str> = known.collect();
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    match names.len() {
        0 => "there are none".to_owned(),
        _ => format!("{intro}: {}{more}", names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ")),
    }
}
