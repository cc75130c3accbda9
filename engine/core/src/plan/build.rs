//! From a document to a plan, or to everything that is wrong with it.

use super::input::{BuildInput, ProjectInput};
use super::model::Plan;
use crate::diagnostic::Diagnostics;
use crate::document::model::Runbook;
use crate::source::Source;

/// Makes a plan of a runbook and the values of its parameters.
///
/// # Errors
/// Every mistake that can be found before anything runs.
pub fn build(input: &BuildInput<'_>) -> Result<Plan, Diagnostics> {
    Err(validate(input.document, input.source, input.project))
}

/// Every mistake that can be found without values and files.
#[must_use]
pub fn validate(document: &Runbook, source: &Source, project: Option<ProjectInput<'_>>) -> Diagnostics {
    let _ = (document, source, project);
    Diagnostics::new()
}
