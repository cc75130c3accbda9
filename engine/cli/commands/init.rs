//! `runbook init`: a project to begin with, and a state directory that a group shares.

use clap::Args;
use runbook_runtime::store;

use crate::console::{DIM, GOOD, styled};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::report::wording::{Signs, harmless};
use crate::starter::{self, Kind, Written};

/// Options of `init`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Let the members of this Unix group share the state directory: see runs, answer them, carry them on
    #[arg(long, value_name = "GROUP")]
    pub(crate) shared_state: Option<String>,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let console = &context.console;
    let signs = Signs::new(console.plain);
    let mut said = String::new();
    if let Some(group) = &options.shared_state {
        // First: what is refused makes nothing.
        let state = context.state_dir()?;
        store::share(&state, group)?;
        said.push_str(&format!(
            "{} {} is shared by the group {}: its members see runs, answer them and carry them on\n",
            styled(GOOD, signs.good),
            state.display(),
            harmless(group)
        ));
    }
    let folder = match &context.global.dir {
        Some(typed) => context.environment.typed(typed),
        None => context.environment.current_dir.join("runbooks"),
    };
    std::fs::create_dir_all(&folder).map_err(|error| {
        CommandError::usage(format!("cannot make {}", folder.display())).with_cause(&error)
    })?;
    let files = [
        ("project.yaml", starter::project(&starter::schema_path(&folder, 0, Kind::Project)?)),
        ("hello.yaml", starter::hello(&starter::schema_path(&folder, 0, Kind::Runbook)?)),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        match starter::write_new(&path, &text)? {
            Written::New => console.print(&format!("{}\n", path.display())),
            Written::Kept => {
                said.push_str(&format!(
                    "  {} was there already and is as it was\n",
                    starter::shown(context, &path)
                ));
            }
        }
    }
    let arrow = styled(DIM, signs.next);
    said.push_str(&format!("  {arrow} runbook run hello\n  {arrow} runbook new NAME\n"));
    if !console.quiet {
        console.say(&said);
    }
    Ok(exit_code::SUCCEEDED)
}
