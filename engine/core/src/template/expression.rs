//! One expression: parsed, compiled, and evaluated against a context.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use minijinja::machinery::parse_expr;
use minijinja::{ErrorKind, Value};

use crate::diagnostic::suggest;

use super::analysis::{Analysis, PlainShape, analyse};
use super::context::{Context, Evaluation, Miss};
use super::engine;
use super::error::{RenderError, TemplateError};
use super::reference::{Comparison, Reference, canonical_name, dotted};
use super::value::{Type, preview};

/// An expression without braces, as in `when`, `expect`, `outputs`. Cheap to clone.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    compiled: Arc<minijinja::Expression<'static, 'static>>,
    analysis: Arc<Analysis>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Expression {}

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    /// Syntax errors, unknown filters, tests and functions, and names that are read as a subtraction; each with its place in `source`.
    pub fn parse(source: &str) -> Result<Self, Vec<TemplateError>> {
        if source.trim().is_empty() {
            return Err(vec![TemplateError::new(
                0..source.len(),
                "template-empty",
                "the expression is empty",
            )]);
        }
        engine::check_size(source).map_err(|error| vec![error])?;
        let tree = parse_expr(source).map_err(|error| vec![syntax_error(source, &error)])?;
        let analysis = analyse(source, &tree)?;
        let compiled = engine::environment()
            .compile_expression_owned(source.to_owned())
            .map_err(|error| vec![syntax_error(source, &error)])?;
        Ok(Self { source: source.into(), compiled: Arc::new(compiled), analysis: Arc::new(analysis) })
    }

    /// Returns the text that was parsed.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the names that it uses, in the order in which they are written.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.analysis.references
    }

    /// Returns the names that it compares with a text written out beside them.
    #[must_use]
    pub fn comparisons(&self) -> &[Comparison] {
        &self.analysis.comparisons
    }

    /// Returns its type where that is the same whatever the values are.
    #[must_use]
    pub fn static_type(&self) -> Option<Type> {
        self.analysis.static_type
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.analysis.raw
    }

    /// Tells whether its text can hold nothing but `A-Za-z0-9@%_+=:,./-`, given which references can't.
    pub(crate) fn is_plain(&self, is_plain: &dyn Fn(&Reference) -> bool) -> bool {
        fn holds(
            shape: &PlainShape,
            references: &[Reference],
            is_plain: &dyn Fn(&Reference) -> bool,
        ) -> bool {
            match shape {
                PlainShape::Always => true,
                PlainShape::Never => false,
                PlainShape::Reference(index) => is_plain(&references[*index]),
                PlainShape::All(parts) => parts.iter().all(|part| holds(part, references, is_plain)),
            }
        }
        holds(&self.analysis.plain, &self.analysis.references, is_plain)
    }

    /// Evaluates the expression.
    ///
    /// # Errors
    /// Undefined values, failed filters and operators, and expressions that take too long.
    pub fn evaluate(&self, context: &Context) -> Result<Value, RenderError> {
        let evaluation = Evaluation::new(context, &self.analysis.references);
        match self.compiled.eval(evaluation.root()) {
            Ok(value) if value.is_undefined() => Err(self.undefined(&evaluation)),
            Ok(value) => match self.missed(&evaluation) {
                // Minijinja lets an undefined value be compared; here it fails like any other use of it.
                Some((reference, miss)) => {
                    Err(missing(reference.range.clone(), &reference.path, Some(&miss)))
                }
                None => Ok(value),
            },
            Err(error) if error.kind() == ErrorKind::UndefinedError => Err(self.undefined(&evaluation)),
            // What a step doesn't have made a filter or operator fail: that it isn't there says more.
            Err(error) => Err(match self.missed(&evaluation) {
                Some((reference, miss)) => missing(reference.range.clone(), &reference.path, Some(&miss)),
                None => self.failed(&error),
            }),
        }
    }

    /// Evaluates an expression that must be true or false.
    ///
    /// # Errors
    /// As [`Self::evaluate`], and where the value is no boolean; the message names its type.
    pub fn evaluate_bool(&self, context: &Context) -> Result<bool, RenderError> {
        let value = self.evaluate(context)?;
        match Type::of(&value) {
            Some(Type::Boolean) => Ok(value.is_true()),
            found => {
                let found = found.map_or_else(|| "undefined".to_owned(), |found| found.to_string());
                let message = format!(
                    "`{}` must be true or false, but it is {found}: {}",
                    self.source.trim(),
                    preview(&value)
                );
                Err(RenderError::new(self.whole(), "not-boolean", message)
                    .with_help("compare it with something, as in `== \"yes\"` or `> 0`"))
            }
        }
    }

    /// Shows the expression with the values that it saw: `status == 200  (status: 503)`. Values are shortened and harmless
    /// to a terminal; secrets in them are not yet masked.
    #[must_use]
    pub fn explain(&self, context: &Context) -> String {
        let evaluation = Evaluation::new(context, &self.analysis.references);
        let mut seen: Vec<(String, String)> = Vec::new();
        for reference in &self.analysis.references {
            let name = reference.dotted();
            if seen.iter().all(|(known, _)| *known != name) {
                let value = evaluation.look_up(&reference.path);
                seen.push((name, value.map_or_else(|| "not defined".to_owned(), |value| preview(&value))));
            }
        }
        let source = self.source.split_whitespace().collect::<Vec<_>>().join(" ");
        if seen.is_empty() {
            return source;
        }
        let values: Vec<String> = seen.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("{source}  ({})", values.join(", "))
    }

    fn whole(&self) -> Range<usize> {
        0..self.source.len()
    }

    /// Finds the last step value that was looked up in vain where nothing caught it.
    fn missed(&self, evaluation: &Evaluation) -> Option<(&Reference, Miss)> {
        evaluation.misses().into_iter().rev().find_map(|miss| {
            let same = |reference: &&Reference| {
                !reference.defaulted
                    && reference.path.first().is_some_and(|part| part == "steps")
                    && reference.path.get(1).is_some_and(|part| *part == miss.step)
                    && reference.path.get(2).is_some_and(|part| *part == miss.field)
            };
            self.analysis.references.iter().find(same).map(|reference| (reference, miss))
        })
    }

    fn undefined(&self, evaluation: &Evaluation) -> RenderError {
        if let Some((reference, miss)) = self.missed(evaluation) {
            return missing(reference.range.clone(), &reference.path, Some(&miss));
        }
        let lost = self
            .analysis
            .references
            .iter()
            .find(|reference| !reference.defaulted && evaluation.look_up(&reference.path).is_none());
        let Some(reference) = lost else {
            if let Some(error) = self.missing_before_default(evaluation) {
                return error;
            }
            return RenderError::new(
                self.whole(),
                "undefined-value",
                format!("`{}` uses a value that is not defined", self.source.trim()),
            )
            .with_help("write `| default(…)` after what may be missing");
        };
        // The name itself may be known and only a part of it be missing: say which, and what there is instead.
        let known = (1..reference.path.len()).rev().find_map(|count| {
            let value = evaluation.look_up(&reference.path[..count])?;
            let keys: Vec<String> =
                value.try_iter().ok()?.filter_map(|key| key.as_str().map(str::to_owned)).collect();
            (Type::of(&value) == Some(Type::Map) && !keys.is_empty()).then(|| {
                let wanted = canonical_name(&reference.path[count]);
                match suggest(&wanted, keys.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("`{}` has: {}", dotted(&reference.path[..count]), keys.join(", ")),
                }
            })
        });
        let error = missing(reference.range.clone(), &reference.path, None);
        match known {
            Some(help) => error.with_help(help),
            None => error,
        }
    }

    /// `| default(…)` catches the last name of a path only: says which one before it is missing.
    fn missing_before_default(&self, evaluation: &Evaluation) -> Option<RenderError> {
        self.analysis.references.iter().filter(|reference| reference.defaulted).find_map(|reference| {
            let path = &reference.path;
            let there = (1..path.len()).rev().find(|count| evaluation.look_up(&path[..*count]).is_some())?;
            (there + 1 < path.len()).then(|| {
                let (lost, rest) = path.split_at(there + 1);
                let (lost, rest) = (dotted(lost), rest.join("."));
                RenderError::new(
                    reference.range.clone(),
                    "undefined-value",
                    format!("`{lost}` is not defined, and `default` stands for the last name only"),
                )
                .with_help(format!("write `({lost} | default({{}})).{rest} | default(…)`"))
            })
        })
    }

    fn failed(&self, error: &minijinja::Error) -> RenderError {
        let (code, message) = match error.kind() {
            ErrorKind::OutOfFuel => ("expression-too-long", "the expression takes too long".to_owned()),
            _ => ("expression-failed", error_text(error)),
        };
        RenderError::new(self.whole(), code, format!("`{}`: {message}", self.source.trim()))
    }
}

fn missing(range: Range<usize>, path: &[String], miss: Option<&Miss>) -> RenderError {
    match miss {
        Some(Miss { step, field, why: Some(why) }) => {
            let name = dotted(&["steps".to_owned(), step.clone(), field.clone()]);
            RenderError::new(range, "undefined-value", format!("`{name}` is not defined: {why}"))
        }
        _ => RenderError::new(range, "undefined-value", format!("`{}` is not defined", dotted(path))),
    }
    .with_help("write `| default(…)` after it, if it may be missing")
}

/// Returns what minijinja says about an error, without its place: that is told by our own range.
fn error_text(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}

fn syntax_error(source: &str, error: &minijinja::Error) -> TemplateError {
    let message = error_text(error);
    let help = if source.contains("&&") || source.contains("||") {
        Some("write `and`, `or` and `not`")
    } else if source.contains('=') && message.contains("assign") {
        Some("write `==` to compare")
    } else {
        None
    };
    let error =
        TemplateError::new(0..source.len(), "template-syntax", format!("`{}`: {message}", source.trim()));
    match help {
        Some(help) => error.with_help(help),
        None => error,
    }
}
