//! `runbook run`: plan, then execute.

use std::path::PathBuf;

use clap::Args;
use runbook_core::schedule::check_ahead;
use runbook_runtime::run::{self, Environment};
use runbook_runtime::store::identity::current_user;

use crate::context::Context;
use crate::error::CommandError;
use crate::find::RunbookFile;
use crate::plan_file::Frozen;
use crate::values::{key_value, reason};
use crate::{drive, plan_file, planning};

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The runbook: a path below the folder of runbooks, a stem, or a file
    #[arg(value_name = "NAME", required_unless_present = "plan")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) parameters: Parameters,
    /// Run exactly the plan that `plan -o` has written
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "values", "file"])]
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
    context.refuse_unwritable_report()?;
    let helper = drive::helper()?;
    let Frozen { plan, text, root, file, keep } = options.frozen(context)?;
    let ahead = context.global.ahead();
    check_ahead(&plan, &ahead, &current_user())?;
    let environment = Environment::take(&plan, &root, &file, &run::outside());
    let start = drive::Start {
        plan,
        text: &text,
        keep,
        environment,
        interactive: drive::is_attended(context),
        ahead,
        override_window: options.override_window.clone(),
    };
    drive::block_on(drive::start(context, helper, start))?
}

/// `run --dry-run` is `plan`.
pub(crate) fn show(context: &Context, options: Options) -> Result<u8, CommandError> {
    if options.plan.is_some() {
        let frozen = options.frozen(context)?;
        return Ok(super::plan::show(context, &frozen.plan));
    }
    let options = super::plan::Options {
        name: options.name.unwrap_or_default(),
        parameters: options.parameters,
        probe: false,
        output: None,
    };
    super::plan::execute(context, &options)
}

impl Options {
    /// What is to run: a plan that is made now, or one that was made earlier.
    fn frozen(&self, context: &Context) -> Result<Frozen, CommandError> {
        if let Some(path) = &self.plan {
            if context.global.on_failure.is_some() {
                return Err(CommandError::usage(
                    "--on-failure is settled in the plan: it is given to `plan -o`",
                ));
            }
            context.refuse_tags()?;
            return plan_file::read(context, path);
        }
        let loaded = planning::load_or_say(context, self.name.as_deref().unwrap_or_default())?;
        let plan = planning::plan(context, &loaded, &self.parameters)?;
        let keep = loaded.project.map(|(_, project)| project.keep).unwrap_or_default();
        let RunbookFile { root, path, .. } = loaded.file;
        Ok(Frozen { plan, text: loaded.source.text().to_owned(), root, file: path, keep })
    }
}
