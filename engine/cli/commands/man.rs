//! `runbook man`: the manual pages, from the same definition as `--help`.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_mangen::Man;

use crate::args::Arguments;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;

/// Options of `man`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The page of this command; without it the page of runbook itself
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    pub(crate) command: Option<String>,
    /// Write all pages into this folder (`man -M` and packagers take them from there)
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let mut whole = Arguments::command();
    whole.build();
    if let Some(folder) = &options.output {
        let folder = context.environment.typed(folder);
        let failed = |error: std::io::Error| {
            CommandError::usage(format!("cannot write into {}", folder.display())).with_cause(&error)
        };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let pages = std::iter::once(&whole).chain(whole.get_subcommands());
        for page in pages.filter(|page| !page.is_hide_set()) {
            let path = Man::new(page.clone()).generate_to(&folder).map_err(failed)?;
            context.console.print(&format!("{}\n", path.display()));
        }
        return Ok(exit_code::SUCCEEDED);
    }
    let page = match &options.command {
        None => &whole,
        Some(name) => whole.find_subcommand(name).ok_or_else(|| {
            CommandError::usage(format!("there is no command `{name}`"))
                .with_hint("runbook --help lists them")
        })?,
    };
    let mut text = Vec::new();
    Man::new(page.clone())
        .render(&mut text)
        .map_err(|error| CommandError::store("the page can't be made").with_cause(&error))?;
    context.console.print_bytes(&text);
    Ok(exit_code::SUCCEEDED)
}
