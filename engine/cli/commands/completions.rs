//! `runbook completions`: what makes a shell complete this command's words.

use clap::{Args, ValueEnum};

use crate::completion;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;

/// Options of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "For bash, into ~/.bashrc:  source <(runbook completions bash)\n\
    For zsh, into ~/.zshrc:    source <(runbook completions zsh)\n\
    For fish:                  runbook completions fish > ~/.config/fish/completions/runbook.fish")]
pub(crate) struct Options {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// The shells that can ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let shell = match options.shell {
        Shell::Bash => "bash",
        Shell::Elvish => "elvish",
        Shell::Fish => "fish",
        Shell::Powershell => "powershell",
        Shell::Zsh => "zsh",
    };
    let script = completion::script(shell)
        .ok_or_else(|| CommandError::store(format!("no script can be made for {shell}")))?;
    context.console.print_bytes(&script);
    Ok(exit_code::SUCCEEDED)
}
