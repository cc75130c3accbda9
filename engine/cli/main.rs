//! The `runbook` command: reads the command line, hands over to the command, and ends with its exit status.

mod adopting;
mod args;
mod calls;
mod command_line;
mod commands;
mod completion;
mod console;
mod context;
mod diagnostics;
mod drive;
mod environment;
mod error;
mod exit_code;
mod find;
mod keeping;
mod options;
mod plan_file;
mod planning;
mod probing;
mod prompt;
mod report;
mod starter;
mod values;

use std::io::Write as _;
use std::process::ExitCode;

use args::{Arguments, Command};
use context::Context;
use error::CommandError;

fn main() -> ExitCode {
    runbook_runtime::keeper::serve_if_asked();
    std::panic::set_hook(Box::new(|bug| {
        let text = format!("runbook: this is a bug, please report it: {bug}\n");
        let _ = std::io::stderr().write_all(text.as_bytes());
    }));
    let code = std::panic::catch_unwind(|| {
        if let Some(shell) = environment::completing_shell() {
            let _ = std::io::stdout().write_all(&completion::answer(&shell, std::env::args_os().collect()));
            return exit_code::SUCCEEDED;
        }
        match command_line::read(&std::env::args_os().collect::<Vec<_>>()) {
            Ok(arguments) => execute(arguments),
            Err(error) => usage(&error),
        }
    });
    ExitCode::from(code.unwrap_or(exit_code::BUG))
}

/// Executes the command; the exit status.
fn execute(arguments: Arguments) -> u8 {
    let context = Context::new(arguments.global);
    context.start_tracing();
    let is_told_by_status = arguments.command.is_told_by_status() && !context.global.dry_run;
    let result = dispatch(&context, arguments.command);
    let code = result.unwrap_or_else(|error| {
        context.console.say(&error.to_text());
        error.kind.exit_code()
    });
    let Some(error) = context.console.lost() else { return code };
    context.console.say(&lost(&error));
    if code == exit_code::SUCCEEDED && !is_told_by_status { exit_code::FAILED } else { code }
}

/// That results were lost.
fn lost(error: &std::io::Error) -> String {
    CommandError::usage("the results could not be written to standard output").with_cause(error).to_text()
}

fn dispatch(context: &Context, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::Run(options) if context.global.dry_run => commands::run::show(context, options),
        Command::Run(options) => commands::run::execute(context, &options),
        Command::Plan(options) => commands::plan::execute(context, &options),
        Command::Resume(options) => commands::resume::execute(context, &options),
        Command::Approve(options) => commands::answer::approve(context, options),
        Command::Reject(options) => commands::answer::reject(context, options),
        Command::Done(options) => commands::answer::done(context, options),
        Command::Choose(options) => commands::answer::choose(context, options),
        Command::Answer(options) => commands::answer::answer(context, options),
        Command::Cancel(options) => commands::cancel::execute(context, &options),
        Command::Rollback(options) => commands::rollback::execute(context, &options),
        Command::Note(options) => commands::note::execute(context, &options),
        Command::Status(options) => commands::status::execute(context, &options),
        Command::Runs(options) => commands::runs::execute(context, &options),
        Command::Watch(options) => commands::watch::execute(context, &options),
        Command::Logs(options) => commands::logs::execute(context, &options),
        Command::List(options) => commands::list::execute(context, &options),
        Command::Show(options) => commands::show::execute(context, &options),
        Command::Lock(options) => commands::lock::execute(context, &options),
        Command::Validate(options) => commands::validate::execute(context, &options),
        Command::Test(options) => commands::test::execute(context, &options),
        Command::Verify(options) => commands::verify::execute(context, &options),
        Command::Gc(options) => commands::gc::execute(context, &options),
        Command::Schema(options) => commands::schema::execute(context, &options),
        Command::New(options) => commands::new::execute(context, &options),
        Command::Init(options) => commands::init::execute(context, &options),
        Command::Doctor(options) => commands::doctor::execute(context, &options),
        Command::Completions(options) => commands::completions::execute(context, &options),
        Command::Man(options) => commands::man::execute(context, &options),
    }
}

/// What clap says about the words; the exit status.
fn usage(error: &clap::Error) -> u8 {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand)
        && args::comes_later(name)
    {
        let error = CommandError::not_yet(&format!("`runbook {name}`"));
        let _ = anstream::AutoStream::auto(std::io::stderr()).write_all(error.to_text().as_bytes());
        return exit_code::USAGE;
    }
    let printed = error.print().and_then(|()| std::io::stdout().flush());
    match printed.err().filter(console::is_loss) {
        _ if error.use_stderr() => exit_code::USAGE,
        None => exit_code::SUCCEEDED,
        Some(error) => {
            let _ = anstream::AutoStream::auto(std::io::stderr()).write_all(lost(&error).as_bytes());
            exit_code::FAILED
        }
    }
}
