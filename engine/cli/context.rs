//! What every command has at hand.

use std::path::PathBuf;

use runbook_core::id::RunId;
use runbook_runtime::store::{ResolveError, Store};

use crate::console::Console;
use crate::environment::Environment;
use crate::error::CommandError;
use crate::find::Library;
use crate::options::Global;

/// The global options, the environment and the streams.
#[derive(Debug)]
pub(crate) struct Context {
    /// The global options.
    pub(crate) global: Global,
    /// What was found around the process.
    pub(crate) environment: Environment,
    /// The streams.
    pub(crate) console: Console,
}

impl Context {
    /// Looks around.
    pub(crate) fn new(mut global: Global) -> Self {
        let environment = Environment::capture();
        // Not by clap: it would count them as typed, and show them in what it says of other words.
        global.dir = global.dir.or_else(|| environment.dir_variable.clone());
        global.state = global.state.or_else(|| environment.state_variable.clone());
        if let Some(clock) = environment.test_clock {
            runbook_runtime::clock::set_for_tests(clock);
        }
        let console = Console::open(&global, &environment);
        Self { global, environment, console }
    }

    /// `-v`: the engine's own diary, to standard error.
    pub(crate) fn start_tracing(&self) {
        let level = match self.global.verbose {
            0 => return,
            1 => tracing::Level::INFO,
            2 => tracing::Level::DEBUG,
            _ => tracing::Level::TRACE,
        };
        let diary = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(self.console.stderr_color)
            .with_writer(std::io::stderr);
        // Only a second start could fail.
        let _ = diary.try_init();
    }

    /// Tags choose among the steps of a plan; a run that exists has its own.
    pub(crate) fn refuse_tags(&self) -> Result<(), CommandError> {
        if self.global.tags.is_some() || self.global.skip_tags.is_some() {
            return Err(CommandError::usage("--tags and --skip-tags choose steps when a run starts"));
        }
        Ok(())
    }

    /// What is settled when a run starts is not taken, and silently dropped, by what takes it on.
    pub(crate) fn refuse_what_starts_settle(&self) -> Result<(), CommandError> {
        if self.global.on_failure.is_some() {
            return Err(CommandError::usage("--on-failure is settled when a run starts")
                .with_hint("say what to do with a failed step: --retry, --skip or --done"));
        }
        Ok(())
    }

    /// Refuses a report that could not be written before anything runs.
    pub(crate) fn refuse_unwritable_report(&self) -> Result<(), CommandError> {
        let Some(path) = self.global.junit.as_ref().map(|path| self.environment.typed(path)) else {
            return Ok(());
        };
        let folder = path.parent().unwrap_or(&path);
        if path.is_dir() || !folder.is_dir() {
            return Err(CommandError::usage(format!("--junit: {} can't be written", path.display()))
                .with_hint("name a file in a folder that exists"));
        }
        Ok(())
    }

    /// The runbooks that can be found from here.
    pub(crate) fn library(&self) -> Result<Library, CommandError> {
        Library::discover(self.global.dir.as_deref(), &self.environment)
    }

    /// Where runs are recorded.
    pub(crate) fn state_dir(&self) -> Result<PathBuf, CommandError> {
        match (&self.global.state, &self.environment.state_home) {
            (Some(typed), _) => Ok(self.environment.typed(typed)),
            (None, Some(home)) => Ok(home.join("runbook")),
            (None, None) => {
                Err(CommandError::usage("it isn't known where runs are recorded: HOME is not set")
                    .with_hint("say where: --state DIR or RUNBOOK_STATE"))
            }
        }
    }

    /// The state directory for commands that somebody else is told: only the default is found by itself in every shell.
    pub(crate) fn state_to_name(&self) -> Option<String> {
        let state = self.state_dir().ok()?;
        let default = self.environment.state_home.as_ref().map(|home| home.join("runbook"));
        (default.as_ref() != Some(&state)).then(|| state.display().to_string())
    }

    /// The store of runs.
    pub(crate) fn store(&self) -> Result<Store, CommandError> {
        Ok(Store::open(&self.state_dir()?)?)
    }

    /// The run that a person means by `RUN`; a runbook's file means the latest run of it, as its name does.
    pub(crate) fn resolve(&self, store: &Store, text: &str) -> Result<RunId, CommandError> {
        let resolved = store.resolve(text);
        if let Err(ResolveError::Unknown { .. }) = &resolved
            && text.ends_with(".yaml") | text.ends_with(".yml")
            && let Ok(file) = self.library()?.find(text)
        {
            return Ok(store.resolve(&file.name)?);
        }
        Ok(resolved?)
    }

    /// Refuses to decide about the run that this process is a step of: a step could otherwise approve itself.
    pub(crate) fn refuse_from_inside(&self, run: &RunId) -> Result<(), CommandError> {
        if self.environment.inside_run.as_deref() == Some(run.as_str()) {
            return Err(CommandError::refused(format!(
                "this is a step of run {run}, which can't decide about its own run"
            )));
        }
        Ok(())
    }
}
