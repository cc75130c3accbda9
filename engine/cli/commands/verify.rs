//! `runbook verify`: whether a run's record is as it was written.

use clap::Args;
use runbook_runtime::run;
use runbook_runtime::store;
use serde_json::json;

use crate::console::{BAD, GOOD, styled};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::options::Format;
use crate::report::wording::{Signs, count, harmless};

/// Options of `verify`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let runs = context.store()?;
    let run = context.resolve(&runs, &options.run)?;
    let dir = runs.run(&run)?;
    let problems = store::verify(&dir, |text| Ok(run::plan_digest(text)))?;
    let is_fine = problems.is_empty();
    match context.global.format {
        Format::Json => {
            context.console.print(&format!("{}\n", json!({"ok": is_fine, "problems": problems})));
        }
        Format::Text | Format::Github | Format::Gitlab => {
            let signs = Signs::new(context.console.plain);
            let mut text = String::new();
            for problem in &problems {
                let line = problem.line.map_or_else(String::new, |line| format!(", line {line}"));
                let sign = styled(BAD, signs.bad);
                text.push_str(&format!(
                    "{sign} {}{line} {}\n",
                    harmless(&problem.file),
                    harmless(&problem.what)
                ));
            }
            if is_fine {
                text.push_str(&format!("{} {run} is as it was written\n", styled(GOOD, signs.good)));
            } else {
                text.push_str(&format!("{run}: {}\n", count(problems.len(), "problem")));
            }
            context.console.print(&text);
        }
    }
    Ok(if is_fine { exit_code::SUCCEEDED } else { exit_code::FAILED })
}
