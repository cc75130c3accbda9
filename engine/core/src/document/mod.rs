//! A YAML text as a [`Document`](Runbook): typed, spanned, unresolved; with every mistake that can be seen without a plan.
//!
//! Two steps: [`yaml`] makes a located tree of the text, [`decode`] makes types of the tree. [`model`] is the language.

pub mod decode;
mod mapping;
pub mod model;
pub mod node;
mod record;
pub mod schema;
#[cfg(test)]
mod tests;
pub mod text;
pub mod yaml;

use decode::{Decode, Decoder};
use model::{Project, Runbook, Scenarios};
use text::{Data, Named};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Source;

/// A runbook as its author wrote it.
pub type Document = Runbook;

/// Reads a runbook. With errors there may still be a document, so that the plan can add what it sees; it must not run.
#[must_use]
pub fn parse(source: &Source) -> (Option<Document>, Diagnostics) {
    parse_as(source)
}

/// Reads `project.yaml`. An empty file is an empty project.
#[must_use]
pub fn parse_project(source: &Source) -> (Option<Project>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let tree = yaml::read(source, &mut diagnostics);
    if tree.complete && tree.root.as_ref().is_none_or(node::Node::is_null) {
        return (Some(Project::default()), diagnostics);
    }
    parse_as(source)
}

/// Reads the scenarios of a runbook, `NAME.test.yaml`.
#[must_use]
pub fn parse_scenarios(source: &Source) -> (Option<Scenarios>, Diagnostics) {
    parse_as(source)
}

/// Reads a file of parameters (`--params`): a map of names to values, in YAML or JSON. What the values may be is for each parameter's
/// [`accept`](model::ParamSpec::accept).
#[must_use]
pub fn parse_params_file(source: &Source) -> (Option<Named<Data>>, Diagnostics) {
    parse_as(source)
}

fn parse_as<T: Decode>(source: &Source) -> (Option<T>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let tree = yaml::read(source, &mut diagnostics);
    let mut decoder = Decoder::new(source);
    let document = match &tree.root {
        Some(root) => T::decode(root, &mut decoder),
        None if tree.complete => {
            decoder.error("wrong-type", crate::source::Span::default(), "the file is empty");
            None
        }
        None => None,
    };
    let mut found = decoder.into_diagnostics();
    // A template without quotes, where an expression is expected, is one mistake.
    let unquoted = |diagnostic: &Diagnostic| {
        diagnostics.iter().any(|known| known.code == "unquoted-template" && known.span == diagnostic.span)
    };
    found.retain(|diagnostic| diagnostic.code != "expression-braces" || !unquoted(diagnostic));
    if !tree.complete {
        // What seems to be missing may stand in the part that could not be read.
        found.retain(|diagnostic| {
            !matches!(diagnostic.code, "missing-key" | "no-action" | "wrong-type" | "invalid-value")
        });
    }
    diagnostics.extend(found);
    (document.filter(|_| tree.complete), diagnostics)
}

/// Reads one value, as typed on a command line.
pub(crate) fn parse_value(text: &str) -> Result<Data, String> {
    let (value, diagnostics) = parse_as::<Data>(&Source::new("value", text));
    match diagnostics.into_sorted().into_iter().next() {
        Some(diagnostic) => Err(diagnostic.message),
        None => value.ok_or_else(|| "nothing is given".to_owned()),
    }
}
