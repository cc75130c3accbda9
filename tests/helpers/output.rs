//! What a finished command said, and asserts on it that show all of it when they fail.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use serde_json::Value;

/// A finished command whose exit status nobody has looked at yet.
#[must_use = "assert its exit status"]
pub(crate) struct Finished(pub(super) Output);

impl Finished {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Output {
        let output = self.0;
        assert_eq!(output.code(), code, "exit status of {output}");
        output
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Output {
        self.exits(0)
    }

    /// For a test that looks at the status itself.
    pub(crate) fn whatever_status(self) -> Output {
        self.0
    }
}

/// A finished command: its status, what it wrote.
pub(crate) struct Output {
    pub(crate) command: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, status, stdout, stderr } = self;
        write!(f, "$ {command}\n[{status}]\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---")
    }
}

impl Output {
    /// The exit status; 128 + the signal's number where one ended the command, as a shell has it.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().or_else(|| self.status.signal().map(|signal| 128 + signal)).expect("ended")
    }

    #[track_caller]
    pub(crate) fn stdout_has(self, part: &str) -> Self {
        assert!(self.stdout.contains(part), "no {part:?} on stdout of {self}");
        self
    }

    #[track_caller]
    pub(crate) fn stderr_has(self, part: &str) -> Self {
        assert!(self.stderr.contains(part), "no {part:?} on stderr of {self}");
        self
    }

    #[track_caller]
    pub(crate) fn stdout_or_stderr_has(self, part: &str) -> Self {
        assert!(self.stdout.contains(part) || self.stderr.contains(part), "no {part:?} in {self}");
        self
    }

    #[track_caller]
    pub(crate) fn lacks(self, part: &str) -> Self {
        assert!(!self.stdout.contains(part) && !self.stderr.contains(part), "{part:?} in {self}");
        self
    }

    /// The run's id, from the first line on stderr.
    #[track_caller]
    pub(crate) fn run_id(&self) -> String {
        run_id_in(&self.stderr).unwrap_or_else(|| panic!("no run id in the first line on stderr of {self}"))
    }

    /// The last line on stdout.
    #[track_caller]
    pub(crate) fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap_or_else(|| panic!("nothing on stdout of {self}"))
    }

    /// Asserts that the last line on stdout is `run <id> <outcome>`.
    #[track_caller]
    pub(crate) fn ends(self, outcome: &str) -> Self {
        let expected = format!("run {} {outcome}", self.run_id());
        assert_eq!(self.last_line(), expected, "last line on stdout of {self}");
        self
    }

    /// All of stdout as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} on stdout of {self}"))
    }

    /// Each line of stdout as a JSON value.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line} of {self}"))
            })
            .collect()
    }
}

/// The id in `run <id> <runbook>`, the first line.
pub(super) fn run_id_in(stderr: &str) -> Option<String> {
    let (first, _) = stderr.split_once('\n')?;
    let mut words = first.split(' ');
    (words.next() == Some("run")).then(|| words.next().map(str::to_owned))?
}
