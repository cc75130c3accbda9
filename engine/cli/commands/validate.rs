//! `runbook validate`: all mistakes, each with its place.

use clap::Args;

use crate::args::Format;
use crate::console::{GOOD, styled};
use crate::context::Context;
use crate::diagnostics::{all_of, to_text};
use crate::error::CommandError;
use crate::exit_code;
use crate::find::RunbookFile;
use crate::planning::{self, Findings};
use crate::report::wording::{Signs, count};

/// Options of `validate`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The runbooks; the whole library when none is named
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let library = context.library()?;
    let files: Vec<RunbookFile> = if options.names.is_empty() {
        library.list()
    } else {
        options.names.iter().map(|name| library.find(name)).collect::<Result<_, _>>()?
    };
    if options.names.is_empty() {
        library.refuse_none()?;
    }
    let mut findings = Findings::new();
    let checked = files.len();
    for file in files {
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
        if let Some(loaded) = loaded {
            findings.extend(loaded.validate());
        }
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
