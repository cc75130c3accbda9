//! Which shell runs a script, and with which options.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::environment::Environment;

/// Which options make a shell stop at the first failure of a script: looked up once per shell and run, since a script is most of what steps are.
#[derive(Debug, Default)]
pub(super) struct Shells(Mutex<HashMap<String, &'static [&'static str]>>);

impl Shells {
    pub(super) fn argv(
        &self,
        declared: &[String],
        default_shell: &str,
        environment: &Environment,
    ) -> Vec<String> {
        let (program, options) = match declared {
            [] => (default_shell, None),
            [program] => (program.as_str(), None),
            [program, rest @ ..] => (program.as_str(), Some(rest)),
        };
        let program_alone = std::iter::once(program.to_owned());
        match options {
            Some(options) => program_alone.chain(options.iter().cloned()).collect(),
            None => {
                let options = self.options(program, environment);
                program_alone.chain(options.iter().map(|option| (*option).to_owned())).collect()
            }
        }
    }

    fn options(&self, program: &str, environment: &Environment) -> &'static [&'static str] {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(options) = known.get(program) {
            return options;
        }
        let options: &[&str] = match dialect(program, &folders_of(environment)) {
            ShellKind::Bash => &["-euo", "pipefail", "-O", "inherit_errexit"],
            ShellKind::WithPipefail => &["-eu", "-o", "pipefail"],
            ShellKind::Plain => &["-eu"],
            ShellKind::Other => &[],
        };
        known.insert(program.to_owned(), options);
        options
    }
}

enum ShellKind {
    Bash,
    WithPipefail,
    Plain,
    Other,
}

/// What a shell understands, by the name of the file it really is: `sh` is
/// another program from system to system.
fn dialect(program: &str, folders: &[PathBuf]) -> ShellKind {
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let asked = name(Path::new(program));
    let real = find_in(program, folders)
        .and_then(|path| path.canonicalize().ok())
        .map_or_else(|| asked.clone(), |path| name(&path));
    match (asked.as_str(), real.as_str()) {
        ("bash", _) => ShellKind::Bash,
        (_, "bash" | "busybox" | "ksh" | "ksh93" | "mksh" | "zsh") => ShellKind::WithPipefail,
        ("sh" | "dash" | "ash", _) | (_, "dash") => ShellKind::Plain,
        _ => ShellKind::Other,
    }
}

/// Looks a program up as `execvp` does.
#[must_use]
pub(super) fn find_program(program: &str, environment: &Environment) -> Option<PathBuf> {
    find_in(program, &folders_of(environment))
}

fn find_in(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program));
    }
    let may_run =
        |path: &PathBuf| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    folders.iter().map(|folder| folder.join(program)).find(may_run)
}

fn folders_of(environment: &Environment) -> Vec<PathBuf> {
    environment.variables.get("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default()
}

/// The shell in whose pipes a failure goes unseen; none where it doesn't. `shell` is a step's, empty for the usual one; `folders` are
/// those of programs.
#[must_use]
pub fn shell_without_pipefail(shell: &[String], folders: &[PathBuf]) -> Option<String> {
    let (program, options) = match shell {
        [] if find_in("bash", folders).is_some() => return None,
        [] => ("sh", None),
        [program] => (program.as_str(), None),
        [program, options @ ..] => (program.as_str(), Some(options)),
    };
    let sees = match (dialect(program, folders), options) {
        (ShellKind::Other, _) | (ShellKind::Bash | ShellKind::WithPipefail, None) => true,
        (ShellKind::Plain, None) => false,
        // With options of its own a shell gets none of ours.
        (_, Some(options)) => options.iter().any(|option| option.contains("pipefail")),
    };
    (!sees).then(|| program.to_owned())
}
