//! What this process finds around it. Read once, here; nothing else in the command looks at the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The parts of the environment that the command line depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// The folder in which the command was typed.
    pub(crate) current_dir: PathBuf,
    /// The user's own folder.
    pub(crate) home: Option<PathBuf>,
    /// Where configuration of this user is.
    pub(crate) config_home: Option<PathBuf>,
    /// Where state of this user is.
    pub(crate) state_home: Option<PathBuf>,
    /// Whether this is a build server's job.
    pub(crate) ci: bool,
    /// Colours are not wanted.
    pub(crate) no_color: bool,
    /// A terminal that can't move its cursor.
    pub(crate) dumb: bool,
    /// The width to lay texts out for, in columns, where somebody set one.
    pub(crate) columns: Option<usize>,
    /// The run within which this process was started, as a step of it.
    pub(crate) inside_run: Option<String>,
    /// Where files of this login session may lie.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// The folder of runbooks, as `RUNBOOK_DIR` says.
    pub(crate) dir_variable: Option<PathBuf>,
    /// Where runs are recorded, as `RUNBOOK_STATE` says.
    pub(crate) state_variable: Option<PathBuf>,
    /// The clock to go by instead of the machine's: for tests alone, and only in builds for them, since it would open every window.
    pub(crate) test_clock: Option<runbook_core::moment::Moment>,
    /// The folders of programs.
    pub(crate) path: Vec<PathBuf>,
    /// Where a job on GitHub collects its summary.
    pub(crate) github_summary: Option<PathBuf>,
}

impl Environment {
    /// Looks around.
    pub(crate) fn capture() -> Self {
        Self::from_variables(std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")), |name| {
            std::env::var_os(name)
        })
    }

    /// The same from given variables.
    pub(crate) fn from_variables(current_dir: PathBuf, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
        // The XDG specification: a path that isn't absolute is ignored.
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        // One that is empty names nothing.
        let named = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = absolute("HOME");
        let under_home = |below: &str| home.as_ref().map(|home| home.join(below));
        Self {
            current_dir,
            config_home: absolute("XDG_CONFIG_HOME").or_else(|| under_home(".config")),
            state_home: absolute("XDG_STATE_HOME").or_else(|| under_home(".local/state")),
            ci: text("CI").is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false")),
            no_color: text("NO_COLOR").is_some_and(|value| !value.is_empty()),
            dumb: text("TERM").is_some_and(|value| value == "dumb"),
            columns: text("COLUMNS").and_then(|value| value.parse().ok()).filter(|columns| *columns > 0),
            inside_run: text("RUNBOOK_RUN_ID").filter(|value| !value.is_empty()),
            runtime_dir: absolute("XDG_RUNTIME_DIR"),
            dir_variable: named("RUNBOOK_DIR"),
            state_variable: named("RUNBOOK_STATE"),
            test_clock: text("RUNBOOK_TEST_ONLY_CLOCK")
                .filter(|_| cfg!(debug_assertions))
                .and_then(|clock| clock.parse::<jiff::Timestamp>().ok())
                .map(Into::into),
            path: variable("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default(),
            github_summary: variable("GITHUB_STEP_SUMMARY").map(PathBuf::from),
            home,
        }
    }

    /// A path that was typed on the command line, from where it was typed.
    pub(crate) fn typed(&self, path: &Path) -> PathBuf {
        self.current_dir.join(path)
    }
}

/// The shell that asks what can be typed next, where one does.
pub(crate) fn completing_shell() -> Option<String> {
    let shell = std::env::var(crate::completion::VARIABLE).ok()?;
    (!shell.is_empty()).then_some(shell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_is_set_by_anything_but_its_negations() {
        for (value, expected) in
            [("", false), ("0", false), ("false", false), ("true", true), ("1", true), ("no", true)]
        {
            let environment =
                Environment::from_variables(PathBuf::new(), |name| (name == "CI").then(|| value.into()));
            assert_eq!(environment.ci, expected, "{value:?}");
        }
    }

    #[test]
    fn relative_xdg_paths_are_ignored() {
        let environment = Environment::from_variables(PathBuf::new(), |name| match name {
            "XDG_STATE_HOME" => Some("state".into()),
            "XDG_CONFIG_HOME" => Some("/etc/me".into()),
            "HOME" => Some("/home/me".into()),
            _ => None,
        });
        assert_eq!(environment.state_home, Some(PathBuf::from("/home/me/.local/state")));
        assert_eq!(environment.config_home, Some(PathBuf::from("/etc/me")));
    }
}
