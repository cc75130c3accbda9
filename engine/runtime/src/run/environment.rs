//! The environment that a run keeps for its whole life (`language.md` §7).

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use runbook_core::plan::Plan;
use serde::{Deserialize, Serialize};

use crate::redact::{Masker, Secrets, find_mask, mask_of};

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

/// A variable that holds a secret in a form that can't be put back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the variable `{variable}` holds the secret `{secret}` in another form; declare that form under `secrets:`, too, and pass it by `env:`"
)]
pub struct EncodedSecret {
    /// The variable.
    pub variable: String,
    /// The secret.
    pub secret: String,
}

impl Environment {
    /// The same as it may be stored: the values of secrets in it are replaced by their masks.
    ///
    /// # Errors
    /// A variable from which the secret could not be restored.
    pub fn masked(&self, secrets: &Secrets) -> Result<Self, EncodedSecret> {
        let masker = Masker::new(secrets);
        let mut stored = self.clone();
        for (name, value) in &mut stored.variables {
            let masked = masker.text(value);
            if masked != *value {
                if unmask(&masked, secrets) != *value {
                    let secret = find_mask(&masked).unwrap_or_default().to_owned();
                    return Err(EncodedSecret { variable: name.clone(), secret });
                }
                *value = masked;
            }
        }
        Ok(stored)
    }

    /// Puts the values of secrets back in the place of their masks.
    #[must_use]
    pub fn unmasked(mut self, secrets: &Secrets) -> Self {
        for value in self.variables.values_mut() {
            *value = unmask(value, secrets);
        }
        self
    }
}

fn unmask(text: &str, secrets: &Secrets) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter() {
        if let Some(value) = secret.expose_text() {
            text = text.replace(&mask_of(secret.name()), value);
        }
    }
    text
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
    use super::*;

    #[test]
    fn secrets_are_not_stored_and_come_back() {
        let secrets =
            Secrets::from_pairs([("token".to_owned(), b"s3cr3t-value".to_vec())]).expect("long enough");
        let variables: IndexMap<String, String> =
            [("A".to_owned(), "x s3cr3t-value y".to_owned()), ("B".to_owned(), "plain".to_owned())].into();
        let environment = Environment { root: "/".into(), file: "/f".into(), variables };
        let stored = environment.masked(&secrets).expect("it can be restored");
        assert!(!format!("{stored:?}").contains("s3cr3t"), "{stored:?}");
        assert_eq!(stored.unmasked(&secrets), environment);
        let encoded: IndexMap<String, String> = [("A".to_owned(), "czNjcjN0LXZhbHVl".to_owned())].into();
        let environment = Environment { variables: encoded, ..environment };
        assert_eq!(environment.masked(&secrets).map_err(|error| error.secret), Err("token".to_owned()));
    }

    #[test]
    fn patterns_end_with_a_star() {
        for (pattern, name, expected) in
            [("AWS_*", "AWS_PROFILE", true), ("AWS_*", "XAWS_A", false), ("A", "A", true), ("A", "AB", false)]
        {
            assert_eq!(lets_in(pattern, name), expected, "{pattern} {name}");
        }
    }
}
