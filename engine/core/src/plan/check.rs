//! Checks every template and expression before anything runs: syntax, names, types, secrets, choices, and the shell.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::model::Plan;
use super::names::{Declared, Place, StepsInReach, gate_of};
use super::report::Report;
use crate::document::model::{Action, Choices, Options, ParamKind, ParamSpec};
use crate::document::text::{Expression as Written, Text};
use crate::event::Outcome;
use crate::render::is_plain;
use crate::template::{
    Comparison, Dialect, Expression, Reference, Scope, SecretUse, ShellScript, Template, Type,
};

/// Checks the texts of one runbook.
pub(super) struct Checker<'d> {
    pub(super) declared: Declared<'d>,
    pub(super) report: Report,
    /// The project's variables that are used; `None` in it where it is not written out which.
    pub(super) used_vars: RefCell<BTreeSet<Option<String>>>,
}

impl Checker<'_> {
    /// Checks a text; `None` where it is no template or a wrong one.
    pub(super) fn text(&mut self, text: &Text, place: Place<'_>) -> Option<Template> {
        if let Some(at) = text.find('\0') {
            let message = "a text can't hold the character NUL: no command could be given it".to_owned();
            self.report.at(text, at..at + 1, "forbidden-character", message, None);
            return None;
        }
        if !text.contains("{{") {
            return None;
        }
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(errors) => {
                self.report.template(text, errors);
                return None;
            }
        };
        self.references(text, template.references(), place);
        for (offset, expression) in template.expressions() {
            self.comparisons(text, offset, expression.comparisons());
        }
        Some(template)
    }

    /// Checks a script for a shell.
    pub(super) fn script(&mut self, text: &Text, place: Place<'_>, dialect: Dialect, plan: &Plan) {
        let Some(template) = self.text(text, place) else { return };
        if template.is_literal() {
            return;
        }
        if let Err(errors) =
            ShellScript::compile(&template, dialect, &|reference| is_plain(plan, None, reference))
        {
            self.report.template(text, errors);
        }
    }

    /// Checks an expression.
    pub(super) fn expression(&mut self, written: &Written, place: Place<'_>) -> Option<Expression> {
        let text = &written.0;
        let expression = match Expression::parse(text) {
            Ok(expression) => expression,
            Err(errors) => {
                self.report.template(text, errors);
                return None;
            }
        };
        self.references(text, expression.references(), place);
        self.comparisons(text, 0, expression.comparisons());
        Some(expression)
    }

    /// Checks an expression that must be true or false.
    pub(super) fn condition(&mut self, written: &Written, place: Place<'_>) -> Option<Expression> {
        let expression = self.expression(written, place)?;
        let found = expression.static_type().or_else(|| self.type_of_name(&expression, place));
        if let Some(found) = found.filter(|found| *found != Type::Boolean) {
            let text = &written.0;
            let message = format!("`{}` must be true or false, but it is {found}", text.trim());
            let help = "compare it with something, as in `== \"yes\"` or `> 0`".to_owned();
            self.report.at(text, 0..text.len(), "not-boolean", message, Some(help));
        }
        Some(expression)
    }

    fn references(&mut self, text: &Text, references: &[Reference], place: Place<'_>) {
        if references.is_empty() {
            return;
        }
        let steps = StepsInReach { declared: &self.declared, reach: place.reach };
        let with_item: Vec<&str>;
        let bare = if place.item {
            with_item = place.bare.iter().chain(&["item", "index"]).copied().collect();
            &with_item[..]
        } else {
            place.bare
        };
        let scope = Scope {
            params: &self.declared.params,
            env: &place.env.names,
            secrets: &self.declared.secrets,
            secret_use: place.secrets,
            project_vars: &self.declared.project_vars,
            run: place.run,
            steps: &steps,
            bare,
        };
        let errors = scope.check(references);
        self.report.template(text, errors);
        for reference in references {
            if place.secrets == SecretUse::Refused {
                self.secret_in_variable(text, reference, place);
            }
            if let [project, vars, rest @ ..] = reference.path.as_slice()
                && project == "project"
                && vars == "vars"
            {
                self.used_vars.borrow_mut().insert(rest.first().cloned());
            }
        }
    }

    /// A variable that holds a secret is one.
    fn secret_in_variable(&mut self, text: &Text, reference: &Reference, place: Place<'_>) {
        let secret = &place.env.secret;
        let (message, help) = match reference.path.as_slice() {
            [env, name, ..] if env == "env" && secret.contains(name) => (
                format!("`env.{name}` holds a secret, which can't be used here: it would be seen"),
                format!("a command has it in its environment: write \"${name}\" without braces"),
            ),
            [env] if env == "env" && !secret.is_empty() => (
                "which variable is meant must be written out: some hold secrets".to_owned(),
                "write `env.NAME`".to_owned(),
            ),
            _ => return,
        };
        self.report.at(text, reference.range.clone(), "secret-place", message, Some(help));
    }

    /// A comparison with what is none of the choices is never true.
    fn comparisons(&mut self, text: &Text, offset: usize, comparisons: &[Comparison]) {
        for comparison in comparisons {
            let path: Vec<&str> = comparison.path.iter().map(String::as_str).collect();
            let Some(known) = self.known_choices(&path) else { continue };
            if known.iter().any(|choice| *choice == *comparison.literal) {
                continue;
            }
            let help = match crate::diagnostic::suggest(&comparison.literal, known.iter().map(Text::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let known: Vec<&str> = known.iter().map(Text::as_str).collect();
                    format!("the choices are: {}", known.join(", "))
                }
            };
            let message = format!("`{}` is none of the choices of `{}`", comparison.literal, path.join("."));
            let range = comparison.range.start + offset..comparison.range.end + offset;
            self.report.at(text, range, "unknown-choice", message, Some(help));
        }
    }

    /// The values that a name can have, where they are written out.
    fn known_choices(&self, path: &[&str]) -> Option<Vec<Text>> {
        let of_spec = |spec: &ParamSpec| match &spec.choices {
            Some(Choices::List(choices)) if spec.kind == ParamKind::String => Some(choices.clone()),
            _ => None,
        };
        match path {
            ["params", name] => of_spec(self.declared.runbook.params.get(name)?),
            ["steps", _, "outcome"] => Some(
                [Outcome::Succeeded, Outcome::Failed, Outcome::Rejected, Outcome::Skipped, Outcome::Blocked]
                    .into_iter()
                    .chain([Outcome::Cancelled, Outcome::Interrupted])
                    .map(|outcome| Text::new(outcome.as_str()))
                    .collect(),
            ),
            ["steps", id, "choice"] => {
                let Action::Choose(choose) = &self.declared.steps[self.declared.step(id)?].action else {
                    return None;
                };
                let names: Vec<Text> = match &choose.options {
                    Options::Named(options) => options.keys().cloned().collect(),
                    Options::List(names) => names.clone(),
                    Options::Expression(_) => return None,
                };
                // What a template gives is only known in the run.
                (!names.iter().any(|name| name.contains("{{"))).then_some(names)
            }
            ["steps", id, "fields", field] => {
                let gate = gate_of(&self.declared.steps[self.declared.step(id)?].action)?;
                of_spec(gate.fields.get(field)?)
            }
            _ => None,
        }
    }

    /// The type of an expression that is nothing but a name.
    fn type_of_name(&self, expression: &Expression, place: Place<'_>) -> Option<Type> {
        let [reference] = expression.references() else { return None };
        let source = expression.source();
        if source.get(reference.range.clone()) != Some(source.trim()) {
            return None;
        }
        let path: Vec<&str> = reference.path.iter().map(String::as_str).collect();
        match path.as_slice() {
            [bare] if place.bare.contains(bare) => type_of_result(bare),
            ["params", name] => {
                let spec = self.declared.runbook.params.get(name)?;
                // Without a value it may be `none`, which is no boolean either.
                Some(match spec.kind {
                    ParamKind::String | ParamKind::Duration => Type::String,
                    ParamKind::Integer => Type::Integer,
                    ParamKind::Number => Type::Number,
                    ParamKind::Boolean => Type::Boolean,
                    ParamKind::List => Type::List,
                })
            }
            ["env", _] => Some(Type::String),
            ["run", "failed" | "succeeded" | "interactive"] => Some(Type::Boolean),
            ["run", _] => Some(Type::String),
            ["steps", _, "succeeded" | "failed" | "skipped"] => Some(Type::Boolean),
            ["steps", _, "outcome" | "by" | "choice"] => Some(Type::String),
            ["steps", _, "attempts"] => Some(Type::Integer),
            ["steps", _, "duration"] => Some(Type::Number),
            ["steps", _, "artifacts"] => Some(Type::List),
            ["steps", _, field] => type_of_result(field),
            _ => None,
        }
    }
}

