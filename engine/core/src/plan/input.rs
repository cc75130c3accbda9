//! What a plan is made of.

use indexmap::IndexMap;

use super::model::OnFailure;
use super::selection::Selection;
use crate::document::model::{ParamSpec, Project, Runbook};
use crate::document::text::Data;
use crate::source::Source;

/// Everything that a plan depends on.
pub struct BuildInput<'a> {
    /// The runbook, read without errors.
    pub document: &'a Runbook,
    /// Its text, in which mistakes are shown.
    pub source: &'a Source,
    /// The stem of its file: its name where it gives itself none.
    pub stem: &'a str,
    /// Values for its parameters, by name.
    pub given: &'a IndexMap<String, GivenValue>,
    /// `--on-failure`: where neither the step nor `defaults` says anything.
    pub on_failure: Option<OnFailure>,
    /// `--tags`, `--skip-tags`.
    pub selection: &'a Selection,
    /// The files that steps name by `inputs`.
    pub files: &'a dyn InputFiles,
    /// The runbooks that steps call.
    pub calls: &'a dyn Calls,
    /// What runbooks share.
    pub project: Option<ProjectInput<'a>>,
}

/// `runbooks/project.yaml`.
#[derive(Clone, Copy)]
pub struct ProjectInput<'a> {
    /// What it says.
    pub project: &'a Project,
    /// Its text, in which mistakes are shown.
    pub source: &'a Source,
}

/// A parameter's value as it was given.
#[derive(Debug, Clone, PartialEq)]
pub enum GivenValue {
    /// Typed as text: `-p name=value`, or an answer at a terminal.
    Text(String),
    /// From a file of parameters, which has types.
    Data(Data),
}

/// The files that steps name by `inputs`.
pub trait InputFiles {
    /// Path to SHA-256 (lower-case hex) of each file that the globs match, which are relative to `cwd`, which is relative to the
    /// project's root.
    ///
    /// # Errors
    /// A glob that matches nothing, a file that can't be read: one line that says so.
    fn hash(&self, cwd: Option<&str>, globs: &[String]) -> Result<IndexMap<String, String>, String>;

    /// The text of a calendar file, whose path is relative to `project.yaml`.
    ///
    /// # Errors
    /// Why it can't be read: one line.
    fn calendar(&self, path: &str) -> Result<String, String>;
}

/// The runbooks that steps call: found and read before, so that nothing is looked for while a plan is made.
pub trait Calls {
    /// The runbook that a name means in a file.
    ///
    /// # Errors
    /// Where there is none, or it has mistakes that keep it from being read.
    fn find(&self, file: &str, name: &str) -> Result<CalledRunbook<'_>, UnknownCall>;
}

/// A runbook that a step calls.
#[derive(Clone, Copy)]
pub struct CalledRunbook<'a> {
    /// What it says.
    pub document: &'a Runbook,
    /// Its text, in which its mistakes are shown.
    pub source: &'a Source,
    /// The stem of its file: its name where it gives itself none.
    pub stem: &'a str,
}

/// Why there is no runbook of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCall {
    /// What to say.
    pub message: String,
    /// How to go on, where that is known.
    pub help: Option<String>,
}

/// No runbook calls another: where only one text is at hand.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCalls;

impl Calls for NoCalls {
    fn find(&self, _: &str, name: &str) -> Result<CalledRunbook<'_>, UnknownCall> {
        Err(UnknownCall { message: format!("there is no runbook `{name}`"), help: None })
    }
}

/// The parameters that still need a value, in the author's order: what is asked for at a terminal.
#[must_use]
pub fn missing_params<'d>(
    document: &'d Runbook,
    given: &IndexMap<String, GivenValue>,
) -> Vec<(&'d str, &'d ParamSpec)> {
    let missing = |(name, spec): (&'d crate::document::text::Text, &'d ParamSpec)| {
        let needed = spec.required && spec.default.is_none() && !given.contains_key(name.as_str());
        needed.then_some((name.as_str(), spec))
    };
    document.params.iter().filter_map(missing).collect()
}
