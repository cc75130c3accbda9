//! How build servers want output grouped and failures pointed out.

use std::hash::{BuildHasher as _, Hasher as _};
use std::path::PathBuf;

use runbook_core::id::StepId;

/// Where the lines are read.
#[derive(Debug, Clone)]
pub(super) enum Dialect {
    /// Anywhere.
    Text,
    /// GitHub: `::group::`, annotations, a job summary.
    Github {
        /// What ends the part in which workflow commands are only text. A step can't guess it.
        token: String,
        /// Where the summary goes.
        summary: Option<PathBuf>,
    },
    /// GitLab: collapsible sections.
    Gitlab,
}

impl Dialect {
    /// GitHub's, with a token of its own.
    pub(super) fn github(summary: Option<PathBuf>) -> Self {
        // The standard library keys its hashers from the system's randomness.
        let random = || std::collections::hash_map::RandomState::new().build_hasher().finish();
        Self::Github { token: format!("{:016x}{:016x}", random(), random()), summary }
    }

    /// What stands before a step's output.
    pub(super) fn open(&self, step: &StepId, title: &str, seconds: i64) -> String {
        match self {
            Self::Text => String::new(),
            Self::Github { token, .. } => {
                format!("::group::{}\n::stop-commands::{token}\n", escape_data(title))
            }
            Self::Gitlab => {
                let section = step.file_stem();
                format!("\x1b[0Ksection_start:{seconds}:{section}[collapsed=true]\r\x1b[0K{title}\n")
            }
        }
    }

    /// What stands after it.
    pub(super) fn close(&self, step: &StepId, seconds: i64) -> String {
        match self {
            Self::Text => String::new(),
            Self::Github { token, .. } => format!("::{token}::\n::endgroup::\n"),
            Self::Gitlab => format!("\x1b[0Ksection_end:{seconds}:{}\r\x1b[0K\n", step.file_stem()),
        }
    }

    /// A failure, pointed out.
    pub(super) fn annotation(&self, level: &str, title: &str, message: &str) -> Option<String> {
        match self {
            Self::Github { .. } => {
                Some(format!("::{level} title={}::{}\n", escape_property(title), escape_data(message)))
            }
            Self::Text | Self::Gitlab => None,
        }
    }
}

/// GitHub's escaping of a command's text.
fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// GitHub's escaping of a command's property.
fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_can_give_no_commands_and_tokens_differ() {
        let (a, b) = (Dialect::github(None), Dialect::github(None));
        let (Dialect::Github { token: a_token, .. }, Dialect::Github { token: b_token, .. }) = (&a, &b)
        else {
            panic!("both are GitHub's")
        };
        assert_ne!(a_token, b_token);
        let step: StepId = "smoke".parse().expect("a step id");
        assert_eq!(a.open(&step, "smoke\nx", 0), format!("::group::smoke%0Ax\n::stop-commands::{a_token}\n"));
        assert_eq!(a.close(&step, 0), format!("::{a_token}::\n::endgroup::\n"));
        assert_eq!(
            a.annotation("error", "smoke: a,b", "100%\nfailed").as_deref(),
            Some("::error title=smoke%3A a%2Cb::100%25%0Afailed\n")
        );
        assert_eq!(Dialect::Gitlab.annotation("error", "", ""), None);
    }
}
