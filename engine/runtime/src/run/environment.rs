//! The environment that a run keeps for its whole life (`language.md` §7).

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use runbook_core::plan::Plan;
use serde::{Deserialize, Serialize};

/// What every command gets from outside, unless the runbook says otherwise.
const ALWAYS: [&str; 9] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "TERM"];
/// Where programs are looked for if the outside names no `PATH`.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a run takes from its surroundings once, at its start: `environment.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The project's root, in which commands run.
    pub root: PathBuf,
    /// The runbook's file, for messages.
    pub file: PathBuf,
    /// The variables of every command.
    pub variables: IndexMap<String, String>,
}

impl Environment {
    /// Takes from `outside` what the plan lets in.
    #[must_use]
    pub fn take(plan: &Plan, root: &Path, file: &Path, outside: &IndexMap<String, String>) -> Self {
        let mut variables: IndexMap<String, String> = outside
            .iter()
            .filter(|(name, _)| {
                ALWAYS.contains(&name.as_str())
                    || name.starts_with("LC_")
                    || plan.pass_env.iter().any(|pattern| lets_in(pattern, name))
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        variables.entry("PATH".into()).or_insert_with(|| PATH_DEFAULT.into());
        Self { root: root.to_owned(), file: file.to_owned(), variables }
    }
}

/// Whether a name or a pattern with `*` at its end names a variable.
fn lets_in(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::lets_in;

    #[test]
    fn patterns_end_with_a_star() {
        for (pattern, name, expected) in
            [("AWS_*", "AWS_PROFILE", true), ("AWS_*", "XAWS_A", false), ("A", "A", true), ("A", "AB", false)]
        {
            assert_eq!(lets_in(pattern, name), expected, "{pattern} {name}");
        }
    }
}
