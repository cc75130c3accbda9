//! `runbook validate`: all mistakes of runbooks and of the scenarios beside them, each with its place.

use std::path::Path;

use clap::Args;
use runbook_core::document::parse_scenarios;

use super::test::{prepare, runbook_of, strays};
use crate::console::{GOOD, styled};
use crate::context::Context;
use crate::diagnostics::{all_of, to_text};
use crate::error::CommandError;
use crate::exit_code;
use crate::find::RunbookFile;
use crate::options::Format;
use crate::planning::{self, Findings, Loaded};
use crate::report::wording::{Signs, count};

/// Options of `validate`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The runbooks; the whole library when none is named
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// What is wrong with scenarios by themselves.
pub(super) fn shape(context: &Context, path: &Path, findings: &mut Findings) -> Result<(), CommandError> {
    if let Some(source) = planning::read(context, path, findings)? {
        let (_, diagnostics) = parse_scenarios(&source);
        findings.push((source, diagnostics));
    }
    Ok(())
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let library = context.library()?;
    let files: Vec<RunbookFile> = if options.names.is_empty() {
        library.list()
    } else {
        options.names.iter().map(|name| library.find(&runbook_of(name))).collect::<Result<_, _>>()?
    };
    if options.names.is_empty() {
        library.refuse_none()?;
    }
    let mut findings = if options.names.is_empty() { strays(&library) } else { Findings::new() };
    let checked = files.len();
    for file in files {
        let scenarios = file.scenarios();
        let (loaded, found) = match planning::load(context, file) {
            Ok(read) => read,
            // One file that can't be read doesn't hide what is wrong with the others.
            Err(error) if options.names.is_empty() => {
                findings.push(planning::unreadable(&error));
                continue;
            }
            Err(error) => return Err(error),
        };
        findings.extend(found);
        let of_plan = loaded.as_ref().map(Loaded::validate);
        // What a scenario names is looked for in a plan, which a runbook with mistakes doesn't come to.
        let sound = loaded.filter(|_| of_plan.as_ref().is_some_and(|found| !planning::has_errors(found)));
        findings.extend(of_plan.into_iter().flatten());
        let Some(path) = scenarios else { continue };
        match sound {
            None => shape(context, &path, &mut findings),
            Some(loaded) => prepare(context, &loaded, &path, &mut Vec::new(), &mut findings),
        }
        .or_else(|error| {
            let goes_on = options.names.is_empty();
            goes_on.then(|| findings.push(planning::unreadable(&error))).ok_or(error)
        })?;
    }
    let has_errors = planning::has_errors(&findings);
    let mut text = to_text(&all_of(findings), context.global.format);
    if context.global.format == Format::Text && !context.console.quiet && !has_errors {
        let sign = Signs::new(context.console.plain).good;
        text.push_str(&format!("{} {} without mistakes\n", styled(GOOD, sign), count(checked, "runbook")));
    }
    context.console.print(&text);
    Ok(if has_errors { exit_code::FAILED } else { exit_code::SUCCEEDED })
}
