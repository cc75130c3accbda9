//! `runbook run`: plan, then execute.

use std::path::PathBuf;

use clap::Args;
use runbook_core::schedule::check_ahead;
use runbook_runtime::run::{self, Environment};

use crate::args::{key_value, reason};
use crate::context::Context;
use crate::error::CommandError;
use crate::{drive, planning};

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The runbook: a path below the folder of runbooks, a stem, or a file
    #[arg(value_name = "NAME", required_unless_present = "plan")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) parameters: Parameters,
    /// Not supported yet
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) plan: Option<PathBuf>,
    /// Run outside the windows, for this reason, which is recorded
    #[arg(long, value_name = "REASON", value_parser = reason)]
    pub(crate) override_window: Option<String>,
}

/// Values for a runbook's parameters, as `run` and `plan` take them.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Parameters {
    /// A parameter's value (repeatable)
    #[arg(short = 'p', long = "param", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) values: Vec<(String, String)>,
    /// A YAML or JSON map of values; `-p` wins
    #[arg(long = "params", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    options.refuse_what_comes_later()?;
    let helper = drive::helper()?;
    let loaded = planning::load_or_say(context, options.name.as_deref().unwrap_or_default())?;
    let plan = planning::plan(context, &loaded, &options.parameters)?;
    let ahead = context.global.ahead();
    check_ahead(&plan, &ahead)?;
    let environment = Environment::take(&plan, &loaded.file.root, &loaded.file.path, &run::outside());
    let start = drive::Start {
        plan,
        text: loaded.source.text(),
        environment,
        interactive: drive::is_attended(context),
        ahead,
        override_window: options.override_window.clone(),
    };
    drive::block_on(drive::start(context, helper, start))?
}

impl Options {
    /// `run --dry-run` is `plan`.
    pub(crate) fn into_plan(self) -> Result<super::plan::Options, CommandError> {
        self.refuse_what_comes_later()?;
        Ok(super::plan::Options {
            name: self.name.unwrap_or_default(),
            parameters: self.parameters,
            probe: false,
            output: None,
        })
    }

    /// Options of the contract that later versions have.
    pub(crate) fn refuse_what_comes_later(&self) -> Result<(), CommandError> {
        match &self.plan {
            Some(_) => Err(CommandError::not_yet("run --plan")),
            None => Ok(()),
        }
    }
}
