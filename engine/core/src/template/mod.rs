//! Templates and expressions: `{{ … }}` in texts, conditions without braces, and the shell scripts they become.
//!
//! Minijinja evaluates, strictly and with bounds; where `{{ }}` starts and ends, which names exist, how values print and
//! how they reach a shell is decided here. What is rendered is data: nothing here renders a value again.

mod analysis;
mod context;
mod engine;
mod error;
mod expression;
mod filters;
mod reference;
mod scope;
mod shell;
mod text;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use analysis::is_plain_text;
pub use context::{Context, StepValue, StepValues};
pub use error::{RenderError, TemplateError};
pub use expression::Expression;
/// The values of templates and expressions.
pub use minijinja::Value;
pub use reference::{Comparison, Reference, canonical_name};
pub use scope::{Names, Scope, SecretUse, StepNames, StepScope, StepUse};
pub use shell::{
    Dialect, RenderedScript, ShellScript, VALUE_BYTES_MAX, VALUES_BYTES_MAX, display_argv, has_pipe,
    quote_for_display,
};
pub use text::{RENDERED_BYTES_MAX, Template};
pub use value::Type;

/// Makes a value of JSON: whole numbers become integers, and the order of maps is kept.
#[must_use]
pub fn value_from_json(json: &serde_json::Value) -> Value {
    value::from_json_value(json)
}

/// Reads a number as people write it, an integer where it is whole: what `steps.<id>.number` gives of an output.
#[must_use]
pub fn parse_number(text: &str) -> Option<Value> {
    filters::parse_number(text)
}

/// Prints a value as it prints in a text; `None` for lists, maps, `none` and undefined values, which have no text.
#[must_use]
pub fn value_text(value: &Value) -> Option<String> {
    value::text_of(value).ok()
}

/// Shows a value inside a message: shortened, with its length, and harmless to a terminal.
#[must_use]
pub fn value_preview(value: &Value) -> String {
    value::preview(value)
}

/// Rewrites `\d`, `\w`, `\s` and `\b` of a pattern to their ASCII meaning, which is the language's (§1).
#[must_use]
pub fn ascii_pattern(pattern: &str) -> String {
    filters::ascii_classes(pattern)
}
