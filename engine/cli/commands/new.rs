//! `runbook new`: a runbook to begin with.

use clap::Args;
use runbook_core::document::parse;
use runbook_core::id::is_step_name;
use runbook_core::source::Source;

use crate::console::{DIM, GOOD, styled};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::report::wording::Signs;
use crate::starter::{self, Kind, Written};

/// Options of `new`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Its name: a path below the folder of runbooks, as in `shop/deploy`
    #[arg(value_name = "NAME", id = "new-name")]
    pub(crate) name: String,
    /// What it is called for people; asked for at a terminal
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let name = options.name.strip_suffix(".yaml").unwrap_or(&options.name);
    if !name.split('/').all(is_step_name) {
        return Err(CommandError::usage(format!("`{name}` is no name for a runbook")).with_hint(
            "each part has a-z, 0-9, `_` and `-`, begins with a letter and has at most 64 characters",
        ));
    }
    if name.rsplit('/').next() == Some("project") {
        return Err(CommandError::usage("project.yaml is what runbooks share: take another name"));
    }
    let folder = starter::folder(context).ok_or_else(|| {
        CommandError::usage("no folder `runbooks` was found here or above")
            .with_hint("runbook init makes one")
    })?;
    let path = folder.join(format!("{name}.yaml"));
    let exists = || {
        CommandError::usage(format!("{} is there already", starter::shown(context, &path)))
            .with_hint("nothing was written: take another name")
    };
    if path.exists() || path.with_extension("yml").exists() {
        return Err(exists());
    }
    let title = title(context, options, name)?;
    let depth = name.matches('/').count();
    let text = starter::runbook(name, &title, &starter::schema_path(&folder, depth, Kind::Runbook)?);
    if parse(&Source::new(name, text.as_str())).1.has_errors() {
        return Err(CommandError::usage("the title has characters that a runbook may not hold"));
    }
    if starter::write_new(&path, &text)? == Written::Kept {
        return Err(exists());
    }
    let signs = Signs::new(context.console.plain);
    context.console.print(&format!("{}\n", path.display()));
    if !context.console.quiet {
        let arrow = styled(DIM, signs.next);
        context.console.say(&format!(
            "{} {} is a runbook to change\n  {arrow} runbook validate {name}\n  {arrow} runbook plan {name}\n",
            styled(GOOD, signs.good),
            starter::shown(context, &path),
        ));
    }
    Ok(exit_code::SUCCEEDED)
}

/// The title: as given, as asked for, else made from the name.
fn title(context: &Context, options: &Options, name: &str) -> Result<String, CommandError> {
    if let Some(title) = &options.title {
        return Ok(title.clone());
    }
    let words = name.rsplit('/').next().unwrap_or(name).replace(['-', '_'], " ");
    let mut letters = words.chars();
    let made = letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect());
    if context.console.non_interactive {
        return Ok(made);
    }
    dialoguer::Input::new().with_prompt("Title").default(made).interact_text().map_err(|error| {
        CommandError::usage("no title was given").with_cause(&error).with_hint("give it by --title TEXT")
    })
}
