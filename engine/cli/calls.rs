//! The runbooks that others call, read before a plan is made.

use std::collections::HashMap;

use runbook_core::document::model::{Action, Runbook, Step};
use runbook_core::document::parse;
use runbook_core::plan::{CalledRunbook, Calls, UnknownCall};
use runbook_core::source::Source;

use crate::context::Context;
use crate::error::CommandError;
use crate::find::Library;
use crate::planning::{Findings, has_errors, read};

/// All runbooks that one calls, and that those call.
#[derive(Default)]
pub(crate) struct Called {
    /// By file and name: what is meant, or why nothing is.
    found: HashMap<(String, String), Result<usize, UnknownCall>>,
    runbooks: Vec<Read>,
}

/// A runbook that was read.
struct Read {
    source: Source,
    document: Runbook,
    stem: String,
}

impl Called {
    /// Reads all that a runbook calls. Mistakes in them are findings.
    ///
    /// # Errors
    /// Where a file can't be read.
    pub(crate) fn by(
        context: &Context,
        file: &str,
        document: &Runbook,
        findings: &mut Findings,
    ) -> Result<Self, CommandError> {
        let mut called = Self::default();
        let mut names = Vec::new();
        let mut open = vec![(file.to_owned(), calls_in(document))];
        if open.iter().all(|(_, calls)| calls.is_empty()) {
            return Ok(called);
        }
        let library = context.library()?;
        while let Some((file, calls)) = open.pop() {
            for name in calls {
                let key = (file.clone(), name.clone());
                if called.found.contains_key(&key) {
                    continue;
                }
                let read = called.read(context, &library, &name, findings)?;
                if let Ok(index) = read {
                    let known: &Read = &called.runbooks[index];
                    let file = known.source.name().to_owned();
                    if !names.contains(&file) {
                        names.push(file.clone());
                        open.push((file, calls_in(&known.document)));
                    }
                }
                called.found.insert(key, read);
            }
        }
        Ok(called)
    }

    fn read(
        &mut self,
        context: &Context,
        library: &Library,
        name: &str,
        findings: &mut Findings,
    ) -> Result<Result<usize, UnknownCall>, CommandError> {
        let found = match library.find(name) {
            Ok(found) => found,
            Err(error) => {
                return Ok(Err(UnknownCall { message: error.message, help: error.hints.into_iter().next() }));
            }
        };
        let mistakes = || UnknownCall {
            message: format!("the runbook `{name}` has mistakes"),
            help: Some("they are listed beside this".to_owned()),
        };
        let mut own = Findings::new();
        let Some(source) = read(context, &found.path, &mut own)? else {
            findings.extend(own);
            return Ok(Err(mistakes()));
        };
        if let Some(index) = self.runbooks.iter().position(|known| known.source.name() == source.name()) {
            return Ok(Ok(index));
        }
        let (document, diagnostics) = parse(&source);
        own.push((source.clone(), diagnostics));
        let broken = has_errors(&own);
        findings.extend(own);
        let Some(document) = document.filter(|_| !broken) else { return Ok(Err(mistakes())) };
        let stem = found.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("runbook").to_owned();
        self.runbooks.push(Read { source, document, stem });
        Ok(Ok(self.runbooks.len() - 1))
    }

    /// The texts of all of them.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.runbooks.iter().map(|read| &read.source)
    }
}

impl Calls for Called {
    fn find(&self, file: &str, name: &str) -> Result<CalledRunbook<'_>, UnknownCall> {
        let unknown = || UnknownCall { message: format!("there is no runbook `{name}`"), help: None };
        let found = self.found.get(&(file.to_owned(), name.to_owned())).ok_or_else(unknown)?;
        let Read { source, document, stem } = &self.runbooks[found.clone()?];
        Ok(CalledRunbook { document, source, stem })
    }
}

/// The names that the steps of a runbook, and what undoes them, call.
fn calls_in(document: &Runbook) -> Vec<String> {
    let mut names = Vec::new();
    let mut open: Vec<&Step> = document.top_steps().collect();
    while let Some(step) = open.pop() {
        let undo = step.undo.iter().map(|undo| &undo.action.0);
        for action in undo.chain([&step.action]) {
            match action {
                Action::Call(call) => names.push(call.call.to_string()),
                Action::Steps(group) => open.extend(&group.steps),
                _ => {}
            }
        }
    }
    names
}
