//! What every command has at hand.

use std::path::PathBuf;

use runbook_core::id::RunId;
use runbook_runtime::store::{ResolveError, Runbook, Store};

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

    /// The run that a person means by `RUN`: one by its id, or the latest of the runbook that is meant.
    pub(crate) fn resolve(&self, store: &Store, text: &str) -> Result<RunId, CommandError> {
        if let Some(run) = store.run_of_id(text)? {
            return Ok(run);
        }
        let runbook = self.runbook_meant(text)?;
        if let Some(run) = store.latest_run(&runbook)? {
            return Ok(run);
        }
        let error = CommandError::from(ResolveError::Unknown { text: text.to_owned() });
        // Whoever decides about another runbook's run says so by its id.
        let namesake = match runbook {
            Runbook::File(_) => {
                store.latest_run(&Runbook::Name(without_ending(text).to_owned())).ok().flatten()
            }
            Runbook::Name(_) => None,
        };
        Err(match namesake {
            Some(run) => error.with_hint(format!("{run} is of another file of that name")),
            None => error,
        })
    }

    /// The runbook whose runs a person means: the one that `run` would take by that word, and only where there is none
    /// any that ran by that name. A file that is gone still is that file.
    pub(crate) fn runbook_meant(&self, text: &str) -> Result<Runbook, CommandError> {
        let library = self.library()?;
        let file = library.find_any(text)?.or_else(|| library.typed_file(text));
        let place = file.and_then(|file| file.place());
        Ok(place.map_or_else(|| Runbook::Name(text.to_owned()), |place| Runbook::File(place.file)))
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

fn without_ending(text: &str) -> &str {
    text.strip_suffix(".yaml").or_else(|| text.strip_suffix(".yml")).unwrap_or(text)
}
