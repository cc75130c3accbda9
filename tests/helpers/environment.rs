//! A project with a state directory of its own, and the binary in an environment that holds nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::journal::Journal;
use super::live::Live;
use super::output::{Finished, Output};
use super::terminal::Terminal;

/// One test's world: `project/runbooks`, a state directory, a home, a ledger, all deleted at its end.
pub(crate) struct TestEnvironment {
    root: TempDir,
    variables: BTreeMap<String, String>,
}

impl TestEnvironment {
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("runbook-test-").tempdir().unwrap();
        for folder in ["project/runbooks", "home", "state"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        fs::set_permissions(root.path().join("state"), fs::Permissions::from_mode(0o700)).unwrap();
        let home = root.path().join("home").display().to_string();
        let path = std::env::var("PATH").unwrap();
        let state = root.path().join("state").display().to_string();
        let variables = [
            ("PATH", path),
            ("HOME", home),
            ("LANG", "C.UTF-8".into()),
            ("USER", "tester".into()),
            ("RUNBOOK_STATE", state),
        ];
        Self {
            root,
            variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }

    /// An environment whose only runbook is `main`.
    pub(crate) fn with(body: &str) -> Self {
        let environment = Self::new();
        environment.runbook_named("main", body);
        environment
    }

    /// Sets a variable for the engine itself.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.root.path().join("project")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// A path outside project and state.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, path: &str, content: &str) -> PathBuf {
        let path = self.project().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, path: &str) -> String {
        let path = self.project().join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes `runbooks/NAME.yaml`, whose steps find the ledger in `$LEDGER` and what holds them in `$HOLD`.
    pub(crate) fn runbook_named(&self, name: &str, body: &str) {
        let (ledger, hold) = (self.outside("ledger"), self.outside("hold"));
        let environment = format!("env: {{LEDGER: {}, HOLD: {}}}", ledger.display(), hold.display());
        self.write(&format!("runbooks/{name}.yaml"), &format!("{environment}\n{body}"));
    }

    /// What steps wrote to `$LEDGER`: the witness that is no part of the product.
    pub(crate) fn ledger(&self) -> Vec<String> {
        let text = fs::read_to_string(self.outside("ledger")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Makes steps that run [`HOLD`] wait until [`Self::release`].
    pub(crate) fn hold(&self) {
        fs::write(self.outside("hold"), "").unwrap();
    }

    pub(crate) fn release(&self) {
        fs::remove_file(self.outside("hold")).unwrap();
    }

    /// The binary with these arguments, in the project's folder, without a terminal.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command
            .args(arguments)
            .env_clear()
            .envs(&self.variables)
            .current_dir(self.project())
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn runbook(&self, arguments: &[&str]) -> Finished {
        finish(&mut self.command(arguments))
    }

    /// Starts the binary and lets it run.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Live {
        self.spawn_command(self.command(arguments))
    }

    pub(crate) fn spawn_command(&self, command: Command) -> Live {
        Live::start(command, self.root.path())
    }

    /// The journal of a run.
    #[track_caller]
    /// The binary at a terminal of its own.
    pub(crate) fn at_terminal(&self, arguments: &[&str]) -> Terminal {
        Terminal::start(self.command(arguments))
    }

    /// The only run there is.
    #[track_caller]
    pub(crate) fn only_run(&self) -> String {
        let runs = self.runs();
        assert_eq!(runs.len(), 1);
        runs[0].clone()
    }

    pub(crate) fn journal(&self, run: &str) -> Journal {
        Journal::read(&self.run_folder(run))
    }

    pub(crate) fn run_folder(&self, run: &str) -> PathBuf {
        self.state().join("runs").join(run)
    }

    /// The ids of all runs.
    pub(crate) fn runs(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.state().join("runs")) else { return Vec::new() };
        let mut runs: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        runs.retain(|name| name.starts_with(|c: char| c.is_ascii_digit()));
        runs.sort();
        runs
    }

    /// Every file below the state directory.
    pub(crate) fn state_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.state()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_symlink() || !path.is_dir() { files.push(path) } else { folders.push(path) }
            }
        }
        files
    }

    /// What `status --format json` says about one step.
    #[track_caller]
    pub(crate) fn step_outcome(&self, run: &str, step: &str) -> String {
        let status = self.runbook(&["status", run, "--format", "json"]).succeeds().json();
        let steps = status["steps"].as_array().unwrap_or_else(|| panic!("no steps in {status}"));
        let found = steps.iter().find(|candidate| candidate["id"] == step);
        let found = found.unwrap_or_else(|| panic!("no step {step} in {status}"));
        found["outcome"].as_str().unwrap_or_else(|| panic!("no outcome in {found}")).to_owned()
    }
}

/// A shell command that waits while the test holds it; it ends as well when the test's folder is gone.
pub(crate) const HOLD: &str = r#"while [ -e "$HOLD" ]; do sleep 0.02; done"#;

pub(super) fn finish(command: &mut Command) -> Finished {
    let finished = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Finished(Output {
        command: shown(command),
        status: finished.status,
        stdout: String::from_utf8_lossy(&finished.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&finished.stderr).into_owned(),
    })
}

pub(super) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