/// The type of what a command or probe gives; of JSON it is not known.
fn type_of_result(name: &str) -> Option<Type> {
    Some(match name {
        "exit_code" | "status" | "size" | "days_left" | "free" | "total" => Type::Integer,
        "stdout" | "stderr" | "body" | "modified" | "sha256" | "subject" | "issuer" | "not_after" => {
            Type::String
        }
        "lines" | "addresses" | "series" | "rows" => Type::List,
        "number" | "elapsed" | "age" | "used_percent" => Type::Number,
        "row" | "headers" | "outputs" | "fields" => Type::Map,
        "open" | "exists" | "valid" => Type::Boolean,
        _ => return None,
    })
}

/// Whether a template holds a secret: by name, or in a variable that does.
pub(super) fn uses_secret(text: &Text, env: &super::names::Environment) -> bool {
    if !text.contains("{{") {
        return false;
    }
    let Ok(template) = Template::parse(text) else { return false };
    template.references().iter().any(|reference| match reference.path.as_slice() {
        [first, ..] if first == "secrets" => true,
        [first, name, ..] if first == "env" => env.secret.contains(name),
        [first] if first == "env" => !env.secret.is_empty(),
        _ => false,
    })
}

/// Whether a template uses other variables.
pub(super) fn uses_environment(text: &Text) -> bool {
    text.contains("{{")
        && Template::parse(text).is_ok_and(|template| {
            template
                .references()
                .iter()
                .any(|reference| reference.path.first().is_some_and(|first| first == "env"))
        })
}
